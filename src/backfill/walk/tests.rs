use std::{
    collections::BTreeSet,
    sync::{Mutex, atomic::AtomicUsize},
};

use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::{
    backfill::choice::Choice,
    collect::queue::{Answer, Body},
};

const A: &str = "111122223333";
const B: &str = "444455556666";

/// A bucket of names, listed in pages as S3 does.
#[derive(Default)]
pub(in crate::backfill) struct Names {
    pub(in crate::backfill) keys: Mutex<BTreeSet<String>>,
    pub(in crate::backfill) is_fixed: bool,
    pub(in crate::backfill) changed: i64,
    /// Listings that fail before they have told anything.
    pub(in crate::backfill) failing: AtomicUsize,
    /// Keys that were told.
    pub(in crate::backfill) told: Arc<AtomicUsize>,
}

use std::sync::atomic::Ordering::Relaxed;

impl Source for Names {
    fn list(&self, prefix: &str, after: Option<&str>) -> Listing {
        let fails = self
            .failing
            .try_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if fails.is_ok() {
            let error = ObjectsError::Failed("SlowDown".to_owned());
            return stream::iter([Err(error)]).boxed();
        }
        let keys = self.keys.lock().unwrap();
        let after = after.filter(|_| self.is_fixed).unwrap_or_default();
        let changed = (!self.is_fixed).then_some(self.changed);
        let told = Arc::clone(&self.told);
        let listed: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(prefix) && key.as_str() > after)
            .map(|key| Listed {
                key: key.clone(),
                size: 1,
                changed,
            })
            .collect();
        let listed = listed.into_iter().map(move |listed| {
            told.fetch_add(1, Relaxed);
            Ok(listed)
        });
        stream::iter(listed).boxed()
    }

    fn below<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<String>, ObjectsError> {
        let keys = self.keys.lock().unwrap();
        let name = |key: &String| Some(key.strip_prefix(prefix)?.split_once('/')?.0.to_owned());
        let names: BTreeSet<_> = keys.iter().filter_map(name).collect();
        Box::pin(std::future::ready(Ok(names.into_iter().collect())))
    }

    fn open<'a>(&'a self, _: &'a str) -> Answer<'a, Body, ObjectsError> {
        Box::pin(std::future::ready(Err(ObjectsError::NotFound)))
    }

    fn name(&self, key: &str) -> String {
        format!("s3://b/{key}")
    }

    fn is_fixed(&self) -> bool {
        self.is_fixed
    }
}

pub(in crate::backfill) fn key(
    account: &str,
    kind: &str,
    region: &str,
    day: u8,
    n: usize,
) -> String {
    format!(
        "AWSLogs/{account}/{kind}/{region}/2024/01/{day:02}/{account}_{kind}_{region}_202401{day:02}T0708Z_{n:05}.json.gz"
    )
}

fn names(keys: impl IntoIterator<Item = String>, is_fixed: bool) -> Arc<Names> {
    Arc::new(Names {
        keys: Mutex::new(keys.into_iter().collect()),
        is_fixed,
        ..Names::default()
    })
}

fn part(source: &Arc<Names>) -> Part {
    Part {
        name: "s3://b/AWSLogs/".to_owned(),
        source: Arc::clone(source) as _,
        prefix: "AWSLogs/".to_owned(),
    }
}

async fn all(source: &Arc<Names>, choice: &Choice, done: &Done) -> Vec<Next> {
    let choice = Arc::new(choice.clone());
    let mut walk = Walk::new(part(source), choice, done.clone(), 100);
    let mut all = Vec::new();
    while let Some(next) = walk.next().await.unwrap() {
        all.push(next);
    }
    all
}

