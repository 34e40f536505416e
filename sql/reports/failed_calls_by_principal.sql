-- title: Failed calls by principal
-- about: Whose calls failed, how often and of how many, and by which errors. Refused sign-ins to the console count as failed.
-- param: since timestamp = now() - interval '7' day -- from this time on
-- param: until timestamp = now() -- and before this one
SELECT
  principal, principal_type, account_id, errorCode, denied,
  calls AS failed_calls,
  calls_of_principal, failed_calls_of_principal,
  actions, addresses, first_time, last_time
FROM (
  SELECT
    grouped.*,
    sum(calls) OVER (PARTITION BY principal, principal_type, account_id) AS calls_of_principal,
    sum(CASE WHEN failed THEN calls ELSE 0 END) OVER (PARTITION BY principal, principal_type, account_id)
      AS failed_calls_of_principal
  FROM (
    SELECT
      principal, principal_type, account_id, failed, errorCode, denied,
      count(*) AS calls,
      count(DISTINCT coalesce(eventSource, '') || '/' || coalesce(eventName, '')) AS actions,
      count(DISTINCT sourceIPAddress) AS addresses,
      min(eventTime) AS first_time,
      max(eventTime) AS last_time
    FROM principal_activity
    WHERE
      eventTime >= :since AND eventTime < :until
      AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
    GROUP BY principal, principal_type, account_id, failed, errorCode, denied
  ) AS grouped
) AS told
WHERE failed
ORDER BY
  failed_calls DESC, principal NULLS LAST, principal_type NULLS LAST, account_id NULLS LAST, errorCode NULLS LAST,
  denied
