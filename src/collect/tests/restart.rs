//! What a process knew and `LookupEvents` does not tell, after it is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
};

use proptest::prelude::*;

use super::{bucket::Bucket, *};
use crate::{
    collect::{
        envelope::ObjectRef,
        object_key::Kind,
        queue::{Batch, Sink, Source},
    },
    feed::{Gap, GapReason},
};

/// A queue that announces what is delivered, and what was not announced yet.
struct Queue {
    bucket: Arc<Bucket>,
    pending: Vec<String>,
    /// When the oldest event happened that is pending.
    oldest: Option<i64>,
    count: usize,
}

/// A Region that is served, and one that only the trail knows.
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

fn setup() -> Setup {
    let mut setup = Setup {
        horizon: 300,
        bucket: Some(Arc::default()),
        ..Setup::default()
    };
    setup.options.polling = Polling::Settle;
    setup
}

impl Queue {
    fn of(setup: &Setup) -> Self {
        Self {
            bucket: Arc::clone(setup.bucket.as_ref().unwrap()),
            pending: Vec::new(),
            oldest: None,
            count: 0,
        }
    }

    /// Has data events happen `ago` seconds ago and be delivered now; their
    /// numbers.
    fn deliver(&mut self, world: &World, region: &str, count: usize, ago: i64) -> Vec<usize> {
        let numbers: Vec<_> = (self.count..self.count + count).collect();
        self.count += count;
        let scope = scope(region);
        let time = Timestamp::from_second(world.clock.now_secs() - ago).unwrap();
        let records: Vec<_> = numbers
            .iter()
            .map(|number| {
                format!(
                    "{{\"eventID\":\"{}\",\"eventTime\":\"{time}\",\"eventName\":\"A\",\"awsRegion\":\"{region}\",\"eventCategory\":\"Data\"}}",
                    id(*number)
                )
            })
            .collect();
        let key = self
            .bucket
            .deliver(&scope, world.clock.now_secs(), &records);
        self.pending.push(key);
        let oldest = self.oldest.unwrap_or(i64::MAX);
        self.oldest = Some(oldest.min(time.as_second()));
        numbers
    }

    /// Announces what is pending; then it is deleted.
    async fn announce(&mut self, world: &World) {
        let sink = world.gateway.sink.as_ref().unwrap();
        self.oldest = None;
        for key in self.pending.drain(..) {
            let object = ObjectRef {
                bucket: "trail".into(),
                key: key.clone(),
                ..ObjectRef::default()
            };
            let batch = Batch {
                events: self.bucket.events(&key),
                source: Source::File(Arc::new(object), Kind::LogFile),
                category: None,
            };
            sink.take(batch).await.unwrap().await.unwrap();
        }
    }
}

/// What comes within so many seconds: events by number, with whether they may
/// repeat, and gaps.
async fn read(stream: &mut Stream, seconds: u64) -> (Vec<(usize, bool)>, Vec<Gap>) {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    while let Ok(item) = tokio::time::timeout_at(until, stream.subscription.next()).await {
        match item {
            Item::Batch(batch) => {
                let told = batch.events.iter().map(|event| number(event));
                events.extend(told.map(|number| (number, batch.may_repeat)));
            }
            Item::Gap(gap) => gaps.push(gap),
            Item::Progress(_) => {}
        }
    }
    (events, gaps)
}

/// The events of the next batch.
async fn next_batch(stream: &mut Stream) -> Arc<[Arc<Event>]> {
    loop {
        if let Item::Batch(batch) = stream.subscription.next().await {
            return batch.events;
        }
    }
}

