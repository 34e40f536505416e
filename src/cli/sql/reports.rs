//! `trailgate report`: questions with parameters, by their names.

mod list;

use std::process::ExitCode;

use clap::Args;

use super::{
    How,
    ask::{Answer, Failure},
    told, value,
    write::Shape,
};
use crate::{
    cli::{EXIT_FAILED, EXIT_USAGE, connect::block_on, report, time::rfc3339},
    proto::v1::RunReportRequest,
    sql::{self, Engine, Report, Sight, Typed, Value, Wrong},
};

const EXAMPLES: &str = "\
Examples:
  trailgate report                                 # which there are, and their parameters
  trailgate report root_usage --param since=30d
  trailgate report principal_timeline --param principal=ann --param since=2024-07-01 -o csv
  trailgate report first_seen --archive ./archive -o json

Times are as of trailgate lookup: 7d, 2024-07-01, 2024-07-01T12:00:00Z. The queries are
in sql/reports: Spark runs the same.

Exit codes: 0 answered; 1 the query failed; 64 usage; 130 interrupted.";

/// What `trailgate report` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("timeout", |arg| arg.help(super::TIMEOUT)))]
pub(in crate::cli) struct Reports {
    /// Which; without one they are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Reports {
    /// Runs the command and says how it went.
    pub(in crate::cli) fn run(self) -> ExitCode {
        self.how.view.apply();
        let Some(name) = &self.name else {
            return ExitCode::from(self.list());
        };
        let Some(found) = sql::report(name) else {
            let hint = match sql::nearest(name) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "trailgate report lists those that there are".to_owned(),
            };
            report::note(format_args!("there is no report {name:?}; {hint}"));
            return ExitCode::from(EXIT_USAGE);
        };
        ExitCode::from(block_on(self.answer(&found)).unwrap_or(EXIT_FAILED))
    }

    /// Writes which there are.
    fn list(&self) -> u8 {
        if !self.how.values.is_empty() {
            report::note("--param is for a report; name one: trailgate report NAME");
            return EXIT_USAGE;
        }
        report::written(match self.how.output {
            Shape::Table => list::text(),
            Shape::Json => list::json(),
            Shape::Csv | Shape::Arrow | Shape::Parquet => {
                report::note(
                    "reports are listed as a table or as json; -o csv, arrow and parquet are for \
                     the rows of one: trailgate report NAME",
                );
                return EXIT_USAGE;
            }
        })
    }

    async fn answer(&self, report: &Report) -> u8 {
        let typed = value::typed();
        let values = given(report, &typed, &self.how.values);
        let values = values.and_then(|values| self.how.check().map(|()| values));
        let values = match values {
            Ok(values) => values,
            Err(code) => return code,
        };
        let shape = self.how.output;
        match self.how.engine().await {
            Err(code) => code,
            Ok(Some(engine)) => {
                let answer = here(&engine, report, values, typed.now);
                self.how.answered(answer, shape).await
            }
            Ok(None) => {
                let Some(client) = self.how.connect.client() else {
                    return EXIT_USAGE;
                };
                let request = request(report, values);
                self.how.answered(told::ask(&client, request), shape).await
            }
        }
    }
}

async fn here(
    engine: &Engine,
    report: &Report,
    values: Vec<(String, Value)>,
    now: i64,
) -> Result<Answer, Failure> {
    let lacking = engine.lacks(report);
    if !lacking.is_empty() {
        return Err(Failure::Usage(format!(
            "{} needs {}, which answer from a database of places; name one in MaxMind's format \
             with --sql-places",
            report.name,
            lacking.join(" and ")
        )));
    }
    let reported = engine.report(report, values, now, Sight::all()).await?;
    Ok(reported.answer.into())
}

/// What a server is asked: values as they were meant here, in this zone.
fn request(report: &Report, values: Vec<(String, Value)>) -> RunReportRequest {
    const MICROS: i64 = 1_000_000;
    let values = values.into_iter().filter_map(|(name, value)| {
        let text = match value {
            Value::Text(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Time(micros) => rfc3339(micros.div_euclid(MICROS)),
            // no parameter of a report is of another kind
            Value::Null | Value::Number(_) | Value::Truth(_) | Value::Day(_) => return None,
        };
        Some((name, text))
    });
    RunReportRequest {
        name: report.name.to_owned(),
        parameters: values.collect(),
    }
}

/// The values that were typed, by the report's own parameters.
fn given(
    report: &Report,
    typed: &Typed,
    values: &[(String, String)],
) -> Result<Vec<(String, Value)>, u8> {
    let given = values
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    typed.values(report, given).map_err(|wrongs| {
        for Wrong {
            parameter, message, ..
        } in wrongs
        {
            report::note(format_args!("--param {parameter}: {message}"));
        }
        EXIT_USAGE
    })
}
