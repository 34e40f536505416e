//! Reports: questions with parameters, by their names. See `sql/reports`.

use datafusion::arrow::array::RecordBatch;
use futures_util::TryStreamExt;

use super::{
    answer::Answer,
    engine::{Engine, Question},
    error::Error,
    given,
    parameters::{Parameters, Value},
    sight::Sight,
};

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: &'static str,
    /// What it is, in some words.
    pub title: String,
    /// What it tells, in a sentence or two.
    pub about: String,
    /// The functions that it needs and that not every server has.
    pub functions: Vec<String>,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The query.
    pub text: &'static str,
}

/// A parameter of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, without the colon.
    pub name: String,
    /// What its values are.
    pub of: Kind,
    /// What it is where nothing is said, in SQL; `None`: it has to be said.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// What values of a parameter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A moment.
    Time,
    /// A text.
    Text,
    /// A whole number.
    Integer,
}

impl Kind {
    /// Its name in SQL.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Time => "timestamp",
            Self::Text => "string",
            Self::Integer => "integer",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let all = [Self::Time, Self::Text, Self::Integer];
        all.into_iter().find(|kind| kind.sql() == name)
    }
}

impl Parameter {
    /// The only texts that it may have, if they are told: those in quotes, of one with a
    /// default.
    #[must_use]
    pub fn choices(&self) -> Vec<&str> {
        let Some(default) = self.default.as_deref().filter(|_| self.of == Kind::Text) else {
            return Vec::new();
        };
        let quoted = [default, &self.meaning].into_iter();
        let quoted = quoted.flat_map(|text| text.split('\'').skip(1).step_by(2));
        let mut choices: Vec<&str> = Vec::new();
        for choice in quoted {
            if !choices.contains(&choice) {
                choices.push(choice);
            }
        }
        choices
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A file of `sql/reports`: its name is the report's.
macro_rules! file {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../sql/reports/", $name, ".sql")),
        )
    };
}

/// Those that there are, by name.
const FILES: [(&str, &str); 9] = [
    file!("calls_by_key_address_principal"),
    file!("failed_calls_by_principal"),
    file!("first_seen"),
    file!("first_seen_places"),
    file!("least_privilege"),
    file!("principal_timeline"),
    file!("resource_history"),
    file!("root_usage"),
    file!("unused_keys_and_roles"),
];

/// Those of `sql/reports`, by name.
#[must_use]
pub fn reports() -> Vec<Report> {
    let reports = FILES.into_iter();
    reports.map(|(name, text)| read(name, text)).collect()
}

/// The report of this name.
#[must_use]
pub fn report(name: &str) -> Option<Report> {
    let (name, text) = FILES.into_iter().find(|(known, _)| *known == name)?;
    Some(read(name, text))
}

/// The report that is meant by a name that none has, if one is near.
#[must_use]
pub fn nearest(name: &str) -> Option<String> {
    given::nearest(name, FILES.into_iter().map(|(known, _)| known))
}

/// A report's answer, and what it is of.
#[derive(Debug)]
pub struct Reported {
    /// The values of all parameters, in order.
    pub values: Vec<(String, Value)>,
    /// Its rows.
    pub answer: Answer,
}

impl Engine {
    /// Runs a report whose caller sees this: with these values, and for parameters that
    /// have none with their defaults, all as of one moment.
    ///
    /// # Errors
    /// If no place comes, or it cannot be answered.
    pub async fn report(
        &self,
        report: &Report,
        mut given: Vec<(String, Value)>,
        sight: Sight,
    ) -> Result<Reported, Error> {
        let parameters = report.parameters.iter();
        let open = parameters.filter(|it| !given.iter().any(|(name, _)| *name == it.name));
        let open: Vec<_> = open.cloned().collect();
        if let Some(query) = defaults(&open) {
            let answer = self.ask(Question::of(query), sight.clone()).await?;
            let schema = answer.schema();
            let batches: Vec<_> = answer.try_collect().await?;
            let columns = batches.iter().flat_map(RecordBatch::columns);
            for (field, column) in schema.fields().iter().zip(columns) {
                if let Some(value) = Value::of(column, 0) {
                    given.push((field.name().clone(), value));
                }
            }
        }
        for (parameter, days) in open.iter().filter_map(since) {
            let since = given.iter().find(|(name, _)| name == "since");
            if let Some((_, Value::Time(since))) = since {
                let from = since.saturating_sub(days.saturating_mul(DAY));
                given.push((parameter.name.clone(), Value::Time(from)));
            }
        }
        let place = |name: &str| report.parameters.iter().position(|it| it.name == name);
        given.sort_by_key(|(name, _)| place(name));
        let question = Question {
            text: report.text.to_owned(),
            parameters: Parameters::named(given.iter().cloned()),
        };
        let answer = self.ask(question, sight).await?;
        Ok(Reported {
            values: given,
            answer,
        })
    }

