//! `trailgate tail`: events as they arrive.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{
    EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    completions,
    connect::{Connect, block_on},
    input::{self, Given, Input},
    output::{self, Layout, Output},
    question::{self, What},
    refusal::{Call, seconds},
    report::{self, note},
    signals::Signals,
    table::Chosen,
    time::{self, When},
    view::{View, shown},
};
use crate::{
    client::{Arrival, CheckpointFile, Notice, SubscribeError, Subscriber},
    clock::Clock,
    proto::v1::{
        EventView, Gap, Progress, SubscribeEventsRequest, subscribe_events_request::Start,
    },
};

const EXAMPLES: &str = "\
Examples:
  trailgate tail
  trailgate tail --where errorCode=AccessDenied -o jsonl
  trailgate tail --since 1h --event-source iam.amazonaws.com
  trailgate tail --resume-file alerts.checkpoint -o jsonl | ./alert
  trailgate tail -n 1 --event-name ConsoleLogin";

const NOTES: &str = "\
Where the connection breaks it is taken up again, and nothing is lost meanwhile. What
cannot be delivered is said on stderr, with where and why. With --resume-file the next
run goes on behind what this one wrote; if this one is killed, up to a second's events
come again.

Exit codes: 0 so many as -n asked for, or the reader has gone; 1 the call failed; 2 the
request in a file cannot be used; 64 usage; 130 interrupted.";

/// The message that asks for events.
const REQUEST: &str = "SubscribeEventsRequest";

fn long_help() -> String {
    let (question, input) = (question::help(), input::HELP);
    format!("{EXAMPLES}\n\n{question}\n\n{input}\n\n{NOTES}")
}

fn short_help() -> String {
    format!("{EXAMPLES}\n\n--help has the grammar of conditions and times, and the exit codes.")
}

/// What `trailgate tail` is asked.
#[derive(Debug, Args)]
#[command(after_help = short_help(), after_long_help = long_help())]
pub(super) struct Tail {
    #[command(flatten)]
    what: What,
    /// Only this account (repeatable) [default: all that the gateway has]
    #[arg(long = "account", value_name = "ID", add = completions::accounts(), help_heading = "What")]
    accounts: Vec<String>,
    /// Only this Region (repeatable) [default: all that the gateway has]
    #[arg(long = "region", value_name = "REGION", add = completions::regions(), help_heading = "What")]
    regions: Vec<String>,

    /// From this long ago on, such as 30m, 2h, 7d [default: from now]
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::some_span,
        allow_hyphen_values = true,
        conflicts_with = "start",
        help_heading = "When"
    )]
    since: Option<Duration>,
    /// From this time on [default: from now]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time::when,
        allow_hyphen_values = true,
        help_heading = "When"
    )]
    start: Option<When>,
    /// Keep in this file how far it is, and go on from there; --since and --start count
    /// where it is not there yet
    #[arg(long, value_name = "FILE", help_heading = "When")]
    resume_file: Option<PathBuf>,

    /// Stop after so many events
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "How"
    )]
    limit: Option<u64>,
    /// The format; json and jsonl have the whole record
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    /// The columns of a table, such as time,who,agent, and fields of the record such
    /// as requestParameters.bucketName, as of lookup [default: as many as fit]
    #[arg(
        long,
        value_parser = Chosen::parse,
        value_name = "NAMES",
        value_delimiter = ',',
        add = completions::columns(),
        help_heading = "How"
    )]
    columns: Vec<Chosen>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    connect: Connect,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
}

/// Why it ended.
enum End {
    /// So many as were asked for were written.
    Enough,
    Interrupted,
    /// Writing failed.
    Unwritten(io::Error),
    Failed(SubscribeError<io::Error>),
}

impl Tail {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        self.view.apply();
        let code = block_on(self.tail()).unwrap_or(EXIT_FAILED);
        ExitCode::from(code)
    }

    async fn tail(self) -> u8 {
        if !self.columns.is_empty() && self.output != Format::Table {
            note("--columns is for -o table; json and jsonl have all fields");
            return EXIT_USAGE;
        }
        let clock = Clock::system();
        let start = match (self.since, self.start) {
            (Some(span), _) => Some(time::first(When::Ago(span), &clock)),
            (None, start) => start.map(|start| time::first(start, &clock)),
        };
        if let Some(start) = start.filter(|start| *start > clock.now_secs()) {
            note(format_args!(
                "the start, {}, is in the future",
                shown(start)
            ));
            return EXIT_USAGE;
        }
        let given = match self.input.request::<SubscribeEventsRequest>(REQUEST) {
            Ok(given) => given,
            Err(code) => return code,
        };
        let (request, asked) = self.fold(given, start);
        if self.input.is_skeleton() {
            return self
                .input
                .write(&request, REQUEST, "SubscribeEventsResponse");
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let Ok(signals) = Signals::new() else {
            note("cannot listen to signals");
            return EXIT_FAILED;
        };
        asked.doubts().iter().for_each(note);
        let layout = self.layout();
        let request = self.complete(request, &layout);
        let mut subscriber = client
            .subscribe(request)
            .fail_fast()
            .on_wait(|notice| waits(&notice));
        if let Some(path) = &self.resume_file {
            subscriber = subscriber.checkpoint(CheckpointFile::new(path));
        }
        let mut output = Output::stdout(&layout);
        let end = follow(&mut subscriber, &mut output, self.limit, signals).await;
        let call = Call {
            endpoint: self.connect.endpoint(),
            has_answered: !subscriber.resume_token().is_empty(),
            asked: &asked,
        };
        finish(end, &mut subscriber, &mut output, &call).await
    }
}

