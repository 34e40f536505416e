//! Values of parameters as one types them: at the command line, in a request, on a page.

use datafusion::arrow::datatypes::DataType;
use jiff::tz::TimeZone;

use super::{
    defaults::MICROS,
    order,
    parameters::Value,
    reports::{Kind, Parameter, Report},
};
use crate::{event::day_number, spelling::Nearest, when::when};

/// The values that are looked at: no report has so many parameters, so that of more some
/// are wrong in any case.
const MOST: usize = 100;
/// The signs that are told of a value that cannot be read: as many as any time takes.
const SHOWN: usize = 60;

/// A day, in seconds.
const DAY: i64 = 86_400;

/// When and where values are typed: times count back from now, and are of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The second since the Unix epoch that it is.
    pub now: i64,
    /// The zone of times that name none.
    pub zone: TimeZone,
}

/// Why a report's parameter has no value that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its name, as it was given.
    pub parameter: String,
    /// What is wrong.
    pub why: Why,
    /// The same in words.
    pub message: String,
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The report has none of this name.
    Unknown,
    /// Its value cannot be read.
    Invalid,
    /// It has to have one.
    Missing,
}

impl Why {
    /// Its stable reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "REPORT_PARAMETER_UNKNOWN",
            Self::Invalid => "REPORT_PARAMETER_INVALID",
            Self::Missing => "REPORT_PARAMETER_MISSING",
        }
    }
}

impl Typed {
    /// The value that is meant, of a report's parameter.
    ///
    /// # Errors
    /// What is wrong with it, and what would do.
    pub fn value(&self, text: &str, kind: Kind) -> Result<Value, String> {
        match kind {
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Integer => text
                .trim()
                .parse()
                .map(Value::Integer)
                .map_err(|_| format!("{:?} is no whole number", shown(text))),
            Kind::Time => {
                // what is wrong is said with what was typed
                let second = when(&shown(text))?.first(self.now, &self.zone);
                Ok(Value::Time(second.saturating_mul(MICROS)))
            }
        }
    }

    /// The value that is meant, where a query takes values of this type; `None`: any.
    ///
    /// # Errors
    /// As of [`Typed::value`].
    pub fn of_type(&self, text: &str, data_type: Option<&DataType>) -> Result<Value, String> {
        match data_type {
            Some(DataType::Timestamp(..)) => self.value(text, Kind::Time),
            Some(DataType::Date32 | DataType::Date64) => {
                let text = text.trim();
                // of a time jiff would take the day that is written, whatever its zone
                if !text.contains([':', ' '])
                    && let Ok(day) = text.parse::<jiff::civil::Date>()
                {
                    return Ok(Value::Day(day_number(day)));
                }
                // days of events are those of UTC
                let wrong = |_| {
                    format!(
                        "{:?} is no day; write it like 2024-05-06, or 30d",
                        shown(text)
                    )
                };
                let second = when(&shown(text))
                    .map_err(wrong)?
                    .first(self.now, &self.zone);
                let day = i32::try_from(second.div_euclid(DAY));
                day.map(Value::Day).map_err(|error| error.to_string())
            }
            Some(DataType::Boolean) => {
                let truth = text.parse();
                truth
                    .map(Value::Truth)
                    .map_err(|_| format!("{text:?} is neither true nor false"))
            }
            Some(of) if of.is_integer() => self.value(text, Kind::Integer),
            Some(of) if of.is_floating() => text
                .parse()
                .map(Value::Number)
                .map_err(|_| format!("{text:?} is no number")),
            _ => Ok(Value::Text(text.to_owned())),
        }
    }

