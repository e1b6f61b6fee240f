-- The index is clamped to [10, 80]; a patient with n > 2 rows counts as 2.
WITH unit AS (
    SELECT c.male, c.id, least(1.0, 2.0 / count(*)) AS weight,
           sum(least(greatest(c.bmi, 10), 80)) AS total, count(c.bmi) AS n
    FROM clinic c JOIN registry e ON e.id = c.id
    WHERE e.event = 'nafld' AND c.bmi >= 15
    GROUP BY ALL
)
SELECT male, count(*) AS patients, sum(weight * total) / sum(weight * n) AS mean_bmi FROM unit GROUP BY ALL
