//! The simulator over real sockets: asked by AWS's own SDK, and by hand.

use std::{future::Future, net::SocketAddr, sync::Arc};

use aws_credential_types::Credentials;
use aws_sdk_cloudtrail::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{EventCategory, LookupAttribute, LookupAttributeKey},
};
use aws_smithy_http_client::Builder as HttpClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use trailgate::{
    clock::Clock,
    event::Scope,
    simulator::{Faults, Options, Record, Simulator, serve},
};

const ACCOUNT: &str = "111122223333";
const OTHER: &str = "444455556666";

struct Server {
    address: SocketAddr,
    simulator: Arc<Simulator>,
    _stop: oneshot::Sender<()>,
}

async fn start(options: Options, records: Vec<Record>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let simulator = Arc::new(Simulator::new(options, Clock::system(), records));
    let (stop, stopped) = oneshot::channel();
    let served = simulator.clone();
    tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve(listener, served, stopped).await.unwrap();
    });
    Server {
        address,
        simulator,
        _stop: stop,
    }
}

fn options() -> Options {
    Options {
        accounts: vec![ACCOUNT.into(), OTHER.into()],
        regions: vec!["eu-west-1".into(), "us-east-1".into()],
        rate: "0".parse().unwrap(),
        unlimited_history: true,
        ..Options::default()
    }
}

fn records(n: u32) -> Vec<Record> {
    let record = |n| {
        let text = format!(
            r#"{{"eventID":"{n}","eventName":"GetUser","eventTime":"2026-01-01T00:{:02}:{:02}Z","awsRegion":"eu-west-1","recipientAccountId":"{ACCOUNT}","readOnly":true,"e":"\u00e9","userIdentity":{{"type":"Root"}},"resources":[{{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}}]}}"#,
            n / 60 % 60,
            n % 60
        );
        Record::from_text(&text, None).unwrap()
    };
    (0..n).map(record).collect()
}

impl Server {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self, key: &str, region: &str) -> Client {
        let config = aws_sdk_cloudtrail::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.url())
            .region(Region::new(region.to_owned()))
            .credentials_provider(Credentials::new(key, "x", None, None, "test"))
            .http_client(HttpClient::new().build_http())
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }

    fn sts(&self, credentials: Credentials) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.url())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials)
            .http_client(HttpClient::new().build_http())
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_sts::Client::from_conf(config)
    }

    /// Sends bytes and reads until the server is done.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // a connection that is cut may end in an error: what came is what counts
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }
}

fn by(key: LookupAttributeKey, value: &str) -> LookupAttribute {
    LookupAttribute::builder()
        .attribute_key(key)
        .attribute_value(value)
        .build()
        .unwrap()
}

