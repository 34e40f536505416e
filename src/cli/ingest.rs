//! `trailgate ingest`: events out of log files, to those who follow.

mod files;
mod tally;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
};

use clap::{Args, ValueEnum};
use futures_util::stream;
use tokio::sync::mpsc;

use self::{
    files::{Sent, Source, lock, send},
    tally::Tally,
};
use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    connect::{Connect, block_on},
    progress::Progress,
    refusal::Call,
    report,
    signals::Signals,
};
use crate::{
    client::Client,
    collect::{AwsOptions, Buckets},
    proto::v1::{IngestEventsRequest, IngestProgress, ingest_events_response::Payload},
};

const EXAMPLES: &str = "\
Examples:
  trailgate ingest AWSLogs
  trailgate ingest 123456789012_CloudTrail_eu-west-1_20260102T0305Z_AbCdEfGhIjKlMnOp.json.gz
  trailgate ingest s3://my-trail/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/
  trailgate ingest -o json AWSLogs | jq .faults
  aws s3 cp s3://my-trail/KEY - | trailgate ingest -

Log files are those of CloudTrail, gzip or plain JSON with a list \"Records\". Directories
are walked for *.json.gz and *.json; digest files are passed over. Whoever follows the
gateway (trailgate tail) is told each event that is new; run again, all is known. Nothing
is kept: lookup, get and summary do not see them. Files in S3 are read with this machine's own credentials.

A record's account and Region are what it says, or else what its file's name says; one
that belongs to none is counted and not told.

Exit codes: 0 all was read; 1 the call, or a bucket, failed; 2 some file could not be read
to its end (said on stderr); 64 usage; 130 interrupted.";

/// Messages on their way to the connection: each has up to 256 KiB.
const AHEAD: usize = 4;

/// What `trailgate ingest` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ingest {
    /// Log files, directories of them, s3://BUCKET/PREFIX, or - for stdin
    #[arg(value_name = "FILES", required = true, value_parser = files::source)]
    sources: Vec<Source>,
    /// Where the events go
    #[arg(long, value_enum, default_value = "feed", help_heading = "How")]
    into: Target,
    /// The Region of the buckets [default: the one each is in, where S3 says it, or
    /// that of the environment or profile]
    #[arg(long, value_name = "REGION", help_heading = "S3")]
    region: Option<String>,
    /// Replaces S3's endpoint, for stores that are compatible with it
    #[arg(
        long,
        env = "TRAILGATE_AWS_ENDPOINT_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "S3"
    )]
    aws_endpoint_url: Option<String>,
    /// The format of the result
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// To subscribers, as events that arrive now
    Feed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object
    Json,
}

impl Ingest {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        ExitCode::from(block_on(self.ingest()).unwrap_or(EXIT_FAILED))
    }

    async fn ingest(self) -> u8 {
        let Target::Feed = self.into;
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let mut buckets = None;
        if self.sources.iter().any(Source::is_in_s3) {
            let options = AwsOptions {
                endpoint_url: self.aws_endpoint_url.clone(),
                region: self.region.clone(),
                simulated: None,
            };
            let Some(opened) = Buckets::open(&options).await else {
                report::note("no Region is known for the bucket; name one with --region");
                return EXIT_USAGE;
            };
            if self.region.is_none() {
                opened
                    .find_regions(self.sources.iter().filter_map(Source::bucket))
                    .await;
            }
            buckets = Some(opened);
        }
        let Ok(signals) = Signals::new() else {
            report::note("cannot listen for signals");
            return EXIT_FAILED;
        };
        let sent: Arc<Mutex<Sent>> = Arc::default();
        let (to, from) = mpsc::channel(AHEAD);
        let sending = send(self.sources.clone(), buckets, Arc::clone(&sent), to);
        let mut progress = Progress::start();
        let mut tally = Tally::default();
        progress.say(tally.so_far(&IngestProgress::default()));
        let code = tokio::select! {
            code = self.follow(&client, signals, from, &mut tally, &mut progress) => code,
            never = sending => match never {},
        };
        progress.end();
        let sent = lock(&sent);
        tally.end(&sent);
        // of a call that came to nothing there is no result
        let written = match code == EXIT_FAILED && tally.is_empty() {
            true => code,
            false => report::written(tally.write(self.output == Format::Json)),
        };
        match code {
            0 if sent.is_broken => EXIT_FAILED,
            0 if tally.failed() > 0 => EXIT_INCOMPLETE,
            0 if tally.is_empty() => {
                report::note("no log files there (*.json.gz, *.json)");
                EXIT_FAILED
            }
            0 => written,
            code => code,
        }
    }

    /// Reads what comes of the files until all are answered.
    async fn follow(
        &self,
        client: &Client,
        mut signals: Signals,
        from: mpsc::Receiver<IngestEventsRequest>,
        tally: &mut Tally,
        progress: &mut Progress,
    ) -> u8 {
        let requests = stream::unfold(from, async |mut from| {
            from.recv().await.map(|request| (request, from))
        });
        let mut has_answered = false;
        let status = 'over: {
            let mut responses = tokio::select! {
                answer = client.ingest(requests) => match answer {
                    Ok(responses) => responses,
                    Err(status) => break 'over status,
                },
                () = signals.next() => return EXIT_INTERRUPTED,
            };
            has_answered = true;
            loop {
                let response = tokio::select! {
                    response = responses.message() => response,
                    () = signals.next() => return EXIT_INTERRUPTED,
                    () = progress.line() => continue,
                };
                match response {
                    Ok(None) => return 0,
                    Ok(Some(response)) => match response.payload {
                        Some(Payload::Progress(file)) => progress.say(tally.so_far(&file)),
                        Some(Payload::File(file)) => {
                            if let Some(fault) = tally.add(file) {
                                progress.note(fault);
                            }
                            progress.say(tally.so_far(&IngestProgress::default()));
                        }
                        None => {}
                    },
                    Err(status) => break 'over status,
                }
            }
        };
        progress.end();
        let call = Call {
            endpoint: self.connect.endpoint(),
            has_answered,
            asked: &Asked::default(),
        };
        call.refused(&status)
    }
}
