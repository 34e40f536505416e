-- title: Use of root
-- about: What was done as an account's root user, by a person or by a key of root. What services do in root's name and of their own accord is left out.
-- needs: principal_activity
SELECT
  eventTime, account_id, region, principal, eventSource, eventName, eventType, readOnly, failed, denied, errorCode,
  errorMessage, accessKeyId, mfa, sourceIPAddress, userAgent, requestParameters, principal_account, eventID, date
FROM principal_activity
WHERE principal_type = 'Root' AND invoked_by IS NULL AND coalesce(eventType, '') <> 'AwsServiceEvent'
