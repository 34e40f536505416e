//! What is held of each scope, for people to look at.

use super::{Coverage, Key, Stretches};
use crate::event::{Category, Origin, Scope};

/// What is held of one scope. Stretches and seconds are those of all its
/// management events: they answer every filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Seconds that are held.
    pub seconds: i64,
    /// The first of them, and the last.
    pub ends: Option<(i64, i64)>,
    /// Stretches without a gap that they form.
    pub stretches: u64,
    /// Events of any stretch, filtered ones and Insights events included: one
    /// that several hold counts several times.
    pub events: u64,
    /// The bytes that they take.
    pub bytes: u64,
}

impl Coverage {
    /// What is held of these scopes, in their order.
    ///
    /// Lookups wait for one scope's stretches to be counted at most; chunks are
    /// counted beside them, and keep their order of use.
    #[must_use]
    pub fn report(&self, scopes: &[Scope]) -> Vec<Report> {
        self.chunks.run_pending_tasks();
        self.tidy(&mut self.write_map());
        let held = |scope: &Scope| {
            let key = Key {
                scope: scope.clone(),
                category: Category::Management,
                pushdown: None,
                origin: Origin::LookupEvents,
            };
            let map = self.read_map();
            map.get(&key).map(count).unwrap_or_default()
        };
        let mut reports: Vec<Report> = scopes.iter().map(held).collect();
        let places: std::collections::HashMap<&Scope, usize> = scopes
            .iter()
            .enumerate()
            .map(|(place, scope)| (scope, place))
            .collect();
        for (_, chunk) in &self.chunks {
            let place = places.get(&chunk.key.scope);
            if let Some(report) = place.and_then(|place| reports.get_mut(*place)) {
                report.events += u64::try_from(chunk.events.len()).unwrap_or(0);
                report.bytes += u64::try_from(chunk.weight).unwrap_or(0);
            }
        }
        reports
    }
}

fn count(stretches: &Stretches) -> Report {
    let mut report = Report::default();
    let mut end = None;
    for (from, stretch) in stretches {
        report.seconds += stretch.to - from;
        report.stretches += u64::from(end != Some(*from));
        end = Some(stretch.to);
        let first = report.ends.map_or(*from, |(first, _)| first);
        report.ends = Some((first, stretch.to - 1));
    }
    report
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        coverage::Options,
        event::{Attribute, AttributeKey, Event, TimeRange},
    };

    #[test]
    fn a_report_counts_what_is_held_scope_by_scope() {
        let coverage = Coverage::new(Options::default());
        let scope = |region| Scope::new("111122223333", region);
        let began = jiff::Timestamp::from_second(1_000_000).unwrap();
        let key = |region, pushdown| Key {
            scope: scope(region),
            category: Category::Management,
            pushdown,
            origin: Origin::LookupEvents,
        };
        let event = |time| {
            let record = format!("{{\"eventID\":\"e{time}\"}}");
            let origin = Origin::LookupEvents;
            Arc::new(Event::from_record(
                &scope("a"),
                record.as_bytes(),
                origin,
                time,
            ))
        };
        let keep = |key: &Key, from, to, times: &[i64]| {
            let events: Vec<_> = times.iter().map(|time| event(*time)).collect();
            coverage.insert(key, TimeRange::new(from, to), began, &events);
        };
        keep(&key("a", None), 100, 200, &[100, 150]);
        keep(&key("a", None), 200, 250, &[200]);
        keep(&key("a", None), 300, 310, &[]);
        let by = Attribute::new(AttributeKey::EventName, "A");
        keep(&key("a", Some(by)), 0, 1000, &[150]);
        keep(&key("c", None), 7, 8, &[7]);
        let [a, b, c] = coverage.report(&["a", "b", "c"].map(scope))[..] else {
            panic!("three scopes");
        };
        assert_eq!((a.seconds, a.ends, a.stretches), (160, Some((100, 309)), 2));
        assert_eq!(a.events, 4);
        assert_eq!(b, Report::default());
        assert_eq!(
            (c.seconds, c.ends, c.stretches, c.events),
            (1, Some((7, 7)), 1, 1)
        );
        assert_eq!(a.bytes + c.bytes, coverage.stats().bytes);
    }
}
