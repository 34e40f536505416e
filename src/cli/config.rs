//! `trailgate config`: the settings of `serve`, looked at without serving.

use std::{
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
};

use clap::{ArgMatches, Args, Subcommand, parser::ValueSource};

use super::EXIT_USAGE;
use crate::{
    app,
    config::{self, Config, Settings},
    telemetry,
};

const EXAMPLES: &str = "\
Examples:
  # before a server is started anew
  trailgate config check --config trailgate.yaml && systemctl reload trailgate

  # what is in force, and why
  trailgate config show --config trailgate.yaml --rate 1

Flags, TRAILGATE_* variables and the file are those of trailgate serve. What only AWS
can tell, such as whether a role may be assumed, is not checked.
Exit status: 0 usable, 64 not.";

/// Look at the settings of `trailgate serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct Look {
    #[command(subcommand)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum At {
    /// Say whether the settings can be used
    Check(Box<Given>),
    /// Write the settings in force, as YAML, with where each comes from
    Show(Box<Given>),
}

#[derive(Debug, Args)]
struct Given {
    #[command(flatten)]
    settings: Settings,
}

impl Look {
    /// `matches` are those of the command line, which say where values come from.
    pub(super) fn run(self, matches: &ArgMatches) -> ExitCode {
        let said = super::check_variables().and_then(|()| match self.at {
            At::Check(given) => check(given.settings),
            At::Show(given) => show(&given.settings, matches),
        });
        match said {
            Ok(said) => {
                // a closed stdout is no reason to fail
                let _ = io::stdout().lock().write_all(said.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(io::stderr().lock(), "trailgate config: {error}");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

fn check(settings: Settings) -> Result<String, config::Error> {
    let (config, doubts) = settings.with_file().and_then(usable)?;
    let (grpc, http) = (config.listen, config.http_listen);
    let mut said = format!("the settings can be used: gRPC on {grpc}, HTTP on {http}\n");
    // only the server has the environment that it runs in
    if config.sources.regions.is_empty() && !config.demo {
        let what = match config.sources.all_regions {
            true => "to ask for the others",
            false => "to search",
        };
        let _ = writeln!(
            said,
            "no Region {what} is named: the server takes that of its environment or profile, and does not start without"
        );
    }
    for doubt in doubts {
        let _ = writeln!(said, "warning: {doubt}");
    }
    Ok(said)
}

fn show(settings: &Settings, matches: &ArgMatches) -> Result<String, config::Error> {
    let file = settings.in_file()?;
    usable(settings.clone().or(file.clone()))?;
    let matches = deepest(matches);
    config::show(settings, &file, |name| said_by(matches, name))
}

/// The settings, and the files that they name, checked as far as that needs no AWS;
/// and what can be used, and is hardly meant.
fn usable(settings: Settings) -> Result<(Config, Vec<String>), config::Error> {
    let config = Config::try_from(settings)?;
    telemetry::check_level(&config.log_level)?;
    let doubts = app::check_files(&config)?;
    Ok((config, doubts))
}

/// What was matched for the last of the commands.
fn deepest(matches: &ArgMatches) -> &ArgMatches {
    matches
        .subcommand()
        .map_or(matches, |(_, matches)| deepest(matches))
}

/// The flag or the variable that gave a setting its value.
fn said_by(matches: &ArgMatches, name: &str) -> Option<String> {
    let flag = name.replace('_', "-");
    match matches.value_source(name)? {
        ValueSource::CommandLine => Some(format!("--{flag}")),
        ValueSource::EnvVariable => Some(format!("TRAILGATE_{}", name.to_uppercase())),
        _ => None,
    }
}
