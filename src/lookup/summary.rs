//! Counts of events by time and by the values of fields, exact over what was
//! searched.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Chain, Error, Lookup, Outlook, Question, Reason, ScopeAnswer, ScopeState, Stats};
use crate::{
    event::{Event, TimeRange},
    filter::Fields,
};

/// The buckets where no width is given.
const USUAL_BUCKETS: i64 = 100;
/// The widths that are chosen where none is given, in seconds: those that people
/// count in.
const WIDTHS: [i64; 17] = [
    1, 5, 10, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800,
    2_592_000,
];
/// The most distinct values of a field that are counted: some 10 MB of usual
/// ones.
const MAX_DISTINCT: usize = 100_000;
/// The most bytes of values that are counted, of all fields.
const MAX_BYTES: usize = 16 << 20;
/// What a counted value takes beside its bytes.
const VALUE_OVERHEAD: usize = 48;
/// Events counted without a pause for others: some milliseconds.
const EVENTS_A_TURN: usize = 256;

/// What is counted.
#[derive(Clone, Debug)]
pub struct SummaryOf {
    /// The width of a bucket in seconds, at least 1.
    pub width: i64,
    /// The fields whose values are counted.
    pub fields: Fields,
    /// How many values of each are told.
    pub top_values: usize,
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Every bucket that was searched in some scope, ascending.
    pub buckets: Vec<Bucket>,
    /// By field.
    pub top: Vec<Top>,
    /// Events counted.
    pub events: u64,
    /// How far each scope was searched.
    pub scopes: Vec<ScopeAnswer>,
    /// What it took.
    pub stats: Stats,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it starts: a multiple of the width since the epoch.
    pub start: i64,
    /// Events in it.
    pub count: u64,
    /// Some scope was not searched over all of it.
    pub is_partial: bool,
}

/// The values of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// The most frequent, descending by count, then ascending.
    pub values: Vec<(Box<str>, u64)>,
    /// Events without a value.
    pub without: u64,
    /// Distinct values that were counted.
    pub distinct: usize,
    /// How often values came that were not counted any more.
    pub uncounted: u64,
}

impl SummaryOf {
    /// The most buckets of a summary: more than any screen is wide.
    pub const MAX_BUCKETS: i64 = 10_000;

    /// How many buckets of `width` seconds a window has a part in.
    #[must_use]
    pub fn buckets(window: TimeRange, width: i64) -> i64 {
        if window.is_empty() {
            return 0;
        }
        let last = window.to.saturating_sub(1).div_euclid(width);
        last - window.from.div_euclid(width) + 1
    }

    /// The width of buckets for a window where none is asked for.
    #[must_use]
    pub fn usual_width(window: TimeRange) -> i64 {
        let fits = |width: &i64| Self::buckets(window, *width) <= USUAL_BUCKETS;
        // beyond thirty days a bucket: whole days
        WIDTHS.into_iter().find(fits).unwrap_or_else(|| {
            let days = window.seconds() / USUAL_BUCKETS / 86_400 + 1;
            days.saturating_mul(86_400)
        })
    }
}

impl Lookup {
    /// Counts the events of `question`, newest first and by pages of its size, as
    /// far as its deadline and its `max_upstream_calls` allow.
    ///
    /// # Errors
    /// As [`Lookup::ask`], if nothing at all could be searched.
    pub async fn summarize(&self, question: Question, of: &SummaryOf) -> Result<Summary, Error> {
        let window = question.window;
        let mut chain = Chain::new(self, question);
        let mut tally = Tally::new(of);
        let mut scopes: Option<Vec<ScopeAnswer>> = None;
        // the events of a second that a page's end cut through
        let mut open: Vec<Arc<Event>> = Vec::new();
        // why it ended before all was searched
        let mut end: Option<Reason> = None;
        while let Some(page) = chain.next().await {
            let page = match (page, &scopes) {
                (Ok(page), _) => page,
                // what was counted is told; asked again, it fails or goes on
                (Err(error), Some(_)) => {
                    end = Some(error.into());
                    break;
                }
                (Err(error), None) => return Err(error),
            };
            let next = page.answer.next.as_ref();
            let cut = next.filter(|next| next.seconds_before() > next.time);
            let mut events = std::mem::take(&mut open);
            events.extend(page.answer.events);
            if let Some(cut) = cut {
                let whole = events.partition_point(|event| event.time > cut.time);
                open = events.split_off(whole);
            }
            for events in events.chunks(EVENTS_A_TURN) {
                events.iter().for_each(|event| tally.count(event));
                tokio::task::yield_now().await;
            }
            let mut told = page.answer.scopes;
            if let Some(cut) = cut {
                for scope in &mut told {
                    let TimeRange { from, to } = scope.searched;
                    scope.searched = TimeRange::new(from.max(cut.time + 1), to);
                }
            }
            scopes = Some(told);
            let is_late = tokio::time::Instant::now() >= chain.deadline();
            end = match page.outlook {
                Outlook::Stuck(reason) => Some(reason),
                Outlook::More if is_late => Some(Reason::Deadline),
                Outlook::More | Outlook::End => None,
            };
            if end.is_some() {
                break;
            }
        }
        let mut scopes = scopes.unwrap_or_default();
        if let Some(why) = &end {
            chain.close(&mut scopes, why);
        }
        Ok(Summary {
            buckets: tally.buckets(window, &scopes),
            events: tally.events,
            top: tally.top(),
            scopes,
            stats: chain.stats(),
        })
    }
}

struct Tally<'a> {
    of: &'a SummaryOf,
    events: u64,
    /// By bucket.
    counts: BTreeMap<i64, u64>,
    /// By field.
    values: Vec<Values>,
    bytes: usize,
    max_bytes: usize,
    max_distinct: usize,
}

