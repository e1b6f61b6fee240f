-- At most 6 groups of a patient count, chosen by a keyed hash: of m groups each counts with 6/m on average over the keys.
WITH unit AS (
    SELECT DISTINCT c.id, e.event, c.male
    FROM clinic c JOIN registry e ON e.id = c.id
), weighed AS (
    SELECT *, least(1.0, 6.0 / count(*) OVER (PARTITION BY id)) AS weight FROM unit
)
SELECT event, male, sum(weight) AS patients FROM weighed GROUP BY ALL