fn keys_of(all: &[Next]) -> Vec<&str> {
    all.iter().map(|next| next.key.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_is_leapt_over_and_not_listed() {
    let mut keys = Vec::new();
    for n in 0..5000 {
        keys.push(key(A, "CloudTrail-Digest", "r-1", 1, n));
        keys.push(key(A, "CloudTrail", "r-1", 1, n));
        keys.push(key(B, "CloudTrail", "r-1", 1, n));
    }
    keys.push(key(A, "CloudTrail", "r-1", 2, 0));
    let source = names(keys, true);
    let choice = Choice {
        accounts: BTreeSet::from([A.to_owned()]),
        since: Some(crate::event::parse_time("2024-01-02T00:00:00Z").unwrap()),
        ..Choice::default()
    };
    let found = all(&source, &choice, &Done::default()).await;
    assert_eq!(keys_of(&found), [key(A, "CloudTrail", "r-1", 2, 0)]);
    let (prefix, from) = found[0].span.clone().unwrap();
    assert_eq!(&*prefix, format!("AWSLogs/{A}/CloudTrail/r-1/"));
    assert_eq!(&*from, format!("{prefix}2024/01/02/"));
    // a page for each of what is leapt over
    let told = source.told.load(Relaxed);
    assert!(told <= 3 * PAGE, "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_fails_goes_on_behind_what_came() {
    let source = names((0..5).map(|n| key(A, "CloudTrail", "r-1", 1, n)), true);
    source.failing.store(3, Relaxed);
    assert_eq!(
        all(&source, &Choice::default(), &Done::default())
            .await
            .len(),
        5
    );
    source.failing.store(100, Relaxed);
    let mut walk = Walk::new(part(&source), Arc::default(), Done::default(), 0);
    assert!(walk.next().await.is_err());
    assert_eq!(walk.next().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_changed_since_is_loaded_again() {
    let one = key(A, "CloudTrail", "r-1", 1, 0);
    let source = names([one.clone(), "AWSLogs/x.json".to_owned()], false);
    let mut done = Done::default();
    done.begin("", 0);
    let prefix = format!("AWSLogs/{A}/CloudTrail/r-1/");
    done.add(&prefix, &prefix, &one);
    done.reach("AWSLogs/x.json");
    assert!(all(&source, &Choice::default(), &done).await.is_empty());
    let changed = Arc::new(Names {
        keys: Mutex::new(source.keys.lock().unwrap().clone()),
        changed: 100,
        ..Names::default()
    });
    assert_eq!(all(&changed, &Choice::default(), &done).await.len(), 2);
}

fn any_key() -> impl Strategy<Value = String> {
    let kinds = [
        "CloudTrail",
        "CloudTrail-Digest",
        "CloudTrail-Insight",
        "Config",
    ];
    let of_trail = (0..2_usize, 0..4_usize, 0..2_usize, 1..5_u8, 0..3_usize).prop_map(
        move |(account, kind, region, day, n)| {
            key([A, B][account], kinds[kind], ["r-1", "r-2"][region], day, n)
        },
    );
    let other = "[a-c]{1,2}(\\.json|\\.txt)".prop_map(|name| format!("AWSLogs/{name}"));
    prop_oneof![6 => of_trail, 1 => other]
}

fn day(day: u8) -> i64 {
    crate::event::parse_time(&format!("2024-01-{day:02}T01:00:00Z")).unwrap()
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let day_or_none = || proptest::option::of((1..5_u8).prop_map(day));
    (any::<bool>(), any::<bool>(), day_or_none(), day_or_none()).prop_map(
        |(account, region, since, until)| Choice {
            accounts: account.then(|| A.to_owned()).into_iter().collect(),
            without_regions: region.then(|| "r-2".to_owned()).into_iter().collect(),
            since,
            until,
            ..Choice::default()
        },
    )
}

/// Whether a key is of a file to load, said without leaps.
fn is_wanted(key: &str, choice: &Choice) -> bool {
    let parts: Vec<_> = key.split('/').collect();
    let [_, account, kind, region, _, _, of_day, _] = parts[..] else {
        return key.ends_with(".json");
    };
    let of_day = day(of_day.parse().unwrap());
    ["CloudTrail", "CloudTrail-Insight"].contains(&kind)
        && choice.has_account(account)
        && choice.has_region(region)
        && choice.since.is_none_or(|since| since <= of_day)
        && choice.until.is_none_or(|until| of_day <= until)
}

proptest! {
    /// Whatever was loaded before, all of what is chosen is loaded in the end and
    /// nothing twice; what is noted on the way is loaded.
    #[test]
    fn each_file_is_found_once_over_any_passes(
        keys in proptest::collection::btree_set(any_key(), 0..40),
        passes in proptest::collection::vec((any_choice(), 0..60_usize), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let source = names(keys.clone(), true);
        let mut done = Done::default();
        let mut loaded = BTreeSet::new();
        for (choice, ends_after) in passes {
            done.begin(&choice.word(), 0);
            let found = runtime.block_on(all(&source, &choice, &done));
            let of_trails = |next: &&Next| next.place.is_some();
            let found_keys: Vec<_> = found.iter().filter(of_trails).map(|next| next.key.clone()).collect();
            let wanted: Vec<_> = keys
                .iter()
                .filter(|key| is_wanted(key, &choice) && key.matches('/').count() == 7)
                .filter(|key| !loaded.contains(*key))
                .cloned()
                .collect();
            prop_assert_eq!(found_keys, wanted);
            for next in found.into_iter().take(ends_after) {
                match next.span {
                    Some((prefix, from)) => {
                        done.add(&prefix, &from, &next.key);
                        loaded.insert(next.key);
                    }
                    None => done.reach(&next.key),
                }
            }
        }
    }
}
