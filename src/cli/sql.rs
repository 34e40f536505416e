//! `trailgate sql` and `trailgate report`: SQL over the archive, by a server or here.

mod ask;
mod reports;
mod shell;
mod told;
mod value;
mod write;

use std::{
    future::{self, Future},
    io::{self, IsTerminal, Read},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures_util::StreamExt;
use tokio::time::Instant;

pub(super) use self::reports::Reports;
use self::{
    ask::{Answer, Asked, By, Failure, Known, Local},
    write::{Shape, Writer},
};
use super::{
    EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE,
    connect::{Connect, block_on},
    report,
    view::View,
};
use crate::{collect::store::Store, sql::MAX_TEXT};

const EXAMPLES: &str = "\
Examples:
  # who deleted buckets in July, by a server
  trailgate sql \"select eventTime, principal from principal_activity
    where eventName = 'DeleteBucket' and date between '2024-07-01' and '2024-07-31'\"

  # from an archive itself, without a server
  trailgate sql --archive s3://my-trail-archive/table 'select count(*) from cloudtrail'

  # values are bound, and never part of the query
  trailgate sql --param who=ann 'select * from cloudtrail where username = :who' -o json

  # a shell, with history and completion
  trailgate sql

The table is cloudtrail; SHOW TABLES has the views, DESCRIBE their columns. Name days
(date) where you can: what is of other days is not read. docs/sql.md has the functions,
and what differs from Spark.

Exit codes: 0 answered; 1 the query failed; 64 usage, or no query that can be answered;
130 interrupted.";

/// What `--timeout` is here.
const TIMEOUT: &str = "How long an answer may take until it is written whole, by a server or \
                       from --archive [default: as long as the server's --sql-timeout lets it, \
                       and from --archive without end]";

/// What `trailgate sql` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("timeout", |arg| arg.help(TIMEOUT)))]
pub(super) struct Sql {
    /// The query; - reads it from standard input, as does a pipe. Without one, on a
    /// terminal, a shell is opened
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Where a query is answered, and how its answer is written.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Bind a value to a parameter, which stands as :NAME in the query (repeatable)
    #[arg(
        long = "param",
        value_name = "NAME=VALUE",
        value_parser = value::assignment,
        help_heading = "What"
    )]
    values: Vec<(String, String)>,
    /// Read this archive here, without a server: a directory, or s3://BUCKET[/PREFIX]
    /// with the credentials of the environment
    #[arg(
        long,
        env = "TRAILGATE_SQL_ARCHIVE",
        value_name = "DIR|URL",
        help_heading = "Archive"
    )]
    archive: Option<Store>,
    /// Ask this endpoint for buckets instead of AWS
    #[arg(
        long,
        env = "TRAILGATE_AWS_ENDPOINT_URL",
        value_name = "URL",
        help_heading = "Archive"
    )]
    aws_endpoint_url: Option<String>,
    /// Memory for what a query holds that is answered here; more goes to disk
    /// [default: 512MB]
    #[arg(
        long,
        value_name = "SIZE",
        requires = "archive",
        help_heading = "Archive"
    )]
    memory: Option<crate::config::Size>,
    /// The database that country() and city() ask, in MaxMind's format
    #[arg(
        long = "sql-places",
        env = "TRAILGATE_SQL_PLACES",
        value_name = "FILE",
        help_heading = "Archive"
    )]
    places: Option<std::path::PathBuf>,
    /// How the answer is written
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Shape,
    /// CSV without the apostrophe in front of cells that a spreadsheet would run: for
    /// programs alone
    #[arg(long, help_heading = "How")]
    csv_raw: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    connect: Connect,
}

impl Sql {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        self.how.view.apply();
        ExitCode::from(block_on(self.ask()).unwrap_or(EXIT_FAILED))
    }

    async fn ask(self) -> u8 {
        let query = match self.query.as_deref() {
            Some("-") => piped(),
            None if !io::stdin().is_terminal() => piped(),
            given => Ok(given.map(str::to_owned)),
        };
        let query = match query {
            Ok(query) => query,
            Err(error) => {
                report::note(format_args!("standard input: {error}"));
                return EXIT_USAGE;
            }
        };
        if let Err(code) = self.how.check() {
            return code;
        }
        let mut asked = match self.how.open().await {
            Ok(asked) => asked,
            Err(code) => return code,
        };
        match query {
            Some(query) => {
                let query = Known {
                    query: &query,
                    values: &self.how.values,
                    by: By::Options,
                };
                self.how.answered(asked.ask(query), self.how.output).await
            }
            None => shell::run(&self.how, asked).await,
        }
    }
}

