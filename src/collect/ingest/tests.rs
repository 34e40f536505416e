use std::{collections::BTreeSet, io::Write, pin::Pin};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    budget::{Budgets, Caller},
    clock::Clock,
    collect::Kept,
    coverage::{self, Coverage},
    feed::{self, Item, Selection, Settings, Start, Subscription},
    filter::Filter,
    lookup::Lookup,
    simulator::{self, Simulator},
    upstream::{Retry, Scopes, Upstream},
};

const ACCOUNT: &str = "111122223333";
const NAME: &str = "111122223333_CloudTrail_eu-west-1_20260101T0005Z_AAAAAAAAAAAAAAAA.json.gz";

fn feed_of(max_bytes: u64) -> Arc<Feed> {
    let clock = Clock::at("2026-01-02T03:04:05Z".parse().unwrap());
    let options = feed::Options {
        max_bytes,
        ..feed::Options::default()
    };
    Arc::new(Feed::new(clock, options))
}

fn subscribe(feed: &Arc<Feed>) -> Subscription {
    let options = simulator::Options::default();
    let clock = feed.clock().clone();
    let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
    let upstream = Upstream::new(simulator, Arc::new(Budgets::new(0.0)), Retry::default());
    let coverage = Coverage::new(coverage::Options::default());
    let lookup = Lookup::new(clock, Arc::new(coverage), Arc::new(upstream), None);
    let settings = Settings {
        caller: Caller::named("tester"),
        filter: Arc::new(Filter::everything()),
        selection: Selection::new(&[], &[]),
        digest: [0; 16],
        told_digest: [0; 16],
        max_events: 20,
        max_bytes: 1 << 20,
        size: Event::weight,
        with_record: true,
        max_wait: Duration::ZERO,
        progress_interval: Duration::from_secs(3600),
    };
    let scopes = Scopes::from(Vec::new());
    Subscription::new(
        Arc::clone(feed),
        Arc::new(lookup),
        scopes,
        settings,
        Start::Now,
    )
    .unwrap()
}

fn record(number: usize, rest: &str) -> String {
    format!(
        "{{\"eventID\":\"00000000-0000-4000-8000-{number:012}\",\"eventTime\":\
         \"2026-01-01T00:00:00Z\",\"eventName\":\"Made\"{rest}}}"
    )
}

fn packed(records: &[String]) -> Vec<u8> {
    let text = format!("{{\"Records\":[{}]}}", records.join(","));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn records(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| record(number, "")).collect()
}

async fn bring(ingest: &mut Ingest, name: &str, bytes: &[u8]) -> Ingested {
    ingest.start(name.to_owned()).unwrap();
    for piece in bytes.chunks(1000) {
        ingest.data(piece).await.unwrap();
    }
    ingest.end(false).await.unwrap()
}

fn counts(records: u64, new: u64, known: u64) -> Counts {
    Counts {
        records,
        new,
        known,
        ..Counts::default()
    }
}

