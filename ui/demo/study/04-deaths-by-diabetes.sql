-- Deaths among patients with diabetes and among patients with other conditions (clinic, registry)
SELECT CASE WHEN e.event = 'diabetes' THEN 'diabetes' ELSE 'other condition' END AS condition,
       c.status AS died, count(DISTINCT c.id) AS patients
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
GROUP BY 1, 2
ORDER BY 1, 2
