//! `trailgate simulate`: a CloudTrail that behaves like AWS's.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tokio::net::TcpListener;

use super::{EXIT_USAGE, signals::Signals};
use crate::{
    awsjson::Several,
    clock::Clock,
    config::{Span, is_region},
    event::{Scope, is_account},
    filter::listed,
    simulator::{self, Fault, Loaded, Options, Rate, Record, Simulator},
};

/// Exit status where no record of the given files can be used (`EX_DATAERR`
/// of sysexits).
const EXIT_DATA: u8 = 65;

/// Exit status where the port cannot be bound (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// The most events that can be made up: about 2.5 GB of memory.
const MAX_SYNTHETIC: u64 = 10_000_000;

const EXAMPLES: &str = "\
Examples:
  # a million made-up events in two Regions, new ones all the time
  trailgate simulate --region us-east-1 --region eu-west-1 --synthetic 1000000 --live 5

  # your own log files, as if they had been written just now
  trailgate simulate --records ./AWSLogs --shift-to-now

  # ask it with the AWS CLI, or any SDK: the access key is the account
  AWS_ENDPOINT_URL_CLOUDTRAIL=http://127.0.0.1:4599 \\
  AWS_ACCESS_KEY_ID=111122223333 AWS_SECRET_ACCESS_KEY=x \\
  aws cloudtrail lookup-events --region us-east-1

  # one request in ten fails, the same ones on every run
  trailgate simulate --synthetic 1000 --fault 5xx=0.1 --seed 7

  # what was asked of it
  curl http://127.0.0.1:4599/_simulator/stats";

/// A CloudTrail that behaves like AWS's, for tests and trials.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Simulate {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4599")]
    listen: SocketAddr,

    /// Listen beyond loopback, though everyone who gets there may ask
    #[arg(long)]
    insecure: bool,

    /// Events to serve: S3 log files (.json.gz) or LookupEvents Event objects,
    /// one a line (.jsonl[.gz]); directories are searched
    #[arg(long, value_name = "FILE", num_args = 1..)]
    records: Vec<PathBuf>,

    /// Serve this account (repeatable) [default: those of the records]
    #[arg(long = "account", value_name = "ID")]
    accounts: Vec<String>,

    /// Serve this Region and no other (repeatable) [default: all]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,

    /// Of the Regions served, an account has enabled only these (repeatable)
    /// [default: all]
    #[arg(long = "account-regions", value_name = "ID=REGION,…", value_parser = account_regions)]
    account_regions: Vec<(String, Vec<String>)>,

    /// The account that may list the organization's [default: the first]
    #[arg(long, value_name = "ID")]
    management_account: Option<String>,

    /// An account of the organization that is suspended (repeatable)
    #[arg(long = "suspended-account", value_name = "ID")]
    suspended: Vec<String>,

    /// AssumeRole must bring this external id
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,

    /// Sessions of AssumeRole last at most so many seconds, also fewer than
    /// AWS allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    session_seconds: Option<u32>,

    /// Requests a second in each scope; 0: no limit
    #[arg(
        long,
        value_name = "N",
        default_value = "2",
        allow_negative_numbers = true
    )]
    rate: Rate,

    /// Move the records in time, so that the newest happens now
    #[arg(long, conflicts_with = "unlimited_history")]
    shift_to_now: bool,

    /// Keep events for ever instead of 90 days
    #[arg(long)]
    unlimited_history: bool,

    /// How long after its time an event appears, on average (such as 5m)
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = span)]
    delay: Duration,

    /// Make up so many events in all
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(..=MAX_SYNTHETIC))]
    synthetic: u64,

    /// Spread made-up events over so many days up to now
    #[arg(long, value_name = "N", default_value_t = 90,
          value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,

    /// Go on making events, so many a second over all scopes
    #[arg(
        long,
        value_name = "EVENTS_PER_SECOND",
        default_value = "0",
        allow_negative_numbers = true
    )]
    live: Rate,

    /// Let something go wrong (repeatable). KIND: throttle, 5xx, slow,
    /// disconnect, denied-region (or denied-region=REGION), denied-role (or
    /// denied-role=ACCOUNT), duplicate, late, expired-token,
    /// expired-credentials, short-page
    #[arg(long = "fault", value_name = "KIND=PROBABILITY")]
    faults: Vec<Fault>,

    /// How long a request takes that the fault slow strikes (at most 60s)
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    slow_by: Duration,

    /// How long a NextToken lasts [default: for ever]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    token_ttl: Option<Duration>,

    /// Honour the first of several lookup attributes instead of refusing
    #[arg(long)]
    first_attribute_only: bool,

    /// What all chance is drawn from: the same seed, the same events and faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// A span of time; a bare number is seconds.
