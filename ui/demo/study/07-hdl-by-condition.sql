-- Mean HDL by condition, women and men (clinic, laboratory, registry)
SELECT e.event, c.male, count(DISTINCT c.id) AS patients, avg(l.value) AS mean_hdl
FROM clinic.patients c
JOIN laboratory.results l ON l.id = c.id
JOIN registry.events e ON e.id = c.id
WHERE l.test = 'hdl' AND e.event IN ('diabetes', 'nafld', 'htn')
GROUP BY e.event, c.male
HAVING count(DISTINCT c.id) >= 100
ORDER BY e.event, c.male
