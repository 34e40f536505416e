//! `trailgate serve`: the server.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{EXIT_USAGE, signals};
use crate::{
    app::{self, Server, reload::Reload},
    config::{Config, Settings},
    telemetry::{self, Flush},
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
The files of certificates, keys and the policy are looked at every ten seconds and at
SIGHUP, and so is that of --config, of which log_level changes at once. The first SIGTERM
or SIGINT lets calls finish, the second ends at once.
Exit status: 0 stopped as told, 64 unusable settings, 69 no port or no AWS, 143 or 130 told
twice by SIGTERM or SIGINT, 1 anything else.";

/// Serve Event history over gRPC.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let given = self.settings;
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return fail(1, &error),
        };
        let settings = super::check_variables().and_then(|()| given.clone().with_file());
        let usable = settings.and_then(|settings| {
            let config = Config::try_from(settings.clone())?;
            let traces = config.traces.as_ref();
            // traces are exported on it
            let _on = runtime.enter();
            let (logs, flush) = telemetry::init(config.log_format, &config.log_level, traces)?;
            Ok((config, Reload::new(given, &settings, logs)?, flush))
        });
        let (config, reload, flush) = match usable {
            Ok(usable) => usable,
            Err(error) => return fail(EXIT_USAGE, &error),
        };
        let code = runtime.block_on(serve(config, reload, flush));
        // what was bought is kept for nobody now: the process ends
        runtime.shutdown_background();
        code
    }
}

async fn serve(config: Config, reload: Reload, flush: Flush) -> ExitCode {
    // told before it serves, it reads the file again when it does
    let mut hang_ups = match signals::hang_ups() {
        Ok(hang_ups) => hang_ups,
        Err(error) => return fail(1, &error),
    };
    // as the first process of a container it would not be ended by them otherwise
    let mut signals = match signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(1, &error),
    };
    let started = tokio::select! {
        started = Server::start(config) => started,
        _ = signals.next_status() => {
            tracing::info!("told to stop before it served");
            return ExitCode::SUCCESS;
        }
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            let code = match error {
                app::Error::Config(_) | app::Error::File(_) => EXIT_USAGE,
                _ => EXIT_UNAVAILABLE,
            };
            return fail(code, &error);
        }
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
    let looks = server.looks();
    let keep = tokio::spawn(reload.keep(looks.clone()));
    let (told, is_told) = tokio::sync::oneshot::channel();
    let run = server.run(async {
        // a sender that is gone was told twice
        let _ = is_told.await;
    });
    tokio::pin!(run);
    let mut told = Some(told);
    let stopped = loop {
        tokio::select! {
            stopped = &mut run => break stopped,
            status = signals.next_status() => match told.take() {
                Some(told) => {
                    let _ = told.send(());
                }
                None => {
                    tracing::warn!("told to stop twice: calls under way were cut off");
                    return ExitCode::from(status);
                }
            },
            // what stops has no use for other settings
            Some(()) = hang_ups.recv(), if told.is_some() => looks.now(),
        }
    };
    keep.abort();
    flush.flush().await;
    match stopped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "trailgate serve: {error}");
    ExitCode::from(code)
}
