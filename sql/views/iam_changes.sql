-- title: Changes to identities and rights
-- about: What changed, or tried to change, users, roles, groups, policies, keys, passwords, providers, accounts of an organization and what Identity Center grants.
-- needs: principal_activity
SELECT
  eventTime, account_id, region, principal, principal_type, principal_name, session_name, eventSource, eventName,
  coalesce(
    get_json_object(requestParameters, '$.userName'),
    get_json_object(requestParameters, '$.roleName'),
    get_json_object(requestParameters, '$.groupName'),
    get_json_object(requestParameters, '$.instanceProfileName'),
    get_json_object(requestParameters, '$.principalId'),
    get_json_object(requestParameters, '$.targetId'),
    get_json_object(requestParameters, '$.accountId'),
    get_json_object(responseElements, '$.accessKey.userName')
  ) AS target,
  coalesce(
    get_json_object(requestParameters, '$.policyArn'),
    get_json_object(requestParameters, '$.policyName'),
    get_json_object(requestParameters, '$.policyId'),
    get_json_object(requestParameters, '$.permissionSetArn')
  ) AS policy,
  coalesce(
    get_json_object(requestParameters, '$.accessKeyId'),
    get_json_object(responseElements, '$.accessKey.accessKeyId')
  ) AS access_key,
  NOT failed AS succeeded, errorCode, errorMessage, accessKeyId, mfa, invoked_by, sourceIPAddress, userAgent,
  requestParameters, responseElements, principal_account, eventID, date
FROM principal_activity
WHERE
  (
    eventSource IN (
      'iam.amazonaws.com', 'organizations.amazonaws.com', 'sso.amazonaws.com', 'sso-directory.amazonaws.com',
      'identitystore.amazonaws.com', 'rolesanywhere.amazonaws.com')
    -- records of before 2019 say nothing of readOnly
    AND NOT coalesce(
      readOnly,
      eventName LIKE 'Get%' OR eventName LIKE 'List%' OR eventName LIKE 'Describe%' OR eventName LIKE 'Simulate%'
        OR eventName LIKE 'Generate%',
      true)
    -- Identity Center's sign-ins stand among its changes
    AND coalesce(eventName, '') NOT IN (
      'Authenticate', 'Federate', 'Logout', 'CreateToken', 'GetRoleCredentials', 'UserAuthentication',
      'CredentialChallenge', 'CredentialVerification', 'StartDeviceAuthorization', 'RegisterClient')
  )
  -- root's own password and address
  OR (
    eventSource = 'signin.amazonaws.com'
    AND eventName IN ('PasswordUpdated', 'PasswordRecoveryRequested', 'PasswordRecoveryCompleted', 'EmailUpdated')
  )
