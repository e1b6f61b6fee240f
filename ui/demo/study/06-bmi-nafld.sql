-- Body mass index of patients with fatty liver disease, by sex (clinic, registry)
SELECT c.male, count(DISTINCT c.id) AS patients, avg(c.bmi) AS mean_bmi
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
WHERE e.event = 'nafld' AND c.bmi >= 15
GROUP BY c.male
ORDER BY c.male
