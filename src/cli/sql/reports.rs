//! `trailgate report`: questions with parameters, by their names.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use arrow_array::RecordBatch;
use clap::Args;
use futures_util::TryStreamExt;

use super::{
    How, Known,
    ask::{Asked, Failure},
    value,
};
use crate::{
    cli::{EXIT_FAILED, EXIT_USAGE, connect::block_on, report},
    spelling::Nearest,
    sql::{Report, Value, defaults, reports},
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
#[command(after_help = EXAMPLES)]
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
        let all = reports();
        let Some(found) = all.iter().find(|report| report.name == *name) else {
            let hint = match Nearest::of(name, all.iter().map(|report| report.name)) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "trailgate report lists those that there are".to_owned(),
            };
            report::note(format_args!("there is no report {name:?}; {hint}"));
            return ExitCode::from(EXIT_USAGE);
        };
        ExitCode::from(block_on(self.answer(found)).unwrap_or(EXIT_FAILED))
    }

    async fn answer(&self, report: &Report) -> u8 {
        let values =
            match given(report, &self.how.values).and_then(|it| self.how.check().map(|()| it)) {
                Ok(values) => values,
                Err(code) => return code,
            };
        let mut asked = match self.how.open().await {
            Ok(asked) => asked,
            Err(code) => return code,
        };
        let values = match completed(report, values, &mut asked).await {
            Ok(values) => values,
            Err(failure) => return failure.told(self.how.connect.endpoint(), false),
        };
        let query = Known::with(report.text, values);
        self.how.answered(&mut asked, query, self.how.output).await
    }
}

/// The values that were typed, by the report's own parameters.
fn given(report: &Report, typed: &[(String, String)]) -> Result<Vec<(String, Value)>, u8> {
    let read = |(name, text): &(String, String)| {
        let mut parameters = report.parameters.iter();
        let known = parameters.find(|parameter| parameter.name.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| {
            let names = report
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str());
            let hint = match Nearest::of(name, names) {
                Some(nearest) => format!("; did you mean {nearest}?"),
                None => String::new(),
            };
            format!(
                "--param {name}: {} has no such parameter{hint}",
                report.name
            )
        })?;
        let value = value::of_kind(text, known.of);
        let value = value.map_err(|wrong| format!("--param {name}: {wrong}"))?;
        Ok((known.name.clone(), value))
    };
    let values: Result<Vec<_>, String> = typed.iter().map(read).collect();
    let missing = |values: &Vec<(String, Value)>| {
        let mut parameters = report.parameters.iter();
        let is_given = |name: &str| values.iter().any(|(other, _)| other == name);
        let missing = parameters.find(|it| it.default.is_none() && !is_given(&it.name));
        missing.map(|it| {
            format!(
                "{} needs --param {}=...: {}",
                report.name, it.name, it.meaning
            )
        })
    };
    let values = values.and_then(|values| match missing(&values) {
        Some(wrong) => Err(wrong),
        None => Ok(values),
    });
    values.map_err(|wrong| {
        report::note(wrong);
        EXIT_USAGE
    })
}

/// The same, with the defaults of the others, all as of one moment.
async fn completed(
    report: &Report,
    mut values: Vec<(String, Value)>,
    asked: &mut Asked,
) -> Result<Vec<(String, Value)>, Failure> {
    let parameters = report.parameters.iter();
    let open = parameters.filter(|it| !values.iter().any(|(name, _)| *name == it.name));
    let open: Vec<_> = open.cloned().collect();
    let Some(query) = defaults(&open) else {
        return Ok(values);
    };
    let answer = asked.ask(Known::with(&query, Vec::new())).await?;
    let schema = answer.schema;
    let batches: Vec<_> = answer.batches.try_collect().await?;
    let columns = batches.iter().flat_map(RecordBatch::columns);
    for (field, column) in schema.fields().iter().zip(columns) {
        if let Some(value) = Value::of(column, 0) {
            values.push((field.name().clone(), value));
        }
    }
    Ok(values)
}

/// Writes which reports there are.
fn list() -> io::Result<()> {
    let mut to = io::stdout().lock();
    for report in reports() {
        writeln!(to, "{}: {}", report.name, report.title)?;
        writeln!(to, "  {}", report.about)?;
        for parameter in &report.parameters {
            let default = match &parameter.default {
                Some(default) => format!(" [default: {default}]"),
                None => " [required]".to_owned(),
            };
            let (name, meaning) = (&parameter.name, &parameter.meaning);
            writeln!(to, "  --param {name}=...  {meaning}{default}")?;
        }
        writeln!(to)?;
    }
    to.flush()
}
