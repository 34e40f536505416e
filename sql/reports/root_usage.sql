-- title: Who used root
-- about: What was done as root, day by day: from where, with which key and how. With invoked_by it was a service in root's name (signin.amazonaws.com and AWS Internal are the console).
-- param: since timestamp = now() - interval '90' day -- from this time on
-- param: until timestamp = now() -- and before this one
SELECT
  date, account_id, invoked_by, sourceIPAddress, accessKeyId, eventSource, eventName,
  count(*) AS calls,
  count(*) FILTER (WHERE failed) AS failed_calls,
  count(*) FILTER (WHERE mfa) AS calls_with_mfa,
  min(eventTime) AS first_time,
  max(eventTime) AS last_time
FROM principal_activity
WHERE
  principal_type = 'Root' AND coalesce(eventType, '') <> 'AwsServiceEvent'
  AND eventTime >= :since AND eventTime < :until
  AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
GROUP BY date, account_id, invoked_by, sourceIPAddress, accessKeyId, eventSource, eventName
ORDER BY
  invoked_by NULLS FIRST, account_id NULLS LAST, last_time DESC, sourceIPAddress NULLS LAST, accessKeyId NULLS LAST,
  eventSource NULLS LAST, eventName NULLS LAST
