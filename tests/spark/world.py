"""A small world of records, made to have what views and reports tell apart."""

import json
import uuid
from datetime import datetime, timedelta, timezone

ACCOUNT = "111122223333"
OTHER = "444455556666"
START = datetime(2026, 3, 1, tzinfo=timezone.utc)

_NAMES = uuid.UUID("6f1b1e9c-0000-4000-8000-000000000000")


def at(day, hour=0, minute=0, second=0):
    return START + timedelta(days=day, hours=hour, minutes=minute, seconds=second)


def user(name, key="AKIAIOSFODNN7EXAMPLE", account=ACCOUNT, **more):
    return {
        "type": "IAMUser",
        "principalId": f"AIDA{name.upper()}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": key,
        "userName": name,
    } | more


def session(role, name, path="/", key="ASIAEXAMPLE000000001", account=ACCOUNT, mfa="false", **more):
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{role.upper()}:{name}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        "accountId": account,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{role.upper()}",
                "arn": f"arn:aws:iam::{account}:role{path}{role}",
                "accountId": account,
                "userName": role,
            },
            "attributes": {"creationDate": "2026-03-01T00:00:00Z", "mfaAuthenticated": mfa},
        },
    } | more


ROOT = {
    "type": "Root",
    "principalId": ACCOUNT,
    "arn": f"arn:aws:iam::{ACCOUNT}:root",
    "accountId": ACCOUNT,
    "accessKeyId": "",
}


class World:
    """Records as texts, in the order in which they were told."""

    def __init__(self):
        self.texts = []

    def tell(self, time, who, source, name, **more):
        record = {
            "eventVersion": "1.11",
            "userIdentity": who,
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{source}.amazonaws.com",
            "eventName": name,
            "awsRegion": "eu-central-1",
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "aws-cli/2.15.0 Python/3.11.6",
            "requestParameters": None,
            "responseElements": None,
            "requestID": f"request-{len(self.texts)}",
            "eventID": str(uuid.uuid5(_NAMES, str(len(self.texts)))),
            "readOnly": name.startswith(("Get", "List", "Describe", "Head")),
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        } | more
        record = {key: value for key, value in record.items() if value is not ABSENT}
        self.texts.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))

    def text(self, record):
        self.texts.append(record)


ABSENT = object()


def records():
    """All of them, as texts."""
    world = World()
    _people(world)
    _principals(world)
    _root(world)
    _sign_ins(world)
    _denied(world)
    _identities(world)
    _keys_and_roles(world)
    _application(world)
    _newcomers(world)
    _resources(world)
    _odd(world)
    return world.texts


def _people(world):
    for day in range(0, 20, 2):
        world.tell(at(day, 9), user("alice"), "ec2", "DescribeInstances")
        world.tell(at(day, 9, 1), user("alice"), "s3", "ListBuckets", errorCode="" if day else ABSENT)
    for second in (0, 0, 0, 1):
        world.tell(at(3, 10, 0, second), user("alice"), "ec2", "RunInstances", errorCode="Client.InstanceLimitExceeded")