impl Tail {
    fn layout(&self) -> Layout {
        Layout {
            format: match self.output {
                Format::Table => output::Format::Table,
                Format::Json => output::Format::Json,
                Format::Jsonl => output::Format::Jsonl,
            },
            columns: self.columns.clone(),
            csv_raw: false,
            color: self.view.color(),
        }
    }

    /// What the options say over what a file has, and nothing else.
    fn fold(
        &self,
        given: Given<SubscribeEventsRequest>,
        start: Option<i64>,
    ) -> (SubscribeEventsRequest, Asked) {
        let Given {
            mut request,
            mut origin,
        } = given;
        if let Some(seconds) = start {
            request.start = Some(Start::StartTime(prost_types::Timestamp {
                seconds,
                nanos: 0,
            }));
            origin.hide("start_time");
            origin.hide("resume_token");
        }
        let asked = self.what.fold(
            &mut request.filters,
            (&mut request.account_ids, &self.accounts),
            (&mut request.regions, &self.regions),
            origin,
        );
        (request, asked)
    }

    /// The same with what is usual where nothing was said.
    fn complete(
        &self,
        mut request: SubscribeEventsRequest,
        layout: &Layout,
    ) -> SubscribeEventsRequest {
        if request.view() == EventView::Unspecified {
            request.view = match layout.has_record() {
                true => EventView::Full,
                false => EventView::Basic,
            }
            .into();
        }
        // one by one, the last one is known to be the last
        if self.resume_file.is_some() && self.limit.is_some() {
            request.max_batch_events = 1;
        }
        request
    }
}

/// Writes what comes, until something ends it.
async fn follow<W: Write>(
    subscriber: &mut Subscriber,
    output: &mut Output<W>,
    limit: Option<u64>,
    mut signals: Signals,
) -> End {
    let mut is_told = !io::stderr().is_terminal();
    loop {
        let arrival = tokio::select! {
            biased;
            () = signals.next() => return End::Interrupted,
            arrival = subscriber.next() => arrival,
        };
        match arrival {
            Ok(Arrival::Events(mut events)) => {
                let left = limit.map(|limit| limit.saturating_sub(output.written()));
                let left = left.and_then(|left| usize::try_from(left).ok());
                let is_enough = left.is_some_and(|left| left <= events.len());
                let is_whole = left.is_none_or(|left| left >= events.len());
                if let Some(left) = left {
                    events.truncate(left);
                }
                if let Err(error) = output.write(&events) {
                    return End::Unwritten(error);
                }
                if is_enough {
                    if is_whole {
                        subscriber.handled();
                    }
                    return End::Enough;
                }
            }
            Ok(Arrival::Gap(missing)) => note(gap(&missing)),
            Ok(Arrival::Progress(progress)) if !is_told => {
                is_told = true;
                note(following(&progress));
            }
            Ok(Arrival::Progress(_)) => {}
            Err(error) => return End::Failed(error),
        }
        if let Err(error) = subscriber.keep().await {
            return End::Failed(SubscribeError::Store(error));
        }
    }
}

/// Says how it went.
async fn finish<W: Write>(
    end: End,
    subscriber: &mut Subscriber,
    output: &mut Output<W>,
    call: &Call<'_>,
) -> u8 {
    let saved = subscriber.save().await;
    if let Err(error) = &saved {
        note(format_args!("how far it is cannot be kept: {error}"));
    }
    let code = match end {
        End::Enough => report::written(output.finish()),
        End::Interrupted => match report::written(output.finish()) {
            0 => EXIT_INTERRUPTED,
            code => code,
        },
        End::Unwritten(error) => report::written(Err(error)),
        End::Failed(error) => {
            let ended = report::written(output.finish());
            match error {
                SubscribeError::Refused(status) => call.refused(&status),
                SubscribeError::Store(error) | SubscribeError::Handler(error) => {
                    note(format_args!("--resume-file: {error}"));
                    EXIT_FAILED.max(ended)
                }
            }
        }
    };
    match saved {
        Ok(()) => code,
        Err(_) => code.max(EXIT_FAILED),
    }
}

fn waits(notice: &Notice<'_>) {
    if let Notice::Retry(status, wait) = notice {
        let (why, wait) = (status.message(), seconds(*wait));
        note(format_args!(
            "the stream broke off ({why}); it is taken up again in {wait}"
        ));
    }
}

fn following(progress: &Progress) -> String {
    let scopes = report::count(
        i64::try_from(progress.watermarks.len()).unwrap_or(i64::MAX),
        "scope",
    );
    format!(
        "following {scopes}; CloudTrail tells most events some minutes after they happen (Ctrl-C \
         ends)"
    )
}

fn gap(gap: &Gap) -> String {
    let time = |time: &Option<prost_types::Timestamp>| {
        time.as_ref()
            .map_or_else(|| "?".to_owned(), |time| shown(time.seconds))
    };
    let count = gap.count.map_or_else(
        || "events".to_owned(),
        |count| report::count(count, "event"),
    );
    format!(
        "gap: {count} of {}/{} from {} to {} cannot be delivered ({}): {}",
        gap.account_id,
        gap.region,
        time(&gap.from_time),
        time(&gap.to_time),
        gap.reason,
        gap.message
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_said_with_where_when_and_why() {
        let mut missing = Gap {
            account_id: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            from_time: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: 0,
            }),
            to_time: None,
            count: Some(1),
            reason: "OVERRUN".to_owned(),
            message: "too many".to_owned(),
        };
        assert_eq!(
            gap(&missing),
            "gap: 1 event of 111122223333/us-east-1 from 1970-01-01T00:00:00Z to ? cannot be \
             delivered (OVERRUN): too many"
        );
        missing.count = None;
        assert!(gap(&missing).starts_with("gap: events of "));
    }
}
