//! AWS's own SDK against the endpoint for AWS's clients.

use std::{fs, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use aws_sdk_cloudtrail::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    operation::lookup_events::LookupEventsOutput,
    types::{LookupAttribute, LookupAttributeKey},
};
use aws_smithy_types::DateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use trailgate::{
    app::Server,
    clock::Clock,
    config::{Config, Settings},
    event::{LookupEvent, Resource, Scope},
    simulator::{self, Options, Simulator},
};

use crate::server::{ACCOUNT, REGION, quiet};

const OTHER: &str = "444455556666";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A gateway that answers AWS's clients, in front of a simulator of two accounts.
struct Door {
    simulator: Arc<Simulator>,
    simulator_url: String,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), trailgate::app::Error>>,
    stop_simulator: CancellationToken,
    now: i64,
    _files: tempfile::TempDir,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop_simulator.cancel();
    }
}

/// With keys, if `keys`; with a policy of these rules, if there are any.
async fn door(options: Options, keys: bool, rules: &str) -> Door {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let pair = |id: &str, account: &str, name: &str| {
        format!(
            "- {{access_key_id: {id}, secret_access_key: {SECRET}, account_id: '{account}', name: \
             {name}}}\n"
        )
    };
    let pairs = [
        "keys:\n".to_owned(),
        pair("ONE", ACCOUNT, "one"),
        pair("TWO", OTHER, "two"),
    ];
    let aws_keys = keys.then(|| file("keys.yaml", &pairs.concat()));
    let policy = (!rules.is_empty()).then(|| file("policy.yaml", rules));
    door_with(options, |settings| {
        settings.aws_keys = aws_keys;
        settings.policy = policy;
    })
    .await
}

/// With these settings.
async fn door_with(options: Options, change: impl FnOnce(&mut Settings)) -> Door {
    let clock = Clock::system();
    let options = Options {
        accounts: vec![ACCOUNT.into(), OTHER.into()],
        regions: vec![REGION.into()],
        ..options
    };
    let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let simulator_url = format!("http://{}", listener.local_addr().unwrap());
    let stop_simulator = CancellationToken::new();
    let stopped = stop_simulator.clone().cancelled_owned();
    tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
    let files = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        listen: "127.0.0.1:0".parse().ok(),
        http_listen: "127.0.0.1:0".parse().ok(),
        aws_endpoint_url: Some(simulator_url.clone()),
        account: vec![ACCOUNT.into(), OTHER.into()],
        region: vec![REGION.into()],
        rate: Some(0.0),
        serve_aws: Some(true),
        audit_log: Some(files.path().join("audit")),
        ..Settings::default()
    };
    change(&mut settings);
    let server = Server::start(Config::try_from(settings).unwrap());
    let server = Box::pin(server).await.unwrap();
    let url = format!("http://{}", server.http);
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Door {
        simulator,
        simulator_url,
        url,
        stop: Some(stop),
        server,
        stop_simulator,
        now: clock.now_secs(),
        _files: files,
    }
}

