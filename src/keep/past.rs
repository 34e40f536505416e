//! What is kept, for lookups: history that needs no request.

use std::sync::Arc;

use futures_util::{TryStreamExt, pin_mut};
use jiff::{civil::Date, tz::TimeZone};

use super::Keeper;
use crate::{
    event::{Event, Scope, TimeRange},
    lookup::{Past, PastError, PastPage, Reading},
};

/// A page has some more events than this: as many as forty pages of AWS's.
const EVENTS: usize = 2_000;
/// Or more bytes than these: an export's batch.
const BYTES: usize = 4 << 20;

impl Past for Keeper {
    fn complete(&self, scope: &Scope, second: i64) -> Option<TimeRange> {
        let span = self.spans().find(scope, second)?;
        let kept = TimeRange::new(span.from.max(self.dropped_before()), span.to);
        kept.contains(second).then_some(kept)
    }

    /// From the first day that has events on: that later days have none is proven as
    /// little as that others have all.
    fn loaded(&self, scope: &Scope, second: i64) -> Option<TimeRange> {
        let snapshot = self.archive.snapshot();
        let (first, _) = snapshot.days(scope).next()?;
        let range = TimeRange::new(seconds_of(first), i64::MAX);
        range.contains(second).then_some(range)
    }

    fn below(&self, scope: &Scope, second: i64) -> Option<i64> {
        let end = self.spans().below(scope, second)?;
        (end > self.dropped_before()).then_some(end)
    }

    fn read<'a>(&'a self, scope: &'a Scope, range: TimeRange, downward: bool) -> Reading<'a> {
        Box::pin(async move {
            let stream = self.archive.read(scope, range, downward);
            pin_mut!(stream);
            let mut page = Page::default();
            loop {
                let batch = stream.try_next().await;
                let batch = batch.map_err(|error| PastError(error.to_string()))?;
                let Some(batch) = batch else { break };
                if page.takes(batch.into_iter().map(Arc::new)) {
                    return self.still_kept(scope, page.cut(range, downward));
                }
            }
            self.still_kept(scope, page.whole(range, downward))
        })
    }
}

impl Keeper {
    /// The second before which days were dropped, whatever was complete of them.
    fn dropped_before(&self) -> i64 {
        let kept_from = self.archive.snapshot().kept_from();
        kept_from.map_or(i64::MIN, seconds_of)
    }

    /// A page, unless a part of it was dropped in the meantime. What was loaded since then
    /// is there, and proves nothing.
    fn still_kept(&self, scope: &Scope, page: PastPage) -> Result<PastPage, PastError> {
        let before = self.dropped_before();
        let from = page.range.from;
        match from >= before || self.loaded(scope, from).is_some() {
            true => Ok(page),
            false => Err(PastError(format!(
                "days before second {before} were dropped from the archive, as too old"
            ))),
        }
    }
}

/// The first second of a day.
fn seconds_of(day: Date) -> i64 {
    let midnight = day.to_zoned(TimeZone::UTC);
    midnight.map_or(i64::MIN, |midnight| midnight.timestamp().as_second())
}

/// Events as they are read.
#[derive(Default)]
struct Page {
    events: Vec<Arc<Event>>,
    bytes: usize,
    /// How many events there are of seconds that are known to be whole.
    whole: usize,
}

impl Page {
    /// Takes events; whether there are enough of whole seconds.
    fn takes(&mut self, batch: impl IntoIterator<Item = Arc<Event>>) -> bool {
        for event in batch {
            let is_next = self.events.last().is_some_and(|it| it.time != event.time);
            if is_next {
                // all before it are of seconds that have ended
                self.whole = self.events.len();
            }
            self.bytes += event.weight();
            self.events.push(event);
        }
        self.whole > 0 && (self.whole >= EVENTS || self.bytes >= BYTES)
    }

    /// The whole seconds, at one end of `range`.
    fn cut(mut self, range: TimeRange, downward: bool) -> PastPage {
        let open = self.events.get(self.whole).map(|event| event.time);
        self.events.truncate(self.whole);
        let range = match open {
            Some(second) if downward => TimeRange::new(second.saturating_add(1), range.to),
            Some(second) => TimeRange::new(range.from, second),
            None => range,
        };
        self.whole(range, downward)
    }

    fn whole(mut self, range: TimeRange, downward: bool) -> PastPage {
        if downward {
            self.events.reverse();
        }
        // one total order, whatever the files have
        self.events.sort_by(|a, b| a.cmp_position(b));
        PastPage {
            range,
            events: self.events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;

    fn event(time: i64) -> Arc<Event> {
        let scope = Scope::new("111122223333", "us-east-1");
        Arc::new(Event::from_record(&scope, b"{}", Origin::LogFile, time))
    }

    fn times(page: &PastPage) -> Vec<i64> {
        page.events.iter().map(|event| event.time).collect()
    }

    #[test]
    fn a_page_has_whole_seconds_alone() {
        let range = TimeRange::new(0, 10_000);
        let mut page = Page::default();
        let down: Vec<_> = (0..=EVENTS)
            .map(|n| 9_000 - n as i64 / 2)
            .map(event)
            .collect();
        assert!(!page.takes(down[..EVENTS].to_vec()));
        assert!(page.takes(down[EVENTS..].to_vec()));
        let page = page.cut(range, true);
        assert_eq!(page.range, TimeRange::new(8_001, 10_000));
        assert_eq!(page.events.len(), EVENTS);
        assert!(times(&page).is_sorted());

        let mut page = Page::default();
        let up: Vec<_> = (0..=EVENTS).map(|n| 5 + n as i64).map(event).collect();
        assert!(page.takes(up));
        let page = page.cut(range, false);
        assert_eq!(page.range, TimeRange::new(0, 5 + EVENTS as i64));
        assert_eq!(page.events.len(), EVENTS);
    }

    #[test]
    fn a_crowded_second_is_read_to_its_end() {
        let mut page = Page::default();
        let crowd: Vec<_> = (0..3 * EVENTS).map(|_| event(7)).collect();
        assert!(!page.takes(crowd));
        assert!(page.takes([event(6)]));
        let page = page.cut(TimeRange::new(0, 8), true);
        assert_eq!(page.range, TimeRange::new(7, 8));
        assert_eq!(page.events.len(), 3 * EVENTS);
    }

    #[test]
    fn what_ends_early_is_whole() {
        let mut page = Page::default();
        assert!(!page.takes([event(5), event(3)]));
        let page = page.whole(TimeRange::new(0, 10), true);
        assert_eq!(page.range, TimeRange::new(0, 10));
        assert_eq!(times(&page), [3, 5]);
    }
}
