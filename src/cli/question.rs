//! What events are asked for: the options that all commands have which look
//! through history.

use std::time::Duration;

use clap::Args;
use prost_types::Timestamp;

use super::{
    asked::Asked,
    connect::Scopes,
    input::Origin,
    report,
    time::{self, When},
    view,
    where_clause::{self, Condition, Conditions, equals},
};
use crate::{
    clock::Clock,
    event::Category,
    proto::v1::{self, EventCategory, EventFilter},
};

/// The grammar of conditions and times, for help texts.
pub(super) fn help() -> String {
    format!("{}\n\n{}", where_clause::HELP, time::HELP)
}

/// Which events, and when.
#[derive(Debug, Args)]
pub(super) struct Question {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    scopes: Scopes,

    /// From this long ago on, such as 30m, 2h, 7d
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::some_span,
        allow_hyphen_values = true,
        conflicts_with = "start",
        help_heading = "When"
    )]
    since: Option<Duration>,
    /// From this time on [default: as far back as history goes]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time::when,
        allow_hyphen_values = true,
        help_heading = "When"
    )]
    start: Option<When>,
    /// Up to this time, inclusive [default: now]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time::when,
        allow_hyphen_values = true,
        help_heading = "When"
    )]
    end: Option<When>,
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct What {
    #[command(flatten)]
    conditions: Conditions,
    /// Letters match in either case, in all conditions; AWS cannot be asked so,
    /// which makes the search a wider one
    #[arg(short, long, help_heading = "What")]
    ignore_case: bool,
    /// The user, as LookupEvents names it: for an assumed role the session
    #[arg(long = "user", value_name = "NAME", help_heading = "What")]
    users: Vec<String>,
    /// The API action (these options may be repeated: any of the values)
    #[arg(long = "event-name", value_name = "NAME", help_heading = "What")]
    names: Vec<String>,
    /// The service, such as s3.amazonaws.com
    #[arg(long = "event-source", value_name = "SERVICE", help_heading = "What")]
    sources: Vec<String>,
    /// The resource's type, such as AWS::S3::Bucket
    #[arg(long = "resource-type", value_name = "TYPE", help_heading = "What")]
    resource_types: Vec<String>,
    /// The resource's name or ARN
    #[arg(long = "resource-name", value_name = "NAME", help_heading = "What")]
    resource_names: Vec<String>,
    /// The access key that signed
    #[arg(long = "access-key-id", value_name = "ID", help_heading = "What")]
    access_keys: Vec<String>,
    /// The event's id
    #[arg(long = "event-id", value_name = "ID", help_heading = "What")]
    ids: Vec<String>,
    /// Only calls that read; of no only those that did more [default: yes]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = yes_or_no,
        help_heading = "What"
    )]
    read_only: Option<bool>,
}

/// Reads a yes or a no.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("say yes or no".to_owned()),
    }
}

/// When, on the clock: seconds since the Unix epoch, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// The option that named the start, and the start.
    start: Option<(&'static str, i64)>,
    end: Option<i64>,
}

impl Window {
    /// As the contract has it; `None` is as far back as history goes.
    pub(super) fn start_time(&self) -> Option<Timestamp> {
        timestamp(self.start.map(|(_, start)| start))
    }

    /// As the contract has it; `None` is now.
    pub(super) fn end_time(&self) -> Option<Timestamp> {
        timestamp(self.end)
    }
}

fn timestamp(second: Option<i64>) -> Option<Timestamp> {
    second.map(|seconds| Timestamp { seconds, nanos: 0 })
}

impl Question {
    /// When; `None` after saying that it is a stretch without time.
    pub(super) fn window(&self, clock: &Clock) -> Option<Window> {
        let start = match (self.since, self.start) {
            (Some(span), _) => Some(("--since", time::first(When::Ago(span), clock))),
            (None, start) => start.map(|start| ("--start", time::first(start, clock))),
        };
        let end = self.end.map(|end| time::last(end, clock));
        let last = end.unwrap_or_else(|| clock.now_secs());
        if let Some((_, start)) = start.filter(|(_, start)| *start > last) {
            let [start, last] = [start, last].map(view::shown);
            report::note(format_args!("the start, {start}, is after the end, {last}"));
            return None;
        }
        Some(Window { start, end })
    }

