//! Exports over real sockets.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};
use tonic::Code;
use tonic_types::StatusExt;
use trailgate::{
    client::Client,
    event::{LookupEvent, Scope},
    proto::v1::{self, ExportEventsRequest, ExportEventsResponse},
    simulator::{Fault, FaultKind, Faults},
};

use super::server::{ACCOUNT, REGION, World, quiet, world};

impl World {
    /// Events one a second, newest first; the records, with `size` bytes more.
    fn heavy(&self, count: usize, size: usize) -> Vec<String> {
        let scope = Scope::new(ACCOUNT, REGION);
        let one = |number: usize| {
            let id = format!("00000000-0000-4000-8000-{number:012}");
            let pad = "x".repeat(size);
            let record = format!("{{\"eventID\":\"{id}\",\"pad\":\"{pad}\"}}");
            let event = LookupEvent {
                event_id: Some(id),
                event_time: Some(self.now - 60 - number as i64),
                record: Some(record.clone()),
                ..LookupEvent::default()
            };
            assert_eq!(self.simulator.insert(&scope, event, None), 1);
            record
        };
        (0..count).map(one).collect()
    }

    async fn export(&mut self, request: ExportEventsRequest) -> Vec<ExportEventsResponse> {
        let mut stream = self
            .client
            .export_events(request)
            .await
            .unwrap()
            .into_inner();
        let mut responses = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            responses.push(response);
        }
        responses
    }
}

fn records(responses: &[ExportEventsResponse]) -> Vec<String> {
    let events = responses.iter().flat_map(|response| &response.events);
    events.map(|event| event.record.clone()).collect()
}

#[tokio::test]
async fn batches_are_bounded_by_bytes_and_by_count() {
    let mut world = world(quiet()).await;
    let expected = world.heavy(100, 100_000);
    let responses = world.export(ExportEventsRequest::default()).await;
    assert_eq!(records(&responses), expected);
    let most = 3 * 1024 * 1024;
    assert!(
        responses
            .iter()
            .all(|response| prost::Message::encoded_len(response) < most + 10_000)
    );
    // over three times 3 MiB of records, and the first response has none
    assert!(responses.len() >= 5, "{}", responses.len());
    let last = responses.last().unwrap();
    assert_eq!(last.next_page_token, "");
    assert_eq!(last.scopes[0].state(), v1::SearchState::Complete);
    for response in &responses[..responses.len() - 1] {
        assert_ne!(response.next_page_token, "");
        assert_eq!(response.scopes[0].reason, "IN_PROGRESS");
    }
    let calls = last.stats.unwrap().upstream_calls;
    assert_eq!(
        u64::try_from(calls).unwrap(),
        world.simulator.stats().requests
    );
    // BASIC is the same without records, and costs nothing now
    let basic = ExportEventsRequest {
        view: v1::EventView::Basic.into(),
        ..ExportEventsRequest::default()
    };
    let basic = world.export(basic).await;
    let bare = |responses: &[ExportEventsResponse]| -> Vec<v1::Event> {
        let events = responses
            .iter()
            .flat_map(|response| response.events.clone());
        events
            .map(|event| v1::Event {
                record: String::new(),
                ..event
            })
            .collect()
    };
    assert!(records(&basic).iter().all(String::is_empty));
    assert_eq!(bare(&basic), bare(&responses));
    assert_eq!(basic.last().unwrap().stats.unwrap().upstream_calls, 0);
}

#[tokio::test]
async fn a_token_of_another_question_and_a_negative_limit_are_refused() {
    let mut world = world(quiet()).await;
    world.heavy(3, 0);
    let token = world.export(ExportEventsRequest::default()).await[0]
        .next_page_token
        .clone();
    let other = ExportEventsRequest {
        page_token: token,
        view: v1::EventView::Basic.into(),
        ..ExportEventsRequest::default()
    };
    let negative = ExportEventsRequest {
        max_upstream_calls: -1,
        ..ExportEventsRequest::default()
    };
    let unknown = ExportEventsRequest {
        regions: vec!["eu-west-9".into()],
        ..ExportEventsRequest::default()
    };
    for (request, reason) in [
        (other, "INVALID_PAGE_TOKEN"),
        (negative, "NEGATIVE_VALUE"),
        (unknown, "UNKNOWN_SCOPE"),
    ] {
        let error = world.client.export_events(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.get_details_error_info().unwrap().reason, reason);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_its_place_back() {
    let mut options = quiet();
    options.faults = Faults::from_iter([Fault::Chance(FaultKind::Slow, 1.0)]);
    options.slow_by = Duration::from_millis(100);
    let mut world = world(options).await;
    world.heavy(5_000, 0);
    let mut open = Vec::new();
    // one caller may have half of the places
    for _ in 0..8 {
        let request = ExportEventsRequest::default();
        open.push(
            world
                .client
                .export_events(request)
                .await
                .unwrap()
                .into_inner(),
        );
    }
    let request = ExportEventsRequest::default();
    let refused = world
        .client
        .export_events(request.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "TOO_MANY_EXPORTS");
    // one of them is under way
    let stream = open.last_mut().unwrap();
    while stream.message().await.unwrap().unwrap().events.is_empty() {}
    drop(open);
    let mut again = loop {
        match world.client.export_events(request.clone()).await {
            Ok(stream) => break stream.into_inner(),
            Err(error) => assert_eq!(error.code(), Code::ResourceExhausted),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    again.message().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_the_stream_with_a_way_on() {
    let mut options = quiet();
    options.faults = Faults::from_iter([Fault::Chance(FaultKind::Slow, 1.0)]);
    options.slow_by = Duration::from_millis(200);
    let mut world = world(options).await;
    world.heavy(3_000, 0);
    let request = ExportEventsRequest::default();
    let mut stream = world
        .client
        .export_events(request)
        .await
        .unwrap()
        .into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_ne!(first.next_page_token, "");
    world.stop_server.take().unwrap().send(()).unwrap();
    let error = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(
        error.get_details_error_info().unwrap().reason,
        "SHUTTING_DOWN"
    );
    (&mut world.server).await.unwrap().unwrap();
}

/// Lets a connection through for so many bytes of answers, and then cuts it.
async fn cutting_proxy(listener: TcpListener, to: SocketAddr, bytes: u64) {
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(to).await.unwrap();
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (from_server, mut to_server) = server.into_split();
            let asking = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            let _ = copy(&mut from_server.take(bytes), &mut to_client).await;
            let _ = to_client.shutdown().await;
            asking.abort();
        });
    }
}

#[tokio::test]
async fn the_client_goes_on_where_the_connection_broke() {
    let world = world(quiet()).await;
    let expected = world.heavy(200, 50_000);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    tokio::spawn(cutting_proxy(listener, world.address, 4_000_000));
    let client = Client::new(&format!("http://{proxy}")).unwrap();
    let (told, mut breaks) = tokio::sync::mpsc::unbounded_channel();
    let mut export = client
        .export(ExportEventsRequest::default())
        .on_wait(move |_| told.send(()).unwrap());
    let mut found = Vec::new();
    while let Some(response) = export.next().await {
        found.push(response.unwrap());
    }
    assert_eq!(records(&found), expected);
    drop(export);
    let mut broken = 0;
    while breaks.recv().await.is_some() {
        broken += 1;
    }
    assert!(broken >= 2, "{broken}");
}
