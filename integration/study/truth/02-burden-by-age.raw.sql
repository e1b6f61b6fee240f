SELECT e.event, c.male, CASE WHEN c.age < 40 THEN '18-39' WHEN c.age < 60 THEN '40-59' ELSE '60+' END AS age_band,
       count(DISTINCT c.id) AS patients
FROM clinic c JOIN registry e ON e.id = c.id
WHERE e.event IN ('diabetes', 'htn', 'nafld')
GROUP BY ALL
