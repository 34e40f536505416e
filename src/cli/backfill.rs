//! `trailgate backfill`: years of log files into the archive.

mod find;
mod pace;
mod tally;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{ArgGroup, Args, ValueEnum, value_parser};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    find::Found,
    pace::Pace,
    tally::{Told, write_estimate},
};
use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE,
    progress::Progress,
    report::{self, LISTED, note},
    signals::Signals,
    time::{self, When},
};
use crate::{
    app::{look_at_archive, open_archive, scratch_archive},
    backfill::{self, Choice, Load, Place, Report, Target, TargetError},
    clock::Clock,
    collect::{log_file::Limits, store::Store},
    config::Size,
    event::is_account,
};

const EXAMPLES: &str = "\
Examples:
  # all trails of the account of your AWS credentials, in every Region it has enabled
  trailgate backfill --archive s3://audit/trailgate
  # what that would be, and how long it would take
  trailgate backfill --archive s3://audit/trailgate --dry-run
  # all accounts of the organization, two years of them
  trailgate backfill --archive s3://audit/trailgate --organization --since 730d \\
    --assume-role-arn 'arn:aws:iam::{account}:role/TrailgateReader'
  # given places: a trail's bucket, a part of it, a directory
  trailgate backfill --archive /var/lib/trailgate s3://my-trail s3://other/p/AWSLogs/ ./AWSLogs

With no place, trails are looked for with DescribeTrails in every Region of every account;
each bucket and prefix is loaded once, whatever trails share it. What does not tell is
passed and said. A bucket is read with your credentials, and where they may not, with those
for the account of its trail.

The archive takes no event twice, and what is loaded is noted in it: run again after
whatever end, a backfill goes on where it was, and later loads what came since. A file
counts to the day (UTC) of its delivery, minutes after its events.

Times: 2024-05-06, 2024-05-06T07:08:09Z, or back from now: 90d, 2h; the whole day is meant.

Exit codes: 0 all was loaded; 1 nothing could be, or the archive took no more; 2 something
could not be loaded (said on stderr, and with -o json); 64 usage; 130 interrupted, with what
was read until then in the archive.";

