SELECT e.event, c.male, count(DISTINCT c.id) AS patients, avg(l.value) AS mean_hdl
FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
WHERE l.test = 'hdl' AND e.event IN ('diabetes', 'nafld', 'htn')
GROUP BY ALL
