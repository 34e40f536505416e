-- title: First sights of countries and cities
-- about: Countries and cities of a period that the time before it did not know, with how often calls came from there. An actor with many of them at once has a few shown and all counted.
-- Needs the functions country(address) and city(address), which a GeoIP database answers; an address that has none is left out.
-- functions: country, city
-- param: since timestamp = now() - interval '7' day -- the period begins
-- param: until timestamp = now() -- and ends
-- param: compare_from timestamp = :since - interval '90' day -- the time before begins; what was seen earlier is forgotten
-- param: new_to string of 'all', 'actor' = 'all' -- 'all': nobody came from there before; 'actor': this actor had not
-- param: per_actor integer = 5 -- values that are shown of each kind for each actor, the earliest
SELECT
  kind, value, actor, address, first_time, last_time, calls, days, actors,
  actor_values,
  actor_calls_before,
  value_calls_before
FROM (
  SELECT
    n.*,
    count(*) OVER (PARTITION BY kind, actor) AS actor_values,
    row_number() OVER (PARTITION BY kind, actor ORDER BY first_time, value) AS place
  FROM (
    SELECT
      v.*,
      row_number() OVER (PARTITION BY kind, value ORDER BY first_time NULLS LAST, actor NULLS LAST) AS turn
    FROM (
      SELECT
        s.*,
        sum(calls_before) OVER (PARTITION BY kind, value) AS value_calls_before,
        sum(calls_before) OVER (PARTITION BY kind, actor) AS actor_calls_before,
        sum(CASE WHEN calls > 0 THEN 1 ELSE 0 END) OVER (PARTITION BY kind, value) AS actors
      FROM (
        SELECT
          kind, value, actor,
          min(CASE WHEN in_period THEN sourceIPAddress END) AS address,
          min(CASE WHEN in_period THEN first_time END) AS first_time,
          max(CASE WHEN in_period THEN last_time END) AS last_time,
          sum(CASE WHEN in_period THEN calls ELSE 0 END) AS calls,
          sum(CASE WHEN in_period THEN 0 ELSE calls END) AS calls_before,
          count(DISTINCT CASE WHEN in_period THEN date END) AS days
        FROM (
          SELECT
            kind, principal AS actor, sourceIPAddress, in_period, date, calls, first_time, last_time,
            -- cities of one name are told apart by their countries
            CASE kind WHEN 'country' THEN country ELSE city || coalesce(', ' || country, '') END AS value
          FROM (
            SELECT
              principal, sourceIPAddress, date, in_period, calls, first_time, last_time,
              nullif(country(sourceIPAddress), '') AS country,
              nullif(city(sourceIPAddress), '') AS city
            FROM (
              SELECT
                principal, sourceIPAddress, date,
                eventTime >= :since AS in_period,
                count(*) AS calls,
                min(eventTime) AS first_time,
                max(eventTime) AS last_time
              FROM principal_activity
              WHERE
                eventTime >= :compare_from AND eventTime < :until
                AND date >= CAST(:compare_from - interval '1' day AS DATE)
                AND date <= CAST(:until + interval '1' day AS DATE)
              GROUP BY principal, sourceIPAddress, date, eventTime >= :since
            ) AS used
          ) AS placed
          CROSS JOIN (VALUES ('country'), ('city')) AS kinds(kind)
        ) AS sights
        GROUP BY kind, value, actor
      ) AS s
    ) AS v
  ) AS n
  WHERE
    value IS NOT NULL AND calls > 0 AND calls_before = 0
    AND (:new_to = 'actor' OR (value_calls_before = 0 AND turn = 1))
) AS shown
WHERE place <= :per_actor
ORDER BY first_time DESC, kind, value, actor NULLS LAST
