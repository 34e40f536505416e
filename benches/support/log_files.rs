//! Log files made up from a seed, of the size and the redundancy of real ones:
//! about 2,000 records a file, 1.4 KB a record, the longest hundredth over
//! 2.6 KB, packed to about a tenth.

#![allow(unreachable_pub, clippy::expect_used, reason = "a benchmark")]

use std::{fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};

/// Records of all files.
pub const RECORDS: usize = 304_850;

/// Log files of a busy trail.
pub const FILES: usize = 160;

/// A file, packed, and what it holds.
pub struct LogFile {
    pub gzip: Vec<u8>,
    #[allow(dead_code, reason = "not every benchmark asks for it")]
    pub json_len: usize,
    pub records: usize,
}

/// The seconds of a file's events.
const SECONDS: usize = 300;

/// So many files of the [`FILES`], the same for the same seed.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub fn make(files: usize, seed: u64) -> Vec<LogFile> {
    (0..files).map(|file| one(file, seed, SECONDS)).collect()
}

/// One of the [`FILES`], `apart` seconds after the one before.
pub fn one(file: usize, seed: u64, apart: usize) -> LogFile {
    let records = RECORDS * (file + 1) / FILES - RECORDS * file / FILES;
    let mut draw = Draw(seed ^ ((file as u64 + 1) << 32));
    let mut json = String::from("{\"Records\":[");
    for i in 0..records {
        if i > 0 {
            json.push(',');
        }
        record(&mut json, &mut draw, file * apart + i * SECONDS / records);
    }
    json.push_str("]}");
    // what gzip does if it is not told otherwise
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(json.as_bytes()).expect("memory");
    LogFile {
        gzip: encoder.finish().expect("memory"),
        json_len: json.len(),
        records,
    }
}

/// SplitMix64: even, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(list.len() as u64)).expect("fits");
        list.get(at).expect("below its length")
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

