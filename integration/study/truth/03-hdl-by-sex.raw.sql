SELECT c.male, count(DISTINCT c.id) AS patients, avg(l.value) AS mean_hdl
FROM clinic c JOIN laboratory l ON l.id = c.id
WHERE l.test = 'hdl'
GROUP BY ALL
