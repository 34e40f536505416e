//! `trailgate summary`: how many events there were, when, and of what.

use std::{
    env, future,
    io::{self, Write},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio::time::Instant;
use tonic::Status;

use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    completions,
    connect::{Connect, block_on},
    estimate::is_wanted,
    histogram::Drawing,
    input::{self, Given, Input, recast},
    output::{USUAL_WIDTH, terminal_width},
    progress::Progress,
    question::{self, Question, Slots, Window, over, put, put_bounds},
    refusal::Call,
    report::{self, Searched, count},
    sheet::Cells,
    tally::Tally,
    time,
    view::View,
};
use crate::{
    client::Client,
    clock::Clock,
    proto::v1::{
        LookupEventsRequest, Order, SearchState, SummarizeEventsRequest, SummarizeEventsResponse,
    },
};

const EXAMPLES: &str = "\
Examples:
  trailgate summary --since 1d
  trailgate summary --since 7d -w 'errorCode exists' --bucket 6h --top errorCode
  trailgate summary --user alice --top sourceIPAddress --top-values 50
  trailgate summary --since 30d --bucket 1d -o csv > events.csv
  trailgate summary --where 'eventName in (RunInstances, StopInstances)' -o json | jq .top";

const FORMATS: &str = "\
Counts are exact over what was searched. -o csv has a row a bucket and a row a value:
kind (bucket, top, or without: events without a value), field, value (of a bucket: its
start), count, share of all events in percent, and a note (partial: not all of the bucket
was searched; cut: the value is longer). Its cells are guarded as those of lookup are.";

const EXIT_CODES: &str = "\
Exit codes: 0 all was searched; 1 the call failed; 2 some scope was not searched as far
as was asked for (said on stderr: the counts are of what was searched), or the request in
a file cannot be used; 64 usage; 130 interrupted.";

fn long_help() -> String {
    let (question, input) = (question::help(), input::HELP);
    format!("{EXAMPLES}\n\n{question}\n\n{input}\n\n{FORMATS}\n\n{EXIT_CODES}")
}

fn short_help() -> String {
    format!("{EXAMPLES}\n\n--help has the grammar of conditions and times, and the exit codes.")
}

/// What most want to know first: what was done, by whom, what went wrong, and
/// from where.
const TOP: [&str; 4] = ["EventName", "Username", "errorCode", "sourceIPAddress"];

/// The message that asks for a summary.
const REQUEST: &str = "SummarizeEventsRequest";

/// How often it is asked again without the search having come further than ever:
/// the wait for quota is within each answer's time, so that more would be no help.
const MAX_STALLS: u32 = 3;

/// What `trailgate summary` is asked.
#[derive(Debug, Args)]
#[command(after_help = short_help(), after_long_help = long_help())]
pub(super) struct Summary {
    #[command(flatten)]
    question: Question,
    /// The width of a bar of the histogram, such as 10m, 1h, 1d [default: what
    /// suits the time]
    #[arg(long, value_name = "SPAN", value_parser = time::some_span, help_heading = "How")]
    bucket: Option<Duration>,
    /// Count the values of this field: an attribute or a path, as in --where
    /// (repeatable; none for no such table) [default: EventName, Username,
    /// errorCode, sourceIPAddress]
    #[arg(long = "top", value_name = "FIELD", add = completions::fields(), help_heading = "How")]
    fields: Vec<String>,
    /// How many values of each field, the most frequent first [default: 10]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..=1000),
        help_heading = "How"
    )]
    top_values: Option<i32>,
    /// How old the answer for recent events may be; 0 asks AWS [default: 30s]
    #[arg(long, value_name = "SPAN", value_parser = time::span, help_heading = "How")]
    max_staleness: Option<Duration>,
    /// Stop after buying so many requests from AWS, and count what was searched
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..),
        help_heading = "How"
    )]
    max_upstream_calls: Option<i32>,
    /// Go on without asking, however many requests to AWS it may take: on a terminal
    /// it is asked where they are many
    #[arg(short, long, help_heading = "How")]
    yes: bool,
    /// The format
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Shape,
    /// CSV without the apostrophe in front of cells that a spreadsheet would
    /// run: for programs alone
    #[arg(long, help_heading = "How")]
    csv_raw: bool,
    /// Draw with ASCII [default: where the locale has no UTF-8]
    #[arg(long, help_heading = "How")]
    ascii: bool,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    connect: Connect,
}

/// How a summary, or a list, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shape {
    /// For people
    Table,
    /// One JSON object
    Json,
    /// Comma-separated values with a header, for spreadsheets
    Csv,
}

