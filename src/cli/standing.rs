//! How a scope stands, as it is written.

use std::{iter, time::Duration};

use prost_types::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    refusal::seconds,
    table::{GAP, Head, grid},
    time::rfc3339,
    view::shown,
};
use crate::{
    proto::v1::{CollectorState, HeldSpan, Scope, ScopeState},
    spelling::Nearest,
};

/// What AWS keeps, in seconds (user guide, "Working with CloudTrail Event
/// history").
const HISTORY: f64 = 90.0 * 86_400.0;

/// What an error may be cut to, in characters, before other columns go.
const SHORT_ERROR: usize = 24;

/// A second since the Unix epoch.
#[derive(Debug)]
struct Time(i64);

impl Time {
    /// As people read it.
    fn shown(&self) -> String {
        shown(self.0)
    }

    fn utc(&self) -> String {
        rfc3339(self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.utc())
    }
}

/// A scope, with the contract's names.
#[derive(Debug, Serialize)]
pub(super) struct Standing<'a> {
    account_id: &'a str,
    region: &'a str,
    state: &'static str,
    /// 0: unmetered.
    requests_per_second: f64,
    /// 0: unmetered.
    max_requests_per_second: f64,
    waiting_calls: i64,
    estimated_wait_seconds: f64,
    held_seconds: i64,
    /// The share of 90 days that is held, in percent.
    held_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_from: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_to: Option<Time>,
    held_stretches: i64,
    held_spans: Vec<HeldTime>,
    held_events: i64,
    held_bytes: i64,
    requests_bought: i64,
    requests_throttled: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_until: Option<Time>,
    #[serde(skip_serializing_if = "str::is_empty")]
    collector_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

/// Time of which some or all is held.
#[derive(Debug, Serialize)]
struct HeldTime {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Time>,
    seconds: i64,
}

impl HeldTime {
    fn of(span: &HeldSpan) -> Self {
        let time = |time: Option<Timestamp>| time.map(|time| Time(time.seconds));
        Self {
            start_time: time(span.start_time),
            end_time: time(span.end_time),
            seconds: span.seconds,
        }
    }
}

impl<'a> Standing<'a> {
    pub(super) fn of(scope: &'a Scope) -> Self {
        let time = |time: Option<Timestamp>| time.map(|time| Time(time.seconds));
        let span = |span: Option<prost_types::Duration>| {
            let span = span.and_then(|span| Duration::try_from(span).ok());
            span.map(|span| span.as_secs_f64())
        };
        let held = scope.coverage.clone().unwrap_or_default();
        let state = scope.state();
        let collector = scope.collector_state();
        #[expect(clippy::cast_precision_loss, reason = "to a tenth of a percent")]
        let held_share = (held.seconds as f64 * 1000.0 / HISTORY).round() / 10.0;
        Self {
            account_id: &scope.account_id,
            region: &scope.region,
            state: state.as_str_name(),
            requests_per_second: scope.requests_per_second,
            max_requests_per_second: scope.max_requests_per_second,
            waiting_calls: scope.waiting_calls,
            estimated_wait_seconds: span(scope.estimated_wait).unwrap_or_default(),
            held_seconds: held.seconds,
            held_share,
            held_from: time(held.oldest_time),
            held_to: time(held.newest_time),
            held_stretches: held.stretches,
            held_spans: held.spans.iter().map(HeldTime::of).collect(),
            held_events: held.events,
            held_bytes: held.bytes,
            requests_bought: scope.requests_bought,
            requests_throttled: scope.requests_throttled,
            last_error: &scope.last_error,
            last_error_time: time(scope.last_error_time),
            last_success_time: time(scope.last_success_time),
            denied_until: time(scope.denied_until),
            collector_state: match collector {
                CollectorState::Unspecified => "",
                state => state.as_str_name(),
            },
            watermark: time(scope.watermark),
            lag_seconds: span(scope.lag),
        }
    }

