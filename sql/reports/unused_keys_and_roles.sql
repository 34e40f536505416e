-- title: Unused keys and roles
-- about: Access keys and roles that were seen made or used and not deleted, and have not been used since. What no event ever named is not known here: IAM's credential report has every key.
-- A key is used by any call, one that was denied too; a role by any call of its sessions and by being assumed.
-- Roles that AWS keeps for its own services are left out.
-- param: unused_since timestamp = now() - interval '90' day -- not used from this time on, nor made
-- param: known_since timestamp = TIMESTAMP '2000-01-01 00:00:00' -- what was seen from this time on
SELECT
  kind, account_id, name, owner, created_time, last_used_time, uses,
  coalesce(inactive_time > coalesce(active_time, created_time, inactive_time - interval '1' second), false) AS inactive
FROM (
  SELECT
    kind, account_id, name,
    max(owner) AS owner,
    max(CASE WHEN what = 'created' THEN last_time END) AS created_time,
    max(CASE WHEN what = 'used' THEN last_time END) AS last_used_time,
    max(CASE WHEN what = 'deleted' THEN last_time END) AS deleted_time,
    max(CASE WHEN what = 'inactive' THEN last_time END) AS inactive_time,
    max(CASE WHEN what = 'active' THEN last_time END) AS active_time,
    sum(CASE WHEN what = 'used' THEN calls ELSE 0 END) AS uses
  FROM (
    -- keys by which calls were made
    SELECT
      'key' AS kind,
      coalesce(principal_account, account_id) AS account_id,
      accessKeyId AS name,
      max(principal_name) AS owner,
      'used' AS what,
      max(eventTime) AS last_time,
      count(*) AS calls
    FROM principal_activity
    WHERE accessKeyId LIKE 'AKIA%' AND eventTime >= :known_since
      AND date >= CAST(:known_since - interval '1' day AS DATE)
    GROUP BY coalesce(principal_account, account_id), accessKeyId
    UNION ALL
    -- roles whose sessions made calls
    SELECT
      'role' AS kind,
      split_part(principal, ':', 5) AS account_id,
      split_part(principal, '/', -1) AS name,
      CAST(NULL AS STRING) AS owner,
      'used' AS what,
      max(eventTime) AS last_time,
      count(*) AS calls
    FROM principal_activity
    WHERE principal LIKE 'arn:%:iam::%:role/%' AND eventTime >= :known_since
      AND date >= CAST(:known_since - interval '1' day AS DATE)
    GROUP BY split_part(principal, ':', 5), split_part(principal, '/', -1)
    UNION ALL
    -- roles that were assumed, even if nothing was done then
    SELECT
      'role' AS kind,
      split_part(role, ':', 5) AS account_id,
      split_part(role, '/', -1) AS name,
      CAST(NULL AS STRING) AS owner,
      'used' AS what,
      max(eventTime) AS last_time,
      count(*) AS calls
    FROM (
      SELECT get_json_object(requestParameters, '$.roleArn') AS role, eventTime
      FROM principal_activity
      WHERE eventSource = 'sts.amazonaws.com' AND eventName LIKE 'AssumeRole%' AND NOT failed
        AND eventTime >= :known_since AND date >= CAST(:known_since - interval '1' day AS DATE)
    ) AS assumed
    WHERE role LIKE 'arn:%:iam::%:role/%'
    GROUP BY split_part(role, ':', 5), split_part(role, '/', -1)
    UNION ALL
    -- what became of them
    SELECT
      CASE WHEN eventName LIKE '%Role' THEN 'role' ELSE 'key' END AS kind,
      account_id,
      CASE eventName
        WHEN 'CreateAccessKey' THEN get_json_object(responseElements, '$.accessKey.accessKeyId')
        WHEN 'CreateRole' THEN get_json_object(requestParameters, '$.roleName')
        WHEN 'DeleteRole' THEN get_json_object(requestParameters, '$.roleName')
        ELSE get_json_object(requestParameters, '$.accessKeyId')
      END AS name,
      coalesce(
        get_json_object(responseElements, '$.accessKey.userName'), get_json_object(requestParameters, '$.userName')
      ) AS owner,
      CASE eventName
        WHEN 'CreateAccessKey' THEN 'created'
        WHEN 'CreateRole' THEN 'created'
        WHEN 'DeleteAccessKey' THEN 'deleted'
        WHEN 'DeleteRole' THEN 'deleted'
        ELSE lower(get_json_object(requestParameters, '$.status'))
      END AS what,
      eventTime AS last_time,
      CAST(1 AS BIGINT) AS calls
    FROM principal_activity
    WHERE eventSource = 'iam.amazonaws.com' AND NOT failed
      AND eventName IN ('CreateAccessKey', 'CreateRole', 'DeleteAccessKey', 'DeleteRole', 'UpdateAccessKey')
      AND eventTime >= :known_since AND date >= CAST(:known_since - interval '1' day AS DATE)
  ) AS sights
  WHERE name IS NOT NULL AND NOT (kind = 'role' AND name LIKE 'AWSServiceRoleFor%')
  GROUP BY kind, account_id, name
) AS lives
WHERE
  coalesce(last_used_time < :unused_since, true)
  AND coalesce(created_time < :unused_since, true)
  -- whoever was only switched on and off is known too, whoever was deleted may have come back
  AND (
    deleted_time IS NULL
    OR coalesce(created_time > deleted_time, false)
    OR coalesce(last_used_time > deleted_time, false)
  )
ORDER BY kind, last_used_time NULLS FIRST, account_id NULLS LAST, name
