//! A summary as it is written.

use serde::Serialize;

use super::{
    histogram::{self, Bucket, Drawing},
    json::is_false,
    report::count,
    table::{Head, grid},
    time::rfc3339,
    view::bold,
};
use crate::proto::v1::{
    ScopeStatus, SearchState, SummarizeEventsResponse, TimeBucket, TopValues, ValueCount,
};

/// A summary, and how wide its buckets are.
pub(super) struct Tally<'a> {
    answer: &'a SummarizeEventsResponse,
    buckets: Vec<Bucket>,
    /// A bucket's width in seconds; 0: not known.
    span: i64,
    /// Events in all.
    total: i64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(answer: &'a SummarizeEventsResponse) -> Self {
        let bucket = |bucket: &TimeBucket| Bucket {
            start: bucket.start_time.map_or(0, |time| time.seconds),
            count: bucket.count,
            is_partial: bucket.is_partial,
        };
        Self {
            buckets: answer.buckets.iter().map(bucket).collect(),
            span: answer.bucket.map_or(0, |span| span.seconds),
            total: answer.event_count,
            answer,
        }
    }

    /// The share of all events, in percent.
    fn share(&self, count: i64) -> String {
        match self.total {
            0 => String::new(),
            #[expect(clippy::cast_precision_loss, reason = "to a tenth of a percent")]
            total => format!("{:.1}", count as f64 * 100.0 / total as f64),
        }
    }

    /// For people. `width`: of the terminal, if it is one. In colour, heads are bold.
    pub(super) fn lines(&self, drawing: Drawing, width: Option<usize>, color: bool) -> Vec<String> {
        let head = |line: String| match color {
            true => bold(&line),
            false => line,
        };
        let mut lines = vec![head(count(self.total, "event"))];
        let mut histogram = histogram::lines(&self.buckets, self.span, drawing);
        if self.buckets.iter().any(|bucket| bucket.is_partial) {
            histogram.push("+: not all of it was searched".to_owned());
        }
        if !histogram.is_empty() && self.total > 0 {
            lines.push(String::new());
            lines.extend(histogram);
        }
        for top in &self.answer.top {
            lines.push(String::new());
            let mut table = self.table(top, width).into_iter();
            lines.extend(table.next().map(head));
            lines.extend(table);
        }
        lines
    }

    /// The values of a field, and what else there is to say of them.
    fn table(&self, top: &TopValues, width: Option<usize>) -> Vec<String> {
        if top.values.is_empty() {
            return vec![format!("{}: no event has a value", top.field)];
        }
        let heads = [
            Head::Text(&top.field),
            Head::Number("EVENTS"),
            Head::Number("%"),
        ];
        let row = |value: String, count: i64| vec![value, count.to_string(), self.share(count)];
        let mut rows: Vec<_> = top
            .values
            .iter()
            .map(|value| row(shown(value), value.count))
            .collect();
        let listed = i64::try_from(top.values.len()).unwrap_or(i64::MAX);
        let more = top.distinct_values.saturating_sub(listed);
        if more > 0 {
            let counted = match top.is_truncated {
                true => format!("({more} more values, and some that were not counted)"),
                false => format!("({})", count(more, "more value")),
            };
            rows.push(vec![counted]);
        }
        if top.events_without > 0 {
            rows.push(row("(no value)".to_owned(), top.events_without));
        }
        let mut lines = grid(&heads, rows, width);
        if top.is_truncated {
            lines.push(format!(
                "too many values to count all: one that is not listed came at most {} times",
                top.uncounted
            ));
        }
        lines
    }

    /// One object, with the contract's names.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let time = |time: Option<prost_types::Timestamp>| time.map(|time| rfc3339(time.seconds));
        let buckets = self.buckets.iter().map(|bucket| JsonBucket {
            start_time: rfc3339(bucket.start),
            count: bucket.count,
            is_partial: bucket.is_partial,
        });
        let top = self.answer.top.iter().map(|top| JsonTop {
            field: &top.field,
            values: top
                .values
                .iter()
                .map(|value| JsonValue {
                    value: &value.value,
                    count: value.count,
                    is_cut: value.is_cut,
                })
                .collect(),
            events_without: top.events_without,
            distinct_values: top.distinct_values,
            is_truncated: top.is_truncated,
            uncounted: top.uncounted,
        });
        let scopes = self.answer.scopes.iter().map(|scope| JsonScope {
            account_id: &scope.account_id,
            region: &scope.region,
            state: state(scope),
            reason: &scope.reason,
            message: &scope.message,
            searched_from: time(scope.searched_from),
            searched_to: time(scope.searched_to),
            as_of: time(scope.as_of),
            unsettled_as_of: time(scope.unsettled_as_of),
            unproven_before: time(scope.unproven_before),
        });
        serde_json::to_string(&Json {
            event_count: self.total,
            bucket_seconds: self.span,
            buckets: buckets.collect(),
            top: top.collect(),
            scopes: scopes.collect(),
        })
    }

    /// As rows of CSV, the header first.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let header = ["kind", "field", "value", "count", "share", "note"];
        let row = |kind: &str, field: &str, value: String, count: i64, note: &str| {
            let (count, share) = (count.to_string(), self.share(count));
            let [kind, field, note] = [kind, field, note].map(str::to_owned);
            vec![kind, field, value, count, share, note]
        };
        let note = |is_so: bool, note: &'static str| if is_so { note } else { "" };
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for bucket in &self.buckets {
            let start = rfc3339(bucket.start);
            let note = note(bucket.is_partial, "partial");
            rows.push(row("bucket", "", start, bucket.count, note));
        }
        for top in &self.answer.top {
            let values = top.values.iter().map(|one| {
                let note = note(one.is_cut, "cut");
                row("top", &top.field, one.value.clone(), one.count, note)
            });
            rows.extend(values);
            let (field, without) = (&top.field, top.events_without);
            rows.push(row("without", field, String::new(), without, ""));
        }
        rows
    }
}

/// A value as it is told to people.
fn shown(value: &ValueCount) -> String {
    match value.value.as_str() {
        "" => "(empty)".to_owned(),
        cut if value.is_cut => format!("{cut}…"),
        whole => whole.to_owned(),
    }
}

fn state(scope: &ScopeStatus) -> &'static str {
    match scope.state() {
        SearchState::Unspecified => "",
        state => state.as_str_name(),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    event_count: i64,
    bucket_seconds: i64,
    buckets: Vec<JsonBucket>,
    top: Vec<JsonTop<'a>>,
    scopes: Vec<JsonScope<'a>>,
}

#[derive(Serialize)]
struct JsonBucket {
    start_time: String,
    count: i64,
    #[serde(skip_serializing_if = "is_false")]
    is_partial: bool,
}

#[derive(Serialize)]
struct JsonTop<'a> {
    field: &'a str,
    values: Vec<JsonValue<'a>>,
    events_without: i64,
    distinct_values: i64,
    #[serde(skip_serializing_if = "is_false")]
    is_truncated: bool,
    uncounted: i64,
}

#[derive(Serialize)]
struct JsonValue<'a> {
    value: &'a str,
    count: i64,
    #[serde(skip_serializing_if = "is_false")]
    is_cut: bool,
}

#[derive(Serialize)]
struct JsonScope<'a> {
    account_id: &'a str,
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsettled_as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unproven_before: Option<String>,
}
