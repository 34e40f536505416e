-- title: What touched a resource
-- about: Every event that names a resource: among its resources, in what was asked or in what was answered. A name alone finds it at the end of an ARN or a path too, and never inside a longer name.
-- param: resource string -- an ARN, a name or an id
-- param: since timestamp = now() - interval '30' day -- from this time on
-- param: until timestamp = now() -- and before this one
-- param: changes_only string of 'no', 'yes' = 'no' -- 'yes': without what only reads
-- param: rows integer = 10000 -- no more than so many, the first ones
SELECT
  eventTime, account_id, region, eventSource, eventName, readOnly, failed, errorCode, principal, principal_type,
  session_name, accessKeyId, invoked_by, sourceIPAddress, userAgent,
  named_in_resources, named_in_request, named_in_response, requestParameters, eventID
FROM (
  SELECT
    p.*,
    coalesce(
      contains(to_json(resources), '"' || :resource || '"}')
      OR contains(to_json(resources), '/' || :resource || '"}')
      OR contains(to_json(resources), ':' || :resource || '"}'),
      false) AS named_in_resources,
    coalesce(
      contains(requestParameters, '"' || :resource || '"')
      OR contains(requestParameters, '/' || :resource || '"')
      OR contains(requestParameters, ':' || :resource || '"'),
      false) AS named_in_request,
    coalesce(
      contains(responseElements, '"' || :resource || '"')
      OR contains(responseElements, '/' || :resource || '"')
      OR contains(responseElements, ':' || :resource || '"'),
      false)
    OR coalesce(
      contains(serviceEventDetails, '"' || :resource || '"')
      OR contains(serviceEventDetails, '/' || :resource || '"')
      OR contains(serviceEventDetails, ':' || :resource || '"'),
      false) AS named_in_response
  FROM principal_activity AS p
  WHERE
    eventTime >= :since AND eventTime < :until
    AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
    AND (:changes_only <> 'yes' OR NOT coalesce(readOnly, false))
) AS named
WHERE named_in_resources OR named_in_request OR named_in_response
ORDER BY
  eventTime, account_id NULLS LAST, region NULLS LAST, eventSource NULLS LAST, eventName NULLS LAST,
  eventID NULLS LAST, requestID NULLS LAST, requestParameters NULLS LAST
LIMIT :rows