fn sorted(events: &[(usize, bool)]) -> Vec<usize> {
    let mut numbers: Vec<_> = events.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_and_not_read_comes_after_a_restart() {
    let mut world = setup().build();
    let mut queue = Queue::of(&world.setup);
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Now);
    assert_eq!(read(&mut stream, 1).await.0, []);
    let mut told = Vec::new();
    for region in REGIONS {
        told.extend(queue.deliver(&world, region, 5, 0));
    }
    queue.announce(&world).await;
    assert_eq!(sorted(&read(&mut stream, 60).await.0), told);
    let token = stream.token();
    // it is away; the queue goes on, for longer than a horizon
    drop(stream);
    let mut missed = Vec::new();
    for _ in 0..30 {
        for region in REGIONS {
            missed.extend(queue.deliver(&world, region, 20, 30));
        }
        queue.announce(&world).await;
        pass(60).await;
    }
    world.restart();
    // in the last minute of the one before
    let pending = queue.deliver(&world, REGIONS[0], 3, 100);
    pass(200).await;
    queue.announce(&world).await;
    let mut late = world.subscribe(&all, &[], Start::Now);
    let mut stream = world.subscribe(&all, &[], token);
    let (events, gaps) = read(&mut stream, 600).await;
    assert_eq!(gaps, []);
    let again: BTreeSet<_> = told.iter().copied().collect();
    let (repeated, new): (Vec<_>, Vec<_>) = events
        .iter()
        .partition(|(number, _)| again.contains(number));
    assert!(repeated.iter().all(|(_, may_repeat)| *may_repeat));
    assert_eq!(sorted(&new), [missed, pending.clone()].concat());
    // who begins now is told what is delivered now
    assert_eq!(read(&mut late, 60).await.0, []);
    let now = queue.deliver(&world, REGIONS[1], 2, 10);
    queue.announce(&world).await;
    assert_eq!(sorted(&read(&mut late, 60).await.0), now);
    assert_eq!(sorted(&read(&mut stream, 60).await.0), now);
}

#[tokio::test(start_paused = true)]
async fn what_one_finds_before_its_message_came_is_told_to_all() {
    let mut world = setup().build();
    let mut queue = Queue::of(&world.setup);
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Now);
    queue.deliver(&world, REGIONS[1], 1, 0);
    queue.announce(&world).await;
    assert_eq!(read(&mut stream, 1).await.0.len(), 1);
    let token = stream.token();
    drop(stream);
    world.restart();
    pass(1200).await;
    let mut live = world.subscribe(&all, &[], Start::Now);
    assert_eq!(read(&mut live, 1).await.0, []);
    // its message is on its way as another comes back who lists the bucket
    let now = queue.deliver(&world, REGIONS[1], 3, 5);
    let mut back = world.subscribe(&all, &[], token);
    let (events, _) = read(&mut back, 30).await;
    assert!(now.iter().all(|number| sorted(&events).contains(number)));
    queue.announce(&world).await;
    assert_eq!(sorted(&read(&mut live, 30).await.0), now);
    assert_eq!(read(&mut back, 30).await.0, []);
}

