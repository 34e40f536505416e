//! `trailgate serve`: the server.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{EXIT_USAGE, signals};
use crate::{
    app::{self, Server},
    config::{Config, Settings},
    telemetry,
};

/// Exit status where a port or AWS cannot be had (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

const EXAMPLES: &str = "\
Examples:
  # made-up events, live, with no AWS account; then: trailgate lookup
  trailgate serve --demo

  # the account and Region of your AWS credentials
  AWS_PROFILE=audit trailgate serve

  # one account in two Regions
  trailgate serve --account 111122223333 --region us-east-1 --region eu-west-1

  # a role in each of two accounts, or in all of the organization
  trailgate serve --account 111122223333 --account 444455556666 --region us-east-1 \\
    --assume-role-arn 'arn:aws:iam::{account}:role/TrailgateReader'
  trailgate serve --organization --all-regions \\
    --assume-role-arn 'arn:aws:iam::{account}:role/TrailgateReader'

  # in front of a simulator of your own
  trailgate simulate --records ./AWSLogs --account 111122223333 --unlimited-history
  trailgate serve --aws-endpoint-url http://127.0.0.1:4599 --account 111122223333 \\
    --region us-east-1 --history unlimited

Flags override TRAILGATE_* variables, which override the file of --config.
Logs go to standard error; one line on standard output says where it listens.
The first SIGTERM or SIGINT lets calls finish, the second ends at once.
Exit status: 0 stopped as told, 64 unusable settings, 69 no port or no AWS, 1 anything else.";

/// Serve Event history over gRPC.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.settings.with_file().and_then(Config::try_from) {
            Ok(config) => config,
            Err(error) => return fail(EXIT_USAGE, &error),
        };
        if let Err(error) = telemetry::init_logs(config.log_format, &config.log_level) {
            return fail(EXIT_USAGE, &error);
        }
        match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => {
                let code = runtime.block_on(serve(config));
                // what was bought is kept for nobody now: the process ends
                runtime.shutdown_background();
                code
            }
            Err(error) => fail(1, &error),
        }
    }
}

async fn serve(config: Config) -> ExitCode {
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => {
            let code = if matches!(error, app::Error::Config(_)) {
                EXIT_USAGE
            } else {
                EXIT_UNAVAILABLE
            };
            return fail(code, &error);
        }
    };
    // whoever sees the line below may tell it to stop
    let mut signals = match signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(1, &error),
    };
    let mut out = io::stdout().lock();
    // a closed stdout is no reason to stop
    let _ = writeln!(
        out,
        "listening on grpc{s}://{} and http{s}://{}",
        server.grpc,
        server.http,
        s = if server.is_secure() { "s" } else { "" }
    );
    let _ = out.flush();
    drop(out);
    let (told, is_told) = tokio::sync::oneshot::channel();
    let run = server.run(async {
        // a sender that is gone was told twice
        let _ = is_told.await;
    });
    tokio::pin!(run);
    let stopped = tokio::select! {
        stopped = &mut run => stopped,
        () = signals.next() => {
            let _ = told.send(());
            tokio::select! {
                stopped = run => stopped,
                () = signals.next() => return fail(1, &"told to stop twice: calls under way were cut off"),
            }
        }
    };
    match stopped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "trailgate serve: {error}");
    ExitCode::from(code)
}