/// Events that come until nothing does for a while.
async fn told(subscription: &mut Subscription) -> Vec<Arc<Event>> {
    let mut all = Vec::new();
    while let Ok(item) = timeout(Duration::from_secs(1), subscription.next()).await {
        match item {
            Item::Batch(batch) => all.extend(batch.events.iter().cloned()),
            Item::Progress(_) => {}
            Item::Gap(gap) => panic!("{gap:?}"),
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_ends_nothing_and_a_second_run_brings_nothing() {
    let feed = feed_of(64_000_000);
    let mut subscription = subscribe(&feed);
    let mut ingest = Ingest::new(Arc::clone(&feed), Limits::default());
    let good = packed(&records(0..300));
    let cut = packed(&records(300..400));
    let cut = &cut[..cut.len() - 8];
    let files: [(&[u8], Counts, &str); 4] = [
        (&good, counts(300, 300, 0), ""),
        (cut, counts(100, 100, 0), "TRUNCATED"),
        (b"no log file", counts(0, 0, 0), "NO_RECORDS"),
        (&packed(&records(400..401)), counts(1, 1, 0), ""),
    ];
    for is_again in [false, true] {
        for (bytes, wanted, fault) in &files {
            let file = bring(&mut ingest, NAME, bytes).await;
            let wanted = match is_again {
                true => counts(wanted.records, 0, wanted.new),
                false => *wanted,
            };
            assert_eq!(file.counts, wanted, "{:?}", file.fault);
            assert_eq!(file.fault.map_or("", |fault| fault.as_str()), *fault);
            assert_eq!(file.bytes, log_file::count(bytes.len()));
        }
    }
    let told = told(&mut subscription).await;
    let ids: BTreeSet<_> = told.iter().map(|event| event.id().to_owned()).collect();
    assert_eq!((told.len(), ids.len()), (401, 401));
    assert!(told.iter().all(|event| event.origin() == Origin::LogFile));
    assert!(feed.scopes().is_empty(), "nobody collects them");
    ingest.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_follow_each_other() {
    let mut ingest = Ingest::new(feed_of(64_000_000), Limits::default());
    assert_eq!(ingest.data(b"x").await, Err(Misuse::NoFile("data")));
    assert_eq!(ingest.end(false).await, Err(Misuse::NoFile("an end")));
    let long = "a".repeat(MAX_NAME + 1);
    assert_eq!(ingest.start(long), Err(Misuse::Name(MAX_NAME + 1)));
    ingest.start("a".to_owned()).unwrap();
    let within = Misuse::Within("b".to_owned(), "a".to_owned());
    assert_eq!(ingest.start("b".to_owned()), Err(within));
    let large = vec![0; MAX_PIECE + 1];
    let refused = ingest.data(&large).await;
    assert_eq!(refused, Err(Misuse::Piece(MAX_PIECE + 1)));
    let ended = ingest.finish().await;
    assert_eq!(ended, Err(Misuse::NotEnded("a".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_came_of_a_file_that_broke_off_counts() {
    let mut ingest = Ingest::new(feed_of(64_000_000), Limits::default());
    ingest.start("a/b".to_owned()).unwrap();
    let text = format!(
        "{{\"Records\":[{},",
        record(1, ",\"awsRegion\":\"r\",\"recipientAccountId\":\"1\"")
    );
    ingest.data(text.as_bytes()).await.unwrap();
    let file = ingest.end(true).await.unwrap();
    assert_eq!(file.counts, counts(1, 1, 0));
    assert_eq!(file.fault, Some(Fault::Unreadable));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_placed_by_itself_or_by_the_name_of_its_file() {
    let feed = feed_of(64_000_000);
    let mut subscription = subscribe(&feed);
    let mut ingest = Ingest::new(Arc::clone(&feed), Limits::default());
    let own = ",\"recipientAccountId\":\"999999999999\",\"awsRegion\":\"us-east-1\"";
    let user = ",\"userIdentity\":{\"accountId\":\"888888888888\"},\"awsRegion\":\"us-east-2\"";
    let list = |from: usize| {
        let list = [
            record(from, own),
            record(from + 1, user),
            record(from + 2, ""),
            format!("\"no object {from}\""),
        ];
        packed(&list)
    };
    let file = bring(&mut ingest, "some/name.json", &list(0)).await;
    let unplaced = Counts {
        malformed: 1,
        unplaced: 2,
        ..counts(4, 2, 0)
    };
    assert_eq!(file.counts, unplaced);
    let key = format!("p/AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/01/01/{NAME}");
    for (from, name) in [(10, NAME), (20, &key)] {
        let file = bring(&mut ingest, name, &list(from)).await;
        let placed = Counts {
            malformed: 1,
            ..counts(4, 4, 0)
        };
        assert_eq!(file.counts, placed);
    }
    let scopes: BTreeSet<_> = told(&mut subscription)
        .await
        .iter()
        .map(|event| event.scope().to_string())
        .collect();
    let wanted = [
        "111122223333/eu-west-1",
        "888888888888/us-east-2",
        "999999999999/us-east-1",
    ];
    assert_eq!(scopes, wanted.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn a_large_record_is_passed_over_and_a_large_file_is_not_read() {
    let limits = Limits {
        record: 500,
        unpacked: 10_000,
        ..Limits::default()
    };
    let mut ingest = Ingest::new(feed_of(64_000_000), limits);
    let large = record(1, &format!(",\"x\":\"{}\"", "y".repeat(600)));
    let file = packed(&[record(0, ""), large, record(2, "")]);
    let file = bring(&mut ingest, NAME, &file).await;
    assert_eq!(file.counts, counts(3, 2, 0));
    assert_eq!(file.fault.unwrap().as_str(), "RECORD_TOO_LARGE");
    let file = bring(&mut ingest, NAME, &packed(&records(10..1000))).await;
    assert!(file.counts.records < 110, "{:?}", file.counts);
    assert_eq!(file.fault.unwrap().as_str(), "TOO_LARGE");
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_now_and_then() {
    let mut ingest = Ingest::new(feed_of(64_000_000), Limits::default());
    ingest.start(NAME.to_owned()).unwrap();
    let text = format!("{{\"Records\":[{},", record(1, ""));
    assert_eq!(ingest.data(text.as_bytes()).await, Ok(None));
    sleep(PROGRESS).await;
    let progress = ingest.data(b" ").await.unwrap().unwrap();
    assert_eq!(progress.counts.records, 1);
    assert_eq!(progress.bytes, log_file::count(text.len() + 1));
    assert_eq!(ingest.data(b" ").await, Ok(None));
}

/// Some 6 MB of events, through a log of 1 MB.
async fn bring_much(feed: &Arc<Feed>) -> Duration {
    let start = Instant::now();
    let mut ingest = Ingest::new(Arc::clone(feed), Limits::default());
    let rest = format!(",\"x\":\"{}\"", "y".repeat(1500));
    let much: Vec<_> = (0..3000).map(|number| record(number, &rest)).collect();
    let file = bring(&mut ingest, NAME, &packed(&much)).await;
    assert_eq!(file.counts, counts(3000, 3000, 0));
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_a_subscriber_that_reads_slowly_and_loses_it_nothing() {
    let feed = feed_of(1_000_000);
    let mut subscription = subscribe(&feed);
    let reading = async {
        let mut ids = BTreeSet::new();
        while ids.len() < 3000 {
            match subscription.next().await {
                Item::Batch(batch) => {
                    sleep(Duration::from_millis(500)).await;
                    for event in &*batch.events {
                        assert!(ids.insert(event.id().to_owned()), "{}", event.id());
                    }
                }
                Item::Progress(_) => {}
                // what the log had dropped
                Item::Gap(gap) => panic!("{gap:?}"),
            }
        }
    };
    let (took, ()) = tokio::join!(bring_much(&feed), reading);
    // 150 batches, of which the log has the last
    assert!(took > Duration::from_secs(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn it_does_not_wait_for_ever_for_one_that_has_stopped() {
    let feed = feed_of(1_000_000);
    assert_eq!(bring_much(&feed).await, Duration::ZERO, "nobody reads");
    let feed = feed_of(1_000_000);
    let mut subscription = subscribe(&feed);
    let took = bring_much(&feed).await;
    let patience = Duration::from_secs(5);
    assert!((patience..2 * patience).contains(&took), "{took:?}");
    let fell_behind = timeout(Duration::from_secs(60), async {
        loop {
            if let Item::Gap(gap) = subscription.next().await {
                return gap;
            }
        }
    });
    assert!(fell_behind.await.is_ok());
}

/// Keeps what it is told to keep, and nothing sooner.
#[derive(Debug)]
struct Hand {
    has_room: watch::Sender<bool>,
    kept: watch::Sender<feed::Position>,
}

impl Default for Hand {
    fn default() -> Self {
        Self {
            has_room: watch::Sender::new(true),
            kept: watch::Sender::new(0),
        }
    }
}

impl Durable for Hand {
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut has_room = self.has_room.subscribe();
        Box::pin(async move {
            has_room.wait_for(|is_so| *is_so).await.unwrap();
        })
    }

    fn kept(&self, before: feed::Position) -> Kept {
        let mut kept = self.kept.subscribe();
        Box::pin(async move {
            kept.wait_for(|kept| *kept >= before).await.unwrap();
        })
    }
}

#[tokio::test(start_paused = true)]
async fn where_events_are_kept_it_ends_well_once_they_are() {
    let (feed, hand) = (feed_of(64_000_000), Arc::new(Hand::default()));
    let durable = Arc::clone(&hand) as Arc<dyn Durable>;
    let ingest = Ingest::new(Arc::clone(&feed), Limits::default());
    let mut ingest = ingest.with_durable(Some(durable));
    let file = bring(&mut ingest, NAME, &packed(&records(0..3))).await;
    assert_eq!(file.counts, counts(3, 3, 0));
    // no more is taken than there is room for
    hand.has_room.send_replace(false);
    {
        let more = packed(&records(3..5));
        let more = bring(&mut ingest, NAME, &more);
        tokio::pin!(more);
        assert!(timeout(Duration::from_secs(600), &mut more).await.is_err());
        assert_eq!(feed.stats().events, 3);
        hand.has_room.send_replace(true);
        assert_eq!(more.await.counts, counts(2, 2, 0));
    }
    let ended = ingest.finish();
    tokio::pin!(ended);
    hand.kept.send_replace(feed.head() - 1);
    assert!(timeout(Duration::from_secs(600), &mut ended).await.is_err());
    hand.kept.send_replace(feed.head());
    assert_eq!(ended.await, Ok(()));
}
