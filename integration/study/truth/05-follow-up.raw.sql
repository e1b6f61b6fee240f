SELECT e.event, count(DISTINCT c.id) AS patients, avg(c.futime) / 365.25 AS years
FROM clinic c JOIN registry e ON e.id = c.id
WHERE e.event IN ('diabetes', 'nafld', 'MI', 'stroke', 'heart failure')
GROUP BY ALL
