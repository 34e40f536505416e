//! The AWS adapter over a real socket: what AWS refuses with arrives as what
//! can be done about it.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trailgate::{
    clock::Clock,
    event::{Attribute, AttributeKey, Category, LookupEvent, Scope, TimeRange},
    simulator::{self, Fault, FaultKind, Faults, Options, Rate, Simulator},
    upstream::{Aws, AwsOptions, CloudTrail, ErrorKind, PageRequest, Signing},
};

const ACCOUNT: &str = "111122223333";

struct World {
    aws: Aws,
    simulator: Arc<Simulator>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn world(options: Options) -> World {
    let options = Options {
        accounts: vec![ACCOUNT.into()],
        ..options
    };
    let simulator = Arc::new(Simulator::new(options, Clock::system(), Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
    World {
        aws: aws(url).await,
        simulator,
        stop,
    }
}

async fn aws(url: String) -> Aws {
    Aws::load(AwsOptions {
        endpoint_url: Some(url),
        signing: Signing::Simulator,
        region: Some("us-east-1".into()),
        ..AwsOptions::default()
    })
    .await
}

fn scope() -> Scope {
    Scope::new(ACCOUNT, "eu-west-1")
}

fn request() -> PageRequest {
    let now = Clock::system().now_secs();
    PageRequest {
        category: Category::Management,
        attribute: None,
        range: TimeRange::new(now - 3_600, now + 1),
        token: None,
    }
}

fn fault(kind: FaultKind) -> Options {
    Options {
        faults: Faults::from_iter([Fault::Chance(kind, 1.0)]),
        ..Options::default()
    }
}

#[tokio::test]
async fn events_arrive_whole() {
    let world = world(Options {
        rate: Rate::default(),
        ..Options::default()
    })
    .await;
    let now = Clock::system().now_secs();
    let record = "{ \"eventID\" : \"1\", \"n\": 1.50, \"ü\": \"\\u00fc\" }";
    let event = LookupEvent {
        event_id: Some("1".into()),
        event_name: Some("RunInstances".into()),
        event_time: Some(now - 60),
        username: Some("alice".into()),
        read_only: Some("false".into()),
        record: Some(record.into()),
        ..LookupEvent::default()
    };
    world.simulator.insert(&scope(), event.clone(), None);
    let page = world.aws.lookup_events(&scope(), &request()).await.unwrap();
    assert_eq!(page.events.first(), Some(&event));
    assert_eq!(page.next_token, None);
    let by_name = |value| PageRequest {
        attribute: Some(Attribute::new(AttributeKey::EventName, value)),
        ..request()
    };
    let page = world
        .aws
        .lookup_events(&scope(), &by_name("RunInstances"))
        .await
        .unwrap();
    assert_eq!(page.events, [event]);
    let page = world
        .aws
        .lookup_events(&scope(), &by_name("runinstances"))
        .await
        .unwrap();
    assert_eq!(page.events, []);
    let insight = PageRequest {
        category: Category::Insight,
        ..request()
    };
    assert_eq!(
        world
            .aws
            .lookup_events(&scope(), &insight)
            .await
            .unwrap()
            .events,
        []
    );
    let elsewhere = Scope::new(ACCOUNT, "us-east-1");
    assert_eq!(
        world
            .aws
            .lookup_events(&elsewhere, &request())
            .await
            .unwrap()
            .events,
        []
    );
}

#[tokio::test]
async fn refusals_are_sorted_by_what_can_be_done() {
    for (kind, expected, code) in [
        (
            FaultKind::Throttle,
            ErrorKind::Throttled,
            "ThrottlingException",
        ),
        (
            FaultKind::DeniedRegion,
            ErrorKind::Denied,
            "AccessDeniedException",
        ),
        (
            FaultKind::ExpiredCredentials,
            ErrorKind::Credentials,
            "ExpiredTokenException",
        ),
    ] {
        let world = world(fault(kind)).await;
        let error = world
            .aws
            .lookup_events(&scope(), &request())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_str()),
            (expected, code),
            "{error}"
        );
    }
    for kind in [FaultKind::ServerError, FaultKind::Disconnect] {
        let world = world(fault(kind)).await;
        let error = world
            .aws
            .lookup_events(&scope(), &request())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient, "{kind}: {error}");
        let operation = &world.simulator.stats().operation(&scope(), "LookupEvents");
        assert_eq!(operation.requests, 1, "the SDK's own retries are off");
    }
    let world = world(Options::default()).await;
    let garbage = PageRequest {
        token: Some("garbage".into()),
        ..request()
    };
    let error = world
        .aws
        .lookup_events(&scope(), &garbage)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidToken, "{error}");
    let backwards = PageRequest {
        range: TimeRange::new(1_000, 500),
        ..request()
    };
    let error = world
        .aws
        .lookup_events(&scope(), &backwards)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_gone() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let aws = aws(format!("http://{free}")).await;
    let error = aws.lookup_events(&scope(), &request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Gone, "{error}");
}

#[tokio::test]
async fn the_account_is_that_of_the_keys() {
    let world = world(Options::default()).await;
    assert_eq!(
        world.aws.caller_account("us-east-1").await.unwrap(),
        ACCOUNT
    );
    assert_eq!(world.aws.default_region().as_deref(), Some("us-east-1"));
    let refused = Duration::from_secs(5);
    let answer = tokio::time::timeout(refused, world.aws.caller_account("eu-west-1")).await;
    assert!(answer.is_ok());
}