/// Why it was not asked again.
enum End {
    /// All was searched, or what can be.
    Searched,
    /// It came no further, and forgot what it had.
    Stalled,
    Interrupted,
    Refused(Status),
}

impl Summary {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        self.view.apply();
        ExitCode::from(block_on(self.summarize()).unwrap_or(EXIT_FAILED))
    }

    async fn summarize(self) -> u8 {
        let Some(window) = self.question.window(&Clock::system()) else {
            return EXIT_USAGE;
        };
        if self.csv_raw && self.output != Shape::Csv {
            report::note("--csv-raw is for -o csv");
            return EXIT_USAGE;
        }
        let given = match self.input.request::<SummarizeEventsRequest>(REQUEST) {
            Ok(given) => given,
            Err(code) => return code,
        };
        let (mut request, mut asked) = self.fold(given, &window);
        if self.input.is_skeleton() {
            return self
                .input
                .write(&request, REQUEST, "SummarizeEventsResponse");
        }
        if request.top_fields.is_empty() && self.fields.is_empty() {
            request.top_fields = TOP.map(str::to_owned).to_vec();
        }
        asked.top.clone_from(&request.top_fields);
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let none = LookupEventsRequest::default();
        if !self.yes
            && let Some(same) = recast((&request, REQUEST), (&none, "LookupEventsRequest"))
            && !is_wanted(&client, &same, None, self.connect.timeout()).await
        {
            return EXIT_INTERRUPTED;
        }
        let mut searching = Searching {
            client,
            request,
            timeout: self.connect.timeout(),
            progress: Progress::start(),
            asked_at: Instant::now(),
            searched: Searched::new(asked.order),
            best: (None, 0),
            went_back: false,
            last: None,
            upstream_calls: 0,
        };
        let end = searching.run().await;
        searching.progress.end();
        self.finish(end, &searching, &asked)
    }

    /// What the options say over what a file has, and nothing else.
    fn fold(
        &self,
        given: Given<SummarizeEventsRequest>,
        window: &Window,
    ) -> (SummarizeEventsRequest, Asked) {
        let Given {
            mut request,
            mut origin,
        } = given;
        match self.fields.as_slice() {
            [none] if none == "none" => {
                request.top_fields.clear();
                origin.hide("top_fields");
            }
            fields => over(&mut request.top_fields, fields, "top_fields", &mut origin),
        }
        let bucket = self.bucket.map(|span| span.try_into().ok());
        put(&mut request.bucket, bucket, "bucket", &mut origin);
        put(
            &mut request.top_values,
            self.top_values,
            "top_values",
            &mut origin,
        );
        put_bounds(
            (&mut request.max_staleness, &mut request.max_upstream_calls),
            (self.max_staleness, self.max_upstream_calls),
            &mut origin,
        );
        let slots = Slots {
            filters: &mut request.filters,
            start_time: &mut request.start_time,
            end_time: &mut request.end_time,
            account_ids: &mut request.account_ids,
            regions: &mut request.regions,
            event_category: &mut request.event_category,
        };
        // what was searched is told as of a search from now back
        let asked = self
            .question
            .fold(window, slots, Order::NewestFirst, origin);
        (request, asked)
    }

    fn finish(&self, end: End, searching: &Searching, asked: &Asked) -> u8 {
        let searched = &searching.searched;
        if let Some(answer) = &searching.last {
            let written = self.write(answer);
            if written.is_err() {
                return report::written(written);
            }
        }
        let start = asked.start.map(|(_, start)| start);
        for line in searched.lines(false, start) {
            report::note(line);
        }
        match end {
            End::Refused(status) => Call {
                endpoint: self.connect.endpoint(),
                has_answered: searching.last.is_some(),
                asked,
            }
            .refused(&status),
            End::Interrupted => {
                report::note("interrupted; asked again, the gateway goes on from what it holds");
                EXIT_INTERRUPTED
            }
            End::Stalled => {
                report::note(
                    "asked again it came no further, as the gateway holds no more than its cache \
                     has room for (--cache-size of trailgate serve); ask for less time at once",
                );
                EXIT_INCOMPLETE
            }
            End::Searched if searched.is_incomplete(false, start) => EXIT_INCOMPLETE,
            End::Searched => 0,
        }
    }

    fn write(&self, answer: &SummarizeEventsResponse) -> io::Result<()> {
        let width = terminal_width();
        let tally = Tally::new(answer);
        let mut to = io::stdout().lock();
        match self.output {
            Shape::Table => {
                let drawing = Drawing {
                    width: width.unwrap_or(USUAL_WIDTH),
                    ascii: self.ascii || !has_utf8(),
                };
                for line in tally.lines(drawing, width, self.view.color()) {
                    writeln!(to, "{line}")?;
                }
            }
            Shape::Json => writeln!(to, "{}", tally.json()?)?,
            Shape::Csv => {
                let cells = Cells {
                    raw: self.csv_raw,
                    printable: width.is_some(),
                };
                to.write_all(&cells.lines(tally.rows())?)?;
            }
        }
        to.flush()
    }
}

