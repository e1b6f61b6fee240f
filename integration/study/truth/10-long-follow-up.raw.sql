SELECT e.event, count(DISTINCT c.id) AS patients, count(*) AS events,
       sum(CASE WHEN c.status = 1 THEN 1 ELSE 0 END) AS events_of_deceased
FROM clinic c JOIN registry e ON e.id = c.id
WHERE c.futime >= 3650
GROUP BY ALL
