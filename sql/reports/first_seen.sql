-- title: First sights
-- about: Access keys (temporary ones aside), principals, addresses and user agents of a period that the time before it did not know, with how often they came. An actor with many of them at once has a few shown and all counted.
-- A user agent is known by its text without its digits and without the command that the CLI adds: a newer version is no stranger.
-- What AWS does by itself (addresses, agents and principals that are services) is left out.
-- param: since timestamp = now() - interval '7' day -- the period begins
-- param: until timestamp = now() -- and ends
-- param: compare_from timestamp = :since - interval '90' day -- the time before begins; what was seen earlier is forgotten
-- param: new_to string of 'all', 'actor' = 'all' -- 'all': nobody had it before; 'actor': this actor had not
-- param: per_actor integer = 5 -- values that are shown of each kind for each actor, the earliest
SELECT
  kind, value, actor, first_time, last_time, calls, days, actors,
  actor_values,
  actor_calls_before,
  value_calls_before
FROM (
  SELECT
    n.*,
    count(*) OVER (PARTITION BY kind, actor) AS actor_values,
    row_number() OVER (PARTITION BY kind, actor ORDER BY first_time, value, folded) AS place
  FROM (
    SELECT
      v.*,
      row_number() OVER (PARTITION BY kind, folded ORDER BY first_time NULLS LAST, actor NULLS LAST) AS turn
    FROM (
      SELECT
        s.*,
        sum(calls_before) OVER (PARTITION BY kind, folded) AS value_calls_before,
        sum(calls_before) OVER (PARTITION BY kind, actor) AS actor_calls_before,
        sum(CASE WHEN calls > 0 THEN 1 ELSE 0 END) OVER (PARTITION BY kind, folded) AS actors
      FROM (
        SELECT
          kind, folded, actor,
          min(CASE WHEN in_period THEN value END) AS value,
          min(CASE WHEN in_period THEN first_time END) AS first_time,
          max(CASE WHEN in_period THEN last_time END) AS last_time,
          sum(CASE WHEN in_period THEN calls ELSE 0 END) AS calls,
          sum(CASE WHEN in_period THEN 0 ELSE calls END) AS calls_before,
          count(DISTINCT CASE WHEN in_period THEN date END) AS days
        FROM (
          SELECT
            kind, principal AS actor, in_period, date, calls, first_time, last_time,
            CASE kind
              WHEN 'key' THEN accessKeyId
              WHEN 'principal' THEN principal
              WHEN 'address' THEN sourceIPAddress
              ELSE userAgent
            END AS value,
            CASE kind
              WHEN 'key' THEN CASE WHEN accessKeyId NOT LIKE 'ASIA%' THEN accessKeyId END
              WHEN 'principal' THEN CASE WHEN principal NOT LIKE '%.amazonaws.com' THEN principal END
              WHEN 'address' THEN
                CASE
                  WHEN sourceIPAddress NOT LIKE '%.amazonaws.com' AND sourceIPAddress <> 'AWS Internal'
                    THEN nullif(sourceIPAddress, '')
                END
              ELSE
                CASE
                  WHEN userAgent NOT LIKE '%.amazonaws.com' AND userAgent <> 'AWS Internal'
                    THEN nullif(translate(regexp_replace(userAgent, ' (md/)?command[/#].*', ''), '0123456789', ''), '')
                END
            END AS folded
          FROM (
            SELECT
              principal, accessKeyId, sourceIPAddress, userAgent, date,
              eventTime >= :since AS in_period,
              count(*) AS calls,
              min(eventTime) AS first_time,
              max(eventTime) AS last_time
            FROM principal_activity
            WHERE
              eventTime >= :compare_from AND eventTime < :until
              AND date >= CAST(:compare_from - interval '1' day AS DATE)
              AND date <= CAST(:until + interval '1' day AS DATE)
            GROUP BY principal, accessKeyId, sourceIPAddress, userAgent, date, eventTime >= :since
          ) AS used
          CROSS JOIN (VALUES ('key'), ('principal'), ('address'), ('user agent')) AS kinds(kind)
        ) AS sights
        GROUP BY kind, folded, actor
      ) AS s
    ) AS v
  ) AS n
  WHERE
    folded IS NOT NULL AND calls > 0 AND calls_before = 0
    AND (:new_to = 'actor' OR (value_calls_before = 0 AND turn = 1))
) AS shown
WHERE place <= :per_actor
ORDER BY first_time DESC, kind, value, actor NULLS LAST
