use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::{
    backfill::{
        done::{Done, name_of},
        source::{Listed, Listing, Source},
        target::Compacted,
        walk::tests::key,
    },
    collect::queue::{Answer, Body, ObjectsError},
};

const A: &str = "111122223333";
const B: &str = "444455556666";

/// A bucket, or a directory.
#[derive(Default)]
pub(in crate::backfill) struct Store {
    files: Mutex<BTreeMap<String, Result<Bytes, ObjectsError>>>,
    is_fixed: bool,
    /// How long a file takes to be opened.
    slow: Duration,
    /// Listings of a bucket tell nothing, and those of a directory not the second day.
    breaks: AtomicBool,
    /// Reads that fail, of any file.
    failing: AtomicUsize,
    /// How often each was opened.
    opened: Mutex<HashMap<String, usize>>,
}

impl Source for Store {
    fn list(&self, prefix: &str, after: Option<&str>) -> Listing {
        let breaks = self.breaks.load(SeqCst);
        if breaks && self.is_fixed {
            let denied = ObjectsError::Denied("no".to_owned());
            return stream::iter([Err(denied)]).boxed();
        }
        let after = after.unwrap_or_default();
        let files = self.files.lock().unwrap();
        let listed: Vec<_> = files
            .keys()
            .filter(|key| key.starts_with(prefix) && key.as_str() > after)
            .map(|key| match breaks && key.contains("/2024/01/02/") {
                true => Err(ObjectsError::Failed("no".to_owned())),
                false => Ok(Listed {
                    key: key.clone(),
                    size: 10,
                    changed: (!self.is_fixed).then_some(0),
                }),
            })
            .collect();
        stream::iter(listed).boxed()
    }

    fn below<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>, ObjectsError> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn open<'a>(&'a self, key: &'a str) -> Answer<'a, Body, ObjectsError> {
        *self
            .opened
            .lock()
            .unwrap()
            .entry(key.to_owned())
            .or_default() += 1;
        let fails = self
            .failing
            .try_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        let file = self.files.lock().unwrap().get(key).cloned();
        let file = file.unwrap_or(Err(ObjectsError::NotFound));
        Box::pin(async move {
            tokio::task::yield_now().await;
            if !self.slow.is_zero() {
                tokio::time::sleep(self.slow).await;
            }
            let file = file?;
            let half = file.slice(..file.len() / 2);
            let rest = match fails {
                Ok(_) => Err(ObjectsError::Failed("broken".to_owned())),
                Err(_) => Ok(file.slice(file.len() / 2..)),
            };
            Ok(Box::pin(stream::iter([Ok(half), rest])) as Body)
        })
    }

    fn name(&self, key: &str) -> String {
        format!("s3://b/{key}")
    }

    fn is_fixed(&self) -> bool {
        self.is_fixed
    }
}

/// An archive in memory.
#[derive(Default)]
pub(in crate::backfill) struct Memory {
    events: Mutex<BTreeMap<String, usize>>,
    kept: Mutex<HashMap<String, Bytes>>,
    commits: AtomicUsize,
    /// Commits that fail, and whether another try may go well.
    failing: AtomicUsize,
    is_broken: bool,
    largest: AtomicUsize,
}

impl Memory {
    pub(in crate::backfill) fn is_empty(&self) -> bool {
        self.commits.load(SeqCst) == 0 && self.kept.lock().unwrap().is_empty()
    }
}

