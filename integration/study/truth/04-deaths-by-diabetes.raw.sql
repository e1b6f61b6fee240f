SELECT CASE WHEN e.event = 'diabetes' THEN 'diabetes' ELSE 'other condition' END AS condition,
       c.status AS died, count(DISTINCT c.id) AS patients
FROM clinic c JOIN registry e ON e.id = c.id
GROUP BY ALL