    /// Puts what the options say over what a file has; all of it, for messages.
    pub(super) fn fold(
        &self,
        window: &Window,
        slots: Slots<'_>,
        order: v1::Order,
        mut origin: Origin,
    ) -> Asked {
        let Slots {
            filters,
            start_time,
            end_time,
            account_ids,
            regions,
            event_category,
        } = slots;
        if window.start.is_some() {
            *start_time = window.start_time();
            origin.hide("start_time");
        }
        if window.end.is_some() {
            *end_time = window.end_time();
            origin.hide("end_time");
        }
        let category = self.scopes.category().map(Into::into);
        put(event_category, category, "event_category", &mut origin);
        let of_file = start_time.as_ref().map(|start| start.seconds);
        let asked = self.what.fold(
            filters,
            (account_ids, &self.scopes.accounts),
            (regions, &self.scopes.regions),
            origin,
        );
        Asked {
            start: window.start.or(of_file.map(|start| ("startTime", start))),
            order,
            category: match EventCategory::try_from(*event_category) {
                Ok(EventCategory::Insight) => Category::Insight,
                _ => Category::Management,
            },
            ..asked
        }
    }
}

/// The fields of a request that the options are for.
pub(super) struct Slots<'a> {
    pub(super) filters: &'a mut Vec<EventFilter>,
    pub(super) start_time: &'a mut Option<Timestamp>,
    pub(super) end_time: &'a mut Option<Timestamp>,
    pub(super) account_ids: &'a mut Vec<String>,
    pub(super) regions: &'a mut Vec<String>,
    pub(super) event_category: &'a mut i32,
}

/// Puts what an option says, if it does, over what a file has.
pub(super) fn put<T>(slot: &mut T, said: Option<T>, field: &str, origin: &mut Origin) {
    if let Some(said) = said {
        *slot = said;
        origin.hide(field);
    }
}

/// As [`put`], of how old an answer may be and what it may cost.
pub(super) fn put_bounds(
    (staleness, calls): (&mut Option<prost_types::Duration>, &mut i32),
    said: (Option<Duration>, Option<i32>),
    origin: &mut Origin,
) {
    let span = said.0.map(|span| span.try_into().ok());
    put(staleness, span, "max_staleness", origin);
    put(calls, said.1, "max_upstream_calls", origin);
}

/// As [`put`], of an option that is repeated.
pub(super) fn over(slot: &mut Vec<String>, said: &[String], field: &str, origin: &mut Origin) {
    if !said.is_empty() {
        *slot = said.to_vec();
        origin.hide(field);
    }
}

impl What {
    /// Puts conditions, accounts and Regions that options say over what a file has.
    pub(super) fn fold(
        &self,
        filters: &mut Vec<EventFilter>,
        (account_ids, accounts): (&mut Vec<String>, &[String]),
        (region_names, regions): (&mut Vec<String>, &[String]),
        mut origin: Origin,
    ) -> Asked {
        over(account_ids, accounts, "account_ids", &mut origin);
        over(region_names, regions, "regions", &mut origin);
        let mut alternatives = self.alternatives();
        match alternatives.is_empty() {
            false => {
                *filters = where_clause::filters(&alternatives);
                origin.hide("filters");
            }
            true => {
                let matches = filters.iter_mut().flat_map(|filter| &mut filter.matches);
                for one in matches.filter(|_| self.ignore_case) {
                    one.ignore_case = where_clause::has_case(one);
                }
                alternatives = where_clause::in_file(filters, |filter, place| {
                    let field = format!("filters[{filter}].matches[{place}]");
                    origin.place(&field).unwrap_or(field)
                });
            }
        }
        Asked {
            alternatives,
            accounts: account_ids.clone(),
            regions: region_names.clone(),
            ignore_case: self.ignore_case,
            input: origin,
            ..Asked::default()
        }
    }

    fn alternatives(&self) -> Vec<Vec<Condition>> {
        let read_only = Vec::from_iter(self.read_only.map(|flag| flag.to_string()));
        let common: Vec<Condition> = [
            ("--event-id", "EventId", &self.ids),
            ("--resource-name", "ResourceName", &self.resource_names),
            ("--access-key-id", "AccessKeyId", &self.access_keys),
            ("--user", "Username", &self.users),
            ("--event-name", "EventName", &self.names),
            ("--resource-type", "ResourceType", &self.resource_types),
            ("--event-source", "EventSource", &self.sources),
            ("--read-only", "ReadOnly", &read_only),
        ]
        .into_iter()
        .filter_map(|(option, field, values)| equals(option, field, values))
        .collect();
        self.conditions.clone().with(&common, self.ignore_case)
    }
}
