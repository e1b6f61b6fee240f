-- Values are clamped to [0, 250]. Of the three owners the registry is strictest: a patient with n > 2 rows in a group (values
-- times diagnoses) counts as 2 rows of the own mean.
WITH unit AS (
    SELECT e.event, c.male, c.id, least(1.0, 2.0 / count(*)) AS weight,
           sum(least(greatest(l.value, 0), 250)) AS total, count(l.value) AS n
    FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
    WHERE l.test = 'hdl' AND e.event IN ('diabetes', 'nafld', 'htn')
    GROUP BY ALL
)
SELECT event, male, count(*) AS patients, sum(weight * total) / sum(weight * n) AS mean_hdl FROM unit GROUP BY ALL
