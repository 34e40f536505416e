//! The server over a real socket, in process: from a request to AWS's wire and
//! back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, transport::Channel};
use tonic_types::StatusExt;
use trailgate::{
    app::Server,
    client::Client,
    clock::Clock,
    config::{Config, Settings},
    event::{LookupEvent, Scope},
    proto::v1::{self, LookupEventsRequest, event_service_client::EventServiceClient},
    simulator::{self, Fault, FaultKind, Faults, Options, Rate, Simulator},
};

pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const REGION: &str = "us-east-1";

pub(super) struct World {
    pub(super) simulator: Arc<Simulator>,
    pub(super) client: EventServiceClient<Channel>,
    pub(super) channel: Channel,
    pub(super) address: SocketAddr,
    pub(super) stop_server: Option<oneshot::Sender<()>>,
    pub(super) server: JoinHandle<Result<(), trailgate::app::Error>>,
    stop_simulator: CancellationToken,
    pub(super) now: i64,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_simulator.cancel();
    }
}

pub(super) async fn world(options: Options) -> World {
    world_with(options, |_| {}).await
}

/// A world whose server has other settings.
pub(super) async fn world_with(options: Options, change: impl FnOnce(&mut Settings)) -> World {
    let clock = Clock::system();
    let options = Options {
        accounts: vec![ACCOUNT.into()],
        ..options
    };
    let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop_simulator = CancellationToken::new();
    let stopped = stop_simulator.clone().cancelled_owned();
    tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
    let mut settings = Settings {
        listen: "127.0.0.1:0".parse().ok(),
        http_listen: "127.0.0.1:0".parse().ok(),
        aws_endpoint_url: Some(url),
        account: vec![ACCOUNT.into()],
        region: vec![REGION.into()],
        rate: Some(0.0),
        poll_interval: "100ms".parse().ok(),
        ..Settings::default()
    };
    change(&mut settings);
    let server = Server::start(Config::try_from(settings).unwrap());
    let server = Box::pin(server).await.unwrap();
    let channel = Channel::from_shared(format!("http://{}", server.grpc))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let address = server.grpc;
    let (stop_server, stopped) = oneshot::channel();
    let server = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    World {
        simulator,
        client: EventServiceClient::new(channel.clone()),
        channel,
        address,
        stop_server: Some(stop_server),
        server,
        stop_simulator,
        now: clock.now_secs(),
    }
}

pub(super) fn quiet() -> Options {
    Options {
        rate: Rate::default(),
        ..Options::default()
    }
}

impl World {
    /// An event so many seconds ago, and its record.
    pub(super) fn happens(&self, number: usize, ago: i64) -> String {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let record = format!(
            "{{ \"eventID\":\"{id}\",\"eventName\":\"Name{}\" }}",
            number % 3
        );
        let event = LookupEvent {
            event_id: Some(id),
            event_name: Some(format!("Name{}", number % 3)),
            event_time: Some(self.now - ago),
            record: Some(record.clone()),
            ..LookupEvent::default()
        };
        assert_eq!(
            self.simulator
                .insert(&Scope::new(ACCOUNT, REGION), event, None),
            1
        );
        record
    }
}

pub(super) fn filter(field: &str, operator: v1::Operator, values: &[&str]) -> v1::EventFilter {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    let field = field.to_owned();
    let m = v1::Match {
        field,
        operator: operator.into(),
        values,
        ..v1::Match::default()
    };
    v1::EventFilter { matches: vec![m] }
}

#[tokio::test]
async fn a_client_pages_through_everything() {
    let mut world = world(quiet()).await;
    let records: Vec<String> = (0..180)
        .map(|i| world.happens(i, 60 + i as i64 / 2))
        .collect();
    let mut request = LookupEventsRequest {
        page_size: 70,
        ..LookupEventsRequest::default()
    };
    let mut seen = Vec::new();
    let mut calls = 0;
    loop {
        let answer = world
            .client
            .lookup_events(request.clone())
            .await
            .unwrap()
            .into_inner();
        calls += answer.stats.unwrap().upstream_calls;
        assert!(answer.events.len() <= 70);
        assert_eq!(answer.scopes.len(), 1);
        seen.extend(answer.events.into_iter().map(|event| event.record));
        if answer.next_page_token.is_empty() {
            assert_eq!(answer.scopes[0].state(), v1::SearchState::Complete);
            break;
        }
        assert_eq!(answer.scopes[0].state(), v1::SearchState::Partial);
        request.page_token = answer.next_page_token;
    }
    let mut sorted = seen.clone();
    sorted.sort();
    let mut expected = records.clone();
    expected.sort();
    assert_eq!(sorted, expected);
    assert_eq!(
        u64::try_from(calls).unwrap(),
        world.simulator.stats().requests
    );
    // BASIC leaves the record out, and the cache answers
    let basic = LookupEventsRequest {
        filters: vec![filter("eventName", v1::Operator::Equals, &["Name1"])],
        view: v1::EventView::Basic.into(),
        page_size: 1000,
        ..LookupEventsRequest::default()
    };
    let answer = world
        .client
        .lookup_events(basic)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.events.len(), 60);
    assert!(answer.events.iter().all(|event| event.record.is_empty()));
    assert_eq!(answer.stats.unwrap().upstream_calls, 0);
}

