-- title: Actions that a role used
-- about: The IAM actions behind the calls that a role (or a user) made: what a policy for it has to allow, going by this period. Denied calls are not counted; calls that failed otherwise are, as they were allowed.
-- CloudTrail names calls, IAM names actions: where they are known to differ the action is told. Data events (objects, items, invocations) are there only if a trail records them.
-- param: role string -- a role's ARN or name, or a user's
-- param: since timestamp = now() - interval '90' day -- from this time on
-- param: until timestamp = now() -- and before this one
SELECT
  action,
  min(eventSource) AS eventSource,
  count(*) AS calls,
  count(*) FILTER (WHERE failed) AS failed_calls,
  count(DISTINCT eventName) AS event_names,
  min(eventName) AS eventName,
  count(DISTINCT region) AS regions,
  count(DISTINCT session_name) AS sessions,
  min(eventTime) AS first_time,
  max(eventTime) AS last_time
FROM (
  SELECT
    called.*,
    coalesce(
      known.action,
      coalesce(prefixes.prefix, split_part(called.eventSource, '.', 1)) || ':' ||
      CASE
        WHEN eventSource = 'apigateway.amazonaws.com' THEN
          CASE
            WHEN eventName LIKE 'Get%' THEN 'GET'
            WHEN eventName LIKE 'Update%' THEN 'PATCH'
            WHEN eventName LIKE 'Delete%' OR eventName LIKE 'Untag%' OR eventName LIKE 'Flush%' THEN 'DELETE'
            WHEN eventName LIKE 'Put%' OR eventName LIKE 'Tag%' THEN 'PUT'
            ELSE 'POST'
          END
        ELSE called.name
      END) AS action
  FROM (
    SELECT
      eventSource, eventName, failed, region, session_name, eventTime,
      CASE
        -- the version of the API stands behind the name: CreateFunction20150331, CreateDistribution2020_05_31
        WHEN eventSource IN ('lambda.amazonaws.com', 'cloudfront.amazonaws.com')
          THEN regexp_replace(eventName, '[0-9]{4}_?[0-9]{2}_?[0-9]{2}(v[0-9]+)?$', '')
        ELSE eventName
      END AS name
    FROM principal_activity
    WHERE
      (principal = :role OR principal_name = :role)
      AND NOT denied
      AND eventType IN ('AwsApiCall', 'AwsConsoleAction')
      AND eventSource IS NOT NULL AND eventName IS NOT NULL
      -- needs no permission
      AND NOT (eventSource = 'sts.amazonaws.com' AND eventName = 'GetCallerIdentity')
      AND eventTime >= :since AND eventTime < :until
      AND date >= CAST(:since - interval '1' day AS DATE) AND date <= CAST(:until + interval '1' day AS DATE)
  ) AS called
  LEFT JOIN (
    VALUES
      ('monitoring.amazonaws.com', 'cloudwatch'),
      ('email.amazonaws.com', 'ses'),
      ('tagging.amazonaws.com', 'tag'),
      ('models.lex.amazonaws.com', 'lex'),
      ('runtime.lex.amazonaws.com', 'lex'),
      ('runtime.sagemaker.amazonaws.com', 'sagemaker'),
      ('rdsdata.amazonaws.com', 'rds-data'),
      ('iotdata.amazonaws.com', 'iot'),
      ('data.iot.amazonaws.com', 'iot'),
      ('api.pricing.amazonaws.com', 'pricing'),
      ('api.ecr.amazonaws.com', 'ecr')
  ) AS prefixes(source, prefix) ON called.eventSource = prefixes.source
  LEFT JOIN (
    VALUES
      ('lambda.amazonaws.com', 'Invoke', 'lambda:InvokeFunction'),
      ('autoscaling.amazonaws.com', 'RegisterScalableTarget', 'application-autoscaling:RegisterScalableTarget'),
      ('autoscaling.amazonaws.com', 'DeregisterScalableTarget', 'application-autoscaling:DeregisterScalableTarget'),
      ('autoscaling.amazonaws.com', 'DescribeScalableTargets', 'application-autoscaling:DescribeScalableTargets'),
      ('bedrock.amazonaws.com', 'Converse', 'bedrock:InvokeModel'),
      ('bedrock.amazonaws.com', 'ConverseStream', 'bedrock:InvokeModelWithResponseStream'),
      ('kms.amazonaws.com', 'ReEncrypt', 'kms:ReEncrypt*'),
      ('sns.amazonaws.com', 'PublishBatch', 'sns:Publish'),
      ('sqs.amazonaws.com', 'SendMessageBatch', 'sqs:SendMessage'),
      ('sqs.amazonaws.com', 'DeleteMessageBatch', 'sqs:DeleteMessage'),
      ('sqs.amazonaws.com', 'ChangeMessageVisibilityBatch', 'sqs:ChangeMessageVisibility'),
      ('s3.amazonaws.com', 'ListBuckets', 's3:ListAllMyBuckets'),
      ('s3.amazonaws.com', 'HeadBucket', 's3:ListBucket'),
      ('s3.amazonaws.com', 'ListObjects', 's3:ListBucket'),
      ('s3.amazonaws.com', 'ListObjectsV2', 's3:ListBucket'),
      ('s3.amazonaws.com', 'ListObjectVersions', 's3:ListBucketVersions'),
      ('s3.amazonaws.com', 'ListMultipartUploads', 's3:ListBucketMultipartUploads'),
      ('s3.amazonaws.com', 'ListParts', 's3:ListMultipartUploadParts'),
      ('s3.amazonaws.com', 'HeadObject', 's3:GetObject'),
      ('s3.amazonaws.com', 'SelectObjectContent', 's3:GetObject'),
      ('s3.amazonaws.com', 'CopyObject', 's3:PutObject'),
      ('s3.amazonaws.com', 'PostObject', 's3:PutObject'),
      ('s3.amazonaws.com', 'CreateMultipartUpload', 's3:PutObject'),
      ('s3.amazonaws.com', 'InitiateMultipartUpload', 's3:PutObject'),
      ('s3.amazonaws.com', 'UploadPart', 's3:PutObject'),
      ('s3.amazonaws.com', 'UploadPartCopy', 's3:PutObject'),
      ('s3.amazonaws.com', 'CompleteMultipartUpload', 's3:PutObject'),
      ('s3.amazonaws.com', 'DeleteObjects', 's3:DeleteObject'),
      ('s3.amazonaws.com', 'DeleteMultipleObjects', 's3:DeleteObject'),
      ('s3.amazonaws.com', 'GetBucketAccelerate', 's3:GetAccelerateConfiguration'),
      ('s3.amazonaws.com', 'PutBucketAccelerate', 's3:PutAccelerateConfiguration'),
      ('s3.amazonaws.com', 'GetBucketAnalyticsConfiguration', 's3:GetAnalyticsConfiguration'),
      ('s3.amazonaws.com', 'ListBucketAnalyticsConfigurations', 's3:GetAnalyticsConfiguration'),
      ('s3.amazonaws.com', 'PutBucketAnalyticsConfiguration', 's3:PutAnalyticsConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketAnalyticsConfiguration', 's3:PutAnalyticsConfiguration'),
      ('s3.amazonaws.com', 'GetBucketIntelligentTieringConfiguration', 's3:GetIntelligentTieringConfiguration'),
      ('s3.amazonaws.com', 'ListBucketIntelligentTieringConfigurations', 's3:GetIntelligentTieringConfiguration'),
      ('s3.amazonaws.com', 'PutBucketIntelligentTieringConfiguration', 's3:PutIntelligentTieringConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketIntelligentTieringConfiguration', 's3:PutIntelligentTieringConfiguration'),
      ('s3.amazonaws.com', 'GetBucketInventoryConfiguration', 's3:GetInventoryConfiguration'),
      ('s3.amazonaws.com', 'ListBucketInventoryConfigurations', 's3:GetInventoryConfiguration'),
      ('s3.amazonaws.com', 'PutBucketInventoryConfiguration', 's3:PutInventoryConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketInventoryConfiguration', 's3:PutInventoryConfiguration'),
      ('s3.amazonaws.com', 'GetBucketMetricsConfiguration', 's3:GetMetricsConfiguration'),
      ('s3.amazonaws.com', 'ListBucketMetricsConfigurations', 's3:GetMetricsConfiguration'),
      ('s3.amazonaws.com', 'PutBucketMetricsConfiguration', 's3:PutMetricsConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketMetricsConfiguration', 's3:PutMetricsConfiguration'),
      ('s3.amazonaws.com', 'GetBucketCors', 's3:GetBucketCORS'),
      ('s3.amazonaws.com', 'PutBucketCors', 's3:PutBucketCORS'),
      ('s3.amazonaws.com', 'DeleteBucketCors', 's3:PutBucketCORS'),
      ('s3.amazonaws.com', 'GetBucketEncryption', 's3:GetEncryptionConfiguration'),
      ('s3.amazonaws.com', 'PutBucketEncryption', 's3:PutEncryptionConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketEncryption', 's3:PutEncryptionConfiguration'),
      ('s3.amazonaws.com', 'GetBucketLifecycle', 's3:GetLifecycleConfiguration'),
      ('s3.amazonaws.com', 'GetBucketLifecycleConfiguration', 's3:GetLifecycleConfiguration'),
      ('s3.amazonaws.com', 'PutBucketLifecycle', 's3:PutLifecycleConfiguration'),
      ('s3.amazonaws.com', 'PutBucketLifecycleConfiguration', 's3:PutLifecycleConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketLifecycle', 's3:PutLifecycleConfiguration'),
      ('s3.amazonaws.com', 'GetBucketNotificationConfiguration', 's3:GetBucketNotification'),
      ('s3.amazonaws.com', 'PutBucketNotificationConfiguration', 's3:PutBucketNotification'),
      ('s3.amazonaws.com', 'DeleteBucketOwnershipControls', 's3:PutBucketOwnershipControls'),
      ('s3.amazonaws.com', 'DeleteBucketPublicAccessBlock', 's3:PutBucketPublicAccessBlock'),
      ('s3.amazonaws.com', 'DeleteAccountPublicAccessBlock', 's3:PutAccountPublicAccessBlock'),
      ('s3.amazonaws.com', 'GetBucketReplication', 's3:GetReplicationConfiguration'),
      ('s3.amazonaws.com', 'PutBucketReplication', 's3:PutReplicationConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketReplication', 's3:PutReplicationConfiguration'),
      ('s3.amazonaws.com', 'DeleteBucketTagging', 's3:PutBucketTagging'),
      ('s3.amazonaws.com', 'GetObjectLockConfiguration', 's3:GetBucketObjectLockConfiguration'),
      ('s3.amazonaws.com', 'PutObjectLockConfiguration', 's3:PutBucketObjectLockConfiguration')
  ) AS known(source, name, action) ON called.eventSource = known.source AND called.name = known.name
) AS used
GROUP BY action
ORDER BY action
