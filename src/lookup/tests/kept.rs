//! A past that is kept, for tests: of some stretches, by log files or not, and not
//! always to be had.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::*;
use crate::{
    event::Origin,
    lookup::past::{Past, PastError, PastPage, Reading},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Ascending, apart.
    pub(super) spans: Vec<TimeRange>,
    /// Of these some events are kept.
    pub(super) loaded: Option<TimeRange>,
    /// By scope, ascending.
    pub(super) events: BTreeMap<Scope, Vec<Arc<Event>>>,
    /// A page has so many events, or a second more; at least 1.
    pub(super) page: usize,
    /// Each so many readings fail; 0: none.
    pub(super) fails: u64,
    pub(super) readings: AtomicU64,
}

impl Kept {
    /// Keeps an event, as a log file has it or as `LookupEvents` told it.
    pub(super) fn keep(&mut self, scope: &Scope, event: &Event, is_found: bool) {
        let event = match is_found {
            true => as_found(scope, event),
            false => event.clone(),
        };
        let events = self.events.entry(scope.clone()).or_default();
        // a correction replaces what it corrects
        events.retain(|it| it.id() != event.id());
        events.push(Arc::new(event));
        events.sort_by(|a, b| a.cmp_position(b));
    }
}

/// An event as a log file has it.
pub(super) fn as_found(scope: &Scope, event: &Event) -> Event {
    let record = event.record().as_bytes();
    Event::from_record(scope, record, Origin::LogFile, event.time)
}

impl Past for Kept {
    fn complete(&self, _: &Scope, second: i64) -> Option<TimeRange> {
        let mut spans = self.spans.iter().copied();
        spans.find(|span| span.contains(second))
    }

    fn loaded(&self, _: &Scope, second: i64) -> Option<TimeRange> {
        self.loaded.filter(|loaded| loaded.contains(second))
    }

    fn below(&self, _: &Scope, second: i64) -> Option<i64> {
        let ends = self.spans.iter().map(|span| span.to);
        ends.filter(|end| *end <= second).max()
    }

    fn read<'a>(&'a self, scope: &'a Scope, range: TimeRange, downward: bool) -> Reading<'a> {
        let turn = self.readings.fetch_add(1, Relaxed) + 1;
        Box::pin(async move {
            assert!(!range.is_empty());
            let mut kept = self.spans.iter().chain(&self.loaded);
            assert!(kept.any(|span| span.intersect(&range) == range));
            sleep(Duration::from_millis(20)).await;
            if self.fails > 0 && turn.is_multiple_of(self.fails) {
                return Err(PastError("the disk is on fire".into()));
            }
            let events = self
                .events
                .get(scope)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let mut events: Vec<_> = events
                .iter()
                .filter(|event| range.contains(event.time))
                .cloned()
                .collect();
            let mut range = range;
            if events.len() > self.page {
                if downward {
                    let last = events[events.len() - self.page].time;
                    range.from = last;
                    events.retain(|event| event.time >= last);
                } else {
                    let last = events[self.page - 1].time;
                    range.to = last + 1;
                    events.retain(|event| event.time <= last);
                }
            }
            Ok(PastPage { range, events })
        })
    }
}

fn data_event(scope: &Scope, time: i64) -> Event {
    let record = r#"{"eventCategory":"Data","eventName":"A"}"#;
    Event::from_record(scope, record.as_bytes(), Origin::LogFile, time)
}

fn kept_world(is_found: bool) -> (World, Arc<Kept>) {
    let world = World::new();
    let mut kept = Kept {
        spans: vec![TimeRange::new(world.now - 200 * DAY, world.now - DAY)],
        page: 7,
        ..Kept::default()
    };
    for number in 0..40_i64 {
        let ago = number * 5 * DAY;
        world.happens(&scope(), usize::try_from(number).unwrap(), ago, "A");
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let time = world.now - ago;
        let event = LookupEvent {
            event_id: Some(id.clone()),
            event_name: Some("A".into()),
            event_time: Some(time),
            username: Some("somebody".into()),
            record: Some(format!("{{\"eventID\":\"{id}\",\"eventName\":\"A\"}}")),
            ..LookupEvent::default()
        };
        let event = Event::from_lookup(&scope(), event, 0);
        if time < world.now - DAY {
            kept.keep(&scope(), &event, is_found);
        }
    }
    let data = data_event(&scope(), world.now - 7 * DAY);
    kept.events.get_mut(&scope()).unwrap().push(Arc::new(data));
    let events = kept.events.get_mut(&scope()).unwrap();
    events.sort_by(|a, b| a.cmp_position(b));
    let kept = Arc::new(kept);
    assert!(world.lookup.keep_past(Arc::clone(&kept) as Arc<dyn Past>));
    (world, kept)
}

