-- Follow-up is clamped to [0, 7300] days; a patient with n > 2 rows of an event counts as 2. At most 5 groups of 6 allowed.
WITH unit AS (
    SELECT e.event, c.id, least(1.0, 2.0 / count(*)) AS weight,
           sum(least(greatest(c.futime, 0), 7300)) AS total, count(c.futime) AS n
    FROM clinic c JOIN registry e ON e.id = c.id
    WHERE e.event IN ('diabetes', 'nafld', 'MI', 'stroke', 'heart failure')
    GROUP BY ALL
)
SELECT event, count(*) AS patients, sum(weight * total) / sum(weight * n) / 365.25 AS years FROM unit GROUP BY ALL
