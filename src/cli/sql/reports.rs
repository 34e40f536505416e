//! `trailgate report`: questions with parameters, by their names.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    How,
    ask::{Answer, Failure},
    told, value,
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
            return ExitCode::from(report::written(list()));
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

/// Writes which reports there are.
fn list() -> io::Result<()> {
    let mut to = io::stdout().lock();
    for report in sql::reports() {
        writeln!(to, "{}: {}", report.name, report.title)?;
        writeln!(to, "  {}", report.about)?;
        for parameter in &report.parameters {
            let default = match &parameter.default {
                Some(default) => format!(" [default: {default}]"),
                None => " [required]".to_owned(),
            };
            let (name, meaning) = (&parameter.name, &parameter.meaning);
            let values = match parameter.allowed.is_empty() {
                true => "...".to_owned(),
                false => parameter.allowed.join("|"),
            };
            writeln!(to, "  --param {name}={values}  {meaning}{default}")?;
        }
        writeln!(to)?;
    }
    to.flush()
}