    /// The values that are meant, of a report's parameters, by their names. Those that
    /// were not given and have a default are left out.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn values<'a>(
        &self,
        report: &Report,
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<(String, Value)>, Vec<Wrong>> {
        let (mut values, mut wrong) = (Vec::new(), Vec::new());
        let mut is_wrong = |parameter: &str, why, message| {
            wrong.push(Wrong {
                parameter: parameter.to_owned(),
                why,
                message,
            });
        };
        let mut named: Vec<&str> = Vec::new();
        for (name, text) in given.into_iter().take(MOST) {
            let mut parameters = report.parameters.iter();
            let known = parameters.find(|parameter| parameter.name.eq_ignore_ascii_case(name));
            let Some(known) = known else {
                is_wrong(name, Why::Unknown, unknown(report, name));
                continue;
            };
            if named.contains(&known.name.as_str()) {
                is_wrong(
                    &known.name,
                    Why::Invalid,
                    "is given twice; give it once".to_owned(),
                );
                continue;
            }
            named.push(&known.name);
            let value = self.value(text, known.of);
            match value.and_then(|value| allowed(known, value)) {
                Ok(value) => values.push((known.name.clone(), value)),
                Err(what) => is_wrong(&known.name, Why::Invalid, what),
            }
        }
        for parameter in &report.parameters {
            if parameter.default.is_none() && !named.contains(&parameter.name.as_str()) {
                let what = format!("{} needs it: {}", report.name, parameter.meaning);
                is_wrong(&parameter.name, Why::Missing, what);
            }
        }
        let disorder = order::disorder(report, &values, self.now, &wrong);
        wrong.extend(disorder);
        match wrong.is_empty() {
            true => Ok(values),
            false => Err(wrong),
        }
    }
}

/// The value, if the parameter may have it.
fn allowed(parameter: &Parameter, value: Value) -> Result<Value, String> {
    match &value {
        Value::Text(text) if !parameter.allowed.is_empty() && !parameter.allowed.contains(text) => {
            let allowed = parameter.allowed.join(" or ");
            Err(format!(
                "{:?} is none of its values; give {allowed}",
                shown(text)
            ))
        }
        Value::Integer(number) if !(0..=i64::from(i32::MAX)).contains(number) => Err(format!(
            "{number} is not from 0 to {}, which both engines can count to",
            i32::MAX
        )),
        _ => Ok(value),
    }
}

fn unknown(report: &Report, name: &str) -> String {
    let names = report.parameters.iter().map(|it| it.name.as_str());
    let hint = match Nearest::of(name, names.clone()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("it has {}", names.collect::<Vec<_>>().join(", ")),
    };
    format!("{} has no such parameter; {hint}", report.name)
}

