-- title: Who did what
-- about: Every event with its principal: the role and not its session, the service and not its address. The other views and the reports stand on this one.
-- `principal` is what IAM calls aws:PrincipalArn: of an assumed role the role's ARN, of anyone else with an ARN that ARN,
-- of a service its name, else the unique id or the name that the record has. NULL where a record says nothing of it.
-- `denied`: refused for want of a right. `failed`: anything but success, refused sign-ins included.
SELECT
  eventTime, eventID, eventSource, eventName, eventType, eventCategory,
  principal,
  principal_type,
  CASE
    WHEN principal_type = 'Root' THEN 'root'
    WHEN principal_type = 'AssumedRole' THEN coalesce(nullif(issuer_name, ''), split_part(principal, '/', -1))
    ELSE coalesce(nullif(user_name, ''), split_part(principal, '/', -1))
  END AS principal_name,
  principal_account,
  CASE
    WHEN arn LIKE 'arn:%:sts::%:assumed-role/%/%' THEN split_part(arn, '/', 3)
    WHEN principal_type = 'AssumedRole' THEN nullif(split_part(principal_id, ':', 2), '')
  END AS session_name,
  principal_id,
  nullif(accessKeyId, '') AS accessKeyId,
  invoked_by, mfa,
  sourceIPAddress, userAgent, readOnly, managementEvent,
  nullif(errorCode, '') AS errorCode,
  errorMessage,
  coalesce(
    lower(errorCode) LIKE '%accessdenied%'
    OR lower(errorCode) LIKE '%unauthorizedoperation%'
    OR lower(errorCode) LIKE '%unauthorizedaccess%'
    OR lower(errorCode) IN (
      'authorizationerror', 'authorizationerrorexception', 'forbidden', 'forbiddenexception',
      'notauthorized', 'notauthorizedexception', 'unauthorized', 'unauthorizedexception'),
    false)
  OR coalesce(lower(errorMessage) LIKE '%not authorized to perform%', false) AS denied,
  nullif(errorCode, '') IS NOT NULL
  OR nullif(errorMessage, '') IS NOT NULL
  OR coalesce(eventType = 'AwsConsoleSignIn' AND contains(responseElements, '"Failure"'), false) AS failed,
  resources, requestParameters, responseElements, additionalEventData, serviceEventDetails,
  requestID, vpcEndpointId, origin, account_id, region, date
FROM (
  SELECT
    e.*,
    coalesce(
      CASE
        WHEN userIdentity.type = 'AWSService' THEN coalesce(nullif(userIdentity.invokedBy, ''), eventSource)
        WHEN userIdentity.type = 'AssumedRole' AND nullif(userIdentity.sessionContext.sessionIssuer.arn, '') IS NOT NULL
          THEN userIdentity.sessionContext.sessionIssuer.arn
        WHEN userIdentity.arn LIKE 'arn:%:sts::%:assumed-role/%'
          THEN 'arn:' || split_part(userIdentity.arn, ':', 2) || ':iam::' || split_part(userIdentity.arn, ':', 5)
            || ':role/' || split_part(userIdentity.arn, '/', 2)
        WHEN userIdentity.type = 'Root' AND nullif(userIdentity.arn, '') IS NULL
          THEN 'arn:aws:iam::' || nullif(userIdentity.accountId, '') || ':root'
        WHEN userIdentity.type = 'IdentityCenterUser' THEN get_json_object(userIdentity.onBehalfOf, '$.userId')
      END,
      nullif(userIdentity.arn, ''),
      CASE
        WHEN userIdentity.type IN ('SAMLUser', 'WebIdentityUser') THEN nullif(userIdentity.principalId, '')
        ELSE nullif(split_part(userIdentity.principalId, ':', 1), '')
      END,
      nullif(userIdentity.userName, ''),
      nullif(userIdentity.invokedBy, ''),
      CASE WHEN eventType = 'AwsServiceEvent' THEN nullif(eventSource, '') END,
      nullif(userIdentity.accountId, '')
    ) AS principal,
    coalesce(
      nullif(userIdentity.type, ''),
      CASE
        WHEN eventType = 'AwsServiceEvent' OR userIdentity.invokedBy LIKE '%.amazonaws.com' THEN 'AWSService'
      END
    ) AS principal_type,
    userIdentity.accountId AS principal_account,
    userIdentity.principalId AS principal_id,
    userIdentity.arn AS arn,
    userIdentity.userName AS user_name,
    userIdentity.sessionContext.sessionIssuer.userName AS issuer_name,
    nullif(userIdentity.invokedBy, '') AS invoked_by,
    CASE lower(userIdentity.sessionContext.attributes.mfaAuthenticated)
      WHEN 'true' THEN true
      WHEN 'false' THEN false
    END AS mfa
  FROM cloudtrail AS e
) AS told