/// What `trailgate backfill` is asked.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    group = ArgGroup::new("discovery").multiple(true).conflicts_with("places")
)]
pub(super) struct Backfill {
    /// Where log files are: s3://BUCKET[/PREFIX], or a directory [default: where the
    /// trails deliver to]
    #[arg(value_name = "PLACES")]
    places: Vec<Place>,
    /// The archive: s3://BUCKET[/PREFIX], or a directory
    #[arg(
        long,
        env = "TRAILGATE_ARCHIVE",
        value_name = "PLACE",
        required_unless_present = "dry_run"
    )]
    archive: Option<Store>,
    /// Say how many files and bytes there are to load, and how many events and how much
    /// time that makes by some that are read; load nothing
    #[arg(long, visible_alias = "estimate")]
    dry_run: bool,

    /// From this day on
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time::when,
        allow_hyphen_values = true,
        help_heading = "What"
    )]
    since: Option<When>,
    /// Up to this day, inclusive
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time::when,
        allow_hyphen_values = true,
        help_heading = "What"
    )]
    until: Option<When>,
    /// Load this account only (repeatable); with --assume-role-arn, look for trails in
    /// these
    #[arg(
        long = "account",
        value_name = "ID",
        value_parser = account,
        value_delimiter = ',',
        help_heading = "What"
    )]
    accounts: Vec<String>,
    /// Do not load this account (repeatable)
    #[arg(
        long = "exclude-account",
        value_name = "ID",
        value_parser = account,
        value_delimiter = ',',
        help_heading = "What"
    )]
    exclude_accounts: Vec<String>,
    /// Load this Region only, and look for trails there only (repeatable)
    #[arg(
        long = "region",
        value_name = "REGION",
        value_parser = region,
        value_delimiter = ',',
        help_heading = "What"
    )]
    regions: Vec<String>,
    /// Do not load this Region (repeatable)
    #[arg(
        long = "exclude-region",
        value_name = "REGION",
        value_parser = region,
        value_delimiter = ',',
        help_heading = "What"
    )]
    exclude_regions: Vec<String>,
    /// Load again what is noted as loaded: for files that somebody put between others
    #[arg(long, help_heading = "What")]
    again: bool,

    /// Look for trails in all active accounts of the organization; needs
    /// --assume-role-arn
    #[arg(
        long,
        group = "discovery",
        help_heading = "Where trails are looked for"
    )]
    organization: bool,
    /// The role to assume in each account, such as
    /// arn:aws:iam::{account}:role/TrailgateReader
    #[arg(
        long,
        value_name = "PATTERN",
        group = "discovery",
        help_heading = "Where trails are looked for"
    )]
    assume_role_arn: Option<String>,
    /// The external id that the roles' trust policies ask for
    #[arg(
        long,
        value_name = "TEXT",
        requires = "assume_role_arn",
        help_heading = "Where trails are looked for"
    )]
    assume_role_external_id: Option<String>,
    /// The name of the sessions, which the accounts' events show [default: trailgate]
    #[arg(
        long,
        value_name = "NAME",
        requires = "assume_role_arn",
        help_heading = "Where trails are looked for"
    )]
    assume_role_session_name: Option<String>,
    /// Assume the role also in the account of the credentials
    #[arg(
        long,
        requires = "assume_role_arn",
        help_heading = "Where trails are looked for"
    )]
    assume_role_in_own_account: bool,
    /// A profile of ~/.aws/config whose account is asked with its credentials
    /// (repeatable); ACCOUNT=NAME where STS cannot be asked
    #[arg(
        long = "profile",
        value_name = "NAME",
        value_delimiter = ',',
        group = "discovery",
        help_heading = "Where trails are looked for"
    )]
    profiles: Vec<String>,

    /// Files that are read at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = value_parser!(u16).range(1..=256),
        help_heading = "How"
    )]
    parallel: u16,
    /// Memory of the process, at least 192MB: larger commits make fewer files, and larger
    /// ones
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "512MB",
        help_heading = "How"
    )]
    memory: Size,
    /// Merge the archive's small files in the end, where no server does so
    #[arg(long, conflicts_with = "dry_run", help_heading = "How")]
    compact: bool,
    /// The format of the result
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Format,
    /// The Region of buckets that do not say theirs [default: that of the environment or
    /// profile]
    #[arg(long, value_name = "REGION", value_parser = region, help_heading = "How")]
    bucket_region: Option<String>,
    /// Ask this endpoint instead of AWS, of every service
    #[arg(
        long,
        env = "TRAILGATE_AWS_ENDPOINT_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "How"
    )]
    aws_endpoint_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// How often it is shown how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// Threads that wait for files and names, beside those that write events: either is short.
const FILE_THREADS: usize = 2;
/// The least memory that is of use.
const LEAST: u64 = 192_000_000;
/// What of it is the program's own: its code, what it reads files with, and what the C
/// library's allocator keeps for its threads. At the least of memory no run was over it.
const PROGRAM: u64 = 128_000_000;

fn account(text: &str) -> Result<String, String> {
    match is_account(text) {
        true => Ok(text.to_owned()),
        false => Err("it needs 12 digits".to_owned()),
    }
}

fn region(text: &str) -> Result<String, String> {
    match crate::config::is_region(text) {
        true => Ok(text.to_owned()),
        false => Err("write it as eu-central-1".to_owned()),
    }
}

/// Why it ends early: its exit status. What is wrong was said.
struct Over(u8);

