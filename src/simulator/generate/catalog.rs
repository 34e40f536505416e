//! What is called: actions with their weights, and how their records look.
//!
//! The weights follow the services and actions of real histories: EC2, SSM,
//! IAM, S3, Secrets Manager, KMS, RDS and STS lead, most calls only read, and
//! about one in nine fails. `$word` stands for a thing of the
//! account; see [`super::things`].

/// Who does it: people, programs, or AWS itself.
pub(super) const PEOPLE: u8 = 1;
pub(super) const PROGRAMS: u8 = 2;
pub(super) const AWS: u8 = 4;
const BOTH: u8 = PEOPLE | PROGRAMS;

/// An action.
#[derive(Debug)]
pub(super) struct Action {
    /// The service, without `.amazonaws.com`.
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) weight: u32,
    pub(super) read_only: bool,
    pub(super) who: u8,
    /// `requestParameters` as JSON.
    pub(super) request: &'static str,
    /// `responseElements` as JSON.
    pub(super) response: &'static str,
    /// What it is about: type, and name or ARN.
    pub(super) resource: Option<(&'static str, &'static str)>,
    /// `errorCode` and `errorMessage` where it fails for reasons of its own.
    pub(super) error: Option<(&'static str, &'static str)>,
}

/// Whether records of the service hold `resources` themselves. For others AWS
/// derives them in `LookupEvents`.
pub(super) fn names_resources(service: &str) -> bool {
    matches!(service, "s3" | "kms" | "sts" | "secretsmanager")
}

/// Whether the service is recorded in us-east-1 wherever it is called from.
pub(super) fn is_global(service: &str) -> bool {
    matches!(service, "iam" | "signin" | "organizations" | "cloudfront")
}

/// How a service words that a call is not allowed.
pub(super) fn denied(service: &str) -> (&'static str, &'static str) {
    match service {
        "ec2" => (
            "Client.UnauthorizedOperation",
            "You are not authorized to perform this operation.",
        ),
        "kms" | "ssm" | "secretsmanager" | "logs" => (
            "AccessDeniedException",
            "The caller is not authorized to perform this action.",
        ),
        _ => ("AccessDenied", "Access Denied"),
    }
}

/// A call that only reads, as most are.
const fn read(
    service: &'static str,
    name: &'static str,
    weight: u32,
    who: u8,
    request: &'static str,
) -> Action {
    Action {
        service,
        name,
        weight,
        read_only: true,
        who,
        request,
        response: "null",
        resource: None,
        error: None,
    }
}

/// A call that changes something.
const fn write(
    service: &'static str,
    name: &'static str,
    weight: u32,
    who: u8,
    request: &'static str,
    response: &'static str,
) -> Action {
    Action {
        read_only: false,
        response,
        ..read(service, name, weight, who, request)
    }
}

impl Action {
    const fn on(self, kind: &'static str, name: &'static str) -> Self {
        Self {
            resource: Some((kind, name)),
            ..self
        }
    }

    const fn fails(self, code: &'static str, message: &'static str) -> Self {
        Self {
            error: Some((code, message)),
            ..self
        }
    }
}

const BUCKET: (&str, &str) = ("AWS::S3::Bucket", "arn:aws:s3:::$bucket");
const KEY: (&str, &str) = ("AWS::KMS::Key", "arn:aws:kms:$region:$account:key/$key");
const ROLE: (&str, &str) = ("AWS::IAM::Role", "arn:aws:iam::$account:role/$role");
const SECRET: (&str, &str) = (
    "AWS::SecretsManager::Secret",
    "arn:aws:secretsmanager:$region:$account:secret:$secret",
);

const BUCKET_REQUEST: &str =
    r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com"}"#;
const SECRET_REQUEST: &str =
    r#"{"secretId":"arn:aws:secretsmanager:$region:$account:secret:$secret"}"#;
const KMS_REQUEST: &str = r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$bucket"},"keyId":"arn:aws:kms:$region:$account:key/$key","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#;
const ASSUME_REQUEST: &str = r#"{"roleArn":"arn:aws:iam::$account:role/$role","roleSessionName":"$session","durationSeconds":3600}"#;
const ASSUME_RESPONSE: &str = r#"{"credentials":{"accessKeyId":"$temporary","sessionToken":"HIDDEN","expiration":"$later"},"assumedRoleUser":{"assumedRoleId":"$roleid:$session","arn":"arn:aws:sts::$account:assumed-role/$role/$session"}}"#;

