//! The command line: one file a command.

mod asked;
mod backfill;
mod call;
mod completions;
mod config;
mod connect;
mod estimate;
mod get;
mod histogram;
mod ingest;
mod input;
mod json;
mod lookup;
#[cfg(not(feature = "sql"))]
mod no_sql;
mod output;
mod paging;
mod profile;
mod progress;
mod question;
mod refusal;
mod report;
mod scopes;
mod serve;
mod signals;
mod simulate;
mod source;
#[cfg(feature = "sql")]
mod sql;
mod standing;
mod summary;
mod table;
mod tail;
mod tally;
mod time;
mod view;
mod where_clause;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use crate::sheet;
use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Exit status for a command line or a configuration that cannot be used
/// (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
/// Exit status where the call failed, or what was asked for is not there.
const EXIT_FAILED: u8 = 1;
/// Exit status where some scope was not searched as far as was asked for.
const EXIT_INCOMPLETE: u8 = 2;
/// Exit status for a request in a file that cannot be used.
const EXIT_INPUT: u8 = 2;
/// Exit status after Ctrl-C, as shells have it (128 + SIGINT).
const EXIT_INTERRUPTED: u8 = 130;

/// trailgate: a gateway to AWS CloudTrail Event history.
#[derive(Debug, Parser)]
#[command(
    name = "trailgate",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve Event history over gRPC
    Serve(Box<serve::Serve>),
    /// Look at the settings of the server, without serving
    Config(Box<config::Look>),
    /// Find events in CloudTrail Event history
    Lookup(Box<lookup::Lookup>),
    /// Follow events as they arrive
    Tail(Box<tail::Tail>),
    /// Bring events out of log files to those who follow
    Ingest(Box<ingest::Ingest>),
    /// Load years of log files into the archive
    Backfill(Box<backfill::Backfill>),
    /// One event by its id
    Get(Box<get::Get>),
    /// How each account and Region stands: quota, coverage, errors
    Scopes(Box<scopes::Scopes>),
    /// How many events there were, when, and of what
    Summary(Box<summary::Summary>),
    /// Ask the archive in SQL
    #[cfg(feature = "sql")]
    Sql(Box<sql::Sql>),
    /// Answer one of the questions that are asked every day
    #[cfg(feature = "sql")]
    Report(Box<sql::Reports>),
    /// Ask the archive in SQL
    #[cfg(not(feature = "sql"))]
    #[command(hide = true)]
    Sql(no_sql::NoSql),
    /// Answer one of the questions that are asked every day
    #[cfg(not(feature = "sql"))]
    #[command(hide = true)]
    Report(no_sql::NoSql),
    /// Call any method of the API, with JSON or YAML
    Call(Box<call::Call>),
    /// What a shell offers while a command is typed
    Completions(completions::Completions),
    /// A CloudTrail that behaves like AWS's, for tests and trials
    Simulate(Box<simulate::Simulate>),
}

/// Runs the command line and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    completions::answer(Cli::command);
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error.format(&mut Cli::command())),
    };
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Config(look) => look.run(&matches),
        Command::Lookup(lookup) => lookup.run(),
        Command::Tail(tail) => tail.run(),
        Command::Ingest(ingest) => ingest.run(),
        Command::Backfill(backfill) => backfill.run(),
        Command::Get(get) => get.run(),
        Command::Scopes(scopes) => scopes.run(),
        Command::Summary(summary) => summary.run(),
        #[cfg(feature = "sql")]
        Command::Sql(sql) => sql.run(),
        #[cfg(feature = "sql")]
        Command::Report(report) => report.run(),
        #[cfg(not(feature = "sql"))]
        Command::Sql(none) | Command::Report(none) => none.run(),
        Command::Call(call) => call.run(),
        Command::Completions(completions) => completions.run(),
        Command::Simulate(simulate) => simulate.run(),
    }
}

/// Help and version as they are; what is wrong in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // a closed stdout is no reason to fail
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        let said = one_line(&error.to_string());
        let from = variable(error).map_or_else(String::new, |name| format!(" (from {name})"));
        let _ = writeln!(io::stderr().lock(), "trailgate: {said}{from}; see --help");
    }
    ExitCode::from(EXIT_USAGE)
}

/// Variables of the environment that some command reads.
fn variables() -> Vec<String> {
    let command = Cli::command();
    let commands = command.get_subcommands();
    let args = commands.flat_map(clap::Command::get_arguments);
    let names = args.filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned));
    names.collect()
}

/// Refuses variables that look as if they were trailgate's, and are not.
fn check_variables() -> Result<(), crate::config::Error> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let given = env::vars_os().map(|(name, value)| (text(name), text(value)));
    crate::config::variables::check(&variables(), given)
}

/// The error without usage, which has lines of its own and is what --help is
/// for.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let said = lines.take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let said = said.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

/// The environment variable that a value which cannot be used came from.
fn variable(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = arg.split(' ').next()?;
    let is_typed = |arg: OsString| {
        let arg = arg.to_string_lossy();
        arg.strip_prefix(flag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if env::args_os().any(is_typed) {
        return None;
    }
    let long = flag.strip_prefix("--")?;
    let command = Cli::command();
    let mut args = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let variable = args.find_map(|arg| arg.get_env().filter(|_| arg.get_long() == Some(long)))?;
    env::var_os(variable).map(|_| variable.to_string_lossy().into_owned())
}

/// A condition as `--where` takes it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn condition(text: &str) -> Option<crate::proto::v1::Match> {
    crate::typed::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        let said = |args: &[&str]| {
            let error = Cli::try_parse_from([&["trailgate"], args].concat()).unwrap_err();
            one_line(&error.to_string())
        };
        assert_eq!(
            said(&["get"]),
            "the following required arguments were not provided: <EVENT_ID>"
        );
        let wrong = said(&["lookup", "--limt", "1"]);
        assert!(
            wrong.starts_with("unexpected argument '--limt' found; tip: "),
            "{wrong}"
        );
        Cli::command().debug_assert();
    }
}
