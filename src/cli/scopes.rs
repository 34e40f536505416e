//! `trailgate scopes`: how each scope stands.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE,
    asked::Asked,
    completions,
    connect::{Connect, block_on},
    input::{self, Given, Input},
    output::terminal_width,
    question::over,
    refusal::Call,
    report,
    sheet::Cells,
    standing::{self, Field, Standing},
    summary::Shape,
    view::{View, bold},
};
use crate::proto::v1::{ListScopesRequest, Scope};

const EXAMPLES: &str = "\
Examples:
  trailgate scopes
  trailgate scopes --account 111122223333 --region eu-central-1
  trailgate scopes -o csv > scopes.csv
  trailgate scopes --columns account_id,region,collector_state,watermark,lag_seconds --local
  trailgate scopes -o json | jq -r '.scopes[] | select(.state == \"SCOPE_STATE_DENIED\") | .region'

RATE is what the budget allows now of what it allows at most, in requests a second; WAIT
is how many requests wait and how long the next one would; HELD is the share of 90 days
that is answered without asking AWS. A narrow terminal goes without some columns; csv and
json have all. Asking costs no request to AWS.

Exit codes: 0 listed; 1 the call failed; 2 the request in a file cannot be used; 64 usage;
130 interrupted.";

fn help() -> String {
    format!("{EXAMPLES}\n\n{}", input::HELP)
}

/// The message that asks for scopes.
const REQUEST: &str = "ListScopesRequest";

/// What `trailgate scopes` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = help())]
pub(super) struct Scopes {
    /// Only this account (repeatable) [default: all that the gateway has]
    #[arg(long = "account", value_name = "ID", add = completions::accounts(), help_heading = "What")]
    accounts: Vec<String>,
    /// Only this Region (repeatable) [default: all that the gateway has]
    #[arg(long = "region", value_name = "REGION", add = completions::regions(), help_heading = "What")]
    regions: Vec<String>,
    /// The format
    #[arg(short, long, value_enum, default_value = "table", help_heading = "How")]
    output: Shape,
    /// The columns of a table or CSV, by their names in json, such as
    /// account_id,region,watermark,lag_seconds [default: in a table as many as fit;
    /// in CSV all]
    #[arg(
        long,
        value_parser = Field::parse,
        value_name = "NAMES",
        value_delimiter = ',',
        add = completions::standing(),
        help_heading = "How"
    )]
    columns: Vec<Field>,
    /// CSV without the apostrophe in front of cells that a spreadsheet would
    /// run: for programs alone
    #[arg(long, help_heading = "How")]
    csv_raw: bool,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    connect: Connect,
}

impl Scopes {
    /// Runs the command and says how it went.
    pub(super) fn run(self) -> ExitCode {
        self.view.apply();
        let code = block_on(async {
            tokio::select! {
                code = self.list() => code,
                Ok(()) = tokio::signal::ctrl_c() => EXIT_INTERRUPTED,
            }
        });
        ExitCode::from(code.unwrap_or(EXIT_FAILED))
    }

    async fn list(&self) -> u8 {
        if self.csv_raw && self.output != Shape::Csv {
            report::note("--csv-raw is for -o csv");
            return EXIT_USAGE;
        }
        if !self.columns.is_empty() && self.output == Shape::Json {
            report::note("--columns is for -o table and csv; json has all fields");
            return EXIT_USAGE;
        }
        let given = match self.input.request::<ListScopesRequest>(REQUEST) {
            Ok(given) => given,
            Err(code) => return code,
        };
        let Given {
            mut request,
            mut origin,
        } = given;
        over(
            &mut request.account_ids,
            &self.accounts,
            "account_ids",
            &mut origin,
        );
        over(&mut request.regions, &self.regions, "regions", &mut origin);
        if self.input.is_skeleton() {
            return self.input.write(&request, REQUEST, "ListScopesResponse");
        }
        let Some(client) = self.connect.client() else {
            return EXIT_USAGE;
        };
        let asked = Asked {
            accounts: request.account_ids.clone(),
            regions: request.regions.clone(),
            input: origin,
            ..Asked::default()
        };
        let scopes = match client.list_scopes(request, self.connect.timeout()).await {
            Ok(answer) => answer.scopes,
            Err(status) => {
                let call = Call {
                    endpoint: self.connect.endpoint(),
                    has_answered: false,
                    asked: &asked,
                };
                return call.refused(&status);
            }
        };
        report::written(self.write(&scopes))
    }

    fn write(&self, scopes: &[Scope]) -> io::Result<()> {
        let width = terminal_width();
        let standings: Vec<Standing<'_>> = scopes.iter().map(Standing::of).collect();
        let mut to = io::stdout().lock();
        match self.output {
            Shape::Table => {
                let lines = match self.columns.as_slice() {
                    [] => standing::table(&standings, width),
                    fields => standing::chosen(&standings, fields, width),
                };
                for (place, line) in lines.iter().enumerate() {
                    match place == 0 && self.view.color() {
                        true => writeln!(to, "{}", bold(line))?,
                        false => writeln!(to, "{line}")?,
                    }
                }
            }
            Shape::Json => writeln!(to, "{}", standing::json(&standings)?)?,
            Shape::Csv => {
                let cells = Cells {
                    raw: self.csv_raw,
                    printable: width.is_some(),
                };
                let fields = match self.columns.as_slice() {
                    [] => Field::all(),
                    fields => fields.to_vec(),
                };
                to.write_all(&cells.lines(standing::rows(&standings, &fields))?)?;
            }
        }
        to.flush()
    }
}
