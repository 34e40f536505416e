//! The stretches in which all events of a scope are kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    event::{Scope, TimeRange},
    feed::{Gap, Standing},
};

/// The most stretches of a scope: each is a time in which the archive was away or
/// something could not be had. Of more, the oldest are claimed no longer.
const MAX_SPANS: usize = 1_000;

/// Of each scope the stretches in which all events are kept. A claim is never more
/// than what is known: a stretch ends where nothing tells how it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    scopes: BTreeMap<Scope, Vec<TimeRange>>,
    /// Those whose last stretch goes on.
    open: BTreeSet<Scope>,
}

/// One scope of it, written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    account: String,
    region: String,
    open: bool,
    spans: Vec<(i64, i64)>,
}

impl Written {
    /// Of which account and Region it is.
    pub(super) fn scope(&self) -> (&str, &str) {
        (&self.account, &self.region)
    }
}

impl Spans {
    /// How far scopes were when all before was committed, at `now`, and what cannot
    /// be had.
    pub(super) fn note(&mut self, standing: &[Standing], gaps: &[Gap], now: i64) {
        for gap in gaps {
            self.miss(&gap.scope, gap.range);
        }
        let told: BTreeSet<&Scope> = standing.iter().map(|standing| &standing.scope).collect();
        self.open.retain(|scope| told.contains(scope));
        for Standing { scope, settled, .. } in standing {
            let spans = self.scopes.entry(scope.clone()).or_default();
            if self.open.insert(scope.clone()) {
                // what happened before it was collected is not told
                let from = now.saturating_add(1).max(*settled);
                // nor may it overlap what is claimed
                let from = spans.last().map_or(from, |last| from.max(last.to));
                spans.push(TimeRange::new(from, from));
            } else if let Some(last) = spans.last_mut() {
                last.to = last.to.max(*settled);
            }
            let surplus = spans.len().saturating_sub(MAX_SPANS);
            spans.drain(..surplus);
        }
    }

    /// Not all of a stretch can be had.
    fn miss(&mut self, scope: &Scope, range: TimeRange) {
        let Some(spans) = self.scopes.get_mut(scope) else {
            return;
        };
        let is_open = self.open.contains(scope);
        let last = spans.len().saturating_sub(1);
        let cut = spans.iter().enumerate().flat_map(|(place, span)| {
            let goes_on = is_open && place == last;
            let before = TimeRange::new(span.from, span.to.min(range.from));
            let after = TimeRange::new(span.from.max(range.to), span.to);
            let is_apart = range.to <= span.from || (span.to <= range.from && !goes_on);
            match (is_apart, goes_on) {
                (true, _) => [Some(*span), None],
                // the end is open: it goes on behind what is missing
                (false, true) => [
                    (!before.is_empty()).then_some(before),
                    Some(TimeRange::new(after.from, after.to.max(after.from))),
                ],
                (false, false) => [
                    (!before.is_empty()).then_some(before),
                    (!after.is_empty()).then_some(after),
                ],
            }
        });
        *spans = cut.flatten().collect();
    }

    /// Nothing tells how any goes on.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// Nothing tells how others go on.
    pub(super) fn close_others(&mut self, is_known: impl Fn(&Scope) -> bool) {
        self.open.retain(|scope| is_known(scope));
    }

    /// The stretch that has `second`.
    pub(super) fn find(&self, scope: &Scope, second: i64) -> Option<TimeRange> {
        let spans = self.scopes.get(scope)?;
        let after = spans.partition_point(|span| span.from <= second);
        let span = spans.get(after.checked_sub(1)?)?;
        span.contains(second).then_some(*span)
    }

    /// The end of the nearest stretch below `second`.
    pub(super) fn below(&self, scope: &Scope, second: i64) -> Option<i64> {
        let spans = self.scopes.get(scope)?;
        let mut below = spans.iter().rev().filter(|span| !span.is_empty());
        below.find(|span| span.to <= second).map(|span| span.to)
    }

    /// The stretches of each scope, ascending; none is empty.
    pub fn all(&self) -> impl Iterator<Item = (&Scope, impl Iterator<Item = TimeRange>)> {
        let scopes = self.scopes.iter();
        scopes.map(|(scope, spans)| {
            let spans = spans.iter().copied();
            (scope, spans.filter(|span| !span.is_empty()))
        })
    }

    pub(super) fn write(&self) -> Vec<Written> {
        let scopes = self.scopes.iter();
        scopes
            .map(|(scope, spans)| Written {
                account: scope.account.to_string(),
                region: scope.region.to_string(),
                open: self.open.contains(scope),
                spans: spans.iter().map(|span| (span.from, span.to)).collect(),
            })
            .collect()
    }