    fn state_in_words(&self) -> &'static str {
        match ScopeState::from_str_name(self.state) {
            Some(ScopeState::Ok) => "ok",
            Some(ScopeState::NotAsked) => "not asked",
            Some(ScopeState::Denied) => "denied",
            Some(ScopeState::Failing) => "failing",
            Some(ScopeState::Throttled) => "throttled",
            Some(ScopeState::Unspecified) | None => "",
        }
    }

    fn rate(&self) -> String {
        match self.max_requests_per_second > 0.0 {
            true => format!(
                "{}/{}",
                rounded(self.requests_per_second),
                rounded(self.max_requests_per_second)
            ),
            false => "unmetered".to_owned(),
        }
    }

    fn wait(&self) -> String {
        let wait = Duration::try_from_secs_f64(self.estimated_wait_seconds);
        match (self.waiting_calls, wait.unwrap_or_default()) {
            (0, Duration::ZERO) => String::new(),
            (calls, wait) => format!("{calls}, {}", seconds(wait)),
        }
    }

    fn error(&self) -> String {
        let parts = [
            (!self.last_error.is_empty()).then(|| self.last_error.to_owned()),
            self.last_error_time.as_ref().map(Time::shown),
            self.denied_until
                .as_ref()
                .map(|until| format!("not asked until {}", until.shown())),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(" ")
    }
}

/// At most two digits behind the point.
fn rounded(number: f64) -> String {
    format!("{}", (number * 100.0).round() / 100.0)
}

/// The table's columns, and which of them a narrow terminal goes without
/// first.
const COLUMNS: [(Head<'static>, Option<u8>); 11] = [
    (Head::Text("SCOPE"), None),
    (Head::Text("STATE"), None),
    (Head::Text("RATE"), None),
    (Head::Text("WAIT"), Some(5)),
    (Head::Number("HELD"), None),
    (Head::Whole("FROM"), Some(3)),
    (Head::Whole("TO"), Some(1)),
    (Head::Number("EVENTS"), Some(4)),
    (Head::Number("REQUESTS"), Some(6)),
    (Head::Number("THROTTLED"), Some(2)),
    (Head::Text("LAST ERROR"), None),
];

/// A line a scope below a header, for people.
pub(super) fn table(scopes: &[Standing<'_>], width: Option<usize>) -> Vec<String> {
    if scopes.is_empty() {
        return vec!["no scopes".to_owned()];
    }
    let rows: Vec<[String; COLUMNS.len()]> = scopes.iter().map(cells).collect();
    let shown = fitting(&rows, width);
    let heads = COLUMNS.iter().zip(&shown);
    let heads: Vec<_> = heads
        .filter_map(|((head, _), shown)| shown.then_some(*head))
        .collect();
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().zip(&shown);
        cells
            .filter_map(|(cell, shown)| shown.then_some(cell))
            .collect()
    });
    grid(&heads, rows, width)
}

fn cells(scope: &Standing<'_>) -> [String; COLUMNS.len()] {
    let time = |time: &Option<Time>| time.as_ref().map(Time::shown).unwrap_or_default();
    [
        format!("{}/{}", scope.account_id, scope.region),
        scope.state_in_words().to_owned(),
        scope.rate(),
        scope.wait(),
        format!("{:.1}%", scope.held_share),
        time(&scope.held_from),
        time(&scope.held_to),
        scope.held_events.to_string(),
        scope.requests_bought.to_string(),
        scope.requests_throttled.to_string(),
        scope.error(),
    ]
}

/// Which columns there is room for.
fn fitting(rows: &[[String; COLUMNS.len()]], width: Option<usize>) -> [bool; COLUMNS.len()] {
    let mut shown = [true; COLUMNS.len()];
    let Some(room) = width else {
        return shown;
    };
    let mut widths = COLUMNS.map(|(head, _)| head.name().len());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    if let Some(error) = widths.last_mut() {
        *error = (*error).min(SHORT_ERROR);
    }
    loop {
        let columns = widths.iter().zip(&shown).filter(|(_, shown)| **shown);
        let needed: usize = columns.map(|(width, _)| width + GAP).sum();
        let open = COLUMNS.iter().zip(&mut shown);
        let next = open
            .filter(|((_, place), shown)| **shown && place.is_some())
            .min_by_key(|((_, place), _)| *place);
        match next {
            Some((_, shown)) if needed > room + GAP => *shown = false,
            _ => return shown,
        }
    }
}

/// One object with all scopes.
pub(super) fn json(scopes: &[Standing<'_>]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Scopes<'a> {
        scopes: &'a [Standing<'a>],
    }
    serde_json::to_string(&Scopes { scopes })
}