async fn code<T, E: ProvideErrorMetadata, R>(
    answer: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> String {
    let Err(error) = answer.await else {
        panic!("an answer, not an error");
    };
    error.code().unwrap_or("no code").to_owned()
}

#[tokio::test]
async fn the_sdk_walks_a_history() {
    let server = start(options(), records(120)).await;
    let client = server.client(ACCOUNT, "eu-west-1");
    let mut walk = client.lookup_events().into_paginator().send();
    let mut ids = Vec::new();
    while let Some(page) = walk.next().await {
        let page = page.unwrap();
        for event in page.events() {
            ids.push(event.event_id().unwrap().parse::<u32>().unwrap());
            assert_eq!(event.username(), Some("root"));
            assert_eq!(event.read_only(), Some("true"));
            assert_eq!(event.resources()[0].resource_name(), Some("arn:aws:s3:::b"));
            assert!(
                event
                    .cloud_trail_event()
                    .unwrap()
                    .contains(r#""e":"\u00e9""#)
            );
        }
    }
    assert_eq!(ids, (0..120).rev().collect::<Vec<_>>());
    let start = DateTime::from_secs(1_767_225_600);
    let page = client
        .lookup_events()
        .start_time(start)
        .end_time(start)
        .lookup_attributes(by(LookupAttributeKey::EventName, "GetUser"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.events()[0].event_id(), Some("0"));
    assert_eq!(page.events()[0].event_time(), Some(&start));
    let stats = server.simulator.stats();
    let counted = stats.operation(&Scope::new(ACCOUNT, "eu-west-1"), "LookupEvents");
    assert_eq!(
        (counted.requests, counted.refused, counted.events),
        (4, 0, 121)
    );
}

#[tokio::test]
async fn every_error_arrives_by_its_code() {
    let server = start(options(), records(60)).await;
    let client = server.client(ACCOUNT, "eu-west-1");
    let ask = || client.lookup_events();
    let (early, late) = (DateTime::from_secs(1), DateTime::from_secs(2));
    let name = by(LookupAttributeKey::EventName, "a");
    let user = by(LookupAttributeKey::Username, "a");
    let token = ask().send().await.unwrap().next_token.unwrap();
    for (answer, expected) in [
        (
            ask().start_time(late).end_time(early),
            "InvalidTimeRangeException",
        ),
        (ask().max_results(51), "InvalidMaxResultsException"),
        (ask().max_results(0), "InvalidMaxResultsException"),
        (ask().next_token("garbage"), "InvalidNextTokenException"),
        (
            ask().next_token(&token).max_results(7),
            "InvalidNextTokenException",
        ),
        (
            ask()
                .lookup_attributes(name.clone())
                .lookup_attributes(user.clone()),
            "InvalidLookupAttributesException",
        ),
        (
            ask()
                .lookup_attributes(user)
                .event_category(EventCategory::Insight),
            "InvalidLookupAttributesException",
        ),
        (
            ask().event_category(EventCategory::from("management")),
            "InvalidEventCategoryException",
        ),
    ] {
        assert_eq!(code(answer.send()).await, expected);
    }
    for (key, region) in [("777788889999", "eu-west-1"), (ACCOUNT, "eu-west-2")] {
        let stranger = server.client(key, region);
        let answer = stranger.lookup_events().send();
        assert_eq!(code(answer).await, "UnrecognizedClientException");
    }
    assert_eq!(
        code(client.list_trails().send()).await,
        "UnknownOperationException"
    );
    let modelled = ask().max_results(51).send().await.unwrap_err();
    assert!(
        modelled
            .into_service_error()
            .is_invalid_max_results_exception()
    );
}

#[tokio::test]
async fn throttling_is_a_400_and_is_counted() {
    let server = start(
        Options {
            rate: "0.001".parse().unwrap(),
            ..options()
        },
        records(1),
    )
    .await;
    let client = server.client(ACCOUNT, "eu-west-1");
    client.lookup_events().send().await.unwrap();
    let error = client.lookup_events().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    assert_eq!(error.message(), Some("Rate exceeded"));
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    let elsewhere = server.client(ACCOUNT, "us-east-1");
    elsewhere.lookup_events().send().await.unwrap();
    let other = server.client(OTHER, "eu-west-1");
    other.lookup_events().send().await.unwrap();

    let answer = server
        .raw("GET /_simulator/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let stats: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(stats["requests"], 4);
    assert_eq!(stats["refused"], 1);
    assert_eq!(stats["throttled"], 1);
    assert_eq!(stats["events"], 1);
    assert_eq!(stats["records"], 1);
    let here = &stats["scopes"][0];
    assert_eq!(
        (&here["account"], &here["region"]),
        (&ACCOUNT.into(), &"eu-west-1".into())
    );
    let operation = &here["operations"]["LookupEvents"];
    assert_eq!(operation["requests"], 2);
    assert_eq!(operation["errors"]["ThrottlingException"], 1);
}

#[tokio::test]
async fn faults_arrive_as_they_would_from_aws() {
    for (fault, expected) in [
        ("throttle=1", "ThrottlingException"),
        ("denied region=1", "AccessDeniedException"),
        ("expired credentials=1", "ExpiredTokenException"),
        ("5xx=1", "InternalFailure"),
    ] {
        let faults: Faults = [fault.parse().unwrap()].into_iter().collect();
        let server = start(
            Options {
                faults,
                ..options()
            },
            records(1),
        )
        .await;
        let client = server.client(ACCOUNT, "eu-west-1");
        assert_eq!(code(client.lookup_events().send()).await, expected);
    }
}

#[tokio::test]
async fn a_dropped_connection_sends_nothing() {
    let faults: Faults = ["disconnect=1".parse().unwrap()].into_iter().collect();
    let server = start(
        Options {
            faults,
            ..options()
        },
        records(1),
    )
    .await;
    let headers = format!(
        "X-Amz-Target: CloudTrail_20131101.LookupEvents\r\nAuthorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/eu-west-1/cloudtrail/aws4_request, SignedHeaders=host, Signature=0\r\n"
    );
    assert_eq!(server.post("/", &headers, "{}").await, "");
    let client = server.client(ACCOUNT, "eu-west-1");
    let error = client.lookup_events().send().await.unwrap_err();
    assert!(
        matches!(error, SdkError::DispatchFailure(_)),
        "{}",
        DisplayErrorContext(&error)
    );
}

#[tokio::test]
async fn errors_have_aws_s_form_on_the_wire() {
    let server = start(options(), vec![]).await;
    let target =
        "X-Amz-Target: com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents\r\n";
    let answer = server.post("/", target, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let head = answer.to_ascii_lowercase();
    for header in [
        "content-type: application/x-amz-json-1.1\r\n",
        "x-amzn-errortype: missingauthenticationtokenexception\r\n",
        "x-amzn-requestid: ",
    ] {
        assert!(head.contains(header), "{header}: {answer}");
    }
    assert!(answer.contains(r#"{"__type":"MissingAuthenticationTokenException","message":""#));
    let signed = format!(
        "{target}Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/eu-west-1/cloudtrail/aws4_request\r\n"
    );
    let answer = server.post("/", &signed, "[").await;
    assert!(answer.contains("SerializationException"), "{answer}");
    let big = format!("{{\"NextToken\":\"{}\"}}", "x".repeat(70_000));
    let answer = server.post("/", &signed, &big).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = server.post("/elsewhere", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn sts_tells_who_and_lends_roles() {
    let server = start(options(), records(1)).await;
    let sts = server.sts(Credentials::new(OTHER, "x", None, None, "test"));
    let me = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(me.account(), Some(OTHER));

    let assume = |arn: &str| {
        let request = sts.assume_role().role_arn(arn).role_session_name("check");
        async move { request.send().await }
    };
    let role = format!("arn:aws:iam::{ACCOUNT}:role/audit/Reader");
    let lent = assume(&role).await.unwrap().credentials.unwrap();
    let credentials = Credentials::new(
        lent.access_key_id(),
        lent.secret_access_key(),
        Some(lent.session_token().to_owned()),
        None,
        "test",
    );
    let me = server
        .sts(credentials)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/Reader/check");
    assert_eq!(
        (me.account(), me.arn()),
        (Some(ACCOUNT), Some(arn.as_str()))
    );
    let client = server.client(lent.access_key_id(), "eu-west-1");
    assert_eq!(
        client.lookup_events().send().await.unwrap().events().len(),
        1
    );

    for (arn, expected) in [
        ("arn:aws:iam::777788889999:role/Reader", "AccessDenied"),
        (
            "arn:aws:iam::111122223333:user/ann-as-no-role",
            "ValidationError",
        ),
    ] {
        assert_eq!(code(assume(arn)).await, expected);
    }
    let stranger = server.sts(Credentials::new("AKIA", "x", None, None, "test"));
    let answer = stranger.get_caller_identity().send();
    assert_eq!(code(answer).await, "InvalidClientTokenId");
}

#[tokio::test]
async fn regions_are_listed() {
    let server = start(options(), vec![]).await;
    let headers = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/account/aws4_request\r\n"
    );
    let answer = server
        .post("/listRegions", &headers, r#"{"MaxResults":1}"#)
        .await;
    assert!(
        answer.ends_with(
            r#"{"Regions":[{"RegionName":"eu-west-1","RegionOptStatus":"ENABLED_BY_DEFAULT"}],"NextToken":"eu-west-1"}"#
        ),
        "{answer}"
    );
}
