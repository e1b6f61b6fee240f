SELECT CASE WHEN c.age < 40 THEN '18-39' WHEN c.age < 60 THEN '40-59' ELSE '60+' END AS age_band,
       count(DISTINCT c.id) AS patients, avg(l.value) AS mean_sbp
FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
WHERE l.test = 'sbp' AND e.event = 'htn'
GROUP BY ALL
