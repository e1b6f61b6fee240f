-- Conditions with most deaths within the laboratory's patients (clinic, laboratory, registry)
SELECT e.event, count(DISTINCT c.id) AS died
FROM clinic.patients c
JOIN laboratory.results l ON l.id = c.id
JOIN registry.events e ON e.id = c.id
WHERE l.test = 'hdl' AND c.status = 1
GROUP BY e.event
HAVING count(DISTINCT c.id) >= 200
ORDER BY died DESC
LIMIT 5
