//! Reports: questions with parameters, by their names. See `sql/reports`.

use super::{
    answer::Answer,
    defaults::{self, quoted},
    engine::{Engine, Question},
    error::Error,
    parameters::{Parameters, Value},
    sight::Sight,
};
use crate::spelling::Nearest;

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
    /// The only values that it may have; none: any of its kind.
    pub allowed: Vec<String>,
    /// What it is where nothing is said, in SQL that may name a parameter before it;
    /// `None`: it has to be said.
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
    Nearest::of(name, FILES.into_iter().map(|(known, _)| known))
}

impl Report {
    /// The values of all parameters, in order: those that are given, and for parameters
    /// that have none their defaults, all as of one moment: `now`, in seconds since the
    /// Unix epoch.
    #[must_use]
    pub fn complete(&self, mut given: Vec<(String, Value)>, now: i64) -> Vec<(String, Value)> {
        for Parameter { name, default, .. } in &self.parameters {
            let default = default.as_ref();
            if !given.iter().any(|(known, _)| known == name)
                && let Some(value) = default.and_then(|it| defaults::value(it, now, &given))
            {
                given.push((name.clone(), value));
            }
        }
        let place = |name: &str| self.parameters.iter().position(|it| it.name == name);
        given.sort_by_key(|(name, _)| place(name));
        given
    }
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
    /// Runs a report whose caller sees this: with these values, completed as of `now` by
    /// [`Report::complete`].
    ///
    /// # Errors
    /// If no place comes, or it cannot be answered.
    pub async fn report(
        &self,
        report: &Report,
        given: Vec<(String, Value)>,
        now: i64,
        sight: Sight,
    ) -> Result<Reported, Error> {
        let values = report.complete(given, now);
        let question = Question {
            text: report.text.to_owned(),
            parameters: Parameters::named(values.iter().cloned()),
        };
        let answer = self.ask(question, sight).await?;
        Ok(Reported { values, answer })
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

/// Reads a report's header: comments, each line `-- KEY: VALUE`, or going on with what
/// it is about. `docs/sql.md` tells what lines of parameters say.
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

/// `NAME TYPE -- meaning`, and before the meaning `of 'VALUE', 'VALUE'` where only these
/// may be given, then `= DEFAULT` where it need not be, as [`defaults`] has it.
fn parameter(text: &str) -> Option<Parameter> {
    let (text, meaning) = text.split_once(" -- ").unwrap_or((text, ""));
    let (head, default) = match text.split_once(" = ") {
        Some((head, default)) => (head, Some(default.trim().to_owned())),
        None => (text, None),
    };
    let (name, kind) = head.trim().split_once(' ')?;
    let (kind, allowed) = match kind.split_once(" of ") {
        Some((kind, values)) => {
            let values = values.split(',').map(|value| quoted(value.trim()));
            (kind, values.map(|it| it.map(str::to_owned)).collect())
        }
        None => (kind, Some(Vec::new())),
    };
    Some(Parameter {
        name: name.to_owned(),
        of: Kind::of(kind.trim())?,
        allowed: allowed?,
        default,
        meaning: meaning.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            // all defaults are read, and of the parameters' kinds
            let values = report.complete(Vec::new(), 0);
            for parameter in &report.parameters {
                let value = values.iter().find(|(name, _)| *name == parameter.name);
                let is_right = match value.map(|(_, value)| value) {
                    None => parameter.default.is_none(),
                    Some(Value::Time(_)) => parameter.of == Kind::Time,
                    Some(Value::Integer(_)) => parameter.of == Kind::Integer,
                    Some(Value::Text(text)) => {
                        parameter.of == Kind::Text && parameter.allowed.contains(text)
                    }
                    Some(_) => false,
                };
                assert!(is_right, "{name} {parameter:?} {value:?}");
                assert!(parameter.allowed.is_empty() || parameter.of == Kind::Text);
            }
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
             -- param: who string -- whose\n\
             -- param: how string of 'a b', 'c' = 'c' -- in which way\n\
             -- param: before timestamp = :since - interval '90' day -- from\n\
             SELECT ':no' -- param: not integer\n",
        );
        assert_eq!(
            (&*report.title, &*report.about),
            ("A b", "One: two. Three.")
        );
        assert_eq!(report.functions, ["f", "g"]);
        let [since, who, how, before] = report.parameters.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(since.of, Kind::Time);
        assert_eq!(since.default.as_deref(), Some("now() - interval '7' day"));
        assert_eq!(
            (&*who.name, who.of, &who.default, &*who.meaning),
            ("who", Kind::Text, &None, "whose")
        );
        assert!(since.allowed.is_empty() && who.allowed.is_empty());
        assert_eq!(
            (how.of, &*how.allowed),
            (Kind::Text, &["a b", "c"].map(str::to_owned)[..])
        );
        assert_eq!(
            (how.default.as_deref(), &*how.meaning),
            (Some("'c'"), "in which way")
        );
        assert_eq!(
            before.default.as_deref(),
            Some(":since - interval '90' day")
        );
        assert_eq!(parameter("how string of a, 'b' -- without quotes"), None);
    }

    #[test]
    fn the_time_before_is_counted_back_from_where_the_period_begins() {
        const DAY: i64 = 86_400;
        const MICROS: i64 = 1_000_000;
        for name in ["first_seen", "first_seen_places"] {
            let report = report(name).unwrap();
            let times = |given: &[(&str, i64)]| {
                let given = given
                    .iter()
                    .map(|(name, day)| ((*name).to_owned(), Value::Time(day * DAY * MICROS)));
                let values = report.complete(given.collect(), 20_000 * DAY);
                ["compare_from", "since", "until"]
                    .map(|name| defaults::time(&values, name).map(|micros| micros / MICROS / DAY))
            };
            let some = |days: [i64; 3]| days.map(Some);
            assert_eq!(times(&[]), some([19_903, 19_993, 20_000]));
            assert_eq!(times(&[("since", 9_000)]), some([8_910, 9_000, 20_000]));
            assert_eq!(
                times(&[("until", 9_005), ("since", 9_000)]),
                some([8_910, 9_000, 9_005])
            );
            assert_eq!(
                times(&[("since", 9_000), ("compare_from", 5)]),
                some([5, 9_000, 20_000])
            );
        }
    }

    #[test]
    fn values_are_completed_in_order() {
        let timeline = report("principal_timeline").unwrap();
        let given = vec![
            ("rows".to_owned(), Value::Integer(3)),
            ("principal".to_owned(), Value::Text("ann".to_owned())),
        ];
        let values = timeline.complete(given, 0);
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["principal", "since", "until", "rows"]);
        assert_eq!(values[3].1, Value::Integer(3));
        // what has no default has to be given
        assert_eq!(timeline.complete(Vec::new(), 0).len(), 3);
    }
}
