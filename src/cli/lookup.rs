//! `trailgate lookup`: its options, and the request they make.

use std::{process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    completions,
    connect::{Connect, block_on},
    estimate::{estimate, is_wanted},
    input::{self, Given, Input, Origin, recast},
    output::{Format, Layout},
    paging::Paging,
    question::{self, Question, Slots, Window, put, put_bounds},
    refusal::Call,
    report,
    source::Source,
    table::Chosen,
    time,
    view::View,
};
use crate::{
    client::{Client, LookupOptions},
    clock::Clock,
    proto::v1::{self, EventView, ExportEventsRequest, LookupEventsRequest},
};

const EXAMPLES: &str = "\
Examples:
  trailgate lookup --since 2h
  trailgate lookup --user alice --since 7d
  trailgate lookup --where errorCode=AccessDenied --where 'userIdentity.type != AWSService'
  trailgate lookup --where 'eventName in (RunInstances, StopInstances)' --all -o jsonl
  trailgate lookup --where 'sourceIPAddress not cidr 10.0.0.0/8' --start -7d --end -6d
  trailgate lookup --since 1d -o csv --columns time,who,event,error,record > events.csv
  trailgate lookup --where 'errorCode exists' --since 30d --estimate
  trailgate lookup -i -w 'requestParameters.bucketName ^= prod-' --or 'ResourceName *= prod' -o json";

const CSV: &str = "\
CSV: a header and quotes as RFC 4180 has them. A cell that a spreadsheet would run
(it begins with = + - @, a tab or a line break, also after spaces and in other
widths) has an apostrophe in front, and so has one that begins with an apostrophe:
programs take one apostrophe away, or are given --csv-raw.";

const EXIT_CODES: &str = "\
Exit codes: 0 searched, as far as --limit; 1 the call failed; 2 some scope was not searched
as far as was asked for (said on stderr), or the request in a file cannot be used; 64 usage;
130 interrupted.";

fn long_help() -> String {
    let (question, input) = (question::help(), input::HELP);
    format!("{EXAMPLES}\n\n{question}\n\n{input}\n\n{CSV}\n\n{EXIT_CODES}")
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
    question: Question,

    /// Which end comes first; oldest costs more requests to AWS [default: newest]
    #[arg(long, value_enum, help_heading = "How")]
    order: Option<Order>,
    /// Stop after so many events; all or 0: no limit
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit, allow_negative_numbers = true, help_heading = "How")]
    limit: Limit,
    /// Every event, however many: they are written as they come, and progress
    /// shows on the terminal. What breaks off is taken up again
    #[arg(long, conflicts_with = "limit", help_heading = "How")]
    all: bool,
    /// How many events are asked for at once, up to 1000 [default: 100]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1000),
        help_heading = "How"
    )]
    page_size: Option<u64>,
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
    /// Say how many requests to AWS the first page would cost, and how long
    /// they would take; nothing is bought and no event is written
    #[arg(long, help_heading = "How")]
    estimate: bool,
    /// Go on without asking, however many requests to AWS it may take: on a terminal
    /// it is asked where they are many
    #[arg(short, long, help_heading = "How")]
    yes: bool,
    /// The format; json and jsonl have the whole record
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    /// The columns of a table or CSV: time, event, source, who, scope, address, error,
    /// resource, id, key, agent, account, region, message, read-only, arn, record, and
    /// fields of the record such as requestParameters.bucketName [default: in a table
    /// as many of the first eight as fit; in CSV all but scope and record]
    #[arg(
        long,
        value_parser = Chosen::parse,
        value_name = "NAMES",
        value_delimiter = ',',
        add = completions::columns(),
        help_heading = "How"
    )]
    columns: Vec<Chosen>,
    /// CSV without the apostrophe in front of cells that a spreadsheet would
    /// run: for programs alone. Whoever calls AWS can put a formula into a log,
    /// and a spreadsheet that opens it runs it
    #[arg(long, help_heading = "How")]
    csv_raw: bool,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    view: View,
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

