-- Refused: what does the laboratory know about one patient?
SELECT l.test, avg(l.value) AS mean_value, count(*) AS n
FROM clinic.patients c
JOIN laboratory.results l ON l.id = c.id
WHERE c.id = '4711' AND c.age = 57
GROUP BY l.test