impl Target for Memory {
    fn commit(&self, events: Vec<Arc<Event>>) -> Answer<'_, Committed, TargetError> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let fails = self
                .failing
                .try_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            if fails.is_ok() {
                return Err(TargetError {
                    message: "full".to_owned(),
                    may_pass: !self.is_broken,
                });
            }
            self.commits.fetch_add(1, SeqCst);
            let weight: usize = events.iter().map(|event| event.weight()).sum();
            self.largest.fetch_max(weight, SeqCst);
            let mut there = self.events.lock().unwrap();
            let mut new = 0;
            for event in events {
                let times = there.entry(event.id().to_owned()).or_default();
                *times += 1;
                new += u64::from(*times == 1);
            }
            Ok(Committed { new })
        })
    }

    fn compact(&self) -> Answer<'_, Compacted, TargetError> {
        Box::pin(std::future::ready(Ok(Compacted::default())))
    }

    fn load<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>, TargetError> {
        let kept = self.kept.lock().unwrap().get(name).cloned();
        Box::pin(std::future::ready(Ok(kept)))
    }

    fn save<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, (), TargetError> {
        self.kept.lock().unwrap().insert(name.to_owned(), bytes);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn file(ids: impl IntoIterator<Item = usize>) -> Bytes {
    let records: Vec<_> = ids
        .into_iter()
        .map(|id| format!(r#"{{"eventID":"{id:08}","eventTime":"2024-01-01T00:00:00Z"}}"#))
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into()
}

/// Files of three events each.
pub(in crate::backfill) fn files(count: usize) -> BTreeMap<String, Result<Bytes, ObjectsError>> {
    (0..count)
        .map(|n| {
            let account = [A, B][usize::from(n >= count / 2)];
            let day = u8::try_from(1 + n % 7).unwrap();
            let ids = 3 * n..3 * n + 3;
            (key(account, "CloudTrail", "r-1", day, n), Ok(file(ids)))
        })
        .collect()
}

pub(in crate::backfill) fn store(
    files: BTreeMap<String, Result<Bytes, ObjectsError>>,
) -> Arc<Store> {
    Arc::new(Store {
        files: Mutex::new(files),
        is_fixed: true,
        ..Store::default()
    })
}

fn parts(store: &Arc<Store>) -> Parts {
    let parts = [A, B].map(|account| Part {
        name: format!("s3://b/AWSLogs/{account}/"),
        source: Arc::clone(store) as _,
        prefix: format!("AWSLogs/{account}/"),
    });
    Parts(parts.to_vec())
}

fn options() -> Options {
    Options {
        parallel: 4,
        batch: 20_000,
        limits: Limits::default(),
        again: false,
    }
}

/// A year after all files.
fn clock() -> Clock {
    Clock::at("2025-01-01T00:00:00Z".parse().unwrap())
}

pub(in crate::backfill) fn load(store: &Arc<Store>, target: &Arc<Memory>) -> Load {
    let target = Arc::clone(target) as Arc<dyn Target>;
    Load::new(parts(store), Choice::default(), target, options(), clock())
}

async fn run(store: &Arc<Store>, target: &Arc<Memory>) -> Report {
    let load = load(store, target);
    load.run(CancellationToken::new()).await.unwrap()
}

fn assert_each_once(target: &Memory, files: usize) {
    let events = target.events.lock().unwrap();
    let ids: Vec<_> = events.keys().cloned().collect();
    let all: Vec<_> = (0..3 * files).map(|id| format!("{id:08}")).collect();
    assert_eq!(ids, all);
}

#[tokio::test(start_paused = true)]
async fn all_is_loaded_and_what_is_loaded_is_not_read_again() {
    let (store, target) = (store(files(200)), Arc::default());
    let report = run(&store, &target).await;
    assert_each_once(&target, 200);
    assert_eq!((report.files, report.failed, report.new), (200, 0, 600));
    assert_eq!((report.counts.records, report.known()), (600, 0));
    let again = run(&store, &target).await;
    assert_eq!((again.files, again.new), (0, 0));
    assert!(target.commits.load(SeqCst) > 5);
    // a batch ends with the events that filled it
    assert!(target.largest.load(SeqCst) < 2 * 20_000);
    let late = key(B, "CloudTrail", "r-1", 8, 0);
    store
        .files
        .lock()
        .unwrap()
        .insert(late, Ok(file([600, 601, 602])));
    assert_eq!(run(&store, &target).await.files, 1);
    assert_each_once(&target, 201);
}

#[tokio::test(start_paused = true)]
async fn how_far_it_is_is_seen() {
    let (store, target) = (store(files(20)), Arc::default());
    let load = load(&store, &target);
    let report = load.run(CancellationToken::new()).await.unwrap();
    let so_far = load.seen().so_far();
    assert_eq!((so_far.files, so_far.records, so_far.new), (20, 60, 60));
    assert_eq!((so_far.all_files, so_far.all_bytes), (20, 200));
    assert!(so_far.is_counted && report.bytes == so_far.bytes);
}

#[tokio::test(start_paused = true)]
async fn what_is_young_is_read_another_time_again() {
    let (store, target) = (store(files(20)), Arc::<Memory>::default());
    let load = |clock| {
        let target = Arc::clone(&target) as Arc<dyn Target>;
        Load::new(parts(&store), Choice::default(), target, options(), clock)
    };
    // of seven days one is younger than a day
    let clock = || Clock::at("2024-01-07T07:08:30Z".parse().unwrap());
    let first = load(clock()).run(CancellationToken::new()).await.unwrap();
    assert_eq!(first.files, 20);
    let again = load(clock()).run(CancellationToken::new()).await.unwrap();
    assert_eq!(again.files, 2, "those of the seventh day");
    assert_eq!((again.new, again.known()), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_read_are_named_and_tried_again() {
    let mut all = files(20);
    let bad: Vec<_> = all.keys().take(3).cloned().collect();
    all.insert(
        bad[0].clone(),
        Ok(Bytes::from_static(b"{\"Records\":[{}, x")),
    );
    all.insert(bad[1].clone(), Err(ObjectsError::Denied("no".to_owned())));
    let good = all.insert(bad[2].clone(), Err(ObjectsError::NotFound));
    let (store, target) = (store(all), Arc::default());
    let report = run(&store, &target).await;
    let faults: Vec<_> = report.faults.iter().map(|failed| failed.fault).collect();
    assert_eq!(report.failed, 3);
    assert_eq!(
        BTreeSet::from_iter(faults),
        BTreeSet::from(["TRUNCATED", "DENIED", "GONE"])
    );
    assert_eq!(report.files, 20);
    // what is gone is not looked for again
    assert_eq!(run(&store, &target).await.failed, 2);
    for bad in &bad[..2] {
        store
            .files
            .lock()
            .unwrap()
            .insert(bad.clone(), good.clone().unwrap());
    }
    let report = run(&store, &target).await;
    assert_eq!((report.files, report.failed), (2, 0));
    assert_eq!(run(&store, &target).await.files, 0);
}

#[tokio::test(start_paused = true)]
async fn what_one_of_two_could_not_read_is_tried_again() {
    let bad = key(A, "CloudTrail", "r-1", 3, 0);
    let good = Ok(file(0..3));
    let mut all = BTreeMap::from([
        (key(A, "CloudTrail", "r-1", 1, 0), Ok(file(3..6))),
        (bad.clone(), Err(ObjectsError::Denied("no".to_owned()))),
        (key(A, "CloudTrail", "r-1", 5, 0), Ok(file(6..9))),
        (key(A, "CloudTrail", "r-2", 1, 0), Ok(file(9..12))),
    ]);
    let fast = store(all.clone());
    // begins before the other, and notes after it
    let slow = Arc::new(Store {
        files: Mutex::new(all.clone()),
        is_fixed: true,
        slow: Duration::from_secs(30),
        ..Store::default()
    });
    let target = Arc::<Memory>::default();
    let of_region = |store: &Arc<Store>, region: &str| {
        let choice = Choice {
            regions: [region.to_owned()].into(),
            ..Choice::default()
        };
        let target = Arc::clone(&target) as Arc<dyn Target>;
        Load::new(parts(store), choice, target, options(), clock())
    };
    let (first, second) = (of_region(&fast, "r-1"), of_region(&slow, "r-2"));
    let (second, first) = tokio::join!(
        second.run(CancellationToken::new()),
        first.run(CancellationToken::new())
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.files, first.failed), (3, 1));
    assert_eq!((second.files, second.failed), (1, 0));
    let third = run(&fast, &target).await;
    assert_eq!((third.files, third.failed), (1, 1), "{third:?}");
    all.insert(bad, good);
    assert_eq!(run(&store(all), &target).await.new, 3);
    assert_each_once(&target, 4);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_is_told_once_however_often_it_is_tried() {
    let mut all = files(4);
    let damaged = Bytes::from_static(b"{\"Records\":[{}, x");
    let bad = all.keys().next().cloned().unwrap();
    all.insert(bad, Ok(damaged.clone()));
    all.insert(format!("AWSLogs/{A}/renamed.json"), Ok(damaged));
    for is_fixed in [true, false] {
        let store = Arc::new(Store {
            files: Mutex::new(all.clone()),
            is_fixed,
            ..Store::default()
        });
        let target = Arc::default();
        let first = run(&store, &target).await;
        assert_eq!((first.files, first.failed), (5, 2));
        for _ in 0..2 {
            let again = run(&store, &target).await;
            // of a bucket what is loaded is not read again
            let files = if is_fixed { 2 } else { 5 };
            assert_eq!((again.files, again.failed), (files, 2), "{again:?}");
        }
        let mut all_again = load(&store, &target);
        all_again.lists.again = true;
        let again = all_again.run(CancellationToken::new()).await.unwrap();
        assert_eq!((again.files, again.failed), (5, 2), "{again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_tried_again_says_nothing_of_those_before_it() {
    let names = ["a", "b", "z"].map(|name| format!("AWSLogs/{A}/{name}.json"));
    let mut all: BTreeMap<_, _> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (name.clone(), Ok(file(3 * n..3 * n + 3))))
        .collect();
    let z = all.remove(&names[2]).unwrap();
    let target = Arc::<Memory>::default();
    let mut done = Done::default();
    assert!(done.fail(&names[2]));
    let part = format!("s3://b/AWSLogs/{A}/");
    target
        .kept
        .lock()
        .unwrap()
        .insert(name_of(&part), done.write(&part));
    // the one is there, and the listing breaks off before it
    let broken = store(all.clone());
    broken
        .files
        .lock()
        .unwrap()
        .insert(names[2].clone(), z.clone());
    broken.breaks.store(true, SeqCst);
    let first = run(&broken, &target).await;
    assert_eq!((first.files, first.failed), (1, 0), "{first:?}");
    broken.breaks.store(false, SeqCst);
    let second = run(&broken, &target).await;
    // its mending is not noted as loaded, since the pass goes by it
    assert_eq!((second.files, second.failed), (3, 0), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_is_read_again_and_what_may_pass_is_waited_for() {
    let store = store(files(50));
    let target = Arc::new(Memory {
        failing: AtomicUsize::new(3),
        ..Memory::default()
    });
    store.failing.store(20, SeqCst);
    let report = run(&store, &target).await;
    assert_eq!((report.failed, report.new), (0, 150));
    assert_each_once(&target, 50);
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_takes_no_more_ends_it_and_what_it_has_is_noted() {
    let store = store(files(100));
    let target = Arc::new(Memory {
        is_broken: true,
        ..Memory::default()
    });
    let first = load(&store, &target);
    let seen = first.seen();
    let failing = async {
        while seen.so_far().records == 0 {
            tokio::task::yield_now().await;
        }
        target.failing.store(usize::MAX, SeqCst);
    };
    let (ended, ()) = tokio::join!(first.run(CancellationToken::new()), failing);
    assert_eq!(ended.unwrap_err().message, "full");
    target.failing.store(0, SeqCst);
    let report = run(&store, &target).await;
    assert!(report.files < 100, "{report:?}");
    assert_each_once(&target, 100);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_denies_all_is_given_up_and_others_are_not() {
    let mut all = files(400);
    for (key, file) in &mut all {
        if key.contains(A) {
            *file = Err(ObjectsError::Denied("AccessDenied".to_owned()));
        }
    }
    let (store, target) = (store(all), Arc::default());
    let report = run(&store, &target).await;
    assert_eq!((report.new, report.broken.len()), (600, 1));
    assert!(
        report.broken[0].0.contains(A) && report.failed < 120,
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_keeps_what_it_has() {
    let (store, target) = (store(files(300)), Arc::<Memory>::default());
    let load = load(&store, &target);
    let (seen, stop) = (load.seen(), CancellationToken::new());
    let stopping = async {
        while seen.so_far().files < 50 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (report, ()) = tokio::join!(load.run(stop.clone()), stopping);
    let report = report.unwrap();
    assert!(report.is_stopped && report.files < 300);
    let before = store.opened.lock().unwrap().clone();
    run(&store, &target).await;
    assert_each_once(&target, 300);
    let twice = store
        .opened
        .lock()
        .unwrap()
        .values()
        .filter(|times| **times > 1)
        .count();
    assert!(twice < before.len() / 2, "{twice} of {}", before.len());
}

#[tokio::test(start_paused = true)]
async fn a_newer_note_is_left_alone() {
    let (store, target) = (store(files(20)), Arc::<Memory>::default());
    let name = name_of(&format!("s3://b/AWSLogs/{A}/"));
    let newer = Bytes::from_static(br#"{"version":9}"#);
    target
        .kept
        .lock()
        .unwrap()
        .insert(name.clone(), newer.clone());
    let report = run(&store, &target).await;
    assert!(report.broken[0].1.contains("version 9"), "{report:?}");
    assert_eq!(report.files, 10);
    assert_eq!(target.kept.lock().unwrap()[&name], newer);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_listed_of_a_directory_is_not_passed_the_next_time() {
    let store = Arc::new(Store {
        files: Mutex::new(files(14)),
        breaks: AtomicBool::new(true),
        ..Store::default()
    });
    let target = Arc::default();
    let first = run(&store, &target).await;
    assert_eq!((first.files, first.broken.len()), (12, 2), "{first:?}");
    store.breaks.store(false, SeqCst);
    let second = run(&store, &target).await;
    assert_eq!((second.new, second.broken.len()), (6, 0), "{second:?}");
    assert_each_once(&target, 14);
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_read_anew_once_it_was_read() {
    let store = Arc::new(Store {
        files: Mutex::new(files(80)),
        // some notes are made on the way
        slow: Duration::from_secs(3),
        ..Store::default()
    });
    let target = Arc::default();
    assert_eq!(run(&store, &target).await.new, 240);
    let again = run(&store, &target).await;
    assert_eq!((again.files, again.new, again.known()), (80, 0, 240));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Ended in whatever moment, as by a kill, and begun again: all is there in the
    /// end, and what is noted was not read again.
    #[test]
    fn it_may_end_at_any_moment(
        is_fixed in any::<bool>(),
        moments in proptest::collection::vec(0..400_usize, 1..6),
        failing in 0..10_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(Store {
                files: Mutex::new(files(60)),
                is_fixed,
                failing: AtomicUsize::new(failing),
                ..Store::default()
            });
            let target = Arc::<Memory>::default();
            for moment in moments {
                let load = load(&store, &target);
                let ending = async {
                    for _ in 0..moment {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    () = ending => {}
                    report = load.run(CancellationToken::new()) => {
                        report.unwrap();
                    }
                }
            }
            run(&store, &target).await;
            assert_each_once(&target, 60);
        });
    }
}
