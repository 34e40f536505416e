mod chaos;
mod failures;
mod fake_queue;
mod fakes;
mod stay;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    fake_queue::FakeQueue,
    fakes::{FakeBuckets, FakeReaders, FakeSink, Step, lines},
};
use super::*;
use crate::{
    collect::{object_key::Kind, source_filter::Skip},
    event::{Category, Origin, Scope, TimeRange},
};

/// A world, and a collector in it.
struct World {
    queue: Arc<FakeQueue>,
    buckets: Arc<FakeBuckets>,
    sink: Arc<FakeSink>,
    collector: Queue,
    stop: CancellationToken,
    run: Option<JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        Self::with(Options::default(), SourceFilter::default())
    }

    fn with(options: Options, filter: SourceFilter) -> Self {
        let (queue, buckets, sink) = (Arc::default(), Arc::default(), Arc::default());
        Self::among(queue, buckets, sink, options, filter)
    }

    fn among(
        queue: Arc<FakeQueue>,
        buckets: Arc<FakeBuckets>,
        sink: Arc<FakeSink>,
        options: Options,
        filter: SourceFilter,
    ) -> Self {
        let ports = Ports {
            messages: Arc::clone(&queue) as Arc<dyn Messages>,
            objects: Arc::clone(&buckets) as Arc<dyn Objects>,
            readers: Arc::new(FakeReaders),
            sink: Arc::clone(&sink) as Arc<dyn Sink>,
        };
        let clock = Clock::at("2024-05-06T08:00:00Z".parse().unwrap());
        Self {
            queue,
            buckets,
            sink,
            collector: Queue::new(ports, filter, options, clock),
            stop: CancellationToken::new(),
            run: None,
        }
    }

    fn start(&mut self) {
        self.start_with(Duration::from_secs(10));
    }

    fn start_with(&mut self, grace: Duration) {
        let (collector, stop) = (self.collector.clone(), self.stop.clone());
        self.run = Some(tokio::spawn(
            async move { collector.run(stop, grace).await },
        ));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(run) = self.run.take() {
            run.await.unwrap();
        }
    }

    /// It dies where it stands.
    async fn crash(&mut self) {
        if let Some(run) = self.run.take() {
            run.abort();
            assert!(run.await.unwrap_err().is_cancelled());
        }
    }

    /// Waits until nothing is in the queue any more.
    async fn drained(&self) {
        self.until(|world| world.queue.is_empty()).await;
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(24 * 3600), async {
            while !is_so(self) {
                sleep(Duration::from_millis(500)).await;
            }
        });
        assert!(waited.await.is_ok(), "{:?}", self.collector);
    }

    fn counts(&self) -> Counts {
        self.collector.snapshot().counts
    }
}

/// The key of the file with this number.
fn key(number: u32) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/06/111122223333_CloudTrail_eu-west-1_20240506T0708Z_{number:016}.json.gz"
    )
}

/// 2024-05-06T07:08:00Z
const DELIVERED: i64 = 1_714_979_280;

fn record(id: &str) -> String {
    format!("{{\"eventID\":\"{id}\",\"eventTime\":\"2024-05-06T07:00:00Z\"}}\n")
}

/// A message as CloudTrail sends it to a topic.
fn announce(keys: &[String]) -> String {
    let keys = serde_json::to_string(keys).unwrap();
    let message = format!("{{\"s3Bucket\":\"b\",\"s3ObjectKey\":{keys}}}");
    let message = serde_json::to_string(&message).unwrap();
    format!("{{\"Type\":\"Notification\",\"TopicArn\":\"t\",\"Message\":{message}}}")
}

/// A message as S3 sends it.
fn created(key: &str, etag: &str) -> String {
    format!(
        "{{\"Records\":[{{\"eventName\":\"ObjectCreated:Put\",\"s3\":{{\"bucket\":{{\"name\":\"b\"}},\"object\":{{\"key\":\"{key}\",\"eTag\":\"{etag}\"}}}}}}]}}"
    )
}

