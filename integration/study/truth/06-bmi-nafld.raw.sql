SELECT c.male, count(DISTINCT c.id) AS patients, avg(c.bmi) AS mean_bmi
FROM clinic c JOIN registry e ON e.id = c.id
WHERE e.event = 'nafld' AND c.bmi >= 15
GROUP BY ALL
