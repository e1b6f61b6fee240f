-- Values are clamped to [0, 250]; a patient with n > 2 rows in a group counts as 2 rows of the own mean.
WITH unit AS (
    SELECT CASE WHEN c.age < 40 THEN '18-39' WHEN c.age < 60 THEN '40-59' ELSE '60+' END AS age_band,
           c.id, least(1.0, 2.0 / count(*)) AS weight,
           sum(least(greatest(l.value, 0), 250)) AS total, count(l.value) AS n
    FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
    WHERE l.test = 'sbp' AND e.event = 'htn'
    GROUP BY ALL
)
SELECT age_band, count(*) AS patients, sum(weight * total) / sum(weight * n) AS mean_sbp FROM unit GROUP BY ALL
