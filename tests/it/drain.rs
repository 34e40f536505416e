//! How connections and streams end, over sockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tonic::{Code, Streaming, transport::Channel};
use tonic_types::StatusExt;
use trailgate::proto::v1::{
    ListScopesRequest, SubscribeEventsRequest, SubscribeEventsResponse,
    event_service_client::EventServiceClient, scope_service_client::ScopeServiceClient,
    subscribe_events_request::Start, subscribe_events_response::Payload,
};

use super::server::{World, quiet, world, world_with};

/// Longer than anything here takes, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

type Stream = Streaming<SubscribeEventsResponse>;

/// A way to the server that counts connections.
struct Way {
    channel: Channel,
    connections: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self {
            channel: Channel::from_shared(url).unwrap().connect_lazy(),
            connections,
        }
    }

    /// One that is refused for a connection that just ends is tried again.
    async fn subscribe(&self, start: Option<Start>) -> Stream {
        let mut client = EventServiceClient::new(self.channel.clone());
        let subscribed = async {
            loop {
                let request = SubscribeEventsRequest {
                    start: start.clone(),
                    ..SubscribeEventsRequest::default()
                };
                if let Ok(stream) = client.subscribe_events(request).await {
                    return stream.into_inner();
                }
            }
        };
        timeout(PATIENCE, subscribed).await.unwrap()
    }

    /// Calls until there was one more connection.
    async fn reconnects(&self) {
        let before = self.connections.load(Relaxed);
        let mut scopes = ScopeServiceClient::new(self.channel.clone());
        let reconnected = async {
            while self.connections.load(Relaxed) == before {
                let _ = scopes.list_scopes(ListScopesRequest::default()).await;
            }
        };
        timeout(PATIENCE, reconnected).await.unwrap();
    }
}

/// The records that come until the stream ends, the last token, and why it ends.
async fn rest(mut stream: Stream) -> (Vec<String>, SubscribeEventsResponse, tonic::Status) {
    let (mut records, mut last) = (Vec::new(), None);
    loop {
        match timeout(PATIENCE, stream.message()).await.unwrap() {
            Ok(Some(mut response)) => {
                if let Some(Payload::Batch(batch)) = &mut response.payload {
                    records.extend(batch.events.drain(..).map(|event| event.record));
                }
                last = Some(response);
            }
            Ok(None) => panic!("it ended well"),
            Err(status) => return (records, last.unwrap(), status),
        }
    }
}

/// The next record.
async fn record(stream: &mut Stream) -> String {
    loop {
        let response = timeout(PATIENCE, stream.message()).await.unwrap();
        if let Some(Payload::Batch(batch)) = response.unwrap().unwrap().payload {
            assert_eq!(batch.events.len(), 1);
            return batch.events[0].record.clone();
        }
    }
}

/// Until what was there before is known.
async fn is_collected(world: &World) {
    let mut scopes = ScopeServiceClient::new(world.channel.clone());
    let collected = async {
        loop {
            let request = ListScopesRequest::default();
            let Ok(listed) = scopes.list_scopes(request).await else {
                continue;
            };
            let state = listed.into_inner().scopes[0].collector_state();
            if state.as_str_name() == "COLLECTOR_STATE_COLLECTING" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, collected).await.unwrap();
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn the_last_that_a_subscription_tells_on_shutdown_is_how_it_goes_on() {
    let mut world = world(quiet()).await;
    let way = Way::to(world.address).await;
    let mut stream = way.subscribe(None).await;
    is_collected(&world).await;
    let told = world.happens(1, -1);
    assert_eq!(record(&mut stream).await, told);
    world.stop_server.take().unwrap().send(()).unwrap();
    let (records, last, status) = rest(stream).await;
    assert!(records.is_empty(), "{records:?}");
    assert!(matches!(last.payload, Some(Payload::Progress(_))));
    assert!(!last.resume_token.is_empty());
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_connection_of_age_takes_no_calls_and_its_streams_go_on() {
    let world = world_with(quiet(), |settings| {
        settings.max_connection_age = "2s".parse().ok();
        settings.shutdown_grace = "1h".parse().ok();
    })
    .await;
    let way = Way::to(world.address).await;
    let mut stream = way.subscribe(None).await;
    is_collected(&world).await;
    way.reconnects().await;
    let told = world.happens(1, -1);
    assert_eq!(record(&mut stream).await, told);
}

#[tokio::test]
async fn subscriptions_leave_a_connection_of_age_and_go_on_over_another() {
    let world = world_with(quiet(), |settings| {
        settings.max_connection_age = "2s".parse().ok();
        settings.shutdown_grace = "0".parse().ok();
    })
    .await;
    let way = Way::to(world.address).await;
    let (mut start, mut told, mut happened) = (None, Vec::new(), Vec::new());
    let follow = async {
        while happened.len() < 3 || told.len() < happened.len() {
            let stream = way.subscribe(start).await;
            is_collected(&world).await;
            if happened.len() < 3 {
                happened.push(world.happens(happened.len(), -1));
            }
            let (records, last, status) = rest(stream).await;
            told.extend(records);
            assert!(matches!(last.payload, Some(Payload::Progress(_))));
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(reason(&status), "CONNECTION_AGE");
            start = Some(Start::ResumeToken(last.resume_token));
        }
    };
    timeout(PATIENCE, follow).await.unwrap();
    assert_eq!(told, happened);
}