impl World {
    fn long_question(&self, filter: Arc<Filter>, order: Order) -> Question {
        Question {
            filter,
            order,
            window: TimeRange::new(self.now - 300 * DAY, self.now + 1),
            page_events: 1_000,
            ..self.question()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_needs_no_request_and_may_be_older_than_aws_knows() {
    for (is_found, order) in [
        (false, Order::NewestFirst),
        (false, Order::OldestFirst),
        (true, Order::NewestFirst),
        (true, Order::OldestFirst),
    ] {
        let (world, _) = kept_world(is_found);
        let question = world.long_question(Arc::default(), order);
        let (events, stats) = world.all(question.clone()).await;
        let mut found = numbers(&events);
        found.sort_unstable();
        assert_eq!(found, (0..40).collect::<Vec<_>>(), "{is_found} {order:?}");
        assert_eq!(stats.events_from_archive, 39, "data events are not told");
        // but for the last day
        assert_eq!(world.asked(), 1, "{is_found} {order:?}");
        // a second time it is held
        let (again, stats) = world.all(question).await;
        assert_eq!(again, events);
        assert_eq!((stats.events_from_archive, world.asked()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn log_files_do_not_answer_what_they_lack() {
    let (world, _) = kept_world(true);
    let filter = having("Username", &["somebody"]);
    let question = world.long_question(filter, Order::NewestFirst);
    let answer = world.lookup.ask(&question).await.unwrap();
    // AWS was asked, which knows nobody by that name and nothing before
    assert_eq!(answer.events.len(), 0);
    assert!(world.asked() > 0);
    let searched = answer.scopes[0].searched;
    assert!(searched.from >= world.now - 91 * DAY, "{searched}");
    let (world, _) = kept_world(false);
    let filter = having("Username", &["somebody"]);
    let question = world.long_question(filter, Order::NewestFirst);
    let (events, _) = world.all(question).await;
    assert_eq!(events.len(), 39);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_asked_of_aws_and_said_where_that_cannot_be() {
    let (world, kept) = kept_world(false);
    drop(kept);
    let broken = World::new();
    let mut past = Kept {
        spans: vec![TimeRange::new(broken.now - 200 * DAY, broken.now - DAY)],
        page: 7,
        fails: 1,
        ..Kept::default()
    };
    past.events.insert(scope(), Vec::new());
    broken.happens(&scope(), 1, 30 * DAY, "A");
    assert!(broken.lookup.keep_past(Arc::new(past)));
    let question = broken.long_question(Arc::default(), Order::NewestFirst);
    let answer = broken.lookup.ask(&question).await.unwrap();
    assert_eq!(numbers(&answer.events), [1]);
    assert!(answer.next.is_some(), "it does not end there");
    let mut next = question.clone();
    next.after = answer.next;
    next.so_far = answer.so_far;
    let error = broken.lookup.ask(&next).await.unwrap_err();
    assert_eq!(error.reason(), "ARCHIVE_UNAVAILABLE");
    assert!(error.to_string().contains("on fire"), "{error}");
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn an_estimate_counts_no_request_for_what_is_kept() {
    let (world, _) = kept_world(false);
    let question = Question {
        window: TimeRange::new(world.now - 80 * DAY, world.now - 2 * DAY),
        ..world.long_question(Arc::default(), Order::NewestFirst)
    };
    let estimate = world.lookup.estimate(&question).await;
    assert_eq!(estimate.window_calls, 0, "{estimate:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_answers_where_aws_has_forgotten_and_is_said_to_be_unproven() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let world = World::new();
        let day = |ago: i64| world.now - ago * DAY;
        let mut past = Kept {
            // proven a while ago, and then loaded without end
            spans: vec![TimeRange::new(day(120), day(110))],
            loaded: Some(TimeRange::new(day(200), day(10))),
            page: 2,
            ..Kept::default()
        };
        for (number, ago) in [150, 125, 115, 112, 105, 95, 50].into_iter().enumerate() {
            let id = format!("00000000-0000-4000-8000-{number:012}");
            let record = format!("{{\"eventID\":\"{id}\",\"eventName\":\"A\"}}");
            let origin = Origin::LogFile;
            let event = Event::from_record(&scope(), record.as_bytes(), origin, day(ago));
            past.events
                .entry(scope())
                .or_default()
                .push(Arc::new(event));
        }
        assert!(world.lookup.keep_past(Arc::new(past)));
        // AWS knows of another one where it can be asked, and not of the last
        world.happens(&scope(), 7, 50 * DAY, "A");
        let question = world.long_question(Arc::default(), order);
        let answer = world.lookup.ask(&question).await.unwrap();
        let mut found = numbers(&answer.events);
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 7], "{order:?}");
        let told = &answer.scopes[0];
        assert_eq!(told.unproven_before, Some(day(90)), "{order:?}");
        assert!(told.searched.from <= day(200), "{order:?}");
        let proven = Question {
            window: TimeRange::new(day(119), day(111)),
            ..question
        };
        let answer = world.lookup.ask(&proven).await.unwrap();
        assert_eq!(answer.scopes[0].unproven_before, None);
    }
}