fn span(text: &str) -> Result<Duration, String> {
    Span::or_seconds(text).map(Span::get)
}

/// An account with its Regions: `111122223333=us-east-1,eu-west-1`.
fn account_regions(text: &str) -> Result<(String, Vec<String>), String> {
    let (account, regions) = text.split_once('=').unwrap_or((text, ""));
    if !is_account(account) {
        return Err(format!("{account:?} is no account: it needs 12 digits"));
    }
    let regions: Vec<String> = regions.split(',').map(str::to_owned).collect();
    match regions.iter().find(|region| !is_region(region)) {
        Some(region) => Err(format!(
            "{region:?} is no Region: write it as {account}=us-east-1,eu-west-1"
        )),
        None => Ok((account.to_owned(), regions)),
    }
}

/// Writes a line. A closed pipe is no reason to fail.
fn say(mut to: impl Write, line: impl std::fmt::Display) {
    let _ = writeln!(to, "{line}");
    let _ = to.flush();
}

fn complain(line: impl std::fmt::Display) {
    say(
        io::stderr().lock(),
        format_args!("trailgate simulate: {line}"),
    );
}

impl Simulate {
    pub(super) fn run(self) -> ExitCode {
        if let Err(what) = self.check() {
            complain(what);
            return ExitCode::from(EXIT_USAGE);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => {
                complain(format_args!("no runtime: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if !self.listen.ip().is_loopback() && !self.insecure {
            return Err(format!(
                "--listen {} is reachable from elsewhere and the simulator knows no secrets; say \
                 --insecure if that is meant",
                self.listen
            ));
        }
        let ids = [
            ("account", self.accounts.as_slice()),
            ("suspended-account", &self.suspended),
            ("management-account", self.management_account.as_slice()),
        ];
        for (flag, ids) in ids {
            if let Some(id) = ids.iter().find(|id| !is_account(id)) {
                return Err(format!("--{flag} {id:?} is no account: it needs 12 digits"));
            }
        }
        if let Some(region) = self.regions.iter().find(|region| !is_region(region)) {
            return Err(format!(
                "--region {region:?} is no Region: write it as eu-central-1"
            ));
        }
        if self.slow_by > Duration::from_secs(60) {
            return Err(format!("--slow-by {:?} is more than 60s", self.slow_by));
        }
        if let Some(path) = self.records.iter().find(|path| !path.exists()) {
            return Err(format!(
                "--records {}: no such file or directory",
                path.display()
            ));
        }
        Ok(())
    }

    async fn serve(self) -> ExitCode {
        let clock = Clock::system();
        let options = self.options();
        let loaded = self.load(&options, &clock);
        if !self.records.is_empty()
            && loaded.records.is_empty()
            && self.synthetic == 0
            && self.live.is_zero()
        {
            complain("no record of the given files can be used");
            return ExitCode::from(EXIT_DATA);
        }
        if !self.records.is_empty() {
            let (given, files) = (loaded.records.len(), loaded.files);
            complain(format_args!("{given} records from {files} files"));
        }
        warn_of_old(&options, &loaded.records, clock.now_secs());
        let simulator = Arc::new(Simulator::new(options, clock, loaded.records));
        // bound only now: who can connect is answered from the whole history
        let bound = match TcpListener::bind(self.listen).await {
            Ok(listener) => listener.local_addr().map(|address| (listener, address)),
            Err(error) => Err(error),
        };
        let (listener, address) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                complain(format_args!("cannot listen on {}: {error}", self.listen));
                return ExitCode::from(EXIT_UNAVAILABLE);
            }
        };
        self.summarize(&simulator);
        // whoever sees the line below may tell it to stop
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                complain(format_args!("no signals: {error}"));
                return ExitCode::FAILURE;
            }
        };
        say(
            io::stdout().lock(),
            format_args!("listening on http://{address}"),
        );
        match simulator::serve(listener, simulator, async move { signals.next().await }).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(format_args!("cannot go on serving: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    fn load(&self, options: &Options, clock: &Clock) -> Loaded {
        let fallback = match (self.accounts.as_slice(), self.regions.as_slice()) {
            ([account], [region]) => Some(Scope::new(account, region)),
            ([account], _) => Some(Scope::new(account, "")),
            (_, [region]) => Some(Scope::new("", region)),
            _ => None,
        };
        let mut loaded = simulator::load(&self.records, fallback.as_ref());
        for problem in &loaded.problems {
            complain(problem);
        }
        if self.shift_to_now {
            let served = |record: &Record| options.allow(&record.scope);
            simulator::shift_to(clock.now_secs(), &mut loaded.records, served);
        }
        loaded
    }

    fn options(&self) -> Options {
        Options {
            accounts: self.accounts.clone(),
            regions: self.regions.clone(),
            enabled_regions: self.account_regions.iter().cloned().collect(),
            management_account: self.management_account.clone(),
            suspended: self.suspended.clone(),
            external_id: self.external_id.clone(),
            session: self
                .session_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
            rate: self.rate,
            delay: self.delay,
            unlimited_history: self.unlimited_history,
            several: if self.first_attribute_only {
                Several::FirstOnly
            } else {
                Several::Refuse
            },
            token_ttl: self.token_ttl,
            faults: self.faults.iter().cloned().collect(),
            slow_by: self.slow_by,
            seed: self.seed,
            synthetic: self.synthetic,
            days: self.days,
            live: self.live,
        }
    }

    fn summarize(&self, simulator: &Simulator) {
        let stats = simulator.stats();
        let left_out = simulator.left_out();
        if left_out > 0 {
            complain(format_args!(
                "{left_out} records are left out: their account or Region is not served"
            ));
        }
        let limit = if self.rate.is_zero() {
            "no limit".to_owned()
        } else {
            format!("{} requests a second in each scope", self.rate)
        };
        complain(format_args!(
            "{} events; accounts: {}; Regions: {}; {limit}",
            stats.records,
            list(&simulator.accounts()),
            list(&simulator.regions()),
        ));
    }
}

/// Says how many records that are served no request can reach for their age.
fn warn_of_old(options: &Options, records: &[Record], now: i64) {
    let first = now.saturating_sub(simulator::HISTORY_SECS);
    let old = |record: &&Record| {
        options.allow(&record.scope) && record.event.event_time.is_some_and(|time| time < first)
    };
    let count = records.iter().filter(old).count();
    if count > 0 && !options.unlimited_history {
        complain(format_args!(
            "{count} of them are older than 90 days and cannot be looked up; \
             --unlimited-history brings them back"
        ));
    }
}

/// As many names as fit a line.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.is_empty() {
        true => "any".to_owned(),
        false => listed(names.iter(), SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, secs) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("1d", 86_400),
        ] {
            assert_eq!(span(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(span("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["", "-5m", "soon", "5 parsecs"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_accounts_regions_are_read() {
        assert_eq!(
            account_regions("111122223333=us-east-1,eu-west-1"),
            Ok((
                "111122223333".to_owned(),
                vec!["us-east-1".to_owned(), "eu-west-1".to_owned()]
            ))
        );
        for bad in [
            "111122223333",
            "111122223333=",
            "12=us-east-1",
            "111122223333=Ireland",
        ] {
            assert!(account_regions(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_stay_short() {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(list(&names(0)), "any");
        assert_eq!(list(&names(8)), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(list(&names(10)), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
