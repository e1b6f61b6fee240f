SELECT e.event, count(DISTINCT c.id) AS died
FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
WHERE l.test = 'hdl' AND c.status = 1
GROUP BY ALL