/// Whether the locale does not say that it has no UTF-8.
fn has_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = set.into_iter().filter_map(env::var_os);
    let mut locale = locale.filter(|value| !value.is_empty());
    locale.next().is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A summary under way: asked for until all is searched, since each answer has
/// what could be searched in its time, and the gateway keeps that.
struct Searching {
    client: Client,
    request: SummarizeEventsRequest,
    timeout: Duration,
    progress: Progress,
    asked_at: Instant,
    searched: Searched,
    /// How far back it ever came, and how many scopes were searched whole.
    best: (Option<i64>, usize),
    /// Some answer is of less than one before: what that had read is not held.
    went_back: bool,
    /// The last answer.
    last: Option<SummarizeEventsResponse>,
    upstream_calls: i64,
}

impl Searching {
    async fn run(&mut self) -> End {
        let mut stop = pin!(async {
            if tokio::signal::ctrl_c().await.is_err() {
                future::pending::<()>().await;
            }
        });
        let mut stalls = 0;
        loop {
            let client = self.client.clone();
            let mut answer = pin!(client.summarize(self.request.clone(), self.timeout));
            let answer = loop {
                tokio::select! {
                    biased;
                    () = &mut stop => return End::Interrupted,
                    answer = &mut answer => break answer,
                    () = self.progress.line() => {}
                }
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(status) => return End::Refused(status),
            };
            let is_open = is_open(&answer);
            self.take(answer);
            if !is_open || !self.may_buy() {
                return End::Searched;
            }
            match self.has_come_further() {
                true => stalls = 0,
                false => stalls += 1,
            }
            if stalls == MAX_STALLS {
                return match self.went_back {
                    true => End::Stalled,
                    false => End::Searched,
                };
            }
        }
    }

    /// Whether the last answer is of more than any before.
    fn has_come_further(&mut self) -> bool {
        let (best, most) = self.best;
        let (reached, whole) = (self.searched.reached(), self.searched.complete());
        let further = match (reached, best) {
            (Some(reached), Some(best)) => reached < best,
            (reached, None) => reached.is_some(),
            (None, Some(_)) => false,
        };
        if further {
            self.best.0 = reached;
        } else if reached > best {
            self.went_back = true;
        }
        self.best.1 = most.max(whole);
        further || whole > most
    }

    fn bought_last(&self) -> i64 {
        let stats = self.last.as_ref().and_then(|answer| answer.stats);
        stats.unwrap_or_default().upstream_calls
    }

    /// Takes what was bought last off the limit; whether there is some left.
    fn may_buy(&mut self) -> bool {
        let bought = self.bought_last();
        let limit = &mut self.request.max_upstream_calls;
        if *limit == 0 {
            return true;
        }
        let bought = i32::try_from(bought).unwrap_or(i32::MAX);
        let left = limit.saturating_sub(bought);
        // none at all would be the server's limit
        *limit = left.max(1);
        left > 0
    }

    fn take(&mut self, answer: SummarizeEventsResponse) {
        // from now on it is the same window, however long it takes
        if self.request.end_time.is_none() {
            let ends = answer.scopes.iter().filter_map(|scope| scope.searched_to);
            self.request.end_time = ends.max_by_key(|end| end.seconds);
        }
        let stats = answer.stats.unwrap_or_default();
        self.upstream_calls = self.upstream_calls.saturating_add(stats.upstream_calls);
        // each answer is one by itself
        self.searched = Searched::new(Order::NewestFirst).since(self.asked_at);
        self.searched.update(answer.scopes.clone());
        let parts = [
            self.searched.so_far(),
            format!("{} counted", count(answer.event_count, "event")),
            format!("{} bought", count(self.upstream_calls, "request")),
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.progress.say(parts.join(", "));
        self.last = Some(answer);
    }
}

/// Whether asking again may bring more.
fn is_open(answer: &SummarizeEventsResponse) -> bool {
    let mut scopes = answer.scopes.iter();
    scopes.any(|scope| scope.state() == SearchState::Partial)
}
