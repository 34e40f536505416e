-- title: Use of root
-- about: What was done as an account's root user, by a person, in the console too, or by a key of root. What services do in root's name and of their own accord is left out.
-- needs: principal_activity
-- invokedBy names the service that called in root's name, such as autoscaling.amazonaws.com; signin.amazonaws.com and
-- AWS Internal are the console, where a person did it.
SELECT
  eventTime, account_id, region, principal, eventSource, eventName, eventType, readOnly, failed, denied, errorCode,
  errorMessage, accessKeyId, mfa, sourceIPAddress, userAgent, requestParameters, principal_account, eventID, date
FROM principal_activity
WHERE principal_type = 'Root' AND coalesce(eventType, '') <> 'AwsServiceEvent'
  AND (invoked_by IS NULL OR invoked_by IN ('signin.amazonaws.com', 'AWS Internal'))
