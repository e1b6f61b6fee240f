-- A patient with n > 2 rows of an event counts as 2; at most 6 groups of a patient count, of m groups each with 6/m on average.
WITH unit AS (
    SELECT e.event, c.id, count(*) AS n, sum(CASE WHEN c.status = 1 THEN 1 ELSE 0 END) AS deceased,
           least(1.0, 6.0 / count(*) OVER (PARTITION BY c.id)) AS weight
    FROM clinic c JOIN registry e ON e.id = c.id
    WHERE c.futime >= 3650
    GROUP BY e.event, c.id
)
SELECT event, sum(weight) AS patients, sum(weight * least(n, 2)) AS events,
       sum(weight * deceased * least(1.0, 2.0 / n)) AS events_of_deceased
FROM unit GROUP BY ALL