fn client(url: &str, key: &str, secret: &str, region: &str) -> Client {
    let config = aws_sdk_cloudtrail::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

impl Door {
    fn client(&self, key: &str) -> Client {
        client(&self.url, key, SECRET, REGION)
    }

    /// An event so many seconds ago.
    fn happens(&self, account: &str, number: usize, ago: i64) {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let record = format!(
            "{{ \"eventID\":\"{id}\", \"eventSource\":\"s{}.amazonaws.com\",\"requestParameters\":{{\"x\":1.50,\"secret\":\"\\u0007\"}} }}",
            number % 2
        );
        let event = LookupEvent {
            event_id: Some(id),
            event_name: Some(format!("Name{}", number % 3)),
            event_source: Some(format!("s{}.amazonaws.com", number % 2)),
            event_time: Some(self.now - ago),
            read_only: Some("true".to_owned()),
            username: (!number.is_multiple_of(4)).then(|| "ann".to_owned()),
            resources: vec![Resource {
                kind: None,
                name: Some("bucket".to_owned()),
            }],
            record: Some(record),
            ..LookupEvent::default()
        };
        let scope = Scope::new(account, REGION);
        assert_eq!(self.simulator.insert(&scope, event, None), 1);
    }
}

fn told(page: &LookupEventsOutput) -> Vec<String> {
    page.events()
        .iter()
        .map(|event| format!("{event:?}"))
        .collect()
}

/// All pages of a question.
async fn all(client: &Client, by: Option<LookupAttribute>) -> Vec<String> {
    let ask = client
        .lookup_events()
        .set_lookup_attributes(by.map(|by| vec![by]));
    let mut pages = ask.into_paginator().page_size(7).send();
    let mut events = Vec::new();
    while let Some(page) = pages.next().await {
        events.extend(told(&page.unwrap()));
    }
    events
}

fn by(key: LookupAttributeKey, value: &str) -> LookupAttribute {
    let attribute = LookupAttribute::builder()
        .attribute_key(key)
        .attribute_value(value);
    attribute.build().unwrap()
}

#[tokio::test]
async fn the_sdk_is_told_what_cloudtrail_tells_it() {
    let door = door(quiet(), true, "").await;
    for number in 0..200 {
        // some in one second, more than a page of them
        let ago = i64::try_from(number / 3).unwrap() + 60;
        door.happens(
            ACCOUNT,
            number,
            if (50..110).contains(&number) { 77 } else { ago },
        );
    }
    door.happens(OTHER, 999, 60);
    let ours = door.client("ONE");
    let theirs = client(&door.simulator_url, ACCOUNT, "x", REGION);
    for question in [
        None,
        Some(by(LookupAttributeKey::EventName, "Name1")),
        Some(by(LookupAttributeKey::EventSource, "s0.amazonaws.com")),
        Some(by(LookupAttributeKey::Username, "ann")),
        Some(by(LookupAttributeKey::ResourceName, "bucket")),
        Some(by(LookupAttributeKey::ReadOnly, "false")),
        Some(by(LookupAttributeKey::EventName, "name1")),
    ] {
        let (mut ours, mut theirs) = (
            all(&ours, question.clone()).await,
            all(&theirs, question).await,
        );
        // the order within a second is nobody's promise
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }
    let other = all(&door.client("TWO"), None).await;
    assert_eq!(other.len(), 1, "the key's own account");
    // a page is as full as AWS's
    let page = ours.lookup_events().send().await.unwrap();
    assert_eq!(page.events().len(), 50);
    // nothing was bought for it
    let before = door.simulator.stats().requests;
    let page = ours.lookup_events().max_results(50).send().await.unwrap();
    assert_eq!(
        (page.events().len(), door.simulator.stats().requests),
        (50, before)
    );
}

/// The code that a call ends with, here and at the simulator.
async fn code_of(
    client: &Client,
    ask: impl Fn(
        aws_sdk_cloudtrail::operation::lookup_events::builders::LookupEventsFluentBuilder,
    )
        -> aws_sdk_cloudtrail::operation::lookup_events::builders::LookupEventsFluentBuilder,
) -> String {
    let error = ask(client.lookup_events()).send().await.unwrap_err();
    error.code().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn limits_and_errors_are_awss() {
    let door = door(quiet(), true, "").await;
    for number in 0..20 {
        door.happens(ACCOUNT, number, 60);
    }
    let ours = door.client("ONE");
    let theirs = client(&door.simulator_url, ACCOUNT, "x", REGION);
    let name = || by(LookupAttributeKey::EventName, "a");
    for client in [&ours, &theirs] {
        assert_eq!(
            code_of(client, |it| it.max_results(51)).await,
            "InvalidMaxResultsException"
        );
        assert_eq!(
            code_of(client, |it| it
                .lookup_attributes(name())
                .lookup_attributes(name()))
            .await,
            "InvalidLookupAttributesException"
        );
        assert_eq!(
            code_of(client, |it| it.next_token("garbage")).await,
            "InvalidNextTokenException"
        );
        let (start, end) = (DateTime::from_secs(2), DateTime::from_secs(1));
        assert_eq!(
            code_of(client, |it| it.start_time(start).end_time(end)).await,
            "InvalidTimeRangeException"
        );
        let page = client.lookup_events().max_results(5).send().await.unwrap();
        let token = page.next_token().unwrap();
        // it belongs to the question, and to the account
        for code in [
            code_of(client, |it| it.max_results(6).next_token(token)).await,
            code_of(client, |it| {
                it.max_results(5)
                    .next_token(token)
                    .lookup_attributes(name())
            })
            .await,
        ] {
            assert_eq!(code, "InvalidNextTokenException");
        }
    }
    let page = ours.lookup_events().max_results(5).send().await.unwrap();
    let token = page.next_token().unwrap();
    let code = code_of(&door.client("TWO"), |it| {
        it.max_results(5).next_token(token)
    })
    .await;
    assert_eq!(code, "InvalidNextTokenException");
    // who is not known, or elsewhere
    for (client, code) in [
        (door.client("NOBODY"), "UnrecognizedClientException"),
        (
            client(&door.url, "ONE", "another", REGION),
            "InvalidSignatureException",
        ),
        (
            client(&door.url, "ONE", SECRET, "eu-west-9"),
            "UnrecognizedClientException",
        ),
    ] {
        assert_eq!(code_of(&client, |it| it).await, code);
    }
    let other = ours.describe_trails().send().await.unwrap_err();
    assert_eq!(other.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn a_policy_says_what_a_key_may_see() {
    let rules = "rules:\n\
        - {keys: [one], methods: [LookupEvents], event_sources: [s1.amazonaws.com], redact: \
           [requestParameters.secret]}\n\
        - {keys: ['t*'], methods: [LookupEvents], record: false}\n";
    let door = door(quiet(), true, rules).await;
    for number in 0..40 {
        door.happens(ACCOUNT, number, 60 + i64::try_from(number).unwrap());
    }
    let events = all(&door.client("ONE"), None).await;
    assert_eq!(events.len(), 20);
    for event in events {
        assert!(
            event.contains("s1.amazonaws.com") && event.contains("REDACTED"),
            "{event}"
        );
        assert!(
            event.contains("1.50") && !event.contains("u0007"),
            "{event}"
        );
        // what AWS derives the resources from is not said
        assert!(!event.contains("bucket"), "{event}");
    }
    let hidden = by(LookupAttributeKey::ResourceName, "bucket");
    let code = code_of(&door.client("ONE"), |it| {
        it.lookup_attributes(hidden.clone())
    })
    .await;
    assert_eq!(code, "AccessDeniedException");
    let code = code_of(&door.client("TWO"), |it| it).await;
    assert_eq!(code, "AccessDeniedException");
}

#[tokio::test]
async fn without_keys_the_access_key_id_is_the_account() {
    let door = door(quiet(), false, "").await;
    door.happens(ACCOUNT, 1, 60);
    door.happens(OTHER, 2, 60);
    door.happens(OTHER, 3, 60);
    assert_eq!(all(&door.client(ACCOUNT), None).await.len(), 1);
    assert_eq!(all(&door.client(OTHER), None).await.len(), 2);
    let code = code_of(&door.client("AKIDEXAMPLE"), |it| it).await;
    assert_eq!(code, "UnrecognizedClientException");
}

#[tokio::test]
async fn what_cannot_be_had_in_time_is_an_error_and_then_a_page() {
    // a request a second, and a second for each call
    let door = door_with(quiet(), |settings| {
        settings.rate = Some(1.0);
        settings.request_timeout = "1s".parse().ok();
    })
    .await;
    door.happens(ACCOUNT, 1, 60);
    let client = &door.client(ACCOUNT);
    let ask = |i: usize| async move {
        let name = by(LookupAttributeKey::EventId, &format!("none {i}"));
        client.lookup_events().lookup_attributes(name).send().await
    };
    let mut waiting: Vec<usize> = (0..6).collect();
    let mut refused = 0;
    while !waiting.is_empty() {
        let answers = futures_util::future::join_all(waiting.iter().map(|&i| ask(i))).await;
        let mut again = Vec::new();
        for (i, answer) in waiting.into_iter().zip(answers) {
            match answer {
                // nothing is there, and that is known
                Ok(page) => assert!(page.next_token().is_none() && page.events().is_empty()),
                Err(error) => {
                    assert_eq!(error.code(), Some("ThrottlingException"));
                    again.push(i);
                }
            }
        }
        refused += again.len();
        waiting = again;
    }
    assert!(refused > 0);
    assert_eq!(door.simulator.stats().throttled, 0);
}

/// What is answered to what is sent.
async fn raw(url: &str, head: &str, body: &[u8]) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!(
        "{head}\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    // one that is refused by its head is not read to its end
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

const TARGET: &str = "POST / HTTP/1.1\r\nx-amz-target: CloudTrail_20131101.LookupEvents";

#[tokio::test]
async fn headers_say_how_old_an_answer_is_and_what_it_cost() {
    let door = door(quiet(), false, "").await;
    door.happens(ACCOUNT, 1, 60);
    let signed = |key: &str, more: &str| {
        format!(
            "{TARGET}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={key}/20260101/{REGION}/cloudtrail/aws4_request{more}"
        )
    };
    let first = raw(&door.url, &signed(ACCOUNT, ""), b"{}").await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    for header in [
        "x-trailgate-as-of: 2",
        "x-trailgate-upstream-calls: 1\r\n",
        "x-amzn-requestid: ",
    ] {
        assert!(first.contains(header), "{first}");
    }
    let long = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101";
    let second = signed(ACCOUNT, "").replace("CloudTrail_20131101", long);
    let second = raw(&door.url, &second, b"").await;
    assert!(
        second.contains("x-trailgate-upstream-calls: 0\r\n"),
        "{second}"
    );
    // who wants to know what AWS says now pays for it
    let fresh = signed(ACCOUNT, "\r\nx-trailgate-max-staleness: 0");
    let fresh = raw(&door.url, &fresh, b"{}").await;
    assert!(
        fresh.contains("x-trailgate-upstream-calls: 1\r\n"),
        "{fresh}"
    );
    for (head, body, code) in [
        (
            TARGET.to_owned(),
            &b"{}"[..],
            "MissingAuthenticationTokenException",
        ),
        (
            signed(ACCOUNT, "\r\norigin: http://evil.example"),
            b"{}",
            "AccessDeniedException",
        ),
        (
            signed(ACCOUNT, "\r\nsec-fetch-site: same-origin"),
            b"{}",
            "AccessDeniedException",
        ),
        (
            signed(ACCOUNT, "\r\nx-trailgate-max-staleness: soon"),
            b"{}",
            "ValidationException",
        ),
        (signed(ACCOUNT, ""), b"[", "SerializationException"),
        (
            signed(ACCOUNT, ""),
            &[b' '; 1 << 20],
            "RequestEntityTooLargeException",
        ),
        (
            "POST / HTTP/1.1".to_owned(),
            b"{}",
            "UnknownOperationException",
        ),
    ] {
        let answer = raw(&door.url, &head, body).await;
        assert!(
            answer.contains(&format!("x-amzn-errortype: {code}\r\n")),
            "{code}: {answer}"
        );
    }
    // who comes with a browser is led to the console
    let get = raw(&door.url, "GET / HTTP/1.1", b"").await;
    assert!(get.starts_with("HTTP/1.1 303"), "{get}");
    let put = raw(&door.url, "PUT / HTTP/1.1", b"").await;
    assert!(put.starts_with("HTTP/1.1 405"), "{put}");
}

#[tokio::test]
async fn who_asked_what_is_written_and_no_secret_is() {
    let mut door = door(quiet(), true, "").await;
    door.happens(ACCOUNT, 1, 60);
    door.happens(ACCOUNT, 2, 61);
    let ask = |token: Option<String>| {
        let ask = door.client("ONE").lookup_events().max_results(1);
        let name = by(LookupAttributeKey::ResourceName, "bucket");
        ask.lookup_attributes(name).set_next_token(token).send()
    };
    let page = ask(None).await.unwrap();
    ask(page.next_token().map(str::to_owned)).await.unwrap();
    let _ = door.client("NOBODY").lookup_events().send().await;
    let path = door._files.path().join("audit");
    door.stop.take().unwrap().send(()).unwrap();
    (&mut door.server).await.unwrap().unwrap();
    let written = fs::read_to_string(path).unwrap();
    assert!(!written.contains(SECRET) && !written.contains(page.next_token().unwrap()));
    let lines: Vec<serde_json::Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = lines.first().unwrap();
    for (key, value) in [
        ("caller", "one".into()),
        ("identity", "key".into()),
        ("method", "CloudTrail/LookupEvents".into()),
        ("code", "OK".into()),
        ("events", 1.into()),
    ] {
        let value: serde_json::Value = value;
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["asked"]["AccountId"], ACCOUNT);
    assert_eq!(
        line["asked"]["LookupAttributes"][0]["AttributeValue"],
        "bucket"
    );
    assert_eq!(lines[1]["asked"]["NextToken"], "...");
    assert_eq!(lines[2]["code"], "UnrecognizedClientException");
    assert!(lines[2].get("caller").is_none());
}
