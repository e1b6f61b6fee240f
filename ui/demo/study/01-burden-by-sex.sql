-- Burden: patients with each recorded condition, by sex (clinic, registry)
SELECT e.event, c.male, count(DISTINCT c.id) AS patients
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
GROUP BY e.event, c.male
ORDER BY e.event, c.male