#[tokio::test(start_paused = true)]
async fn files_are_read_handed_on_and_their_messages_deleted() {
    let mut world = World::new();
    world.sink.keeps_batches.store(true, Relaxed);
    let insight = key(3).replace("CloudTrail", "CloudTrail-Insight");
    let aggregated = key(4).replace("CloudTrail", "CloudTrail-Aggregated");
    let content = format!("{}not json\n{}", record("a"), record("b"));
    world.buckets.put(&key(1), lines(&content));
    world.buckets.put(&key(2), lines(&record("c")));
    world.buckets.put(&insight, lines(&record("i")));
    world.buckets.put(&aggregated, lines(&record("s")));
    world.queue.send(&announce(&[key(1), key(2)]));
    world.queue.send(&announce(&[insight.clone(), aggregated]));
    world.start();
    world.drained().await;
    for (id, times) in [("a", 1), ("b", 1), ("c", 1), ("i", 1), ("s", 1), ("", 1)] {
        assert_eq!(world.sink.came(id), times, "{id}");
    }
    let counts = world.counts();
    let want = (2, 2, 4, 6, 1);
    let Counts {
        messages,
        deleted,
        objects,
        events,
        malformed,
        ..
    } = counts;
    assert_eq!((messages, deleted, objects, events, malformed), want);
    let mut ingested = world.sink.ingested.lock().unwrap().clone();
    ingested.sort();
    assert_eq!(ingested.len(), 4);
    for batch in &*world.sink.batches.lock().unwrap() {
        let Source::File(object, kind) = &batch.source else {
            panic!("{batch:?}");
        };
        let category = match () {
            () if object.key == insight => Some(Category::Insight),
            () if object.key.contains("Aggregated") => None,
            () => Some(Category::Management),
        };
        assert_eq!((batch.category, kind.category()), (category, category));
        for event in &batch.events {
            assert_eq!(event.scope(), Scope::new("111122223333", "eu-west-1"));
            assert_eq!(event.origin(), Origin::LogFile);
            if event.is_malformed() {
                // a record that does not parse is an event all the same
                assert_eq!((event.record(), event.time), ("not json", DELIVERED));
            }
        }
    }
    let snapshot = world.collector.snapshot();
    assert_eq!(snapshot.state, State::Receiving);
    let at = snapshot.last_message_at.unwrap();
    assert_eq!(at, "2024-05-06T08:00:00Z".parse().unwrap());
    world.stop().await;
    assert_eq!(world.collector.snapshot().state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_same_file_by_two_routes_and_twice_is_read_once() {
    let mut world = World::new();
    let slow = [
        lines(&record("a")),
        vec![Step::Wait(Duration::from_secs(30))],
    ];
    world.buckets.put(&key(1), slow.concat());
    world.queue.send(&announce(&[key(1), key(1)]));
    world.queue.send(&created(&key(1), "e"));
    world.start();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(world.queue.deleted.lock().unwrap().len(), 0);
    assert_eq!(world.collector.snapshot().messages_now, 2);
    world.drained().await;
    // afterwards, too
    world.queue.send(&created(&key(1), "e"));
    world.drained().await;
    assert_eq!((world.buckets.gets(&key(1)), world.sink.came("a")), (1, 1));
    assert_eq!(world.counts().duplicates, 2);
    // written anew
    world.queue.send(&created(&key(1), "f"));
    world.queue.send(&created(&key(1), "g"));
    world.drained().await;
    assert_eq!(world.buckets.gets(&key(1)), 3);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_of_event_bridges_is_handed_on_as_it_came() {
    let filter = SourceFilter {
        accounts: ["111122223333".to_owned()].into(),
        ..SourceFilter::default()
    };
    let mut world = World::with(Options::default(), filter);
    world.sink.keeps_batches.store(true, Relaxed);
    let send = |account: &str, detail: &str| {
        world.queue.send(&format!(
            "{{\"detail-type\":\"AWS API Call via CloudTrail\",\"account\":\"{account}\",\"region\":\"eu-west-1\",\"time\":\"2024-05-06T07:00:00Z\",\"detail\":{detail}}}"
        ));
    };
    let record = "{ \"eventID\": \"e\", \"n\":1.0 }";
    send("111122223333", record);
    send("444455556666", "{\"eventID\":\"other\"}");
    send(
        "444455556666",
        "{\"eventID\":\"mine\",\"recipientAccountId\":\"111122223333\",\"eventCategory\":\"NetworkActivity\"}",
    );
    world.start();
    world.drained().await;
    world.stop().await;
    let mut batches = world.sink.batches.lock().unwrap().clone();
    batches.sort_by_key(|batch| batch.events[0].id().to_owned());
    let [first, second] = &batches[..] else {
        panic!("two batches");
    };
    assert_eq!(first.source, Source::EventBridge);
    let event = &first.events[0];
    assert_eq!(
        (event.record(), event.origin()),
        (record, Origin::EventBridge)
    );
    assert_eq!(event.time, DELIVERED - 480);
    assert_eq!(first.category, Some(Category::Management));
    assert_eq!((second.events[0].id(), second.category), ("mine", None));
    assert_eq!(world.collector.skips().count(Skip::Account), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_collected_is_done_and_counted() {
    let filter = SourceFilter {
        regions: ["eu-west-1".to_owned()].into(),
        ..SourceFilter::default()
    };
    let mut world = World::with(Options::default(), filter);
    let elsewhere = key(2).replace("eu-west-1", "us-east-1");
    world
        .queue
        .send(&announce(&["readme.txt".into(), elsewhere]));
    world.queue.send("CloudTrail validation message.");
    world
        .queue
        .send("{\"Type\":\"SubscriptionConfirmation\",\"TopicArn\":\"t\",\"SubscribeURL\":\"u\"}");
    world.start();
    world.drained().await;
    world.stop().await;
    assert_eq!(world.collector.skips().count(Skip::NoTrail), 1);
    assert_eq!(world.collector.skips().count(Skip::Region), 1);
    assert_eq!((world.counts().skipped, world.counts().nothing), (2, 2));
    assert_eq!(world.collector.snapshot().unconfirmed, ["t"]);
    assert!(world.buckets.gets.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_read_and_what_it_names_can_be_too() {
    let mut world = World::new();
    let at = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2024/05/06/111122223333_CloudTrail-Digest_eu-west-1_t_us-east-1_20240506T070000Z.json.gz";
    let digest = format!(
        "{{\"awsAccountId\":\"111122223333\",\"digestStartTime\":\"2024-05-06T06:00:00Z\",\"digestEndTime\":\"2024-05-06T07:00:00Z\",\"digestS3Bucket\":\"b\",\"digestS3Object\":\"{at}\",\"logFiles\":[{{\"s3Bucket\":\"b\",\"s3Object\":\"{}\"}}]}}",
        key(1)
    );
    world.buckets.put(at, lines(&digest));
    world.buckets.put(&key(1), lines(&record("a")));
    world.queue.send(&announce(&[at.to_owned()]));
    world.start();
    world.drained().await;
    let digests = world.sink.digests.lock().unwrap().clone();
    assert_eq!(digests.len(), 1);
    let named = &digests[0].files[0].object;
    assert_eq!(world.collector.read(named).await, Outcome::Done);
    assert_eq!((world.sink.came("a"), world.counts().digests), (1, 1));
    // its own message comes late
    world.queue.send(&announce(&[key(1)]));
    world.drained().await;
    assert_eq!(world.sink.came("a"), 1);
    // one that is none, one that is too large
    let odd = |time: &str| ObjectRef {
        bucket: "b".into(),
        key: at.replace("T070000Z", time),
        ..ObjectRef::default()
    };
    let (none, large) = (odd("T080000Z"), odd("T090000Z"));
    world.buckets.put(&none.key, lines("{}"));
    let read = world.collector.read(&none).await;
    assert!(
        matches!(read, Outcome::Unusable(Why::Digest(_))),
        "{read:?}"
    );
    let blocks = vec![Step::Send(bytes::Bytes::from(vec![b' '; 1 << 20])); 17];
    world.buckets.put(&large.key, blocks);
    let read = world.collector.read(&large).await;
    let fault = Fault::TooLarge(16 << 20);
    assert_eq!(read, Outcome::Unusable(Why::Fault(fault)));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_under_way_than_is_allowed() {
    let options = Options {
        messages: 6,
        files: 3,
        batch_bytes: 4096,
        unsettled: 2,
        ..Options::default()
    };
    let mut world = World::with(options, SourceFilter::default());
    world.sink.slow.store(700, Relaxed);
    world.sink.keeps_batches.store(true, Relaxed);
    for file in 0..40 {
        let records: String = (0..40).map(|i| record(&format!("{file}-{i}"))).collect();
        let steps = [
            lines(&records),
            vec![Step::Wait(Duration::from_secs(1))],
            lines(&record(&format!("{file}-last"))),
        ];
        world.buckets.put(&key(file), steps.concat());
    }
    for file in (0..40).step_by(4) {
        let keys: Vec<String> = (file..file + 4).map(key).collect();
        world.queue.send(&announce(&keys));
    }
    world.start();
    let mut most = (0, 0);
    while !world.queue.is_empty() {
        sleep(Duration::from_millis(50)).await;
        let snapshot = world.collector.snapshot();
        most.0 = most.0.max(snapshot.messages_now);
        most.1 = most.1.max(snapshot.files_now);
    }
    world.stop().await;
    assert_eq!(most, (6, 3));
    assert_eq!(world.buckets.most.load(Relaxed), 3);
    assert_eq!(world.sink.most_unsettled.load(Relaxed), 3 * 2);
    assert_eq!(world.counts().events, 40 * 41);
    // a batch is full at four
    for batch in &*world.sink.batches.lock().unwrap() {
        assert!(batch.events.len() <= 4, "{}", batch.events.len());
    }
    assert_eq!(world.sink.events.lock().unwrap().len(), 40 * 41);
}