impl Backfill {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        if let Err(error) = super::check_variables() {
            note(error);
            return ExitCode::from(EXIT_USAGE);
        }
        // what goes wrong within is told by name; of the rest the worst
        let logs = crate::telemetry::init(crate::config::LogFormat::Text, "error", None);
        // files are unpacked and written on all processors. Few threads: the C library's
        // allocator keeps for each what it once needed
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(processors + FILE_THREADS)
            .enable_all()
            .build();
        let code = match runtime {
            Ok(runtime) => match runtime.block_on(self.backfill()) {
                Ok(code) | Err(Over(code)) => code,
            },
            Err(error) => {
                note(format_args!("cannot start: {error}"));
                EXIT_FAILED
            }
        };
        drop(logs);
        ExitCode::from(code)
    }

    /// Half of the memory for events: they are on their way in one, and written in the
    /// other.
    fn half(&self) -> u64 {
        self.memory.get().saturating_sub(PROGRAM) / 2
    }

    async fn backfill(&self) -> Result<u8, Over> {
        let clock = Clock::system();
        let choice = self.choice(&clock)?;
        if self.memory.get() < LEAST {
            let given = self.memory.get();
            note(format_args!(
                "--memory {given} is too little; give 192MB or more"
            ));
            return Err(Over(EXIT_USAGE));
        }
        let Ok(mut signals) = Signals::new() else {
            note("cannot listen for signals");
            return Err(Over(EXIT_FAILED));
        };
        let mut progress = Progress::start();
        let over = {
            let work = self.work(&clock, choice, &mut progress);
            tokio::pin!(work);
            // before anything is loaded there is nothing to keep
            tokio::select! {
                ready = &mut work => ready,
                () = signals.next() => Err(Over(EXIT_INTERRUPTED)),
            }
        };
        let result = match over {
            Err(over) => Err(over),
            Ok(ready) if self.dry_run => self.estimate(ready, signals, &mut progress).await,
            Ok(ready) => self.load(ready, signals, &mut progress).await,
        };
        progress.end();
        result
    }

    /// What is chosen.
    fn choice(&self, clock: &Clock) -> Result<Choice, Over> {
        let since = self.since.map(|since| time::first(since, clock));
        let until = self.until.map(|until| time::last(until, clock));
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            note("--since is after --until");
            return Err(Over(EXIT_USAGE));
        }
        let set = |names: &[String]| names.iter().cloned().collect();
        Ok(Choice {
            accounts: set(&self.accounts),
            without_accounts: set(&self.exclude_accounts),
            regions: set(&self.regions),
            without_regions: set(&self.exclude_regions),
            since,
            until,
        })
    }

    /// Opens the archive, and finds what is to be loaded.
    async fn work(
        &self,
        clock: &Clock,
        choice: Choice,
        progress: &mut Progress,
    ) -> Result<Ready, Over> {
        let failed = |error: TargetError| {
            note(error);
            Over(EXIT_FAILED)
        };
        let half = self.half();
        let url = self.aws_endpoint_url.as_deref();
        progress.say("opening the archive".to_owned());
        let target = match &self.archive {
            Some(at) if self.dry_run => look_at_archive(at, clock, half, url).await,
            Some(at) => open_archive(at, clock, half, url).await.map(Some),
            None => Ok(None),
        };
        let target = match target.map_err(failed)? {
            Some(target) => target,
            // nothing is noted in one that is not there
            None => scratch_archive(clock, half).await.map_err(failed)?,
        };
        let found = self.find(&choice, progress).await?;
        let options = backfill::Options {
            parallel: self.parallel.into(),
            // one is gathered, two are committed
            batch: usize::try_from(half / 4).unwrap_or(usize::MAX),
            limits: Limits::default(),
            again: self.again,
        };
        let parts = found.parts.clone();
        let load = Load::new(parts, choice, Arc::clone(&target), options, clock.clone());
        Ok(Ready {
            load,
            target,
            found,
            clock: clock.clone(),
        })
    }

    async fn estimate(
        &self,
        ready: Ready,
        mut signals: Signals,
        progress: &mut Progress,
    ) -> Result<u8, Over> {
        let Ready {
            load, found, clock, ..
        } = ready;
        let failed = |error: TargetError| {
            note(error);
            Over(EXIT_FAILED)
        };
        let scratch = scratch_archive(&clock, self.half()).await;
        let scratch = scratch.map_err(failed)?;
        let seen = load.seen();
        let counting = load.estimate(&*scratch);
        tokio::pin!(counting);
        let mut look = tokio::time::interval(LOOK);
        let estimate = loop {
            tokio::select! {
                done = &mut counting => break done.map_err(failed)?,
                () = signals.next() => return Err(Over(EXIT_INTERRUPTED)),
                _ = look.tick() => progress.say(pace::counted(&seen.so_far())),
                () = progress.line() => {}
            }
        };
        progress.end();
        for (name, why) in &estimate.broken {
            note(format_args!("{name}: {why}"));
        }
        let is_partial = !estimate.broken.is_empty() || found.is_partial();
        let written = write_estimate(&estimate, &found, self.output == Format::Json);
        Ok(match report::written(written) {
            0 if is_partial => EXIT_INCOMPLETE,
            code => code,
        })
    }

    async fn load(
        &self,
        ready: Ready,
        mut signals: Signals,
        progress: &mut Progress,
    ) -> Result<u8, Over> {
        let Ready {
            load,
            target,
            found,
            ..
        } = ready;
        let (seen, stop, start) = (load.seen(), CancellationToken::new(), Instant::now());
        let loading = load.run(stop.clone());
        tokio::pin!(loading);
        let mut look = tokio::time::interval(LOOK);
        let mut pace = Pace::default();
        let mut said = 0;
        let mut say = |progress: &Progress| {
            for line in seen.lines() {
                said += 1;
                if said <= LISTED {
                    progress.note(line);
                }
            }
        };
        let done = loop {
            tokio::select! {
                done = &mut loading => break done,
                () = signals.next() => {
                    if stop.is_cancelled() {
                        return Err(Over(EXIT_INTERRUPTED));
                    }
                    stop.cancel();
                    progress.note("stopping once what was read is in the archive; once more to stop now");
                }
                _ = look.tick() => {
                    say(progress);
                    progress.say(pace.look(&seen.so_far(), start.elapsed()));
                }
                () = progress.line() => {}
            }
        };
        say(progress);
        let report = match done {
            Ok(report) => report,
            Err(error) => {
                progress.end();
                note(format_args!("the archive took no more: {error}"));
                note("what it has is noted: run it again to go on");
                return Err(Over(EXIT_FAILED));
            }
        };
        if self.compact && !report.is_stopped {
            progress.say("merging small files of the archive".to_owned());
            let merged = tokio::select! {
                merged = target.compact() => merged,
                () = signals.next() => return Err(Over(EXIT_INTERRUPTED)),
            };
            match merged {
                Ok(done) => progress.note(format_args!("{} files became {}", done.from, done.into)),
                Err(error) => {
                    progress.end();
                    note(format_args!("small files were not merged: {error}"));
                    return Err(Over(EXIT_FAILED));
                }
            }
        }
        progress.end();
        let failed = usize::try_from(report.failed).unwrap_or(usize::MAX);
        let failed = failed.saturating_add(report.broken.len());
        if failed > LISTED {
            note(format_args!(
                "{} more failures; -o json has them",
                failed - LISTED
            ));
        }
        if report.files == 0 && !report.is_stopped && report.broken.is_empty() {
            note(tally::nothing(&report.chosen));
        }
        let told = Told::new(&report, &found, start.elapsed());
        let written = report::written(told.write(self.output == Format::Json));
        Ok(code(&report, &found, written))
    }
}

/// The exit status.
fn code(report: &Report, found: &Found, written: u8) -> u8 {
    if report.is_stopped {
        return EXIT_INTERRUPTED;
    }
    if report.failed > 0 || !report.broken.is_empty() || found.is_partial() {
        return EXIT_INCOMPLETE;
    }
    written
}

/// All that is needed to begin.
struct Ready {
    load: Load,
    target: Arc<dyn Target>,
    found: Found,
    clock: Clock,
}