/// All actions.
pub(super) const ACTIONS: &[Action] = &[
    // EC2
    read("ec2", "DescribeInstances", 90, BOTH, r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]},"filterSet":{}}"#)
        .on("AWS::EC2::Instance", "$instance")
        .fails("Client.InvalidInstanceID.NotFound", "The instance ID '$instance' does not exist"),
    read("ec2", "DescribeRouteTables", 60, BOTH, r#"{"routeTableIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"$vpc"}]}}]}}"#),
    read("ec2", "DescribeNetworkInterfaces", 45, BOTH, r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"$vpc"}]}}]}}"#),
    read("ec2", "DescribeVpcs", 40, BOTH, r#"{"vpcSet":{"items":[{"vpcId":"$vpc"}]},"filterSet":{}}"#).on("AWS::EC2::VPC", "$vpc"),
    read("ec2", "DescribeSubnets", 40, BOTH, r#"{"subnetSet":{"items":[{"subnetId":"$subnet"}]},"filterSet":{}}"#).on("AWS::EC2::Subnet", "$subnet"),
    read("ec2", "DescribeSecurityGroups", 35, BOTH, r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"$group"}]},"filterSet":{}}"#).on("AWS::EC2::SecurityGroup", "$group"),
    read("ec2", "DescribeVolumes", 30, BOTH, r#"{"volumeSet":{},"filterSet":{}}"#),
    read("ec2", "DescribeAvailabilityZones", 20, BOTH, r#"{"availabilityZoneSet":{},"availabilityZoneIdSet":{}}"#),
    write("ec2", "RunInstances", 10, BOTH, r#"{"instancesSet":{"items":[{"imageId":"$image","minCount":1,"maxCount":1}]},"instanceType":"t3.medium","subnetId":"$subnet"}"#, r#"{"requestId":"$uuid","instancesSet":{"items":[{"instanceId":"$instance","imageId":"$image","instanceState":{"code":0,"name":"pending"},"instanceType":"t3.medium","subnetId":"$subnet","vpcId":"$vpc"}]}}"#)
        .on("AWS::EC2::Instance", "$instance")
        .fails("Server.InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request."),
    write("ec2", "TerminateInstances", 9, BOTH, r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]}}"#, r#"{"requestId":"$uuid","instancesSet":{"items":[{"instanceId":"$instance","currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#)
        .on("AWS::EC2::Instance", "$instance"),
    write("ec2", "CreateTags", 12, BOTH, r#"{"resourcesSet":{"items":[{"resourceId":"$instance"}]},"tagSet":{"items":[{"key":"team","value":"orders"}]}}"#, r#"{"requestId":"$uuid","_return":true}"#)
        .on("AWS::EC2::Instance", "$instance"),
    write("ec2", "AuthorizeSecurityGroupIngress", 4, PEOPLE, r#"{"groupId":"$group","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"ipRanges":{"items":[{"cidrIp":"198.51.100.0/24"}]}}]}}"#, r#"{"requestId":"$uuid","_return":true}"#)
        .on("AWS::EC2::SecurityGroup", "$group")
        .fails("Client.InvalidPermission.Duplicate", "the specified rule already exists"),
    write("ec2", "StopInstances", 5, PEOPLE, r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]},"force":false}"#, r#"{"requestId":"$uuid","instancesSet":{"items":[{"instanceId":"$instance","currentState":{"code":64,"name":"stopping"},"previousState":{"code":16,"name":"running"}}]}}"#)
        .on("AWS::EC2::Instance", "$instance"),
    // SSM
    read("ssm", "GetParameter", 70, BOTH, r#"{"name":"$parameter","withDecryption":true}"#)
        .on("AWS::SSM::Parameter", "$parameter")
        .fails("ParameterNotFound", "Parameter $parameter not found."),
    read("ssm", "DescribeInstanceInformation", 60, PROGRAMS, r#"{"maxResults":50}"#)
        .fails("ThrottlingException", "Rate exceeded"),
    read("ssm", "DescribeParameters", 45, BOTH, r#"{"maxResults":50}"#).fails("ThrottlingException", "Rate exceeded"),
    read("ssm", "ListTagsForResource", 25, PROGRAMS, r#"{"resourceType":"Parameter","resourceId":"$parameter"}"#),
    write("ssm", "PutParameter", 36, BOTH, r#"{"name":"$parameter","type":"SecureString","overwrite":true,"value":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#, r#"{"version":7,"tier":"Standard"}"#)
        .on("AWS::SSM::Parameter", "$parameter"),
    write("ssm", "StartSession", 12, PEOPLE, r#"{"target":"$instance"}"#, r#"{"sessionId":"$session-0f1e","tokenValue":"HIDDEN","streamUrl":"wss://ssmmessages.$region.amazonaws.com/v1/data-channel/$session-0f1e"}"#)
        .on("AWS::EC2::Instance", "$instance")
        .fails("TargetNotConnected", "$instance is not connected."),
    // IAM
    read("iam", "GetUser", 35, BOTH, r#"{"userName":"$user"}"#)
        .on("AWS::IAM::User", "$user")
        .fails("NoSuchEntityException", "The user with name $user cannot be found."),
    read("iam", "GetRole", 45, BOTH, r#"{"roleName":"$role"}"#)
        .on("AWS::IAM::Role", "$role")
        .fails("NoSuchEntityException", "The role with name $role cannot be found."),
    read("iam", "ListAttachedRolePolicies", 30, BOTH, r#"{"roleName":"$role"}"#),
    read("iam", "ListRolePolicies", 25, BOTH, r#"{"roleName":"$role"}"#),
    read("iam", "ListUsers", 10, BOTH, "null"),
    write("iam", "CreateRole", 9, BOTH, r#"{"roleName":"$role","assumeRolePolicyDocument":"{}"}"#, r#"{"role":{"path":"/","roleName":"$role","roleId":"$roleid","arn":"arn:aws:iam::$account:role/$role"}}"#)
        .on("AWS::IAM::Role", "$role")
        .fails("EntityAlreadyExistsException", "Role with name $role already exists."),
    write("iam", "AttachRolePolicy", 12, BOTH, r#"{"roleName":"$role","policyArn":"arn:aws:iam::aws:policy/ReadOnlyAccess"}"#, "null").on("AWS::IAM::Role", "$role"),
    write("iam", "CreateAccessKey", 6, PEOPLE, r#"{"userName":"$user"}"#, r#"{"accessKey":{"userName":"$user","accessKeyId":"$longlived","status":"Active"}}"#).on("AWS::IAM::User", "$user"),
    write("iam", "DeleteAccessKey", 3, PEOPLE, r#"{"userName":"$user","accessKeyId":"$longlived"}"#, "null").on("AWS::IAM::User", "$user"),
    // S3
    read("s3", "GetBucketAcl", 45, BOTH, BUCKET_REQUEST).on(BUCKET.0, BUCKET.1),
    read("s3", "GetBucketPolicy", 20, BOTH, BUCKET_REQUEST)
        .on(BUCKET.0, BUCKET.1)
        .fails("NoSuchBucketPolicy", "The bucket policy does not exist"),
    read("s3", "GetBucketPublicAccessBlock", 20, BOTH, BUCKET_REQUEST)
        .on(BUCKET.0, BUCKET.1)
        .fails("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    read("s3", "GetBucketLogging", 18, BOTH, BUCKET_REQUEST).on(BUCKET.0, BUCKET.1),
    read("s3", "ListBuckets", 18, BOTH, r#"{"Host":"s3.$region.amazonaws.com"}"#),
    write("s3", "PutBucketPolicy", 3, BOTH, BUCKET_REQUEST, "null").on(BUCKET.0, BUCKET.1),
    write("s3", "CreateBucket", 2, BOTH, BUCKET_REQUEST, "null")
        .on(BUCKET.0, BUCKET.1)
        .fails("BucketAlreadyExists", "The requested bucket name is not available."),
    // Secrets Manager
    read("secretsmanager", "GetSecretValue", 70, BOTH, SECRET_REQUEST)
        .on(SECRET.0, SECRET.1)
        .fails("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    read("secretsmanager", "DescribeSecret", 20, BOTH, SECRET_REQUEST).on(SECRET.0, SECRET.1),
    write("secretsmanager", "PutSecretValue", 12, BOTH, SECRET_REQUEST, r#"{"arn":"arn:aws:secretsmanager:$region:$account:secret:$secret"}"#).on(SECRET.0, SECRET.1),
    // KMS
    read("kms", "Decrypt", 110, BOTH | AWS, KMS_REQUEST).on(KEY.0, KEY.1),
    read("kms", "GenerateDataKey", 50, PROGRAMS | AWS, KMS_REQUEST).on(KEY.0, KEY.1),
    read("kms", "DescribeKey", 20, BOTH | AWS, r#"{"keyId":"arn:aws:kms:$region:$account:key/$key"}"#).on(KEY.0, KEY.1),
    // RDS
    read("rds", "DescribeDBInstances", 45, BOTH, r#"{"dBInstanceIdentifier":"$database"}"#)
        .on("AWS::RDS::DBInstance", "$database")
        .fails("DBInstanceNotFound", "DBInstance $database not found."),
    read("rds", "DescribeDBSnapshots", 18, PROGRAMS, r#"{"dBInstanceIdentifier":"$database"}"#),
    write("rds", "CreateDBSnapshot", 12, PROGRAMS, r#"{"dBInstanceIdentifier":"$database","dBSnapshotIdentifier":"$database-nightly"}"#, r#"{"dBInstanceIdentifier":"$database","dBSnapshotIdentifier":"$database-nightly","status":"creating"}"#)
        .on("AWS::RDS::DBSnapshot", "$database-nightly")
        .fails("DBSnapshotAlreadyExists", "Cannot create the snapshot because one with the identifier $database-nightly already exists."),
    // STS
    read("sts", "GetCallerIdentity", 30, BOTH, "null"),
    read("sts", "AssumeRole", 40, PROGRAMS, ASSUME_REQUEST).on(ROLE.0, ROLE.1),
    Action { response: ASSUME_RESPONSE, ..read("sts", "AssumeRole", 260, AWS, ASSUME_REQUEST).on(ROLE.0, ROLE.1) },
    // others
    read("cloudtrail", "LookupEvents", 20, BOTH, r#"{"maxResults":50}"#).fails("ThrottlingException", "Rate exceeded"),
    read("cloudtrail", "DescribeTrails", 12, BOTH, r#"{"trailNameList":[],"includeShadowTrails":true}"#),
    read("health", "DescribeEventAggregates", 15, PEOPLE, r#"{"filter":{"eventStatusCodes":["open","upcoming"]},"aggregateField":"eventTypeCategory"}"#),
    read("lambda", "ListFunctions20150331", 15, BOTH, r#"{"maxItems":50}"#),
    write("lambda", "UpdateFunctionCode20150331v2", 15, PROGRAMS, r#"{"functionName":"$function","publish":true,"dryRun":false}"#, r#"{"functionName":"$function","functionArn":"arn:aws:lambda:$region:$account:function:$function","runtime":"python3.13","version":"12"}"#)
        .on("AWS::Lambda::Function", "$function"),
    write("logs", "CreateLogStream", 45, PROGRAMS | AWS, r#"{"logGroupName":"/aws/lambda/$function","logStreamName":"$uuid"}"#, "null")
        .fails("ResourceAlreadyExistsException", "The specified log stream already exists"),
    read("autoscaling", "DescribeAutoScalingGroups", 25, PROGRAMS, r#"{"maxRecords":100}"#),
    read("elasticloadbalancing", "DescribeTargetHealth", 25, PROGRAMS, r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:$region:$account:targetgroup/orders/0a1b2c3d4e5f6071"}"#),
    read("organizations", "DescribeOrganization", 4, PEOPLE, "null").fails("AWSOrganizationsNotInUseException", "Your account is not a member of an organization."),
    write("cloudfront", "CreateInvalidation", 6, PROGRAMS, r#"{"distributionId":"E1SIMULATED0","invalidationBatch":{"paths":{"quantity":1,"items":["/*"]},"callerReference":"$uuid"}}"#, r#"{"invalidation":{"id":"I1SIMULATED0","status":"InProgress"}}"#),
    // the login page: its records look different, see `super::record`
    write("signin", "ConsoleLogin", 22, PEOPLE, "null", r#"{"ConsoleLogin":"Success"}"#),
];

/// What the root user does, little as that is.
pub(super) const ROOT_ACTIONS: &[Action] = &[
    write(
        "signin",
        "ConsoleLogin",
        5,
        PEOPLE,
        "null",
        r#"{"ConsoleLogin":"Success"}"#,
    ),
    read("iam", "GetAccountSummary", 3, PEOPLE, "null"),
    read(
        "health",
        "DescribeEventAggregates",
        3,
        PEOPLE,
        r#"{"filter":{"eventStatusCodes":["open","upcoming"]},"aggregateField":"eventTypeCategory"}"#,
    ),
    write(
        "iam",
        "UpdateAccountPasswordPolicy",
        1,
        PEOPLE,
        r#"{"minimumPasswordLength":14,"requireSymbols":true}"#,
        "null",
    ),
];