#[tokio::test(start_paused = true)]
async fn what_files_leave_to_the_log_is_not_settled_before_it_is_told() {
    let mut world = setup().build();
    let mut queue = Queue::of(&world.setup);
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Now);
    assert_eq!(read(&mut stream, 400).await.0, []);
    let Start::Token(token) = stream.token() else {
        panic!("no token");
    };
    drop(stream);
    let before = token.settled_of(&scope(REGIONS[0])).unwrap();
    // it is away for hours, and so is the server; the queue keeps all
    for _ in 0..100 {
        queue.deliver(&world, REGIONS[0], 20, 5);
        pass(120).await;
    }
    world.restart();
    pass(60).await;
    queue.announce(&world).await;
    let mut stream = world.subscribe(&all, &[], Start::Token(token));
    let mut told = 0;
    while told < queue.count {
        match stream.subscription.next().await {
            Item::Batch(batch) => told += batch.events.len(),
            Item::Gap(gap) => panic!("{gap:?}"),
            Item::Progress(_) => {}
        }
        let now = stream.subscription.token();
        let settled = now.settled_of(&scope(REGIONS[0])).unwrap();
        assert!(
            told == queue.count || settled == before,
            "{settled} at {told}"
        );
    }
    assert_eq!(told, queue.count);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_again_is_a_gap_and_holds_nothing_up() {
    let mut world = setup().build();
    let mut queue = Queue::of(&world.setup);
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Now);
    // one that the trail has no files of is served by nobody later
    queue.deliver(&world, "eu-west-3", 1, 0);
    queue.announce(&world).await;
    assert_eq!(read(&mut stream, 30).await.0.len(), 1);
    let token = stream.token();
    drop(stream);
    let mut expected = Vec::new();
    for number in 0..4 {
        let numbers = queue.deliver(&world, REGIONS[number % 2], 10, 0);
        let key = queue.pending.last().unwrap().clone();
        queue.announce(&world).await;
        pass(60).await;
        match number {
            0 => queue.bucket.spoil(&key, true),
            // all but the end
            1 => {
                queue.bucket.spoil(&key, false);
                expected.extend_from_slice(&numbers[..9]);
            }
            _ => expected.extend(numbers),
        }
    }
    let gone: Vec<_> = queue.bucket.keys_of("eu-west-3");
    for key in gone {
        queue.bucket.spoil(&key, true);
    }
    world.restart();
    let mut stream = world.subscribe(&all, &[], token);
    let (events, gaps) = read(&mut stream, 300).await;
    assert_eq!(sorted(&events), expected);
    let mut gaps: Vec<_> = gaps
        .iter()
        .map(|gap| (gap.scope.region.to_string(), gap.reason))
        .collect();
    gaps.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        gaps,
        [
            ("eu-west-1".to_owned(), GapReason::Unreadable),
            ("eu-west-3".to_owned(), GapReason::NotServed),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_one_scope_had_told_stays_told_however_often_the_stream_is_resumed() {
    let mut world = Setup {
        regions: REGIONS.to_vec(),
        ..Setup::default()
    }
    .build();
    let all = of_kinds(&[]);
    // one is settled further than the other, which begins later
    let mut first = world.subscribe(&all, &[REGIONS[0].to_owned()], Start::Now);
    world.happens(&scope(REGIONS[0]), 1, 200, 0, "A");
    assert_eq!(sorted(&read(&mut first, 300).await.0), [1]);
    let both = world.subscribe(&all, &[], Start::Now);
    let token = both.subscription.token();
    let settled = |region: &str| token.settled_of(&scope(region)).unwrap() - world.start;
    assert!(settled(REGIONS[1]) < 200 && 200 < settled(REGIONS[0]));
    let mut start = both.token();
    drop((first, both));
    world.restart();
    // by another process, then twice by this one, before it has read anything
    let mut streams = Vec::new();
    for _ in 0..3 {
        let stream = world.subscribe(&all, &[], start);
        start = stream.token();
        streams.push(stream);
    }
    let mut stream = world.subscribe(&all, &[], start);
    world.happens(&scope(REGIONS[1]), 2, world.now(), 0, "A");
    assert_eq!(sorted(&read(&mut stream, 120).await.0), [2]);
    for stream in &mut streams {
        assert_eq!(sorted(&read(stream, 1).await.0), [2]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_history_left_to_the_log_is_read_again_by_another_process() {
    let mut setup = Setup::default();
    // who reads history sees it first
    setup.options.polling = Polling::Off;
    let mut world = setup.build();
    let here = scope(REGIONS[0]);
    // in the last second that is not collected, and in the first that is
    for number in 0..12 {
        world.happens(&here, number, 99 + i64::from(number > 4), 0, "A");
    }
    pass(100 + 60 + 60).await;
    world.restart();
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Time(world.start));
    // of its page of seven, the log is to tell two
    assert_eq!(next_batch(&mut stream).await.len(), 5);
    let token = stream.token();
    let mut here = world.subscribe(&all, &[], token.clone());
    assert_eq!(sorted(&read(&mut here, 60).await.0), Vec::from_iter(5..12));
    drop((stream, here));
    world.restart();
    let mut elsewhere = world.subscribe(&all, &[], token);
    let told = sorted(&read(&mut elsewhere, 60).await.0);
    assert_eq!(told, Vec::from_iter(5..12));
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_and_history_left_to_the_log_is_read_again_by_another_process() {
    let mut setup = Setup::default();
    setup.options.polling = Polling::Off;
    let mut world = setup.build();
    let here = scope(REGIONS[0]);
    for number in 0..13 {
        world.happens(&here, number, 10 + i64::from(number > 11), 0, "A");
    }
    // days later somebody brings all but the last
    pass(200_000).await;
    world.restart();
    let second = Timestamp::from_second(world.start + 10).unwrap();
    let bring = |number| {
        let record = format!(
            "{{\"eventID\":\"{}\",\"eventTime\":\"{second}\",\"eventName\":\"A\",\"awsRegion\":\"{}\"}}",
            id(number),
            here.region,
        );
        Arc::new(Event::from_record(
            &here,
            record.as_bytes(),
            Origin::LogFile,
            0,
        ))
    };
    let brought: Vec<_> = (0..12).map(bring).collect();
    assert_eq!(world.gateway.feed.ingest(&brought).new, 12);
    let all = of_kinds(&[]);
    let mut stream = world.subscribe(&all, &[], Start::Time(world.start));
    let told = next_batch(&mut stream).await;
    assert_eq!(told.len(), 1, "the log is to tell the others");
    let token = stream.token();
    drop(stream);
    world.restart();
    let mut elsewhere = world.subscribe(&all, &[], token);
    let told = sorted(&read(&mut elsewhere, 60).await.0);
    assert!((0..12).all(|number| told.contains(&number)), "{told:?}");
}

#[derive(Clone, Debug)]
enum Action {
    /// So many events, that happened so many seconds ago, in a Region.
    Deliver(usize, i64, usize),
    Announce,
    /// Reads so many items.
    Read(usize),
    /// Comes back with its last token.
    Resume,
    Wait(u64),
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => (1_usize..40, 0_i64..120, 0_usize..2).prop_map(|(count, ago, region)| Action::Deliver(count, ago, region)),
        4 => Just(Action::Announce),
        5 => (1_usize..12).prop_map(Action::Read),
        3 => Just(Action::Resume),
        2 => (0_u64..200).prop_map(Action::Wait),
        1 => (300_u64..2000).prop_map(Action::Wait),
        2 => Just(Action::Restart),
    ];
    prop::collection::vec(action, 1..40)
}

/// What a chain of streams was told.
#[derive(Default)]
struct Told {
    /// In this stream.
    here: BTreeSet<usize>,
    /// In any, and by which process last.
    ever: BTreeMap<usize, usize>,
}

impl Told {
    async fn read(&mut self, stream: &mut Stream, process: usize, items: usize, seconds: u64) {
        let until = Instant::now() + Duration::from_secs(seconds);
        for _ in 0..items {
            let item = tokio::time::timeout_at(until, stream.subscription.next()).await;
            let batch = match item {
                Ok(Item::Batch(batch)) => batch,
                Ok(Item::Gap(gap)) => panic!("{gap:?}"),
                Ok(Item::Progress(_)) => continue,
                Err(_) => return,
            };
            for event in &*batch.events {
                let number = number(event);
                assert!(self.here.insert(number), "{number} twice in a stream");
                let before = self.ever.insert(number, process);
                assert!(
                    before.is_none_or(|before| before < process && batch.may_repeat),
                    "{number} again, told by {before:?}, in {process}"
                );
            }
        }
    }
}

async fn run(actions: Vec<Action>, odds: u32) {
    let mut world = setup().build();
    let mut queue = Queue::of(&world.setup);
    queue.bucket.odds.store(odds, Relaxed);
    let all = of_kinds(&[]);
    let mut process = 0;
    let mut told = Told::default();
    let mut stream = world.subscribe(&all, &[], Start::Now);
    told.read(&mut stream, process, 1, 1).await;
    for action in actions {
        match action {
            Action::Deliver(count, ago, region) => {
                // not before it began
                let ago = ago.min(world.now());
                queue.deliver(&world, REGIONS[region], count, ago);
            }
            Action::Announce => queue.announce(&world).await,
            Action::Read(items) => told.read(&mut stream, process, items, 30).await,
            Action::Resume => {
                let token = stream.token();
                stream = world.subscribe(&all, &[], token);
                told.here.clear();
            }
            Action::Wait(seconds) => {
                // what arrives later than a horizon is nobody's promise
                let until = world.clock.now_secs() + i64::try_from(seconds).unwrap();
                if queue.oldest.is_some_and(|oldest| until - oldest >= 300) {
                    queue.announce(&world).await;
                }
                pass(seconds).await;
            }
            Action::Restart => {
                let token = stream.token();
                drop(stream);
                process += 1;
                world.restart();
                stream = world.subscribe(&all, &[], token);
                told.here.clear();
            }
        }
    }
    queue.announce(&world).await;
    told.read(&mut stream, process, usize::MAX, 3600).await;
    let missing: Vec<_> = (0..queue.count)
        .filter(|number| !told.ever.contains_key(number))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {}", queue.count);
}

proptest! {
    #[test]
    fn nothing_that_a_trail_has_is_lost_or_comes_twice(
        actions in actions(),
        odds in prop_oneof![Just(0_u32), 5_u32..15],
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(actions, odds));
    }
}
