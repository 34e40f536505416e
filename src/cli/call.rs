//! `trailgate call`: any method of the contract, by its name.

use std::{
    future,
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};

use clap::Args;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;

use super::{
    EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    completions,
    connect::{Connect, block_on},
    input::{self, Given, Input},
    output::for_stdout,
    refusal::Call as Called,
    report,
};
use crate::{client::Client, spelling::Nearest};

const EXAMPLES: &str = "\
Examples:
  trailgate call ListScopes
  trailgate call LookupEvents --generate-cli-skeleton yaml-input > question.yaml
  trailgate call LookupEvents --cli-input-yaml file://question.yaml
  trailgate call GetEvent --cli-input-json '{\"eventId\": \"293ba626-3be5-4a26-ab1b-0f4c54f49959\"}'
  trailgate call trailgate.v1.EventService/SubscribeEvents | jq -c .batch.events[]?

Answers are protobuf's JSON as it is: long integers are texts, and what is empty is left
out. A stream is a line for each answer, as it comes; --timeout is for the first of them.

Exit codes: 0 answered; 1 the call failed; 2 the request in the file cannot be used; 64
usage; 130 interrupted.";

fn help() -> String {
    format!("{EXAMPLES}\n\n{}", input::HELP)
}

/// What `trailgate call` is asked.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct Call {
    /// The method, such as LookupEvents or trailgate.v1.EventService/LookupEvents
    #[arg(value_name = "METHOD", value_parser = method, add = completions::methods())]
    method: MethodDescriptor,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    connect: Connect,
}

/// The method of this name.
fn method(name: &str) -> Result<MethodDescriptor, String> {
    let found = input::method(name).ok_or_else(|| {
        let methods = input::methods();
        let names: Vec<&str> = methods.iter().map(MethodDescriptor::name).collect();
        let last = name.rsplit(['/', '.']).next().unwrap_or(name);
        match Nearest::of(last, names.iter().copied()) {
            Some(name) => format!("there is no such method; did you mean {name}?"),
            None => format!("there is no such method; there are {}", names.join(", ")),
        }
    })?;
    match found.is_client_streaming() {
        true => Err("it takes a stream; \"trailgate ingest\" sends one".to_owned()),
        false => Ok(found),
    }
}

/// Why a stream of answers is over.
enum End {
    /// It ended.
    Done,
    Interrupted,
    Refused(Status),
    Unwritten(io::Error),
}

impl Call {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        ExitCode::from(block_on(self.call()).unwrap_or(EXIT_FAILED))
    }

    async fn call(self) -> u8 {
        let Given { request, origin } = match self.input.dynamic(&self.method.input()) {
            Ok(given) => given,
            Err(code) => return code,
        };
        if self.input.is_skeleton() {
            return self.input.write_dynamic(&request, &self.method.output());
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let mut has_answered = false;
        let end = {
            let mut answers = pin!(self.answers(&client, request, &mut has_answered));
            tokio::select! {
                end = &mut answers => end,
                () = interrupted() => End::Interrupted,
            }
        };
        match end {
            End::Done => 0,
            End::Interrupted => EXIT_INTERRUPTED,
            End::Unwritten(error) => report::written(Err(error)),
            End::Refused(status) => {
                let asked = Asked {
                    input: origin,
                    is_raw: true,
                    ..Asked::default()
                };
                let call = Called {
                    endpoint: self.connect.endpoint(),
                    has_answered,
                    asked: &asked,
                };
                call.refused(&status)
            }
        }
    }

    async fn answers(
        &self,
        client: &Client,
        request: DynamicMessage,
        has_answered: &mut bool,
    ) -> End {
        let timeout = self.connect.timeout();
        if !self.method.is_server_streaming() {
            return match client.call(&self.method, request, timeout).await {
                Ok(answer) => written(&answer, false),
                Err(status) => End::Refused(status),
            };
        }
        let first = async {
            let mut answers = client.call_stream(&self.method, request).await?;
            let first = answers.message().await?;
            Ok::<_, Status>((answers, first))
        };
        let (mut answers, mut next) = match tokio::time::timeout(timeout, first).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(status)) => return End::Refused(status),
            Err(_) => {
                let seconds = timeout.as_secs_f64();
                let late = format!("no answer within {seconds} s");
                return End::Refused(Status::deadline_exceeded(late));
            }
        };
        *has_answered = true;
        while let Some(answer) = next {
            if let end @ End::Unwritten(_) = written(&answer, true) {
                return end;
            }
            next = match answers.message().await {
                Ok(next) => next,
                Err(status) => return End::Refused(status),
            };
        }
        End::Done
    }
}

/// Writes an answer: a line of a stream, or by itself for reading.
fn written(answer: &DynamicMessage, is_line: bool) -> End {
    let text = match is_line {
        true => serde_json::to_string(answer),
        false => serde_json::to_string_pretty(answer),
    };
    let text = text.map(for_stdout);
    let written = text.map_err(io::Error::from).and_then(|text| {
        let mut to = io::stdout().lock();
        writeln!(to, "{text}")?;
        to.flush()
    });
    match written {
        Ok(()) => End::Done,
        Err(error) => End::Unwritten(error),
    }
}

/// Ends with Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_names_and_the_nearest_is_told() {
        for name in [
            "LookupEvents",
            "EventService/LookupEvents",
            "EventService.LookupEvents",
            "trailgate.v1.EventService/LookupEvents",
            "/trailgate.v1.EventService/LookupEvents",
        ] {
            assert_eq!(method(name).unwrap().name(), "LookupEvents", "{name}");
        }
        for (name, words) in [
            ("LookupEvent", "did you mean LookupEvents?"),
            ("EventService/ListScope", "did you mean ListScopes?"),
            ("Events", "there are "),
            ("", "there are "),
            ("IngestEvents", "trailgate ingest"),
        ] {
            let wrong = method(name).unwrap_err();
            assert!(wrong.contains(words), "{name}: {wrong}");
        }
    }
}