    /// The functions of a report that have nothing to answer from here.
    #[must_use]
    pub fn lacks<'a>(&self, report: &'a Report) -> Vec<&'a str> {
        let has_places = self.options().places.is_some();
        let functions = report.functions.iter().map(String::as_str);
        let lacking = functions.filter(|name| matches!(*name, "country" | "city") && !has_places);
        lacking.collect()
    }
}

/// Of a parameter whose default is so many days before the period begins.
fn since(of: &Parameter) -> Option<(&Parameter, i64)> {
    let default = of.default.as_deref()?;
    let days = default.strip_prefix(":since - interval '")?;
    Some((of, days.strip_suffix("' day")?.parse().ok()?))
}

/// The values of parameters that have a default, all of one moment: a query whose
/// columns are called as they are. Those that go by another parameter are not among them.
#[must_use]
pub fn defaults(of: &[Parameter]) -> Option<String> {
    let columns = of.iter().filter_map(|parameter| {
        let (name, default) = (&parameter.name, parameter.default.as_ref()?);
        if default.starts_with(':') {
            return None;
        }
        Some(format!("{default} AS \"{name}\""))
    });
    let columns: Vec<String> = columns.collect();
    (!columns.is_empty()).then(|| format!("SELECT {}", columns.join(", ")))
}

/// Reads a report's header: comments, each line `-- KEY: VALUE`, or going on with what
/// it is about.
fn read(name: &'static str, text: &'static str) -> Report {
    let mut report = Report {
        name,
        title: String::new(),
        about: String::new(),
        functions: Vec::new(),
        parameters: Vec::new(),
        text,
    };
    let mut is_about = false;
    for line in text.lines().map_while(|line| line.strip_prefix("--")) {
        let line = line.trim();
        let (key, value) = line.split_once(": ").unwrap_or(("", line));
        is_about = match key {
            "title" => {
                value.clone_into(&mut report.title);
                false
            }
            "about" => {
                value.clone_into(&mut report.about);
                true
            }
            "functions" => {
                let names = value.split(',').map(|name| name.trim().to_owned());
                report.functions = names.collect();
                false
            }
            "param" => {
                report.parameters.extend(parameter(value));
                false
            }
            "needs" => false,
            _ => {
                if is_about {
                    report.about.push(' ');
                    report.about.push_str(line);
                }
                is_about
            }
        };
    }
    report
}

/// `NAME TYPE = DEFAULT -- meaning`.
fn parameter(text: &str) -> Option<Parameter> {
    let (text, meaning) = text.split_once(" -- ").unwrap_or((text, ""));
    let (head, default) = match text.split_once(" = ") {
        Some((head, default)) => (head, Some(default.trim().to_owned())),
        None => (text, None),
    };
    let (name, kind) = head.trim().split_once(' ')?;
    Some(Parameter {
        name: name.to_owned(),
        of: Kind::of(kind.trim())?,
        default,
        meaning: meaning.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_chosen_is_in_quotes() {
        let choices = |name: &str| {
            let all = reports().into_iter().flat_map(|report| report.parameters);
            let mut all = all.filter(|parameter| parameter.name == name);
            let parameter = all.next().unwrap();
            let choices = parameter.choices().into_iter();
            choices.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(choices("new_to"), ["all", "actor"]);
        assert_eq!(choices("changes_only"), ["no", "yes"]);
        for free in ["principal", "since", "per_actor"] {
            assert!(choices(free).is_empty(), "{free}");
        }
    }

    #[test]
    fn every_report_has_a_header_that_is_read() {
        for report in reports() {
            let name = report.name;
            assert!(
                !report.title.is_empty() && !report.about.is_empty(),
                "{name}"
            );
            let params = report.text.matches("-- param: ").count();
            assert_eq!(report.parameters.len(), params, "{name}");
            for parameter in &report.parameters {
                assert!(!parameter.meaning.is_empty(), "{name} {}", parameter.name);
                let used = format!(":{}", parameter.name);
                assert!(report.text.contains(&used), "{name} {used}");
            }
        }
    }

    #[test]
    fn a_header_is_read() {
        let report = read(
            "x",
            "-- title: A b\n-- about: One: two.\n-- Three.\n-- functions: f, g\n\
             -- param: since timestamp = now() - interval '7' day -- begins\n\
             -- param: who string -- whose\nSELECT ':no' -- param: not integer\n",
        );
        assert_eq!(
            (&*report.title, &*report.about),
            ("A b", "One: two. Three.")
        );
        assert_eq!(report.functions, ["f", "g"]);
        let [since, who] = report.parameters.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(since.of, Kind::Time);
        assert_eq!(since.default.as_deref(), Some("now() - interval '7' day"));
        assert_eq!(
            (&*who.name, who.of, &who.default, &*who.meaning),
            ("who", Kind::Text, &None, "whose")
        );
        assert_eq!(
            defaults(&report.parameters).as_deref(),
            Some("SELECT now() - interval '7' day AS \"since\"")
        );
        assert_eq!(defaults(&report.parameters[1..]), None);
    }
}
