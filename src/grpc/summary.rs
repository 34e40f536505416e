//! `SummarizeEvents`: turns, and the answer.

use prost_types::{Duration, Timestamp};
use tokio::time::Instant;
use tonic::Status;

use super::{
    MAX_SUMMARIES, Service,
    events::{count, scope_status},
    status::too_many,
};
use crate::{
    budget::Caller,
    lookup::{Bucket, Summary, SummaryOf, Top},
    proto::v1,
    slots::Slot,
};

/// The bytes of all values of an answer together: with buckets and scopes it
/// stays below 3 MiB.
const VALUE_BYTES: usize = 2 << 20;
/// The most bytes of a value in an answer: as long as a match's value may be.
const MAX_VALUE: usize = 2000;
/// The bytes of a value that are told however many there are.
const MIN_VALUE: usize = 256;

impl Service {
    /// Waits for a turn to summarize.
    pub(super) async fn turn_to_summarize(
        &self,
        caller: &Caller,
        deadline: Instant,
    ) -> Result<Slot, Status> {
        let turn = tokio::time::timeout_at(deadline, self.summaries.wait(caller)).await;
        turn.ok().flatten().ok_or_else(|| {
            let (most, each) = (MAX_SUMMARIES, self.summaries.each());
            let message = format!(
                "no turn came before the deadline: {most} summaries are under way, or {each} of \
                 this caller's; try again later"
            );
            too_many("TOO_MANY_SUMMARIES", &message)
        })
    }
}

/// The answer; `names` are the fields as they were asked for.
pub(super) fn response(
    summary: &Summary,
    of: &SummaryOf,
    names: Vec<String>,
    stats: v1::Stats,
) -> v1::SummarizeEventsResponse {
    let listed: usize = summary.top.iter().map(|top| top.values.len()).sum();
    let most = (VALUE_BYTES / listed.max(1)).clamp(MIN_VALUE, MAX_VALUE);
    let bucket = |bucket: &Bucket| v1::TimeBucket {
        start_time: Some(Timestamp {
            seconds: bucket.start,
            nanos: 0,
        }),
        count: count(bucket.count),
        is_partial: bucket.is_partial,
    };
    let top = |(field, top): (String, &Top)| v1::TopValues {
        field,
        values: top
            .values
            .iter()
            .map(|(value, times)| {
                let told = cut(value, most);
                v1::ValueCount {
                    value: told.to_owned(),
                    count: count(*times),
                    is_cut: told.len() < value.len(),
                }
            })
            .collect(),
        events_without: count(top.without),
        distinct_values: count(top.distinct),
        is_truncated: top.uncounted > 0,
        uncounted: count(top.uncounted),
    };
    v1::SummarizeEventsResponse {
        buckets: summary.buckets.iter().map(bucket).collect(),
        top: names.into_iter().zip(&summary.top).map(top).collect(),
        scopes: summary.scopes.iter().map(scope_status).collect(),
        stats: Some(stats),
        event_count: count(summary.events),
        bucket: Some(Duration {
            seconds: of.width,
            nanos: 0,
        }),
    }
}

/// The first bytes of a text, at most so many, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{
        event::{Scope, TimeRange},
        filter::Fields,
        lookup::{Reason, ScopeAnswer, ScopeState, Stats},
    };

    #[test]
    fn values_are_cut_between_characters() {
        assert_eq!(cut("aéb", 4), "aéb");
        assert_eq!(cut("aéb", 3), "aé");
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn the_largest_answer_fits_a_message() {
        let top = Top {
            values: (0..1000)
                .map(|i| (format!("{i:0>3000}").into(), u64::MAX / 2))
                .collect(),
            without: u64::MAX,
            distinct: usize::MAX,
            uncounted: u64::MAX,
        };
        let scope = |i: usize| ScopeAnswer {
            scope: Scope::new("111122223333", &format!("ap-southeast-{i}")),
            place: 0,
            state: ScopeState::Partial(Reason::Quota),
            searched: TimeRange::new(1, 1_700_000_000),
            as_of: jiff::Timestamp::UNIX_EPOCH,
            unsettled_as_of: None,
            unproven_before: None,
            starts_before_history: false,
            is_in_log_files: false,
        };
        let summary = Summary {
            buckets: (0..SummaryOf::MAX_BUCKETS)
                .map(|i| Bucket {
                    start: 1_700_000_000 + i,
                    count: u64::MAX / 2,
                    is_partial: true,
                })
                .collect(),
            top: vec![top; 10],
            events: u64::MAX,
            scopes: (0..1000).map(scope).collect(),
            stats: Stats::default(),
        };
        let of = SummaryOf {
            width: 1,
            fields: Fields::default(),
            top_values: 1000,
        };
        let response = response(
            &summary,
            &of,
            vec!["field".into(); 10],
            v1::Stats::default(),
        );
        assert_eq!(response.top.len(), 10);
        assert!(response.top.iter().all(|top| {
            top.is_truncated && top.values.iter().all(|v| v.is_cut && v.value.len() == 256)
        }));
        let size = response.encoded_len();
        // clients refuse 4 MiB
        assert!(size < 7 << 19, "{size}");
    }
}
