-- title: Calls by key, address and principal
-- about: Which access keys were used from which addresses by whom: a key from addresses it has no business at, or in several hands.
-- param: since timestamp = now() - interval '30' day -- from this time on
-- param: until timestamp = now() -- and before this one
SELECT
  accessKeyId, sourceIPAddress, principal_id AS principalId,
  max(principal) AS principal,
  count(*) AS calls,
  count(*) FILTER (WHERE failed) AS failed_calls,
  min(eventTime) AS first_time,
  max(eventTime) AS last_time
FROM principal_activity
WHERE
  eventTime >= :since AND eventTime < :until
  AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
GROUP BY accessKeyId, sourceIPAddress, principal_id
ORDER BY accessKeyId NULLS LAST, sourceIPAddress NULLS LAST, principal_id NULLS LAST
