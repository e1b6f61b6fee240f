-- Mean HDL by sex (clinic, laboratory)
SELECT c.male, count(DISTINCT c.id) AS patients, avg(l.value) AS mean_hdl
FROM clinic.patients c
JOIN laboratory.results l ON l.id = c.id
WHERE l.test = 'hdl'
GROUP BY c.male
ORDER BY c.male
