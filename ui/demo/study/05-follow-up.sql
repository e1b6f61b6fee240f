-- Mean follow-up in years, by condition (clinic, registry)
SELECT e.event, count(DISTINCT c.id) AS patients, avg(c.futime) / 365.25 AS years
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
WHERE e.event IN ('diabetes', 'nafld', 'MI', 'stroke', 'heart failure')
GROUP BY e.event
HAVING count(DISTINCT c.id) >= 100
ORDER BY years DESC
