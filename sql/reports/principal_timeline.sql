-- title: What a principal did
-- about: Every event of a principal in the order of time.
-- param: principal string -- an ARN, a name, a session's name, an access key or a unique id
-- param: since timestamp = now() - interval '7' day -- from this time on
-- param: until timestamp = now() -- and before this one
-- param: rows integer = 10000 -- no more than so many, the first ones
SELECT
  eventTime, account_id, region, eventSource, eventName, readOnly, failed, errorCode, errorMessage, principal,
  session_name, accessKeyId, mfa, invoked_by, sourceIPAddress, userAgent, to_json(resources) AS resources,
  requestParameters, eventID
FROM principal_activity
WHERE
  (
    principal = :principal OR principal_name = :principal OR session_name = :principal OR accessKeyId = :principal
    OR principal_id = :principal
  )
  AND eventTime >= :since AND eventTime < :until
  AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
ORDER BY
  eventTime, account_id NULLS LAST, region NULLS LAST, eventSource NULLS LAST, eventName NULLS LAST,
  eventID NULLS LAST, requestID NULLS LAST, requestParameters NULLS LAST
LIMIT :rows