/// The messages of a lookup, and of an export.
const LOOKUP: (&str, &str) = ("LookupEventsRequest", "LookupEventsResponse");
const EXPORT: (&str, &str) = ("ExportEventsRequest", "ExportEventsResponse");

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
        self.view.apply();
        let code = block_on(self.search()).unwrap_or(EXIT_FAILED);
        ExitCode::from(code)
    }

    async fn search(self) -> u8 {
        let clock = Clock::system();
        let Some(window) = self.question.window(&clock) else {
            return EXIT_USAGE;
        };
        if !self.columns.is_empty() && matches!(self.output, Format::Json | Format::Jsonl) {
            report::note("--columns is for -o table and csv; json and jsonl have all fields");
            return EXIT_USAGE;
        }
        if self.csv_raw && self.output != Format::Csv {
            report::note("--csv-raw is for -o csv");
            return EXIT_USAGE;
        }
        let (export, given) = match self.given() {
            Ok(given) => given,
            Err(code) => return code,
        };
        let (request, asked) = self.fold(given, &window);
        let Some(export) = recast((&request, LOOKUP.0), (&export, EXPORT.0)) else {
            report::note("the contract of this binary is broken");
            return EXIT_FAILED;
        };
        if self.input.is_skeleton() {
            return match self.all {
                true => self.input.write(&export, EXPORT.0, EXPORT.1),
                false => self.input.write(&request, LOOKUP.0, LOOKUP.1),
            };
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        // options are in range, and pages are asked for in sizes of their own
        let wrong = match request.page_size {
            0..=1000 if request.max_upstream_calls >= 0 => None,
            0..=1000 => Some(("max_upstream_calls", "below 0")),
            _ => Some(("page_size", "0 to 1000 events are a page")),
        };
        if let Some((field, what)) = wrong {
            let place = asked.option(field).unwrap_or_default();
            report::note(format_args!("{place}: {what}"));
            return EXIT_INPUT;
        }
        let request = self.complete(request);
        if request.estimate_only {
            return self.estimate(&client, request, &asked).await;
        }
        let limit = self.limit.0.filter(|_| !self.all);
        if !self.yes && !is_wanted(&client, &request, limit, self.connect.timeout()).await {
            return EXIT_INTERRUPTED;
        }
        let options = LookupOptions {
            page_timeout: self.connect.timeout(),
            first_page_timeout: Some(FIRST_PAGE_TIMEOUT),
        };
        let page_size = u64::try_from(request.page_size).unwrap_or(PAGE_SIZE);
        let calls = request.max_upstream_calls;
        let source = match self.all {
            true => {
                let export = client.export(ExportEventsRequest {
                    view: request.view,
                    ..export
                });
                Source::export(export, client.lookup(request, options))
            }
            false => Source::pages(client.lookup(request, options)),
        };
        let paging = Paging::new(
            asked,
            &self.layout(),
            limit,
            page_size,
            (calls > 0).then_some(calls),
        );
        paging.run(source, self.connect.endpoint()).await
    }

    /// What a file has; an export that is one has fields of its own.
    fn given(&self) -> Result<(ExportEventsRequest, Given<LookupEventsRequest>), u8> {
        if !self.all {
            let given = self.input.request_or(LOOKUP.0, Some(EXPORT.0))?;
            return Ok((ExportEventsRequest::default(), given));
        }
        let Given { request, origin } = self
            .input
            .request_or::<ExportEventsRequest>(EXPORT.0, Some(LOOKUP.0))?;
        let empty = LookupEventsRequest::default();
        let lookup = recast((&request, EXPORT.0), (&empty, LOOKUP.0)).unwrap_or_default();
        Ok((
            request,
            Given {
                request: lookup,
                origin,
            },
        ))
    }

    /// What the options say over what a file has, and nothing else.
    fn fold(
        &self,
        given: Given<LookupEventsRequest>,
        window: &Window,
    ) -> (LookupEventsRequest, Asked) {
        let Given {
            mut request,
            mut origin,
        } = given;
        let order = self.order.map(|order| match order {
            Order::Newest => v1::Order::NewestFirst.into(),
            Order::Oldest => v1::Order::OldestFirst.into(),
        });
        put(&mut request.order, order, "order", &mut origin);
        let size = self.page_size;
        let size = size.map(|size| i32::try_from(size).unwrap_or(i32::MAX));
        put(&mut request.page_size, size, "page_size", &mut origin);
        put_bounds(
            (&mut request.max_staleness, &mut request.max_upstream_calls),
            (self.max_staleness, self.max_upstream_calls),
            &mut origin,
        );
        request.estimate_only |= self.estimate;
        // a column that is asked for is to be seen
        if self.columns.iter().any(Chosen::needs_record) {
            request.view = EventView::Full.into();
            origin.hide("view");
        }
        let asked = self.asked(&mut request, window, origin);
        (request, asked)
    }

    fn asked(&self, request: &mut LookupEventsRequest, window: &Window, origin: Origin) -> Asked {
        let order = request.order();
        let slots = Slots {
            filters: &mut request.filters,
            start_time: &mut request.start_time,
            end_time: &mut request.end_time,
            account_ids: &mut request.account_ids,
            regions: &mut request.regions,
            event_category: &mut request.event_category,
        };
        self.question.fold(window, slots, order, origin)
    }

    /// The same with what is usual where nothing was said.
    fn complete(&self, mut request: LookupEventsRequest) -> LookupEventsRequest {
        if request.view() == EventView::Unspecified {
            request.view = match self.layout().has_record() {
                true => EventView::Full,
                false => EventView::Basic,
            }
            .into();
        }
        if request.page_size == 0 {
            request.page_size = i32::try_from(PAGE_SIZE).unwrap_or(i32::MAX);
        }
        request
    }

    async fn estimate(&self, client: &Client, request: LookupEventsRequest, asked: &Asked) -> u8 {
        let size = u64::try_from(request.page_size).unwrap_or(PAGE_SIZE);
        let size = self.limit.0.map_or(size, |limit| limit.min(size));
        let request = LookupEventsRequest {
            page_size: i32::try_from(size).unwrap_or(i32::MAX),
            ..request
        };
        let answer = estimate(client, request, self.connect.timeout(), self.output);
        answer.await.unwrap_or_else(|status| {
            let call = Call {
                endpoint: self.connect.endpoint(),
                has_answered: false,
                asked,
            };
            call.refused(&status)
        })
    }

    fn layout(&self) -> Layout {
        Layout {
            format: self.output,
            columns: self.columns.clone(),
            csv_raw: self.csv_raw,
            color: self.view.color(),
        }
    }
}
