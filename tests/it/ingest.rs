//! `IngestEvents` over a socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::stream;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use trailgate::proto::v1::{
    IngestEventsRequest, IngestEventsResponse, IngestFileEnd, IngestFileStart, IngestedFile,
    SubscribeEventsRequest, SubscribeEventsResponse, ingest_events_request::Step,
    ingest_events_response::Payload, subscribe_events_response,
};

use super::server::{ACCOUNT, World, quiet, world};

/// Longer than anything here takes, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

fn step(step: Step) -> IngestEventsRequest {
    IngestEventsRequest { step: Some(step) }
}

fn start(name: &str) -> IngestEventsRequest {
    let name = name.to_owned();
    step(Step::Start(IngestFileStart { name }))
}

fn data(bytes: impl Into<Vec<u8>>) -> IngestEventsRequest {
    step(Step::Data(bytes.into()))
}

fn end() -> IngestEventsRequest {
    step(Step::End(IngestFileEnd::default()))
}

/// A log file that is not packed.
fn file(numbers: std::ops::Range<usize>) -> String {
    let records: Vec<_> = numbers
        .map(|number| {
            format!(
                "{{\"eventID\":\"00000000-0000-4000-8000-{number:012}\",\"eventTime\":\
                 \"2020-01-01T00:00:00Z\",\"eventName\":\"Old\",\"awsRegion\":\"eu-west-1\",\
                 \"recipientAccountId\":\"{ACCOUNT}\"}}"
            )
        })
        .collect();
    format!("{{\"Records\":[{}]}}", records.join(","))
}

impl World {
    async fn ingest(
        &mut self,
        steps: Vec<IngestEventsRequest>,
    ) -> Result<Vec<IngestedFile>, Status> {
        let answer = self.client.ingest_events(stream::iter(steps)).await?;
        let mut responses = answer.into_inner();
        let mut files = Vec::new();
        while let Some(response) = next(&mut responses).await? {
            if let Some(Payload::File(file)) = response.payload {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// What it is refused with.
    async fn refused(&mut self, steps: Vec<IngestEventsRequest>) -> (Code, String) {
        reason(&self.ingest(steps).await.unwrap_err())
    }
}

async fn next(
    responses: &mut Streaming<IngestEventsResponse>,
) -> Result<Option<IngestEventsResponse>, Status> {
    timeout(PATIENCE, responses.message()).await.unwrap()
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "trailgate");
    (status.code(), info.reason)
}

/// Events by record, until so many have come.
async fn told(
    stream: &mut Streaming<SubscribeEventsResponse>,
    count: usize,
) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    while told.len() < count {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
        match response.unwrap().payload.unwrap() {
            subscribe_events_response::Payload::Batch(batch) => {
                for event in batch.events {
                    *told.entry(event.event_id).or_default() += 1;
                }
            }
            subscribe_events_response::Payload::Progress(_) => {}
            subscribe_events_response::Payload::Gap(gap) => panic!("{gap:?}"),
        }
    }
    told
}

#[tokio::test]
async fn a_subscriber_is_told_each_event_once_and_each_file_is_answered() {
    let mut world = world(quiet()).await;
    let request = SubscribeEventsRequest::default();
    let stream = world.client.subscribe_events(request).await.unwrap();
    let mut stream = stream.into_inner();
    timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    let whole = file(0..500);
    let (first, second) = whole.split_at(whole.len() / 3);
    let cut = file(500..510);
    let cut = cut.strip_suffix('}').unwrap();
    let steps = vec![
        start("one"),
        data(first),
        data(second),
        end(),
        start("cut"),
        data(cut),
        end(),
        start("three"),
        data(file(505..520)),
        end(),
    ];
    let files = world.ingest(steps.clone()).await.unwrap();
    let of = |file: &IngestedFile| {
        let counts = file.counts.unwrap();
        assert_eq!(counts.records, counts.new_events + counts.known_events);
        (
            file.name.clone(),
            counts.new_events,
            counts.known_events,
            file.fault.clone(),
        )
    };
    let wanted = [
        ("one", 500, 0, ""),
        ("cut", 10, 0, "TRUNCATED"),
        ("three", 10, 5, ""),
    ];
    let wanted =
        wanted.map(|(name, new, known, fault)| (name.to_owned(), new, known, fault.to_owned()));
    assert_eq!(files.iter().map(of).collect::<Vec<_>>(), wanted);
    assert!(!files[1].message.is_empty());
    for file in world.ingest(steps).await.unwrap() {
        assert_eq!(file.counts.unwrap().new_events, 0, "{file:?}");
    }
    // what comes behind all of that shows that nothing comes again
    let last = vec![start("last"), data(file(520..521)), end()];
    world.ingest(last).await.unwrap();
    let told = told(&mut stream, 521).await;
    assert!(told.values().all(|often| *often == 1));
    let ids: BTreeSet<_> = told.into_keys().collect();
    let all = (0..521).map(|number| format!("00000000-0000-4000-8000-{number:012}"));
    assert_eq!(ids, all.collect());
}

#[tokio::test]
async fn what_is_out_of_order_or_too_large_is_refused() {
    let mut world = world(quiet()).await;
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    let order = invalid("INGEST_OUT_OF_ORDER");
    assert_eq!(world.refused(vec![data("x")]).await, order);
    assert_eq!(world.refused(vec![end()]).await, order);
    assert_eq!(world.refused(vec![start("a"), start("b")]).await, order);
    let empty = IngestEventsRequest::default();
    assert_eq!(world.refused(vec![empty]).await, order);
    let open = vec![start("a"), data("{\"Records\":[")];
    assert_eq!(world.refused(open).await, invalid("FILE_NOT_ENDED"));
    let long = vec![start(&"a".repeat(1025))];
    assert_eq!(world.refused(long).await, invalid("NAME_TOO_LONG"));
    for bytes in [(512 << 10) + 1, 2 << 20] {
        let large = vec![start("a"), data(vec![b' '; bytes])];
        assert_eq!(world.refused(large).await, invalid("CHUNK_TOO_LARGE"));
    }
}

#[tokio::test]
async fn places_are_bounded_and_given_back_and_shutdown_ends_all() {
    let mut world = world(quiet()).await;
    let mut open = Vec::new();
    // half of the places, which one caller may have
    for _ in 0..4 {
        let (to, mut from) = mpsc::channel::<IngestEventsRequest>(1);
        let requests = stream::poll_fn(move |context| from.poll_recv(context));
        let responses = world.client.ingest_events(requests).await.unwrap();
        open.push((to, responses.into_inner()));
    }
    let steps = || vec![start("a"), data(file(0..1)), end()];
    let refused = world.refused(steps()).await;
    let too_many = (Code::ResourceExhausted, "TOO_MANY_INGESTS".to_owned());
    assert_eq!(refused, too_many);
    let (to, mut responses) = open.pop().unwrap();
    drop(to);
    assert!(next(&mut responses).await.unwrap().is_none());
    assert_eq!(world.ingest(steps()).await.unwrap().len(), 1);
    world.stop_server.take().unwrap().send(()).unwrap();
    for (_to, mut responses) in open {
        let status = next(&mut responses).await.unwrap_err();
        let wanted = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
        assert_eq!(reason(&status), wanted);
    }
}
