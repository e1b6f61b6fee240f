-- Values are clamped to [0, 250]; a patient with n > 10 rows in a group counts as 10 rows of the own mean.
WITH unit AS (
    SELECT c.male, c.id, least(1.0, 10.0 / count(*)) AS weight,
           sum(least(greatest(l.value, 0), 250)) AS total, count(l.value) AS n
    FROM clinic c JOIN laboratory l ON l.id = c.id
    WHERE l.test = 'hdl'
    GROUP BY ALL
)
SELECT male, count(*) AS patients, sum(weight * total) / sum(weight * n) AS mean_hdl FROM unit GROUP BY ALL
