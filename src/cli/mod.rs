//! The command line: one file a command.

mod serve;
mod signals;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status for a command line or a configuration that cannot be used
/// (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;

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
    /// A CloudTrail that behaves like AWS's, for tests and trials
    Simulate(Box<simulate::Simulate>),
}

/// Runs the command line and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // a closed stdout is no reason to fail
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Simulate(simulate) => simulate.run(),
    }
}
