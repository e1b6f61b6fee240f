SELECT e.event, c.male, count(DISTINCT c.id) AS patients
FROM clinic c JOIN registry e ON e.id = c.id
GROUP BY ALL
