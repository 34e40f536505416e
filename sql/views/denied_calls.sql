-- title: Calls that were denied
-- about: Calls that were refused for want of a right, and by which kind of policy where AWS says so.
-- needs: principal_activity
SELECT
  eventTime, account_id, region, principal, principal_type, principal_name, session_name, accessKeyId, invoked_by,
  sourceIPAddress, userAgent, eventSource, eventName, readOnly, errorCode, errorMessage,
  CASE
    WHEN errorMessage LIKE '%explicit deny%' THEN 'explicit deny'
    WHEN errorMessage LIKE '%because no %' THEN 'nothing allows it'
  END AS denied_how,
  CASE
    WHEN errorMessage LIKE '%service control policy%' THEN 'service control policy'
    WHEN errorMessage LIKE '%resource control policy%' THEN 'resource control policy'
    WHEN errorMessage LIKE '%permissions boundary%' THEN 'permissions boundary'
    WHEN errorMessage LIKE '%session policy%' THEN 'session policy'
    WHEN errorMessage LIKE '%VPC endpoint policy%' THEN 'VPC endpoint policy'
    WHEN errorMessage LIKE '%resource-based policy%' THEN 'resource-based policy'
    WHEN errorMessage LIKE '%identity-based policy%' THEN 'identity-based policy'
    WHEN errorMessage LIKE '%role trust policy%' THEN 'role trust policy'
  END AS denied_by,
  requestParameters, principal_account, vpcEndpointId, eventID, date
FROM principal_activity
WHERE denied
