//! Which reports there are, as they are listed.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    proto::v1::ReportType,
    sql::{self, Parameter},
    typed::usual,
};

/// Writes them for people.
pub(super) fn text() -> io::Result<()> {
    let mut to = io::stdout().lock();
    for report in sql::reports() {
        writeln!(to, "{}: {}", report.name, report.title)?;
        writeln!(to, "  {}", report.about)?;
        for parameter in &report.parameters {
            writeln!(to, "  {}", option(parameter))?;
        }
        writeln!(to)?;
    }
    to.flush()
}

/// A parameter as the option that it is.
fn option(parameter: &Parameter) -> String {
    let (name, meaning) = (&parameter.name, &parameter.meaning);
    let values = match parameter.allowed.is_empty() {
        true => "...".to_owned(),
        false => parameter.allowed.join("|"),
    };
    let default = match &parameter.default {
        Some(default) => format!("default: {}", usual(default)),
        None => "required".to_owned(),
    };
    format!("--param {name}={values}  {meaning} [{default}]")
}

/// Writes them as one object, by the contract's names.
pub(super) fn json() -> io::Result<()> {
    let reports = sql::reports();
    let reports = reports.iter().map(|it| Report {
        name: it.name,
        title: &it.title,
        about: &it.about,
        parameters: it.parameters.iter().map(told).collect(),
        functions: it.functions.iter().map(|name| Function { name }).collect(),
        query: it.text,
    });
    let reports = Reports {
        reports: reports.collect(),
    };
    let mut to = io::stdout().lock();
    writeln!(to, "{}", serde_json::to_string(&reports)?)?;
    to.flush()
}

fn told(of: &Parameter) -> ReportParameter<'_> {
    ReportParameter {
        name: &of.name,
        r#type: ReportType::from(of.of).as_str_name(),
        default_value: of.default.as_deref(),
        is_required: of.default.is_none(),
        meaning: &of.meaning,
        allowed_values: &of.allowed,
    }
}

#[derive(Serialize)]
struct Reports<'a> {
    reports: Vec<Report<'a>>,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    title: &'a str,
    about: &'a str,
    parameters: Vec<ReportParameter<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    functions: Vec<Function<'a>>,
    query: &'a str,
}

#[derive(Serialize)]
struct ReportParameter<'a> {
    name: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_value: Option<&'a str>,
    is_required: bool,
    meaning: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_values: &'a [String],
}

/// Whether there is what it answers from is a server's to say.
#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::report;

    #[test]
    fn a_parameter_is_listed_as_its_option() {
        let options = |name: &str| -> Vec<String> {
            let report = report(name).unwrap();
            report.parameters.iter().map(option).collect()
        };
        let first_seen = options("first_seen");
        assert_eq!(
            first_seen[..2],
            [
                "--param since=...  the period begins [default: 7d]",
                "--param until=...  and ends [default: now]"
            ]
        );
        assert!(
            first_seen[2].starts_with("--param compare_from=...  ")
                && first_seen[2].ends_with(" [default: 90 days before since]"),
            "{first_seen:?}"
        );
        assert!(
            first_seen[3].starts_with("--param new_to=all|actor  ")
                && first_seen[3].ends_with(" [default: all]"),
            "{first_seen:?}"
        );
        assert!(options("principal_timeline")[0].ends_with(" [required]"));
    }
}