/// Service, name, whether it only reads, its request and its answer: `~` is a
/// thing of the caller's, `#` a number of its own.
const ACTIONS: [(&str, &str, bool, &str, &str); 14] = [
    (
        "sts",
        "AssumeRole",
        true,
        "{\"roleArn\":\"arn:aws:iam::111122223333:role/~\",\"roleSessionName\":\"~-#\",\"durationSeconds\":3600}",
        "{\"credentials\":{\"accessKeyId\":\"ASIAEXAMPLE#\",\"sessionToken\":\"IQoJb3JpZ2luX2VjE#//////////wEaCXVzLWVhc3QtMSJ#\",\"expiration\":\"May 6, 2024, 8:08:09 AM\"},\"assumedRoleUser\":{\"assumedRoleId\":\"AROAEXAMPLEEXAMPLEID:~-#\",\"arn\":\"arn:aws:sts::111122223333:assumed-role/~/~-#\"}}",
    ),
    (
        "s3",
        "GetBucketAcl",
        true,
        "{\"bucketName\":\"~-logs-#\",\"Host\":\"~-logs-#.s3.us-east-1.amazonaws.com\",\"acl\":\"\"}",
        "null",
    ),
    (
        "s3",
        "GetBucketLocation",
        true,
        "{\"bucketName\":\"~-data\",\"Host\":\"s3.amazonaws.com\",\"location\":\"\"}",
        "null",
    ),
    (
        "kms",
        "Decrypt",
        true,
        "{\"encryptionContext\":{\"aws:s3:arn\":\"arn:aws:s3:::~-data/part-#.parquet\"},\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}",
        "null",
    ),
    (
        "kms",
        "GenerateDataKey",
        true,
        "{\"keyId\":\"arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000000f\",\"encryptionContext\":{\"aws:s3:arn\":\"arn:aws:s3:::~-logs\"},\"keySpec\":\"AES_256\"}",
        "null",
    ),
    (
        "ec2",
        "DescribeInstances",
        true,
        "{\"maxResults\":1000,\"instancesSet\":{},\"filterSet\":{\"items\":[{\"name\":\"tag:Name\",\"valueSet\":{\"items\":[{\"value\":\"~\"}]}},{\"name\":\"instance-state-name\",\"valueSet\":{\"items\":[{\"value\":\"pending\"},{\"value\":\"running\"}]}}]}}",
        "null",
    ),
    (
        "ec2",
        "DescribeNetworkInterfaces",
        true,
        "{\"networkInterfaceIdSet\":{\"items\":[{\"networkInterfaceId\":\"eni-#\"}]},\"filterSet\":{}}",
        "null",
    ),
    (
        "ec2",
        "RunInstances",
        false,
        "{\"instancesSet\":{\"items\":[{\"imageId\":\"ami-#\",\"minCount\":1,\"maxCount\":1,\"keyName\":\"~\"}]},\"userData\":\"<sensitiveDataRemoved>\",\"instanceType\":\"m6i.large\",\"monitoring\":{\"enabled\":false},\"subnetId\":\"subnet-#\",\"disableApiTermination\":false,\"clientToken\":\"#-#\",\"tagSpecificationSet\":{\"items\":[{\"resourceType\":\"instance\",\"tags\":[{\"key\":\"Name\",\"value\":\"~\"},{\"key\":\"team\",\"value\":\"a \\\"blue\\\" one\"}]}]}}",
        "{\"requestId\":\"#\",\"reservationId\":\"r-#\",\"ownerId\":\"111122223333\",\"groupSet\":{},\"instancesSet\":{\"items\":[{\"instanceId\":\"i-#\",\"imageId\":\"ami-#\",\"currentState\":{\"code\":0,\"name\":\"pending\"},\"privateDnsName\":\"ip-10-0-#.ec2.internal\",\"amiLaunchIndex\":0,\"instanceType\":\"m6i.large\",\"launchTime\":1714979289000,\"placement\":{\"availabilityZone\":\"us-east-1a\",\"tenancy\":\"default\"},\"monitoring\":{\"state\":\"disabled\"},\"subnetId\":\"subnet-#\",\"vpcId\":\"vpc-#\",\"privateIpAddress\":\"10.0.3.7\",\"stateReason\":{\"code\":\"pending\",\"message\":\"pending\"},\"architecture\":\"x86_64\",\"rootDeviceType\":\"ebs\",\"rootDeviceName\":\"/dev/xvda\",\"networkInterfaceSet\":{\"items\":[{\"networkInterfaceId\":\"eni-#\",\"subnetId\":\"subnet-#\",\"ownerId\":\"111122223333\",\"status\":\"in-use\",\"macAddress\":\"0a:ff:#\",\"privateIpAddress\":\"10.0.3.7\",\"sourceDestCheck\":true}]},\"ebsOptimized\":false,\"enaSupport\":true,\"cpuOptions\":{\"coreCount\":1,\"threadsPerCore\":2}}]}}",
    ),
    (
        "logs",
        "CreateLogStream",
        false,
        "{\"logGroupName\":\"/aws/lambda/~\",\"logStreamName\":\"2024/05/06/[$LATEST]#\"}",
        "null",
    ),
    (
        "lambda",
        "GetFunction20150331v2",
        true,
        "{\"functionName\":\"arn:aws:lambda:us-east-1:111122223333:function:~\"}",
        "null",
    ),
    (
        "dynamodb",
        "DescribeTable",
        true,
        "{\"tableName\":\"~-table\"}",
        "null",
    ),
    (
        "ssm",
        "UpdateInstanceInformation",
        false,
        "{\"instanceId\":\"i-#\",\"agentVersion\":\"3.3.131.0\",\"agentStatus\":\"Active\",\"platformType\":\"Linux\",\"platformName\":\"Amazon Linux\",\"platformVersion\":\"2023\",\"iPAddress\":\"10.0.3.7\",\"computerName\":\"ip-10-0-#.ec2.internal\",\"agentName\":\"amazon-ssm-agent\",\"availabilityZone\":\"us-east-1a\",\"availabilityZoneId\":\"use1-az4\",\"sSMConnectionChannel\":\"ssmmessages\"}",
        "null",
    ),
    (
        "ecr",
        "BatchGetImage",
        true,
        "{\"registryId\":\"111122223333\",\"repositoryName\":\"~/service\",\"imageIds\":[{\"imageTag\":\"v1.#\"}],\"acceptedMediaTypes\":[\"application/vnd.oci.image.manifest.v1+json\",\"application/vnd.docker.distribution.manifest.v2+json\"]}",
        "null",
    ),
    (
        "iam",
        "ListAttachedRolePolicies",
        true,
        "{\"roleName\":\"~\",\"maxItems\":1000}",
        "null",
    ),
];

