//! `trailgate get`: one event by its id.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use tonic::Code;

use super::{
    EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    connect::{Connect, Scopes, block_on},
    input::{self, Given, Input},
    json,
    output::for_stdout,
    question::{over, put},
    refusal::Call,
    report,
    table::{printable, who},
    view::{View, shown},
};
use crate::proto::v1::{Event, EventView, GetEventRequest, GetEventResponse};

const EXAMPLES: &str = "\
Examples:
  trailgate get 293ba626-3be5-4a26-ab1b-0f4c54f49959
  trailgate get -o record 293ba626-3be5-4a26-ab1b-0f4c54f49959 | jq .requestParameters
  trailgate get --account 111122223333 --region eu-central-1 -o table ID

Exit codes: 0 found; 1 not found, or the call failed; 2 the request in a file cannot be
used; 64 usage; 130 interrupted.";

fn help() -> String {
    format!("{EXAMPLES}\n\n{}", input::HELP)
}

/// The message that asks for an event.
const REQUEST: &str = "GetEventRequest";

/// What `trailgate get` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = help())]
pub(super) struct Get {
    /// The event's id
    #[arg(
        value_name = "EVENT_ID",
        required_unless_present_any = ["cli_input_json", "cli_input_yaml", "generate_cli_skeleton"]
    )]
    id: Option<String>,
    #[command(flatten)]
    scopes: Scopes,
    /// The format
    #[arg(short, long, value_enum, default_value = "json", help_heading = "How")]
    output: Format,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object, with the record in it
    Json,
    /// The record alone, as AWS gave it
    Record,
    /// A field a line, for people
    Table,
}

impl Get {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        self.view.apply();
        let code = block_on(async {
            tokio::select! {
                code = self.get() => code,
                Ok(()) = tokio::signal::ctrl_c() => EXIT_INTERRUPTED,
            }
        });
        ExitCode::from(code.unwrap_or(EXIT_FAILED))
    }

    async fn get(self) -> u8 {
        let given = match self.input.request::<GetEventRequest>(REQUEST) {
            Ok(given) => given,
            Err(code) => return code,
        };
        let (mut request, asked) = self.fold(given);
        if self.input.is_skeleton() {
            return self.input.write(&request, REQUEST, "GetEventResponse");
        }
        if request.event_id.is_empty() {
            report::note(format_args!(
                "{}: eventId: none is given; fill it in, or name the event as EVENT_ID",
                asked.input.from
            ));
            return EXIT_INPUT;
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        if request.view() == EventView::Unspecified {
            request.view = EventView::Full.into();
        }
        let id = request.event_id.clone();
        let found = match client.get(request, self.connect.timeout()).await {
            Ok(found) => found,
            Err(status) if status.code() == Code::NotFound => {
                report::note(format_args!(
                    "no event has the id {id:?} in the scopes searched"
                ));
                return EXIT_FAILED;
            }
            Err(status) => {
                let call = Call {
                    endpoint: self.connect.endpoint(),
                    has_answered: false,
                    asked: &asked,
                };
                return call.refused(&status);
            }
        };
        show(found, self.output)
    }
}

impl Get {
    /// What the options say over what a file has, and nothing else.
    fn fold(&self, given: Given<GetEventRequest>) -> (GetEventRequest, Asked) {
        let Given {
            mut request,
            mut origin,
        } = given;
        put(
            &mut request.event_id,
            self.id.clone(),
            "event_id",
            &mut origin,
        );
        let category = self.scopes.category().map(Into::into);
        put(
            &mut request.event_category,
            category,
            "event_category",
            &mut origin,
        );
        let scopes = &self.scopes;
        over(
            &mut request.account_ids,
            &scopes.accounts,
            "account_ids",
            &mut origin,
        );
        over(
            &mut request.regions,
            &scopes.regions,
            "regions",
            &mut origin,
        );
        let asked = Asked {
            accounts: request.account_ids.clone(),
            regions: request.regions.clone(),
            input: origin,
            ..Asked::default()
        };
        (request, asked)
    }
}

fn show(found: GetEventResponse, format: Format) -> u8 {
    let Some(event) = found.event else {
        report::note("the gateway found the event and did not send it");
        return EXIT_FAILED;
    };
    let text = match format {
        Format::Record => Ok(event.record),
        Format::Table => Ok(fields(&event)),
        Format::Json => json::line(&event).map(for_stdout),
    };
    let written = text.map_err(io::Error::from).and_then(|text| {
        let mut to = io::stdout().lock();
        writeln!(to, "{text}")?;
        to.flush()
    });
    report::written(written)
}

/// The event, a field a line.
fn fields(event: &Event) -> String {
    let time = event.event_time.as_ref().map(|time| shown(time.seconds));
    let read_only = event.read_only.map(|flag| flag.to_string());
    let arn = event.identity.as_ref().map(|identity| identity.arn.clone());
    let mut lines: Vec<(&str, String)> = vec![
        ("id", event.event_id.clone()),
        ("time", time.unwrap_or_default()),
        ("event", event.event_name.clone()),
        ("source", event.event_source.clone()),
        ("scope", format!("{}/{}", event.account_id, event.region)),
        ("who", who(event)),
        ("arn", arn.unwrap_or_default()),
        ("access key", event.access_key_id.clone()),
        ("from", event.source_ip_address.clone()),
        ("agent", event.user_agent.clone()),
        ("read only", read_only.unwrap_or_default()),
        ("error", event.error_code.clone()),
        ("message", event.error_message.clone()),
    ];
    for resource in &event.resources {
        let text = format!("{} {}", resource.r#type, resource.name);
        lines.push(("resource", text.trim().to_owned()));
    }
    lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name:<10}  {}", printable(&text)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_that_are_there_are_shown() {
        let event = Event {
            event_id: "i".to_owned(),
            account_id: "1".to_owned(),
            region: "r".to_owned(),
            error_message: "a\nb".to_owned(),
            ..Event::default()
        };
        assert_eq!(
            fields(&event),
            "id          i\nscope       1/r\nmessage     a\u{fffd}b"
        );
    }
}