    pub(super) fn read(written: Vec<Written>) -> Self {
        let mut spans = Self::default();
        for one in written {
            let scope = Scope::new(&one.account, &one.region);
            let ranges = one.spans.iter();
            let ranges = ranges.map(|(from, to)| TimeRange::new(*from, *to));
            spans.scopes.insert(scope.clone(), ranges.collect());
            if one.open {
                spans.open.insert(scope);
            }
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::GapReason;

    fn scope() -> Scope {
        Scope::new("111122223333", "us-east-1")
    }

    fn stands(settled: i64) -> Vec<Standing> {
        vec![Standing {
            scope: scope(),
            settled,
            is_replayed: false,
        }]
    }

    fn gap(from: i64, to: i64) -> Gap {
        Gap {
            scope: scope(),
            range: TimeRange::new(from, to),
            count: None,
            reason: GapReason::Unreadable,
        }
    }

    fn claimed(spans: &Spans) -> Vec<(i64, i64)> {
        let mut all = spans.all();
        let Some((_, spans)) = all.next() else {
            return Vec::new();
        };
        spans.map(|span| (span.from, span.to)).collect()
    }

    #[test]
    fn a_stretch_begins_with_what_is_collected_and_grows_with_what_is_settled() {
        let mut spans = Spans::default();
        spans.note(&stands(100), &[], 1_000);
        assert_eq!(claimed(&spans), []);
        spans.note(&stands(1_000), &[], 1_900);
        assert_eq!(claimed(&spans), []);
        spans.note(&stands(1_500), &[], 2_400);
        assert_eq!(claimed(&spans), [(1_001, 1_500)]);
        // a clock that was set back takes nothing away
        spans.note(&stands(1_400), &[], 2_500);
        assert_eq!(claimed(&spans), [(1_001, 1_500)]);
        assert_eq!(
            spans.find(&scope(), 1_001),
            Some(TimeRange::new(1_001, 1_500))
        );
        for outside in [1_000, 1_500] {
            assert_eq!(spans.find(&scope(), outside), None);
        }
        assert_eq!(spans.find(&Scope::new("1", "x"), 1_200), None);
        assert_eq!(Spans::read(spans.write()), spans);
    }

    #[test]
    fn what_was_not_collected_for_a_while_is_not_claimed() {
        let mut spans = Spans::default();
        spans.note(&stands(0), &[], 99);
        spans.note(&stands(200), &[], 1_100);
        spans.note(&[], &[], 1_200);
        spans.note(&stands(300), &[], 1_300);
        spans.note(&stands(2_000), &[], 3_000);
        assert_eq!(claimed(&spans), [(100, 200), (1_301, 2_000)]);
    }

    #[test]
    fn what_cannot_be_had_is_not_claimed() {
        let begun = || {
            let mut spans = Spans::default();
            spans.note(&stands(0), &[], 99);
            spans.note(&stands(500), &[], 1_400);
            spans
        };
        for (gaps, settled, claims) in [
            (vec![gap(200, 300)], 500, vec![(100, 200), (300, 500)]),
            (vec![gap(0, 300)], 600, vec![(300, 600)]),
            // part of it is not claimed yet
            (vec![gap(450, 800)], 900, vec![(100, 450), (800, 900)]),
            (vec![gap(450, 800)], 700, vec![(100, 450)]),
            (vec![gap(700, 800)], 900, vec![(100, 500), (800, 900)]),
            (vec![gap(0, 50)], 500, vec![(100, 500)]),
            (
                vec![gap(200, 300), gap(250, 400), gap(600, 700)],
                800,
                vec![(100, 200), (400, 500), (700, 800)],
            ),
        ] {
            let mut spans = begun();
            spans.note(&stands(settled), &gaps, 2_000);
            assert_eq!(claimed(&spans), claims, "{gaps:?}");
        }
        // one that does not go on
        let mut spans = begun();
        spans.close();
        spans.note(&stands(500), &[gap(200, 300)], 2_000);
        spans.note(&stands(3_000), &[gap(400, 2_500)], 4_000);
        assert_eq!(claimed(&spans), [(100, 200), (300, 400), (2_500, 3_000)]);
    }

    #[test]
    fn only_so_many_are_claimed() {
        let mut spans = Spans::default();
        for turn in 0..2_000 {
            spans.note(&stands(0), &[], turn * 10);
            spans.note(&stands(turn * 10 + 5), &[], turn * 10 + 5);
            spans.close();
        }
        assert_eq!(claimed(&spans).len(), MAX_SPANS);
        assert_eq!(claimed(&spans).last(), Some(&(19_991, 19_995)));
    }
}
