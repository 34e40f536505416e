-- title: Sign-ins to the console
-- about: Every ConsoleLogin, whether it succeeded, and with which second factor. Who comes by a role or an identity provider gave theirs there: MFAUsed says No.
-- needs: principal_activity
SELECT
  eventTime, account_id, region, principal, principal_type, principal_name, session_name,
  CASE
    WHEN failed THEN false
    WHEN lower(get_json_object(responseElements, '$.ConsoleLogin')) = 'success' THEN true
  END AS succeeded,
  errorMessage,
  CASE lower(get_json_object(additionalEventData, '$.MFAUsed'))
    WHEN 'yes' THEN true
    WHEN 'no' THEN false
  END AS mfa_used,
  sourceIPAddress, userAgent,
  get_json_object(additionalEventData, '$.LoginTo') AS login_to,
  principal_account, eventID, date
FROM principal_activity
WHERE eventSource = 'signin.amazonaws.com' AND eventName = 'ConsoleLogin'