const ROLES: [&str; 24] = [
    "Deploy",
    "build-runner",
    "eks-node-group",
    "payments-api",
    "OrganizationAccountAccess",
    "data-pipeline",
    "AWSReservedSSO_AdministratorAccess_0a1b2c3d4e5f6071",
    "scanner",
    "orders-worker",
    "search-indexer",
    "backup",
    "karpenter",
    "external-dns",
    "cert-rotator",
    "image-resizer",
    "billing-export",
    "log-router",
    "feature-flags",
    "cdn-invalidator",
    "session-store",
    "mail-sender",
    "audit-reader",
    "terraform",
    "cluster-autoscaler",
];

const AGENTS: [&str; 8] = [
    "aws-sdk-go-v2/1.26.1 os/linux lang/go#1.22.2 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.156.0",
    "Boto3/1.34.84 md/Botocore#1.34.84 ua/2.0 os/linux#5.10.215-203.850.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.6 md/pyimpl#CPython cfg/retry-mode#standard Botocore/1.34.84",
    "aws-cli/2.15.38 Python/3.11.8 Linux/6.1.82-99.168.amzn2023.x86_64 exe/x86_64.amzn.2023 prompt/off command/sts.assume-role",
    "APN/1.0 HashiCorp/1.0 Terraform/1.8.1 (+https://www.terraform.io) terraform-provider-aws/5.45.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.26.1 os/linux lang/go#1.21.8",
    "aws-sdk-java/2.25.31 Linux/5.10.213 OpenJDK_64-Bit_Server_VM/17.0.10+7-LTS Java/17.0.10 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/legacy",
    "aws-sdk-nodejs/2.1598.0 linux/v18.20.1 exec-env/AWS_Lambda_nodejs18.x promise",
    "karpenter.sh-v0.35.2",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
];

/// A template with its things and numbers.
fn fill(out: &mut String, draw: &mut Draw, template: &str, thing: &str) {
    for part in template.split_inclusive(['~', '#']) {
        match part.split_at(part.len() - 1) {
            (before, "~") => out.extend([before, thing]),
            (before, "#") => {
                out.push_str(before);
                let number = draw.next() >> 28;
                write!(out, "{number:09x}").expect("memory");
            }
            _ => out.push_str(part),
        }
    }
}

