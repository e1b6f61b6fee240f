-- Burden: metabolic conditions by sex and age band (clinic, registry)
SELECT e.event, c.male,
       CASE WHEN c.age < 40 THEN '18-39' WHEN c.age < 60 THEN '40-59' ELSE '60+' END AS age_band,
       count(DISTINCT c.id) AS patients
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
WHERE e.event IN ('diabetes', 'htn', 'nafld')
GROUP BY 1, 2, 3
HAVING count(DISTINCT c.id) >= 100
ORDER BY 1, 2, 3