/// The beginning of a text, as far as any time or number goes.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;

    use super::*;
    use crate::sql::report;

    const NOON: i64 = 1_688_990_400;

    fn typed() -> Typed {
        Typed {
            now: NOON,
            zone: TimeZone::UTC,
        }
    }

    #[test]
    fn values_are_what_the_query_takes() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let of = |text: &str, data_type: &DataType| typed().of_type(text, Some(data_type));
        assert_eq!(
            of("2023-07-10T12:00:00Z", &time),
            Ok(Value::Time(NOON * 1_000_000))
        );
        assert_eq!(of("1970-01-03", &DataType::Date32), Ok(Value::Day(2)));
        let today = i32::try_from(NOON / DAY).unwrap();
        for (text, ago) in [
            ("now", 0),
            ("30d", 30),
            ("13h", 1),
            ("2023-07-09T23:00-02:00", 0),
        ] {
            assert_eq!(
                of(text, &DataType::Date32),
                Ok(Value::Day(today - ago)),
                "{text}"
            );
        }
        assert_eq!(of("7", &DataType::Int64), Ok(Value::Integer(7)));
        assert_eq!(of("true", &DataType::Boolean), Ok(Value::Truth(true)));
        assert_eq!(of("0.5", &DataType::Float64), Ok(Value::Number(0.5)));
        // an account stays a text, whatever it looks like
        assert_eq!(of("012", &DataType::Utf8), Ok(Value::Text("012".into())));
        assert_eq!(typed().of_type("012", None), Ok(Value::Text("012".into())));
        for (text, data_type) in [
            ("soon", &time),
            ("5/6", &DataType::Date32),
            ("x", &DataType::Int64),
            ("yes", &DataType::Boolean),
        ] {
            assert!(of(text, data_type).unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn a_reports_values_are_read_by_its_parameters() {
        let timeline = report("principal_timeline").unwrap();
        let values = typed().values(
            &timeline,
            [("Principal", "7d"), ("since", "7d"), ("rows", " 5 ")],
        );
        assert_eq!(
            values.unwrap(),
            [
                ("principal".to_owned(), Value::Text("7d".to_owned())),
                (
                    "since".to_owned(),
                    Value::Time((NOON - 7 * 86_400) * 1_000_000)
                ),
                ("rows".to_owned(), Value::Integer(5)),
            ]
        );
        let zone = crate::when::zone("Asia/Tokyo").unwrap();
        let typed = Typed { now: NOON, zone };
        let values = typed.values(&report("root_usage").unwrap(), [("since", "2023-07-10")]);
        // the day begins there nine hours earlier
        assert_eq!(
            values.unwrap(),
            [(
                "since".to_owned(),
                Value::Time((NOON - 21 * 3_600) * 1_000_000)
            )]
        );
    }

    /// What is wrong with these values: of which parameter, and the message.
    fn wrong(name: &str, given: &[(&str, &str)]) -> Vec<(String, String)> {
        let values = typed().values(&report(name).unwrap(), given.iter().copied());
        let wrong = values.err().unwrap_or_default().into_iter();
        let wrong = wrong.inspect(|it| assert_eq!(it.why, Why::Invalid));
        wrong.map(|it| (it.parameter, it.message)).collect()
    }

    #[test]
    fn values_that_are_not_of_the_list_are_refused() {
        let resource = ("resource", "x");
        assert_eq!(
            wrong("resource_history", &[resource, ("changes_only", "yes")]),
            []
        );
        assert_eq!(wrong("first_seen", &[("new_to", "actor")]), []);
        for text in ["Yes", "", "true", " yes"] {
            let told = format!("{text:?} is none of its values; give no or yes");
            let wrong = wrong("resource_history", &[resource, ("changes_only", text)]);
            assert_eq!(wrong, [("changes_only".to_owned(), told)]);
        }
        let told = "\"Actor\" is none of its values; give all or actor".to_owned();
        let wrong_case = wrong("first_seen", &[("new_to", "Actor")]);
        assert_eq!(wrong_case, [("new_to".to_owned(), told)]);
        let long = "x".repeat(10_000);
        let [(_, message)] = &wrong("first_seen", &[("new_to", &long)])[..] else {
            panic!("{:?}", wrong("first_seen", &[("new_to", &long)]));
        };
        assert!(
            message.len() < 200 && message.ends_with("give all or actor"),
            "{message}"
        );
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let timeline = report("principal_timeline").unwrap();
        let long = "9".repeat(10_000);
        let given = [
            ("sinse", "7d"),
            ("since", "soon"),
            ("rows", &long),
            ("rows", "1"),
            ("zzz", ""),
        ];
        let wrong = typed().values(&timeline, given).unwrap_err();
        let told: Vec<_> = wrong
            .iter()
            .map(|it| (it.parameter.as_str(), it.why))
            .collect();
        assert_eq!(
            told,
            [
                ("sinse", Why::Unknown),
                ("since", Why::Invalid),
                ("rows", Why::Invalid),
                ("rows", Why::Invalid),
                ("zzz", Why::Unknown),
                ("principal", Why::Missing),
            ]
        );
        let messages: Vec<_> = wrong.iter().map(|it| it.message.as_str()).collect();
        assert!(messages[0].ends_with("did you mean since?"), "{messages:?}");
        assert!(messages[1].contains("\"soon\" is no time"), "{messages:?}");
        assert!(
            messages[2].len() < 200 && messages[3].contains("twice"),
            "{messages:?}"
        );
        assert!(
            messages[4].contains("it has principal, since, until, rows"),
            "{messages:?}"
        );
        assert!(messages[5].contains("an ARN, a name"), "{messages:?}");
    }
}