#[tokio::test]
async fn an_event_is_got_by_its_id_or_not_found_once_all_was_searched() {
    let mut world = world(quiet()).await;
    let record = world.happens(7, 60);
    let get = |id: &str| v1::GetEventRequest {
        event_id: id.into(),
        ..v1::GetEventRequest::default()
    };
    let id = "00000000-0000-4000-8000-000000000007";
    let answer = world.client.get_event(get(id)).await.unwrap().into_inner();
    assert_eq!(answer.event.unwrap().record, record);
    assert_eq!(answer.stats.unwrap().upstream_calls, 1);
    let again = world.client.get_event(get(id)).await.unwrap().into_inner();
    assert_eq!(again.stats.unwrap().upstream_calls, 0);
    let missing = world.client.get_event(get("nobody")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(
        missing.get_details_error_info().unwrap().reason,
        "EVENT_NOT_FOUND"
    );
    let empty = world.client.get_event(get("")).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_stood_in_the_way_is_said_instead_of_not_found() {
    for (kind, code, reason) in [
        (
            FaultKind::DeniedRegion,
            Code::FailedPrecondition,
            "UPSTREAM_ACCESS_DENIED",
        ),
        (
            FaultKind::ExpiredCredentials,
            Code::FailedPrecondition,
            "UPSTREAM_CREDENTIALS",
        ),
        (
            FaultKind::Disconnect,
            Code::Unavailable,
            "UPSTREAM_UNAVAILABLE",
        ),
    ] {
        let faults = Faults::from_iter([Fault::Chance(kind, 1.0)]);
        let mut world = world(Options { faults, ..quiet() }).await;
        let get = v1::GetEventRequest {
            event_id: "x".into(),
            ..v1::GetEventRequest::default()
        };
        let error = world.client.get_event(get).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        let info = error.get_details_error_info().unwrap();
        assert_eq!(
            (info.domain.as_str(), info.reason.as_str()),
            ("trailgate", reason)
        );
        // neither AWS's message nor the key reaches a client
        assert!(!error.message().contains("arn:"), "{error:?}");
        let error = world
            .client
            .lookup_events(LookupEventsRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_used_name_the_field_and_what_would_do() {
    let mut world = world(quiet()).await;
    let d = LookupEventsRequest::default;
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let huge = "x".repeat(2_000_000);
    for (request, field, part) in [
        (
            LookupEventsRequest {
                filters: vec![filter("eventNam", v1::Operator::Equals, &["x"])],
                ..d()
            },
            "filters[0].matches[0].field",
            "eventName",
        ),
        (
            LookupEventsRequest {
                filters: vec![filter("eventName", v1::Operator::Regex, &["("])],
                ..d()
            },
            "filters[0].matches[0].values[0]",
            "(",
        ),
        (
            LookupEventsRequest {
                filters: vec![v1::EventFilter {
                    matches: vec![v1::Match {
                        operator: 99,
                        ..v1::Match::default()
                    }],
                }],
                ..d()
            },
            "filters[0].matches[0].operator",
            "99",
        ),
        (
            LookupEventsRequest {
                page_size: -1,
                ..d()
            },
            "page_size",
            "1 to 1000",
        ),
        (
            LookupEventsRequest {
                page_size: 1001,
                ..d()
            },
            "page_size",
            "1 to 1000",
        ),
        (
            LookupEventsRequest {
                page_token: "garbage".into(),
                ..d()
            },
            "page_token",
            "first page",
        ),
        (
            LookupEventsRequest {
                start_time: at(20, 0),
                end_time: at(10, 0),
                ..d()
            },
            "start_time",
            "end_time",
        ),
        (
            LookupEventsRequest {
                end_time: at(10, -1),
                ..d()
            },
            "end_time",
            "-1",
        ),
        (
            LookupEventsRequest {
                max_staleness: Some(prost_types::Duration {
                    seconds: -5,
                    nanos: 0,
                }),
                ..d()
            },
            "max_staleness",
            "-5",
        ),
        (
            LookupEventsRequest {
                max_upstream_calls: -2,
                ..d()
            },
            "max_upstream_calls",
            "-2",
        ),
        (LookupEventsRequest { order: 7, ..d() }, "order", "7"),
        (
            LookupEventsRequest {
                account_ids: vec!["1".into()],
                ..d()
            },
            "account_ids[0]",
            ACCOUNT,
        ),
        (
            LookupEventsRequest {
                regions: vec!["mars-1".into()],
                ..d()
            },
            "regions[0]",
            REGION,
        ),
        (
            LookupEventsRequest {
                filters: vec![filter("eventName", v1::Operator::Equals, &[&huge])],
                ..d()
            },
            "filters",
            "1048576",
        ),
    ] {
        let error = world.client.lookup_events(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{field}: {error:?}");
        let violations = error.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field, "{error:?}");
        assert!(violations[0].description.contains(part), "{error:?}");
        assert_eq!(error.get_details_error_info().unwrap().domain, "trailgate");
    }
    assert_eq!(world.simulator.stats().requests, 0, "nothing was asked");
}

#[tokio::test]
async fn reports_of_a_server_without_an_archive_are_none() {
    let world = world(quiet()).await;
    let client = Client::from_channel(world.channel.clone());
    let listed = client.list_reports(Duration::from_secs(20)).await;
    let run = client.run_report(v1::RunReportRequest::default()).await;
    for error in [listed.map(|_| ()), run.map(|_| ())] {
        let error = error.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{error:?}");
        assert_eq!(error.get_details_error_info().unwrap().reason, "NO_REPORTS");
        assert!(error.message().contains("--archive"), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_of_another_request_is_refused() {
    let mut world = world(quiet()).await;
    for i in 0..9 {
        world.happens(i, 60 + i as i64);
    }
    let request = LookupEventsRequest {
        page_size: 3,
        ..LookupEventsRequest::default()
    };
    let first = world
        .client
        .lookup_events(request.clone())
        .await
        .unwrap()
        .into_inner();
    let next = LookupEventsRequest {
        page_token: first.next_page_token,
        ..request
    };
    let other = LookupEventsRequest {
        order: v1::Order::OldestFirst.into(),
        ..next.clone()
    };
    let error = world.client.lookup_events(other).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let field = &error.get_details_bad_request().unwrap().field_violations[0].field;
    assert_eq!(field, "page_token");
    // the size of a page may change
    let answer = world
        .client
        .lookup_events(LookupEventsRequest {
            page_size: 5,
            ..next
        })
        .await;
    assert_eq!(answer.unwrap().into_inner().events.len(), 5);
}

#[tokio::test]
async fn a_deadline_gives_what_was_searched_by_then() {
    let mut options = quiet();
    options.faults = Faults::from_iter([Fault::Chance(FaultKind::Slow, 1.0)]);
    options.slow_by = Duration::from_millis(400);
    let mut world = world(options).await;
    for i in 0..300 {
        world.happens(i, 60 + i as i64);
    }
    let mut request = Request::new(LookupEventsRequest {
        page_size: 1000,
        ..Default::default()
    });
    request.set_timeout(Duration::from_millis(1_500));
    let answer = world
        .client
        .lookup_events(request)
        .await
        .unwrap()
        .into_inner();
    assert!(
        !answer.events.is_empty() && answer.events.len() < 300,
        "{}",
        answer.events.len()
    );
    assert_eq!(answer.scopes[0].reason, "DEADLINE");
    assert_ne!(answer.next_page_token, "");
}

#[tokio::test]
async fn told_to_stop_it_lets_calls_finish() {
    let mut options = quiet();
    options.faults = Faults::from_iter([Fault::Chance(FaultKind::Slow, 1.0)]);
    options.slow_by = Duration::from_millis(500);
    let mut world = world(options).await;
    world.happens(0, 60);
    let mut client = world.client.clone();
    let call =
        tokio::spawn(async move { client.lookup_events(LookupEventsRequest::default()).await });
    while world.simulator.stats().requests == 0 {
        tokio::task::yield_now().await;
    }
    world.stop_server.take().unwrap().send(()).unwrap();
    let answer = call.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.events.len(), 1);
    let stopped = (&mut world.server).await.unwrap();
    assert!(stopped.is_ok(), "{stopped:?}");
    let error = world
        .client
        .lookup_events(LookupEventsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn whoever_watches_health_does_not_hold_the_end_up() {
    let mut world = world(quiet()).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest {
        service: String::new(),
    };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    world.stop_server.take().unwrap().send(()).unwrap();
    // the grace period is 30 seconds
    let ended = tokio::time::timeout(Duration::from_secs(15), &mut world.server).await;
    assert!(ended.is_ok(), "still up");
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_word_does_not_hold_the_end_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut world = world(quiet()).await;
    let connect = || tokio::net::TcpStream::connect(world.address);
    let _silent = connect().await.unwrap();
    let mut half = connect().await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut no_more = connect().await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    no_more.write_all(preface).await.unwrap();
    // another protocol is no call
    let mut other = connect().await.unwrap();
    other
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = other.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1"));
    let request = LookupEventsRequest::default();
    assert!(world.client.lookup_events(request).await.is_ok());
    world.stop_server.take().unwrap().send(()).unwrap();
    // the grace period is 30 seconds
    let ended = tokio::time::timeout(Duration::from_secs(15), &mut world.server).await;
    assert!(ended.is_ok(), "still up");
}