/// What a scope has to tell of something, with times in one form or another.
type Told = fn(&Standing<'_>, fn(&Time) -> String) -> String;

/// What can be told of a scope, by the contract's names.
const FIELDS: [(&str, Told); 23] = [
    ("account_id", |scope, _| scope.account_id.to_owned()),
    ("region", |scope, _| scope.region.to_owned()),
    ("state", |scope, _| scope.state.to_owned()),
    ("requests_per_second", |scope, _| {
        scope.requests_per_second.to_string()
    }),
    ("max_requests_per_second", |scope, _| {
        scope.max_requests_per_second.to_string()
    }),
    ("waiting_calls", |scope, _| scope.waiting_calls.to_string()),
    ("estimated_wait_seconds", |scope, _| {
        scope.estimated_wait_seconds.to_string()
    }),
    ("held_seconds", |scope, _| scope.held_seconds.to_string()),
    ("held_share", |scope, _| scope.held_share.to_string()),
    ("held_from", |scope, time| said(&scope.held_from, time)),
    ("held_to", |scope, time| said(&scope.held_to, time)),
    ("held_stretches", |scope, _| {
        scope.held_stretches.to_string()
    }),
    ("held_events", |scope, _| scope.held_events.to_string()),
    ("held_bytes", |scope, _| scope.held_bytes.to_string()),
    ("requests_bought", |scope, _| {
        scope.requests_bought.to_string()
    }),
    ("requests_throttled", |scope, _| {
        scope.requests_throttled.to_string()
    }),
    ("last_error", |scope, _| scope.last_error.to_owned()),
    ("last_error_time", |scope, time| {
        said(&scope.last_error_time, time)
    }),
    ("last_success_time", |scope, time| {
        said(&scope.last_success_time, time)
    }),
    ("denied_until", |scope, time| {
        said(&scope.denied_until, time)
    }),
    ("collector_state", |scope, _| {
        scope.collector_state.to_owned()
    }),
    ("watermark", |scope, time| said(&scope.watermark, time)),
    ("lag_seconds", |scope, _| {
        scope
            .lag_seconds
            .map(|lag| lag.to_string())
            .unwrap_or_default()
    }),
];

fn said(at: &Option<Time>, time: fn(&Time) -> String) -> String {
    at.as_ref().map(time).unwrap_or_default()
}

/// Something that is told of a scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    told: Told,
}

impl Field {
    /// All that is told.
    pub(super) fn all() -> Vec<Self> {
        let field = |(name, told)| Self { name, told };
        FIELDS.into_iter().map(field).collect()
    }

    /// Reads its name.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let name = name.trim();
        let mut all = Self::all().into_iter();
        let found = all.find(|field| field.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| match Nearest::of(name, Self::names()) {
            Some(field) => format!("no column; did you mean {field:?}?"),
            None => {
                let names: Vec<_> = Self::names().collect();
                format!("no column; there are {}", names.join(", "))
            }
        })
    }

    /// All names.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FIELDS.into_iter().map(|(name, _)| name)
    }

    fn of(self, scope: &Standing<'_>, time: fn(&Time) -> String) -> String {
        (self.told)(scope, time)
    }
}

/// The chosen fields as a table below their names.
pub(super) fn chosen(
    scopes: &[Standing<'_>],
    fields: &[Field],
    width: Option<usize>,
) -> Vec<String> {
    if scopes.is_empty() {
        return vec!["no scopes".to_owned()];
    }
    let heads: Vec<String> = fields
        .iter()
        .map(|field| field.name.to_uppercase())
        .collect();
    let heads: Vec<_> = heads.iter().map(|head| Head::Text(head)).collect();
    let row = |scope: &Standing<'_>| {
        let cells = fields.iter().map(|field| field.of(scope, Time::shown));
        cells.collect()
    };
    grid(&heads, scopes.iter().map(row), width)
}

/// The chosen fields as rows of CSV, the header first.
pub(super) fn rows(scopes: &[Standing<'_>], fields: &[Field]) -> Vec<Vec<String>> {
    let header = fields.iter().map(|field| field.name.to_owned()).collect();
    let row = |scope| {
        fields
            .iter()
            .map(|field| field.of(scope, Time::utc))
            .collect()
    };
    iter::once(header).chain(scopes.iter().map(row)).collect()
}

#[cfg(test)]
mod tests;