#[derive(Default)]
struct Values {
    counts: HashMap<Box<str>, u64>,
    without: u64,
    uncounted: u64,
}

impl<'a> Tally<'a> {
    fn new(of: &'a SummaryOf) -> Self {
        Self {
            of,
            events: 0,
            counts: BTreeMap::new(),
            values: std::iter::repeat_with(Values::default)
                .take(of.fields.len())
                .collect(),
            bytes: 0,
            max_bytes: MAX_BYTES,
            max_distinct: MAX_DISTINCT,
        }
    }

    fn count(&mut self, event: &Event) {
        self.events += 1;
        let bucket = event.time.div_euclid(self.of.width);
        *self.counts.entry(bucket).or_default() += 1;
        if self.of.fields.is_empty() {
            return;
        }
        let found = self.of.fields.values(event);
        for (values, found) in self.values.iter_mut().zip(found) {
            values.without += u64::from(found.is_empty());
            for value in found {
                if let Some(count) = values.counts.get_mut(value.as_str()) {
                    *count += 1;
                    continue;
                }
                let more = value.len() + VALUE_OVERHEAD;
                // one that was not counted from the first on never is: counts stay exact
                if values.uncounted > 0
                    || values.counts.len() >= self.max_distinct
                    || self.bytes + more > self.max_bytes
                {
                    values.uncounted += 1;
                    continue;
                }
                self.bytes += more;
                values.counts.insert(value.into(), 1);
            }
        }
    }

    fn buckets(&self, window: TimeRange, scopes: &[ScopeAnswer]) -> Vec<Bucket> {
        let width = self.of.width;
        let searched = scopes.iter().map(|scope| scope.searched);
        let searched = searched.filter(|searched| !searched.is_empty());
        let (Some(from), Some(to)) = (
            searched.clone().map(|searched| searched.from).min(),
            searched.map(|searched| searched.to).max(),
        ) else {
            return Vec::new();
        };
        let mut buckets = Vec::new();
        let mut start = from.div_euclid(width) * width;
        while start < to {
            let end = start.saturating_add(width);
            let range = TimeRange::new(start, end).intersect(&window);
            let is_searched = |scope: &ScopeAnswer| !scope.searched.intersect(&range).is_empty();
            if scopes.iter().any(is_searched) {
                buckets.push(Bucket {
                    start,
                    count: self.counts.get(&(start / width)).copied().unwrap_or(0),
                    is_partial: !scopes.iter().all(|scope| has_all(scope, range, window)),
                });
            }
            start = end;
        }
        buckets
    }

    fn top(self) -> Vec<Top> {
        let most = self.of.top_values;
        let top = |values: Values| {
            let distinct = values.counts.len();
            let mut counts: Vec<_> = values.counts.into_iter().collect();
            counts.sort_unstable_by(|(a, x), (b, y)| Reverse(x).cmp(&Reverse(y)).then(a.cmp(b)));
            counts.truncate(most);
            Top {
                values: counts,
                without: values.without,
                distinct,
                uncounted: values.uncounted,
            }
        };
        self.values.into_iter().map(top).collect()
    }
}

/// Whether all of `range` was searched in a scope. What max_staleness allows to
/// be missing up to now is not missed.
fn has_all(scope: &ScopeAnswer, range: TimeRange, window: TimeRange) -> bool {
    let searched = match scope.state {
        ScopeState::Complete | ScopeState::Partial(_) if !scope.searched.is_empty() => {
            TimeRange::new(scope.searched.from, window.to)
        }
        _ => scope.searched,
    };
    searched.intersect(&range) == range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Scope};

    fn event(name: &str, time: i64) -> Event {
        let record = format!("{{\"eventName\":\"{name}\"}}");
        let scope = Scope::new("111122223333", "us-east-1");
        Event::from_record(&scope, record.as_bytes(), Origin::LogFile, time)
    }

    fn names(width: i64) -> SummaryOf {
        SummaryOf {
            width,
            fields: Fields::parse(&["eventName".into()], "", &()).unwrap(),
            top_values: 2,
        }
    }

    #[test]
    fn past_the_bound_counts_stay_exact_and_the_rest_is_told() {
        let of = names(10);
        for (max_distinct, max_bytes) in [(2, MAX_BYTES), (MAX_DISTINCT, 2 * VALUE_OVERHEAD + 2)] {
            let mut tally = Tally::new(&of);
            (tally.max_distinct, tally.max_bytes) = (max_distinct, max_bytes);
            for name in ["b", "a", "c", "a", "c", "c", "b"] {
                tally.count(&event(name, 0));
            }
            assert_eq!(
                tally.top(),
                [Top {
                    values: vec![("a".into(), 2), ("b".into(), 2)],
                    without: 0,
                    distinct: 2,
                    uncounted: 3,
                }]
            );
        }
    }

    #[test]
    fn usual_widths_make_some_hundred_buckets_of_any_window() {
        for seconds in [
            1,
            59,
            3_600,
            86_400,
            90 * 86_400,
            400 * 86_400,
            60 * 365 * 86_400,
        ] {
            let window = TimeRange::new(1_000_000_007, 1_000_000_007 + seconds);
            let width = SummaryOf::usual_width(window);
            let count = SummaryOf::buckets(window, width);
            assert!(
                (1..=101).contains(&count),
                "{seconds} s: {count} of {width} s"
            );
            assert!(
                count * 6 >= USUAL_BUCKETS.min(seconds),
                "{seconds} s: {count} of {width} s"
            );
        }
        assert_eq!(SummaryOf::buckets(TimeRange::new(5, 5), 1), 0);
        assert_eq!(SummaryOf::buckets(TimeRange::new(-1, 1), 10), 2);
    }
}
