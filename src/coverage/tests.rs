use proptest::prelude::*;

use super::*;
use crate::event::{AttributeKey, LookupEvent};

const HORIZON: Duration = Duration::from_secs(100);

fn scope() -> Scope {
    Scope::new("111122223333", "us-east-1")
}

fn key(pushdown: Option<Attribute>) -> Key {
    Key {
        scope: scope(),
        category: Category::Management,
        pushdown,
        origin: Origin::LookupEvents,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn event_with(id: &str, time: i64, record: &str) -> Arc<Event> {
    let api = LookupEvent {
        event_id: Some(id.to_owned()),
        event_time: Some(time),
        record: Some(record.to_owned()),
        ..LookupEvent::default()
    };
    Arc::new(Event::from_lookup(&scope(), api, 0))
}

fn event(number: usize, time: i64) -> Arc<Event> {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    event_with(
        &id,
        time,
        &format!("{{\"eventID\":\"{id}\",\"eventTime\":{time}}}"),
    )
}

fn coverage() -> Coverage {
    Coverage::new(Options {
        max_bytes: 100_000_000,
        horizon: HORIZON,
    })
}

fn ids(held: &Held, second: i64) -> Vec<String> {
    chunk::within(&held.events, TimeRange::new(second, second + 1))
        .iter()
        .map(|event| event.id().to_owned())
        .collect()
}

#[test]
fn age_alone_settles_nothing() {
    let coverage = coverage();
    let keys = [key(None)];
    coverage.insert(
        &keys[0],
        TimeRange::new(0, 1_000),
        at(1_000),
        &[event(1, 950)],
    );
    let much_later = Freshness(at(1_000_000));
    let held = coverage.held(&keys, 899, much_later).unwrap();
    assert_eq!(held.range, TimeRange::new(0, 900));
    assert!(
        coverage.held(&keys, 900, much_later).is_none(),
        "read too early, whatever its age"
    );
    assert_eq!(coverage.below(&keys, 950, much_later), Some(900));
    assert_eq!(
        coverage
            .held(&keys, 950, Freshness(at(1_000)))
            .unwrap()
            .range
            .to,
        1_000
    );
}

#[test]
fn a_tail_asked_recently_covers_up_to_now() {
    let coverage = coverage();
    let keys = [key(None)];
    coverage.insert(&keys[0], TimeRange::new(0, 1_001), at(1_000), &[]);
    assert_eq!(coverage.present(&keys, Freshness(at(990))), Some(1_001));
    assert_eq!(coverage.present(&keys, Freshness(at(1_001))), None);
    assert!(
        coverage.held(&keys, 1_001, Freshness(at(990))).is_none(),
        "counts, but is not held"
    );
    // a stretch that ended before its walk's present says nothing of later
    coverage.insert(&keys[0], TimeRange::new(2_000, 2_100), at(5_000), &[]);
    assert_eq!(coverage.present(&keys, Freshness(at(0))), None);
}

#[test]
fn an_unfiltered_stretch_answers_for_any_pushdown() {
    let coverage = coverage();
    let by_name = key(Some(Attribute::new(
        AttributeKey::EventName,
        "RunInstances",
    )));
    let keys = [by_name.clone(), key(None)];
    coverage.insert(&key(None), TimeRange::new(0, 10), at(1_000), &[]);
    coverage.insert(&by_name, TimeRange::new(20, 30), at(1_000), &[]);
    let need = Freshness(at(1_000));
    assert!(coverage.held(&keys, 5, need).is_some());
    assert!(coverage.held(&keys, 25, need).is_some());
    assert!(coverage.held(&keys[1..], 25, need).is_none());
    assert_eq!(coverage.below(&keys, 19, need), Some(10));
    assert_eq!(coverage.above(&keys, 10, need), Some(20));
    assert_eq!(coverage.above(&keys, 30, need), None);
}

#[test]
fn what_was_held_is_folded_in_and_late_finds_are_counted() {
    let coverage = coverage();
    let keys = [key(None)];
    let range = TimeRange::new(0, 10);
    coverage.insert(&keys[0], range, at(1_000), &[event(1, 5), event(2, 5)]);
    coverage.insert(&keys[0], range, at(2_000), &[event(2, 5), event(3, 5)]);
    let held = coverage.held(&keys, 5, Freshness(at(2_000))).unwrap();
    assert_eq!(held.events.len(), 3);
    assert_eq!(coverage.stats().late, 1);
    coverage.fold_in(&keys[0], &[event(4, 7), event(5, 77)]);
    let held = coverage.held(&keys, 7, Freshness(at(2_000))).unwrap();
    assert_eq!((held.range, held.events.len()), (range, 4));
    assert_eq!(coverage.stats().late, 2);
    assert_eq!(coverage.stats().stretches, 1);
}

#[test]
fn an_addendum_replaces_and_any_other_reuse_of_an_id_does_not() {
    let id = "00000000-0000-4000-8000-000000000001";
    let first = event_with(id, 5, "{\"a\":1}");
    let other = event_with(id, 5, "{\"a\":2}");
    let corrected = event_with(
        id,
        5,
        "{\"a\":1,\"addendum\":{\"reason\":\"UPDATED_DATA\"}}",
    );
    for order in [[&first, &other, &corrected], [&corrected, &first, &other]] {
        let coverage = coverage();
        let keys = [key(None)];
        for event in order {
            coverage.insert(
                &keys[0],
                TimeRange::new(0, 10),
                at(1_000),
                std::slice::from_ref(event),
            );
        }
        let held = coverage.held(&keys, 5, Freshness(at(1_000))).unwrap();
        assert_eq!(held.events[..], *std::slice::from_ref(&corrected));
    }
    let elsewhen = event_with(id, 6, "{\"a\":1}");
    let page = [
        first.clone(),
        first.clone(),
        elsewhen.clone(),
        event_with("1", 5, "{}"),
        event_with("1", 5, "[]"),
    ];
    let coverage = coverage();
    coverage.insert(&key(None), TimeRange::new(0, 10), at(1_000), &page);
    let held = coverage
        .held(&[key(None)], 5, Freshness(at(1_000)))
        .unwrap();
    assert_eq!(
        held.events.len(),
        4,
        "equal records count once, reused odd ids each, and ids reused later"
    );
    // cut into chunks or not, it is the same
    let coverage = self::coverage();
    coverage.insert(&key(None), TimeRange::new(0, 6), at(1_000), &[first]);
    coverage.insert(&key(None), TimeRange::new(6, 10), at(1_000), &[elsewhen]);
    assert_eq!(coverage.stats().chunks, 1);
    let held = coverage.held(&[key(None)], 5, Freshness(at(1_000)));
    assert_eq!(held.unwrap().events.len(), 2);
}

#[test]
fn an_evicted_chunk_is_a_gap() {
    let coverage = Coverage::new(Options {
        max_bytes: 200_000,
        horizon: HORIZON,
    });
    let keys = [key(None)];
    let blob = "x".repeat(10_000);
    for i in 0..100 {
        // apart, so that they do not join
        let from = i * 1_000;
        let id = format!("00000000-0000-4000-8000-{i:012}");
        let record = format!("{{\"blob\":\"{blob}\"}}");
        let range = TimeRange::new(from, from + 10);
        coverage.insert(
            &keys[0],
            range,
            at(1_000_000),
            &[event_with(&id, from, &record)],
        );
    }
    let stats = coverage.stats();
    assert!(stats.bytes <= 200_000, "{stats:?}");
    assert_eq!(stats.stretches, stats.chunks, "{stats:?}");
    assert_eq!(stats.evicted + stats.chunks, 100, "{stats:?}");
    let need = Freshness(at(1_000_000));
    assert!(
        coverage.held(&keys, 0, need).is_none(),
        "the oldest went first"
    );
    assert!(
        coverage.held(&keys, 99_000, need).is_some(),
        "new entries are not turned away"
    );
    assert!(
        coverage
            .find(
                &[scope()],
                Category::Management,
                "00000000-0000-4000-8000-000000000099"
            )
            .is_some()
    );
    assert!(
        coverage
            .find(
                &[scope()],
                Category::Insight,
                "00000000-0000-4000-8000-000000000099"
            )
            .is_none()
    );
}

#[test]
fn what_comes_out_of_order_covers_nothing_by_itself() {
    let coverage = coverage();
    let key = key(None);
    let read = |number, time| event(number, time);
    let range = TimeRange::new(10, 20);
    coverage.insert(&key, range, at(1_000_000), &[read(1, 15), read(2, 15)]);
    coverage.fold_in(&key, &[read(3, 15), read(4, 25)]);
    let need = Freshness(at(1_000_000));
    let held = |second| coverage.held(std::slice::from_ref(&key), second, need);
    assert_eq!(held(15).unwrap().events.len(), 3);
    assert!(held(25).is_none(), "no walk came by");
    // evicted, and the map does not know yet
    coverage.chunks.invalidate_all();
    coverage.fold_in(&key, &[read(5, 15)]);
    assert!((10..20).all(|second| held(second).is_none()));
}

#[test]
fn chunks_are_bounded_and_no_second_is_cut() {
    let coverage = coverage();
    let keys = [key(None)];
    let record = format!("{{\"blob\":\"{}\"}}", "x".repeat(100_000));
    let events: Vec<_> = (0..60)
        .map(|i| event_with(&format!("00000000-0000-4000-8000-{i:012}"), i / 15, &record))
        .collect();
    coverage.insert(&keys[0], TimeRange::new(-100, 100), at(1_000), &events);
    assert_eq!(coverage.stats().chunks, 4);
    let mut second = 99;
    let mut seen = 0;
    while let Some(held) = coverage.held(&keys, second, Freshness(at(1_000))) {
        assert!(
            held.events
                .iter()
                .all(|event| held.range.contains(event.time))
        );
        seen += held.events.len();
        second = held.range.from - 1;
    }
    assert_eq!((seen, second), (60, -101));
}

#[test]
fn an_event_is_found_by_its_id_in_either_case_and_by_no_other() {
    let coverage = coverage();
    let by_name = key(Some(Attribute::new(AttributeKey::EventName, "a")));
    let upper = "ABCDEF00-0000-4000-8000-000000000001";
    let events: Vec<_> = (0..500)
        .map(|number| event(number, i64::try_from(number % 7).unwrap()))
        .chain([event_with(upper, 3, "{}"), event_with("reused", 3, "{}")])
        .collect();
    coverage.insert(&by_name, TimeRange::new(0, 10), at(1_000), &events);
    let find = |id: &str| coverage.find(&[scope()], Category::Management, id);
    for event in &events[..501] {
        assert_eq!(find(event.id()).as_ref(), Some(event));
        assert_eq!(find(&event.id().to_lowercase()).as_ref(), Some(event));
    }
    assert_eq!(find("00000000-0000-4000-8000-000000000500"), None);
    // the same short form, and another id
    assert_eq!(find("00000000-4000-0000-8000-000000000001"), None);
    assert_eq!(find("reused"), None, "names no event");
    let elsewhere = Scope::new("111122223333", "eu-west-1");
    let id = events[0].id();
    assert_eq!(coverage.find(&[elsewhere], Category::Management, id), None);
}

#[test]
fn unusual_fields_are_remembered() {
    let coverage = coverage();
    let odd = event_with("1", 5, "{\"kinesisPartitionKey\":1,\"eventName\":\"x\"}");
    coverage.insert(&key(None), TimeRange::new(0, 10), at(1_000), &[odd]);
    assert!(coverage.knows("kinesisPartitionKey"));
    assert!(
        !coverage.knows("eventName"),
        "documented ones need no memory"
    );
}

/// An insertion: where, how long, how much later than its end it began.
type Op = (i64, i64, i64);

proptest! {


    /// Against an oracle that keeps, second by second, the latest beginning of
    /// a walk that covered it: a second is usable exactly if that walk was
    /// recent enough or settled it, and then has every event that any walk saw.
    #[test]
    fn holds_what_was_walked_and_nothing_else(
        ops in prop::collection::vec((0_i64..300, 1_i64..120, 0_i64..250), 1..25),
        universe in prop::collection::vec((0_i64..420, 0_i64..300), 0..80),
        needs in prop::collection::vec(0_i64..700, 1..4),
    ) {
        let coverage = coverage();
        let keys = [key(None)];
        // an event is visible from its time plus a delay on
        let visible = |began: i64, range: TimeRange| -> Vec<Arc<Event>> {
            universe.iter().enumerate()
                .filter(|(_, (time, delay))| range.contains(*time) && time + delay <= began)
                .map(|(number, (time, _))| event(number, *time))
                .collect()
        };
        let mut latest: BTreeMap<i64, i64> = BTreeMap::new();
        for (from, length, after) in &ops as &Vec<Op> {
            let range = TimeRange::new(*from, from + length);
            let began = range.to + after;
            coverage.insert(&keys[0], range, at(began), &visible(began, range));
            for second in range.from..range.to {
                let entry = latest.entry(second).or_insert(began);
                *entry = began.max(*entry);
            }
        }
        for need in needs {
            for second in 0..430 {
                let expected = latest.get(&second).filter(|began| {
                    **began >= need || second + 1 + 100 <= **began
                });
                let held = coverage.held(&keys, second, Freshness(at(need)));
                prop_assert_eq!(held.is_some(), expected.is_some(), "second {} need {}", second, need);
                if let (Some(held), Some(began)) = (held, expected) {
                    let all: Vec<String> = visible(*began, TimeRange::new(second, second + 1))
                        .iter().map(|event| event.id().to_owned()).collect();
                    prop_assert_eq!(ids(&held, second), all);
                } else if let Some(to) = coverage.below(&keys, second, Freshness(at(need))) {
                    prop_assert!(to <= second);
                    prop_assert!(coverage.held(&keys, to - 1, Freshness(at(need))).is_some());
                }
            }
        }
    }
}