fn record(out: &mut String, draw: &mut Draw, second: usize) {
    let (service, name, reads, request, answer) = match draw.below(70) {
        0 => ACTIONS.get(7).expect("RunInstances"),
        _ => draw.of(&ACTIONS),
    };
    let (service, name) = (*service, *name);
    let role = *draw.of(&ROLES);
    // a role's sessions do several calls each
    let mut session = Draw(role.len() as u64 * 77 + draw.below(6) + (second as u64 / 900) * 7919);
    let id = session.next();
    let address = format!("10.{}.{}.{}", id & 0xff, id >> 8 & 0xff, id >> 16 & 0xff);
    let mut put = |args: std::fmt::Arguments<'_>| out.write_fmt(args).expect("memory");
    let by_service = draw.below(100) < 25;
    if by_service {
        put(format_args!(
            "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"AWSService\",\"invokedBy\":\"{service}.amazonaws.com\"}}"
        ));
    } else {
        put(format_args!(
            "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"principalId\":\"AROA{:X}:{role}-{:x}\",\"arn\":\"arn:aws:sts::111122223333:assumed-role/{role}/{role}-{:x}\",\"accountId\":\"111122223333\",\"accessKeyId\":\"ASIA{:X}\",\"sessionContext\":{{\"sessionIssuer\":{{\"type\":\"Role\",\"principalId\":\"AROA{:X}\",\"arn\":\"arn:aws:iam::111122223333:role/{role}\",\"accountId\":\"111122223333\",\"userName\":\"{role}\"}},\"webIdFederationData\":{{}},\"attributes\":{{\"creationDate\":\"2024-05-06T{:02}:00:00Z\",\"mfaAuthenticated\":\"false\"}}}}}}",
            role.len() * 0x1234_5678_9abc,
            id >> 20,
            id >> 20,
            id | 1 << 63,
            role.len() * 0x1234_5678_9abc,
            second / 3600 % 24,
        ));
    }
    put(format_args!(
        ",\"eventTime\":\"2024-05-{:02}T{:02}:{:02}:{:02}Z\",\"eventSource\":\"{service}.amazonaws.com\",\"eventName\":\"{name}\",\"awsRegion\":\"us-east-1\"",
        6 + second / 86_400,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
    ));
    if by_service {
        put(format_args!(
            ",\"sourceIPAddress\":\"{service}.amazonaws.com\",\"userAgent\":\"{service}.amazonaws.com\""
        ));
    } else {
        put(format_args!(
            ",\"sourceIPAddress\":\"{address}\",\"userAgent\":\"{}\"",
            session.of(&AGENTS)
        ));
    }
    let failed = draw.below(12) == 0;
    if failed {
        put(format_args!(
            ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"User: arn:aws:sts::111122223333:assumed-role/{role}/{role}-{:x} is not authorized to perform: {service}:{name} because no identity-based policy allows the {service}:{name} action\"",
            id >> 20
        ));
    }
    out.push_str(",\"requestParameters\":");
    fill(out, draw, request, role);
    out.push_str(",\"responseElements\":");
    fill(out, draw, if failed { "null" } else { answer }, role);
    let mut put = |args: std::fmt::Arguments<'_>| out.write_fmt(args).expect("memory");
    if service == "s3" {
        put(format_args!(
            ",\"additionalEventData\":{{\"SignatureVersion\":\"SigV4\",\"CipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"bytesTransferredIn\":0,\"AuthenticationMethod\":\"AuthHeader\",\"x-amz-id-2\":\"{:x}/{:x}{:x}=\",\"bytesTransferredOut\":{}}}",
            draw.next(),
            draw.next(),
            draw.next(),
            draw.below(900)
        ));
    }
    put(format_args!(
        ",\"requestID\":\"{}\",\"eventID\":\"{}\",\"readOnly\":{reads}",
        draw.uuid(),
        draw.uuid()
    ));
    if matches!(service, "s3" | "kms" | "sts") {
        put(format_args!(
            ",\"resources\":[{{\"accountId\":\"111122223333\",\"type\":\"AWS::{service}::Thing\",\"ARN\":\"arn:aws:{service}:us-east-1:111122223333:{role}\"}}]"
        ));
    }
    put(format_args!(
        ",\"eventType\":\"AwsApiCall\",\"managementEvent\":true,\"recipientAccountId\":\"111122223333\""
    ));
    if service == "sts" {
        put(format_args!(",\"sharedEventID\":\"{}\"", draw.uuid()));
    }
    out.push_str(",\"eventCategory\":\"Management\"");
    if !by_service {
        write!(out, ",\"tlsDetails\":{{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\"{service}.us-east-1.amazonaws.com\"}}").expect("memory");
    }
    out.push('}');
}
