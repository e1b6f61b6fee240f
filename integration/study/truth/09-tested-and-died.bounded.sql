-- At most 6 groups of a patient count, chosen by a keyed hash: of m groups each counts with 6/m on average over the keys.
WITH unit AS (
    SELECT DISTINCT c.id, e.event
    FROM clinic c JOIN laboratory l ON l.id = c.id JOIN registry e ON e.id = c.id
    WHERE l.test = 'hdl' AND c.status = 1
), weighed AS (
    SELECT *, least(1.0, 6.0 / count(*) OVER (PARTITION BY id)) AS weight FROM unit
)
SELECT event, sum(weight) AS died FROM weighed GROUP BY ALL
