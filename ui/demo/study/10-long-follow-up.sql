-- Patients seen for ten years or longer, by condition (clinic, registry)
SELECT e.event, count(DISTINCT c.id) AS patients, count(*) AS events,
       sum(CASE WHEN c.status = 1 THEN 1 ELSE 0 END) AS events_of_deceased
FROM clinic.patients c
JOIN registry.events e ON e.id = c.id
WHERE c.futime >= 3650
GROUP BY e.event
HAVING count(DISTINCT c.id) >= 100
ORDER BY patients DESC
