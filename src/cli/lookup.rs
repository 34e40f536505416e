//! `trailgate lookup`: its options, and the request they make.

use std::{process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    EXIT_FAILED, EXIT_USAGE,
    asked::Asked,
    connect::{Connect, Scopes, block_on},
    output::Format,
    paging::Paging,
    report,
    table::Column,
    time::{self, When},
    where_clause::{self, Condition, Conditions, equals},
};
use crate::{
    client::LookupOptions,
    clock::Clock,
    event::Category,
    proto::v1::{self, EventView, LookupEventsRequest},
};

const EXAMPLES: &str = "\
Examples:
  trailgate lookup --since 2h
  trailgate lookup --user alice --since 7d
  trailgate lookup --where errorCode=AccessDenied --where 'userIdentity.type != AWSService'
  trailgate lookup --where 'eventName in (RunInstances, StopInstances)' --limit all -o jsonl
  trailgate lookup --where 'sourceIPAddress not cidr 10.0.0.0/8' --start 2024-05-06 --end 2024-05-06
  trailgate lookup -i -w 'requestParameters.bucketName ^= prod-' --or 'ResourceName *= prod' -o json";

const EXIT_CODES: &str = "\
Exit codes: 0 searched, as far as --limit; 1 the call failed; 2 some scope was not searched
as far as was asked for (said on stderr); 64 usage; 130 interrupted.";

fn long_help() -> String {
    let [conditions, times] = [where_clause::HELP, time::HELP];
    format!("{EXAMPLES}\n\n{conditions}\n\n{times}\n\n{EXIT_CODES}")
}

fn short_help() -> String {
    format!("{EXAMPLES}\n\n--help has the grammar of conditions and times, and the exit codes.")
}

/// How many events a page is asked to have: enough that a page a round trip is
/// no matter, few enough that the first come soon.
const PAGE_SIZE: u64 = 100;

/// How long the first page may take, and those after it while pages get
/// somewhere: progress shows as often. Some ten requests to a scope.
const FIRST_PAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// What `trailgate lookup` is asked.
#[derive(Debug, Args)]
#[command(after_help = short_help(), after_long_help = long_help())]
pub(super) struct Lookup {
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
    /// Only calls that read, or with =false only those that did more
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "What"
    )]
    read_only: Option<bool>,
    #[command(flatten)]
    scopes: Scopes,

    /// From this long ago on, such as 30m, 2h, 7d
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::some_span,
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

    /// Which end comes first; oldest costs more requests to AWS
    #[arg(long, value_enum, default_value = "newest", help_heading = "How")]
    order: Order,
    /// Stop after so many events; all or 0: no limit
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit, help_heading = "How")]
    limit: Limit,
    /// How many events are asked for at once, up to 1000
    #[arg(
        long,
        value_name = "N",
        default_value_t = PAGE_SIZE,
        value_parser = clap::value_parser!(u64).range(1..=1000),
        help_heading = "How"
    )]
    page_size: u64,
    /// How old the answer for recent events may be; 0 asks AWS [default: 30s]
    #[arg(long, value_name = "SPAN", value_parser = time::span, help_heading = "How")]
    max_staleness: Option<Duration>,
    /// Stop after buying so many requests from AWS, over all pages
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..),
        help_heading = "How"
    )]
    max_upstream_calls: Option<i32>,
    /// The format; json and jsonl have the whole record
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    /// The table's columns, such as time,who,agent [default: as many of time,
    /// event, source, who, scope, address, error, resource as fit]
    #[arg(
        long,
        value_enum,
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "How"
    )]
    columns: Vec<Column>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Newest event first
    Newest,
    /// Oldest event first
    Oldest,
}

/// How many events are wanted; `None` is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "all" | "0" => Ok(Limit(None)),
        number => number
            .parse()
            .map(|number| Limit(Some(number)))
            .map_err(|_| "neither a number of events nor \"all\"".to_owned()),
    }
}

impl Lookup {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        let code = block_on(self.search()).unwrap_or(EXIT_FAILED);
        ExitCode::from(code)
    }

    async fn search(self) -> u8 {
        let clock = Clock::system();
        let start = match (self.since, self.start) {
            (Some(span), _) => Some(("--since", When::Ago(span).first(&clock))),
            (None, start) => start.map(|start| ("--start", start.first(&clock))),
        };
        let end = self.end.map(|end| end.last(&clock));
        let last = end.unwrap_or_else(|| clock.now_secs());
        if let Some((_, start)) = start.filter(|(_, start)| *start > last) {
            let [start, last] = [start, last].map(time::rfc3339);
            report::note(format_args!("the start, {start}, is after the end, {last}"));
            return EXIT_USAGE;
        }
        if !self.columns.is_empty() && self.output != Format::Table {
            report::note("--columns is for -o table; json and jsonl have all fields");
            return EXIT_USAGE;
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let options = LookupOptions {
            page_timeout: self.connect.timeout,
            first_page_timeout: Some(FIRST_PAGE_TIMEOUT),
        };
        let asked = self.asked(start);
        let pages = client.lookup(self.request(&asked, end), options);
        let paging = Paging::new(
            asked,
            (self.output, &self.columns),
            self.limit.0,
            self.page_size,
            self.max_upstream_calls,
        );
        paging.run(pages, &self.connect.endpoint).await
    }

    fn asked(&self, start: Option<(&'static str, i64)>) -> Asked {
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
        Asked {
            alternatives: self.conditions.clone().with(&common, self.ignore_case),
            accounts: self.scopes.accounts.clone(),
            regions: self.scopes.regions.clone(),
            start,
            order: match self.order {
                Order::Newest => v1::Order::NewestFirst,
                Order::Oldest => v1::Order::OldestFirst,
            },
            category: match self.scopes.category() {
                v1::EventCategory::Insight => Category::Insight,
                _ => Category::Management,
            },
            ignore_case: self.ignore_case,
        }
    }

    fn request(&self, asked: &Asked, end: Option<i64>) -> LookupEventsRequest {
        let at = |second: Option<i64>| {
            second.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 })
        };
        // a table shows nothing of the record
        let view = match self.output {
            Format::Table => EventView::Basic,
            Format::Json | Format::Jsonl => EventView::Full,
        };
        LookupEventsRequest {
            filters: asked.filters(),
            start_time: at(asked.start.map(|(_, start)| start)),
            end_time: at(end),
            event_category: self.scopes.category().into(),
            account_ids: asked.accounts.clone(),
            regions: asked.regions.clone(),
            order: asked.order.into(),
            view: view.into(),
            max_staleness: self.max_staleness.map(|span| prost_types::Duration {
                seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                nanos: 0,
            }),
            ..LookupEventsRequest::default()
        }
    }
}
