//! What is held of each scope, for people to look at.

use std::{cmp::Reverse, collections::HashSet};

use super::{Coverage, Key, Stretches};
use crate::event::{Category, Origin, Scope};

/// What is held of one scope. Stretches and seconds are those of all its
/// management events: they answer every filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Seconds that are held.
    pub seconds: i64,
    /// The first of them, and the last.
    pub ends: Option<(i64, i64)>,
    /// Stretches without a gap that they form.
    pub stretches: u64,
    /// Where they are, the oldest first: 32 at most, those joined that
    /// have the shortest gaps between them.
    pub spans: Vec<Span>,
    /// Events of any stretch, filtered ones and Insights events included: one
    /// that several hold counts several times.
    pub events: u64,
    /// The bytes that they take.
    pub bytes: u64,
}

/// The most spans of a scope: more than a picture of 90 days can show apart, and half
/// a kilobyte of an answer.
const MAX_SPANS: usize = 32;

/// Time of which some or all is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first second.
    pub from: i64,
    /// The second after the last.
    pub to: i64,
    /// Seconds that are held.
    pub seconds: i64,
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
            map.get(&key).map(runs).unwrap_or_default()
        };
        let mut reports: Vec<Report> = scopes.iter().map(|scope| report(held(scope))).collect();
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

/// Seconds without a gap.
fn runs(stretches: &Stretches) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::new();
    for (&from, stretch) in stretches {
        let seconds = stretch.to - from;
        match runs.last_mut().filter(|run| run.to == from) {
            Some(run) => {
                run.to = stretch.to;
                run.seconds += seconds;
            }
            None => runs.push(Span {
                from,
                to: stretch.to,
                seconds,
            }),
        }
    }
    runs
}

fn report(runs: Vec<Span>) -> Report {
    let ends = runs.first().zip(runs.last());
    Report {
        seconds: runs.iter().map(|run| run.seconds).sum(),
        ends: ends.map(|(first, last)| (first.from, last.to - 1)),
        stretches: u64::try_from(runs.len()).unwrap_or(u64::MAX),
        spans: joined(runs),
        ..Report::default()
    }
}

/// So many that [`MAX_SPANS`] are left, over the shortest gaps.
fn joined(runs: Vec<Span>) -> Vec<Span> {
    let starts = runs.iter().skip(1);
    let gaps = runs
        .iter()
        .zip(starts)
        .map(|(run, next)| next.from - run.to);
    // which runs have a gap before them that stays: the longest, of equal ones the oldest
    let mut apart: Vec<(i64, usize)> = gaps.zip(1..).collect();
    apart.sort_by_key(|&(gap, _)| Reverse(gap));
    let apart: HashSet<usize> = apart
        .iter()
        .take(MAX_SPANS - 1)
        .map(|&(_, at)| at)
        .collect();
    let mut spans: Vec<Span> = Vec::with_capacity(MAX_SPANS);
    for (at, run) in runs.into_iter().enumerate() {
        match spans.last_mut().filter(|_| !apart.contains(&at)) {
            Some(last) => {
                last.to = run.to;
                last.seconds += run.seconds;
            }
            None => spans.push(run),
        }
    }
    spans
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
        let [a, b, c] = &coverage.report(&["a", "b", "c"].map(scope))[..] else {
            panic!("three scopes");
        };
        assert_eq!((a.seconds, a.ends, a.stretches), (160, Some((100, 309)), 2));
        assert_eq!(a.events, 4);
        let span = |from, to| Span {
            from,
            to,
            seconds: to - from,
        };
        assert_eq!(a.spans, [span(100, 250), span(300, 310)]);
        assert_eq!(*b, Report::default());
        assert_eq!(
            (c.seconds, c.ends, c.stretches, c.events),
            (1, Some((7, 7)), 1, 1)
        );
        assert_eq!(a.bytes + c.bytes, coverage.stats().bytes);
    }

    #[test]
    fn of_many_spans_those_with_the_shortest_gaps_between_them_are_joined() {
        let run = |from, to| Span {
            from,
            to,
            seconds: to - from,
        };
        let mut most = 0;
        for count in [0, 1, MAX_SPANS, MAX_SPANS + 1, 3 * MAX_SPANS, 500] {
            // gaps of 1 to 7 seconds, so that many are alike
            let mut from = 0;
            let runs: Vec<_> = (0..i64::try_from(count).unwrap())
                .map(|place| {
                    let one = run(from, from + 10);
                    from = one.to + 1 + place * 5 % 7;
                    one
                })
                .collect();
            let spans = joined(runs.clone());
            assert_eq!(spans.len(), count.min(MAX_SPANS));
            let held = |spans: &[Span]| spans.iter().map(|one| one.seconds).sum::<i64>();
            assert_eq!(held(&spans), held(&runs));
            let gap = |spans: &[Span]| {
                let pairs = spans.windows(2);
                pairs
                    .map(|pair| pair[1].from - pair[0].to)
                    .collect::<Vec<_>>()
            };
            let (kept, mut all) = (gap(&spans), gap(&runs));
            all.sort_unstable_by(|a, b| b.cmp(a));
            let mut kept_sorted = kept.clone();
            kept_sorted.sort_unstable_by(|a, b| b.cmp(a));
            assert_eq!(kept_sorted, all[..kept.len()]);
            most = most.max(spans.len());
        }
        assert_eq!(most, MAX_SPANS);
    }
}