def _principals(world):
    tell = lambda who, **more: world.tell(at(5), who, "ssm", "GetParameter", **more)
    tell(session("deploy", "ci-1", path="/teams/build/", mfa="true"))
    tell(session("deploy", "ci-2", path="/teams/build/", invokedBy="cloudformation.amazonaws.com"))
    bare = session("legacy", "s")
    del bare["sessionContext"]
    tell(bare)
    tell({"type": "AssumedRole", "principalId": "AROANOARN:nightly", "accountId": ACCOUNT})
    tell({"arn": f"arn:aws-us-gov:sts::{ACCOUNT}:assumed-role/untyped/one", "accountId": ACCOUNT})
    federated = user("carol-session", key="ASIAFEDERATED0000001") | {
        "type": "FederatedUser",
        "arn": f"arn:aws:sts::{ACCOUNT}:federated-user/carol-session",
        "principalId": f"{ACCOUNT}:carol-session",
        "sessionContext": {"sessionIssuer": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/carol"}},
    }
    tell(federated)
    saml = {"type": "SAMLUser", "principalId": "hash=:dora", "userName": "dora", "identityProvider": "hash="}
    world.tell(at(5), saml, "sts", "AssumeRoleWithSAML", requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/sso"})
    web = {"type": "WebIdentityUser", "principalId": "accounts.example:app:eve", "userName": "eve"}
    world.tell(at(5), web, "sts", "AssumeRoleWithWebIdentity", requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/web"})
    tell({"type": "AWSAccount", "principalId": "AROAOTHER:guest", "accountId": OTHER})
    tell({"type": "AWSAccount", "accountId": OTHER})
    tell({"type": "IdentityCenterUser", "accountId": ACCOUNT, "onBehalfOf": {"userId": "94482488-3041-7001", "identityStoreArn": "x"}})
    tell({"type": "IdentityCenterUser", "accountId": ACCOUNT})
    tell({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}, sourceIPAddress="lambda.amazonaws.com")
    tell({"type": "AWSService"})
    tell({"accountId": ACCOUNT, "invokedBy": "kms.amazonaws.com"}, eventType="AwsServiceEvent")
    tell({"accountId": ACCOUNT, "invokedBy": "config.amazonaws.com"})
    tell(None, eventType="AwsServiceEvent")
    tell(ABSENT)
    tell({})
    tell("somebody")
    tell(["somebody"])
    tell({"type": "Directory", "userName": "frank"})
    tell({"type": "Unknown", "sessionContext": "none"})
    tell(user("grace", sessionContext={"sessionIssuer": {}, "attributes": {"mfaAuthenticated": "TRUE"}}))
    tell({"type": "IAMUser", "arn": "", "principalId": "", "accountId": ACCOUNT, "userName": "empty"})


def _root(world):
    world.tell(at(6), ROOT | {"accessKeyId": "AKIAROOT000000000001"}, "s3", "CreateBucket")
    world.tell(at(6, 1), ROOT, "iam", "CreateAccessKey", errorCode="LimitExceeded", errorMessage="no more")
    world.tell(at(6, 2), ROOT | {"invokedBy": "signin.amazonaws.com"}, "iam", "CreateAccessKey")
    world.tell(at(6, 2, 1), ROOT | {"invokedBy": "AWS Internal"}, "iam", "DeleteAccessKey", sourceIPAddress="AWS Internal")
    world.tell(at(6, 3), ROOT | {"invokedBy": "autoscaling.amazonaws.com"}, "ec2", "RunInstances")
    world.tell(at(6, 4), ROOT, "ec2", "SharedSnapshotVolumeCreated", eventType="AwsServiceEvent")
    world.tell(at(6, 5), {"type": "Root", "accountId": OTHER}, "sts", "GetSessionToken")
    mfa = {"sessionContext": {"attributes": {"mfaAuthenticated": "true"}}}
    for minute in range(3):
        world.tell(at(6, 6, minute), ROOT | mfa, "account", "GetAccountInformation", sourceIPAddress="203.0.113.9")
    world.tell(at(6, 7), {"type": "Root"}, "sts", "GetCallerIdentity", eventType=ABSENT)
    world.tell(at(7), ROOT, "signin", "PasswordUpdated", eventType="AwsConsoleSignIn", readOnly=ABSENT,
               responseElements={"PasswordUpdated": "Failure"})
    world.tell(at(7, 1), ROOT, "signin", "PasswordUpdated", eventType="AwsConsoleSignIn", readOnly=ABSENT,
               responseElements={"PasswordUpdated": "Success"})


def _sign_ins(world):
    def login(time, who, outcome, **more):
        more = {"additionalEventData": {"LoginTo": "https://console.aws.amazon.com/", "MFAUsed": "No"}} | more
        answer = outcome if outcome is None or isinstance(outcome, str) and " " in outcome else {"ConsoleLogin": outcome}
        world.tell(time, who, "signin", "ConsoleLogin", eventType="AwsConsoleSignIn", responseElements=answer,
                   readOnly=False, userAgent="Mozilla/5.0 (X11; Linux x86_64)", **more)

    login(at(8), user("alice", key=""), "Success", additionalEventData={"MFAUsed": "Yes"})
    for minute in range(5):
        login(at(8, 1, minute), user("mallory", key=""), "Failure", errorMessage="Failed authentication")
    hidden = {"type": "IAMUser", "accountId": ACCOUNT, "accessKeyId": "", "userName": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    login(at(8, 2), hidden, "Failure", errorMessage="No username found in supplied account")
    login(at(8, 3), ROOT, "Success")
    login(at(8, 4), ROOT, "Failure")
    login(at(8, 5), session("AWSReservedSSO_admin_0123", "alice@example.com", path="/aws-reserved/sso.amazonaws.com/"), "Success")
    login(at(8, 6), user("heidi", key=""), None, additionalEventData=None)
    login(at(8, 7), user("heidi", key=""), "not an object", additionalEventData="text")
    world.tell(at(8, 9), user("alice", key=""), "signin", "CheckMfa", eventType="AwsConsoleSignIn",
               responseElements={"CheckMfa": "Success"})


def _denied(world):
    deny = lambda code, message=ABSENT, **more: world.tell(
        at(9, 0, len(world.texts) % 60), user("ivan", key="AKIAIVAN000000000001"), "dynamodb", "DescribeTable",
        errorCode=code, errorMessage=message, **more)
    because = "User: arn:aws:iam::1:user/ivan is not authorized to perform: dynamodb:DescribeTable on resource: x "
    deny("AccessDenied", because + "with an explicit deny in a service control policy")
    deny("AccessDeniedException", because + "because no identity-based policy allows the action")
    deny("AccessDeniedException", because + "because no permissions boundary allows the action")
    deny("AccessDenied", because + "with an explicit deny in a VPC endpoint policy", vpcEndpointId="vpce-1")
    deny("AccessDenied", because + "with an explicit deny in a resource-based policy")
    deny("AccessDenied")
    deny("Client.UnauthorizedOperation", "You are not authorized to perform this operation.")
    deny("UnauthorizedOperation")
    deny("KMS.AccessDeniedException")
    deny("VpceAccessDenied", eventType="AwsVpceEvent")
    deny("AuthorizationError")
    deny("ForbiddenException")
    deny("SomethingElse", because)
    deny(ABSENT, because)
    # failed, and not for want of a right
    for code in ("ResourceNotFoundException", "ThrottlingException", "Client.DryRunOperation", "ExpiredToken", "AuthFailure"):
        deny(code)


def _identities(world):
    who = user("alice")
    tell = lambda source, name, **more: world.tell(at(10, 0, len(world.texts) % 60), who, source, name, **more)
    tell("iam", "CreateUser", requestParameters={"userName": "newbie"})
    tell("iam", "AttachRolePolicy", requestParameters={"roleName": "app", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"})
    tell("iam", "PutGroupPolicy", requestParameters={"groupName": "ops", "policyName": "inline", "policyDocument": "{\"a\":1}"})
    tell("iam", "AddRoleToInstanceProfile", requestParameters={"instanceProfileName": "profile"})
    tell("iam", "PutRolePolicy", requestParameters={"roleName": "app"}, errorCode="AccessDenied")
    tell("iam", "GetUser", requestParameters={"userName": "newbie"})
    # of before 2019: nothing of readOnly
    tell("iam", "DeleteUser", readOnly=ABSENT, requestParameters={"userName": "old"})
    tell("iam", "ListUsers", readOnly=ABSENT)
    tell("iam", "DeleteUser", readOnly="false", requestParameters={"userName": "texty"})
    tell("organizations", "AttachPolicy", requestParameters={"policyId": "p-1", "targetId": OTHER})
    tell("organizations", "LeaveOrganization")
    tell("sso", "CreateAccountAssignment", requestParameters={"principalId": "94482488", "permissionSetArn": "arn:aws:sso:::permissionSet/x", "targetId": OTHER})
    tell("sso", "Federate", readOnly=False)
    tell("sso", "Authenticate", readOnly=False)
    tell("identitystore", "CreateGroupMembership")
    tell("rolesanywhere", "CreateTrustAnchor")
    tell("sts", "AssumeRole", readOnly=False, requestParameters={"roleArn": "text that is no arn"})
    tell("signin", "EmailUpdated", readOnly=ABSENT, eventType="AwsConsoleSignIn")


def _keys_and_roles(world):
    admin = user("alice")

    def iam(time, name, asked, answer=None, **more):
        world.tell(time, admin, "iam", name, requestParameters=asked, responseElements=answer, **more)

    def key(time, name, whose):
        iam(time, "CreateAccessKey", {"userName": whose}, {"accessKey": {"accessKeyId": name, "userName": whose, "status": "Active"}})

    key(at(-200), "AKIANEVERUSED0000001", "ken")
    key(at(-200), "AKIADELETED000000001", "ken")
    iam(at(-100), "DeleteAccessKey", {"userName": "ken", "accessKeyId": "AKIADELETED000000001"})
    key(at(-200), "AKIAFAILEDDELETE0001", "ken")
    iam(at(-100), "DeleteAccessKey", {"accessKeyId": "AKIAFAILEDDELETE0001"}, errorCode="NoSuchEntity")
    key(at(-200), "AKIAOFF0000000000001", "lena")
    iam(at(-90), "UpdateAccessKey", {"userName": "lena", "accessKeyId": "AKIAOFF0000000000001", "status": "Inactive"})
    key(at(-200), "AKIAOFFANDON00000001", "lena")
    iam(at(-90), "UpdateAccessKey", {"userName": "lena", "accessKeyId": "AKIAOFFANDON00000001", "status": "Inactive"})
    iam(at(-89), "UpdateAccessKey", {"userName": "lena", "accessKeyId": "AKIAOFFANDON00000001", "status": "Active"})
    key(at(20), "AKIABRANDNEW00000001", "ken")
    world.tell(at(-150), user("old", key="AKIALASTYEAR00000001"), "s3", "ListBuckets")
    world.tell(at(-140), user("old", key="AKIALASTYEAR00000001"), "s3", "ListBuckets", errorCode="AccessDenied")
    world.tell(at(-140), user("old", key="ASIATEMPORARY0000001"), "s3", "ListBuckets")
    # a key that calls in another account is its own account's
    world.tell(at(-130), user("roamer", key="AKIAROAMER0000000001", account=OTHER), "s3", "GetObject", recipientAccountId=ACCOUNT)
    for role in ("never", "deleted", "reborn", "assumed", "AWSServiceRoleForSupport"):
        iam(at(-200), "CreateRole", {"roleName": role}, {"role": {"roleName": role, "arn": f"arn:aws:iam::{ACCOUNT}:role/{role}"}})
    iam(at(-120), "DeleteRole", {"roleName": "deleted"})
    iam(at(-120), "DeleteRole", {"roleName": "reborn"})
    iam(at(-119), "CreateRole", {"roleName": "reborn"})
    world.tell(at(-110), admin, "sts", "AssumeRole", requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/x/assumed", "roleSessionName": "s"})
    world.tell(at(-60), admin, "sts", "AssumeRole", errorCode="AccessDenied", requestParameters={"roleArn": f"arn:aws:iam::{ACCOUNT}:role/never"})
    world.tell(at(-60), session("stale", "s"), "s3", "ListBuckets")


def _application(world):
    def call(source, name, **more):
        world.tell(at(11, 0, len(world.texts) % 60), session("app", f"i-{len(world.texts) % 3}"), source, name, **more)

    for source, name in (
        ("s3", "GetObject"), ("s3", "HeadObject"), ("s3", "ListObjects"), ("s3", "ListBuckets"), ("s3", "UploadPart"),
        ("s3", "DeleteBucketCors"), ("s3", "GetBucketAcl"),
        ("lambda", "Invoke"), ("lambda", "CreateFunction20150331"), ("lambda", "UpdateFunctionCode20150331v2"),
        ("cloudfront", "CreateInvalidation2020_05_31"), ("monitoring", "PutMetricData"), ("tagging", "GetResources"),
        ("rdsdata", "ExecuteStatement"), ("autoscaling", "RegisterScalableTarget"), ("autoscaling", "SetDesiredCapacity"),
        ("kms", "ReEncrypt"), ("sqs", "SendMessageBatch"), ("bedrock", "Converse"),
        ("apigateway", "GetRestApis"), ("apigateway", "UpdateStage"), ("apigateway", "DeleteStage"), ("apigateway", "CreateStage"),
        ("apigateway", "TagResource"), ("sts", "GetCallerIdentity"), ("ec2", "DescribeInstances"),
    ):
        call(source, name)
    call("s3", "PutObject", errorCode="AccessDenied")
    call("s3", "GetBucketPolicy", errorCode="NoSuchBucketPolicy")
    call("ec2", "DescribeInstances", awsRegion="us-east-1")
    call("signin", "ConsoleLogin", eventType="AwsConsoleSignIn")
    call("ec2", "BidEvictedEvent", eventType="AwsServiceEvent")
    call("s3", "ListBuckets", eventType="AwsConsoleAction")


def _newcomers(world):
    for hour in range(8):
        world.tell(at(15, hour), user("nomad", key="AKIANOMAD00000000001"), "ec2", "DescribeVpcs", sourceIPAddress=f"203.0.113.{20 + hour}")
    world.tell(at(15, 9), user("alice"), "ec2", "DescribeVpcs", sourceIPAddress="203.0.113.20")
    world.tell(at(15, 10), user("alice"), "ec2", "DescribeVpcs", userAgent="aws-cli/2.16.1 Python/3.12.0")
    world.tell(at(15, 11), user("alice"), "ec2", "DescribeVpcs", userAgent="aws-cli/2.16.1 Python/3.12.0 md/command#ec2.describe-vpcs")
    world.tell(at(15, 12), user("alice"), "ec2", "DescribeVpcs", userAgent="Kali/2026", sourceIPAddress="2001:db8::1")
    world.tell(at(15, 13), user("alice"), "ec2", "DescribeVpcs", userAgent="AWS Internal", sourceIPAddress="AWS Internal")
    world.tell(at(15, 14), user("alice", key="ASIANEWTEMPORARY0001"), "ec2", "DescribeVpcs", userAgent="console.amazonaws.com")
    world.tell(at(15, 15), user("alice", key="AKIAALICE00000000002"), "ec2", "DescribeVpcs", userAgent=ABSENT, sourceIPAddress="")


def _resources(world):
    who = user("olga", key="AKIAOLGA000000000001")
    tell = lambda name, **more: world.tell(at(12, 0, len(world.texts) % 60), who, "s3", name, **more)
    bucket = [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::data_lake", "accountId": ACCOUNT}]
    tell("PutBucketPolicy", requestParameters={"bucketName": "data_lake"}, resources=bucket)
    tell("GetBucketPolicy", resources=bucket)
    tell("GetBucketPolicy", requestParameters={"bucketName": "dataXlake"})
    tell("GetBucketPolicy", requestParameters={"bucketName": "data_lake-backup"}, resources=[{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::data_lake-backup"}])
    tell("GetObject", resources=[{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::data_lake/key"}, *bucket, {"ARNPrefix": "arn:aws:s3:::p/"}])
    tell("CreateBucket", responseElements={"bucket": {"name": "data_lake"}})
    tell("CopyObject", requestParameters={"x-amz-copy-source": "other/data_lake"})
    tell("RotateKey", eventType="AwsServiceEvent", serviceEventDetails={"keyId": "data_lake"})
    tell("PutObject", requestParameters={"bucketName": "say \"data_lake\" ü \\ /", "n": [1.50, True, None]})
    tell("PutObject", requestParameters={"bucketName": "ü b%_'c"}, resources=[{"ARN": "arn:aws:s3:::ü b%_'c"}])


def _odd(world):
    tell = lambda **more: world.tell(at(13), user("pat"), "ec2", "DescribeTags", **more)
    tell(sourceIPAddress={"ipaddress": "192.0.2.1", "asn": {"number": 1}})
    tell(eventName=["x"], eventID="e-1")
    tell(eventID="not a uuid", errorCode=7, errorMessage=True, userAgent=12.5)
    tell(eventID=ABSENT, readOnly="true", managementEvent="false")
    tell(eventID={"a": 1}, readOnly=1, managementEvent=[])
    tell(resources=[{"ARN": {"a": 1}, "type": "T"}, "odd", None, 5, {}, {"type": None, "ARN": None}, {"type": 5, "ARNPrefix": True}])
    tell(resources={"ARN": "x"})
    tell(resources=[])
    tell(requestParameters=[1, {"a": None}], responseElements=False, additionalEventData=3)
    tell(recipientAccountId=ABSENT, awsRegion=ABSENT)
    tell(recipientAccountId="a/b c:%{}", awsRegion="x=y")
    tell(eventSource=ABSENT, eventName=ABSENT)
    tell(tag={"tag": 1}, Tag={"Tag": 2, "tag": 3})
    tell(userAgent="line\nbreak\ttab", errorMessage="\u0000\u001b[31m")
    tell(userIdentity={"type": 5, "arn": {"a": 1}, "accountId": 111122223333, "userName": ["n"], "sessionContext": {"sessionIssuer": "x", "attributes": {"mfaAuthenticated": True}, "webIdFederationData": {"federatedProvider": "p"}}})
    # of members with one name the last counts, and numbers keep their digits
    world.text(
        '{"eventVersion":"1.08","eventTime":"2026-03-14T00:00:00Z","eventName":"First","eventName":"Last",'
        '"eventSource":"ec2.amazonaws.com","userIdentity":{"type":"Root","type":"IAMUser","userName":"twice"},'
        '"requestParameters":{"a":1.50,"big":12345678901234567890.10,"e":1E5, "esc":"\\u00fc\\/"},'
        '"awsRegion":"eu-west-1","recipientAccountId":"111122223333","eventID":"e-2"}'
    )
    # a time between seconds, and one of another zone
    tell(eventTime="2026-03-14T01:02:03.999Z")
    tell(eventTime="2026-03-14T23:30:00-02:00")
