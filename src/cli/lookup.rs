//! `trailgate lookup`: its options, and the request they make.

use std::{process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    EXIT_FAILED, EXIT_USAGE,
    asked::Asked,
    connect::{Connect, block_on},
    estimate::estimate,
    output::{Format, Layout},
    paging::Paging,
    question::{self, Question, Window},
    refusal::Call,
    report,
    source::Source,
    table::Column,
    time,
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
as far as was asked for (said on stderr); 64 usage; 130 interrupted.";

fn long_help() -> String {
    let question = question::help();
    format!("{EXAMPLES}\n\n{question}\n\n{CSV}\n\n{EXIT_CODES}")
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

    /// Which end comes first; oldest costs more requests to AWS
    #[arg(long, value_enum, default_value = "newest", help_heading = "How")]
    order: Order,
    /// Stop after so many events; all or 0: no limit
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit, help_heading = "How")]
    limit: Limit,
    /// Every event, however many: they are written as they come, and progress
    /// shows on the terminal. What breaks off is taken up again
    #[arg(long, conflicts_with = "limit", help_heading = "How")]
    all: bool,
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
    /// Say how many requests to AWS the first page would cost, and how long
    /// they would take; nothing is bought and no event is written
    #[arg(long, help_heading = "How")]
    estimate: bool,
    /// The format; json and jsonl have the whole record
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    /// The columns of a table or CSV, such as time,who,agent [default: in a table
    /// as many of time, event, source, who, scope, address, error, resource as
    /// fit; in CSV all but scope and record]
    #[arg(
        long,
        value_enum,
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "How"
    )]
    columns: Vec<Column>,
    /// CSV without the apostrophe in front of cells that a spreadsheet would
    /// run: for programs alone. Whoever calls AWS can put a formula into a log,
    /// and a spreadsheet that opens it runs it
    #[arg(long, help_heading = "How")]
    csv_raw: bool,
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

/// The same question of an export.
fn export(request: &LookupEventsRequest) -> ExportEventsRequest {
    ExportEventsRequest {
        filters: request.filters.clone(),
        start_time: request.start_time,
        end_time: request.end_time,
        account_ids: request.account_ids.clone(),
        regions: request.regions.clone(),
        event_category: request.event_category,
        order: request.order,
        view: request.view,
        max_staleness: request.max_staleness,
        ..ExportEventsRequest::default()
    }
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
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        if self.estimate {
            return self.estimate(&client, &window).await;
        }
        let options = LookupOptions {
            page_timeout: self.connect.timeout,
            first_page_timeout: Some(FIRST_PAGE_TIMEOUT),
        };
        let asked = self.asked(&window);
        let request = self.request(&asked, &window);
        let source = match self.all {
            true => {
                let export = client.export(ExportEventsRequest {
                    max_upstream_calls: self.max_upstream_calls.unwrap_or_default(),
                    ..export(&request)
                });
                Source::export(export, client.lookup(request, options))
            }
            false => Source::pages(client.lookup(request, options)),
        };
        let paging = Paging::new(
            asked,
            &self.layout(),
            self.limit.0.filter(|_| !self.all),
            self.page_size,
            self.max_upstream_calls,
        );
        paging.run(source, &self.connect.endpoint).await
    }

    async fn estimate(&self, client: &Client, window: &Window) -> u8 {
        let asked = self.asked(window);
        let request = LookupEventsRequest {
            page_size: self.page_size(),
            max_upstream_calls: self.max_upstream_calls.unwrap_or_default(),
            ..self.request(&asked, window)
        };
        let answer = estimate(client, request, self.connect.timeout, self.output);
        answer.await.unwrap_or_else(|status| {
            let call = Call {
                endpoint: &self.connect.endpoint,
                has_answered: false,
                asked: &asked,
            };
            call.refused(&status)
        })
    }

    /// How many events the first page is asked to have.
    fn page_size(&self) -> i32 {
        let size = self
            .limit
            .0
            .map_or(self.page_size, |limit| limit.min(self.page_size));
        i32::try_from(size).unwrap_or(i32::MAX)
    }

    fn asked(&self, window: &Window) -> Asked {
        let order = match self.order {
            Order::Newest => v1::Order::NewestFirst,
            Order::Oldest => v1::Order::OldestFirst,
        };
        self.question.asked(window, order)
    }

    fn layout(&self) -> Layout {
        Layout {
            format: self.output,
            columns: self.columns.clone(),
            csv_raw: self.csv_raw,
        }
    }

    fn request(&self, asked: &Asked, window: &Window) -> LookupEventsRequest {
        let view = match self.layout().has_record() {
            true => EventView::Full,
            false => EventView::Basic,
        };
        LookupEventsRequest {
            filters: asked.filters(),
            start_time: window.start_time(),
            end_time: window.end_time(),
            event_category: self.question.category().into(),
            account_ids: asked.accounts.clone(),
            regions: asked.regions.clone(),
            order: asked.order.into(),
            view: view.into(),
            max_staleness: self.max_staleness.and_then(|span| span.try_into().ok()),
            ..LookupEventsRequest::default()
        }
    }
}