/// The query that comes through a pipe.
fn piped() -> io::Result<Option<String>> {
    let mut text = String::new();
    // one byte more is too many, and said to be
    let most = u64::try_from(MAX_TEXT)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    io::stdin().lock().take(most).read_to_string(&mut text)?;
    Ok(Some(text))
}

impl How {
    /// Whether the options go together.
    fn check(&self) -> Result<(), u8> {
        let is_terminal = io::stdout().is_terminal();
        let wrong = if self.csv_raw && self.output != Shape::Csv {
            "--csv-raw is for -o csv"
        } else if self.output.is_binary() && is_terminal {
            "-o arrow and parquet are not for a terminal; redirect them to a file"
        } else if self.archive.is_some() && self.connect.names_endpoint() {
            "--endpoint does not go with --archive (TRAILGATE_SQL_ARCHIVE): an archive is read \
             here, and no server is asked"
        } else if self.places.is_some() && self.archive.is_none() {
            "--sql-places is for --archive; a server has its own"
        } else {
            return Ok(());
        };
        report::note(wrong);
        Err(EXIT_USAGE)
    }

    /// What answers here, if an archive is named.
    async fn engine(&self) -> Result<Option<Local>, u8> {
        let Some(archive) = &self.archive else {
            return Ok(None);
        };
        let endpoint = self.aws_endpoint_url.as_deref();
        let opened = ask::engine(archive, endpoint, self.memory, self.places.clone()).await;
        opened.map(Some).map_err(|wrong| {
            report::note(wrong);
            EXIT_USAGE
        })
    }

    async fn open(&self) -> Result<Asked, u8> {
        if let Some(engine) = self.engine().await? {
            return Ok(Asked::Here(engine));
        }
        let client = self.connect.client().ok_or(EXIT_USAGE)?;
        Ok(Asked::server(&client))
    }

    /// Writes an answer as it comes, and says how it went.
    async fn answered(
        &self,
        answer: impl Future<Output = Result<Answer, Failure>>,
        shape: Shape,
    ) -> u8 {
        let begun = Instant::now();
        let mut interrupted = pin!(interrupted());
        let mut over = pin!(over(self.connect.timeout));
        let mut written = Writer::new(shape, self.csv_raw, self.view.color());
        let end = {
            let work = write(answer, &mut written);
            tokio::select! {
                biased;
                () = &mut interrupted => {
                    report::note("interrupted; the query was ended");
                    return EXIT_INTERRUPTED;
                }
                within = &mut over => {
                    let seconds = within.as_secs_f64();
                    report::note(format_args!(
                        "no whole answer within {seconds} s, and the query was ended; give it more \
                         time with --timeout, or ask for less"
                    ));
                    return EXIT_FAILED;
                }
                end = work => end,
            }
        };
        match end {
            Ok(()) => {
                if io::stderr().is_terminal() || shape == Shape::Table {
                    report::note(summary(written.rows(), begun.elapsed()));
                }
                0
            }
            Err(End::Unwritten(error)) => report::written(Err(error)),
            Err(End::Failed(failure)) => failure.told(self.connect.endpoint(), written.rows() > 0),
        }
    }
}

async fn write(
    answer: impl Future<Output = Result<Answer, Failure>>,
    to: &mut Writer,
) -> Result<(), End> {
    let mut answer = answer.await?;
    to.begin(&answer.schema).map_err(End::Unwritten)?;
    while let Some(batch) = answer.batches.next().await {
        to.write(&batch?).map_err(End::Unwritten)?;
    }
    to.end().map_err(End::Unwritten)
}

/// Why an answer is not written whole.
enum End {
    Failed(Failure),
    Unwritten(io::Error),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How much came of it, and how fast.
fn summary(rows: u64, took: Duration) -> String {
    let rows = report::count(i64::try_from(rows).unwrap_or(i64::MAX), "row");
    format!("{rows} in {:.2} s", took.as_secs_f64())
}

/// Ends when an answer has taken as long as it may, and says how long that is.
async fn over(limit: Option<Duration>) -> Duration {
    let Some(limit) = limit else {
        return future::pending().await;
    };
    tokio::time::sleep(limit).await;
    limit
}

/// Ends with Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        future::pending::<()>().await;
    }
}
