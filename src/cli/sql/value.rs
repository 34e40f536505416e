//! Values of parameters, as one types them.

use datafusion::arrow::datatypes::DataType;

use crate::{
    cli::time,
    clock::Clock,
    sql::{Kind, Value},
};

/// A name and a value.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("is no NAME=VALUE; write it like since=7d")?;
    let name = name.trim_start_matches(':');
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(is_name) {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err(format!("{name:?} is no name of a parameter")),
    }
}

/// The value that is meant, where a query takes values of this type; `None`: any.
pub(super) fn of_type(text: &str, data_type: Option<&DataType>) -> Result<Value, String> {
    match data_type {
        Some(DataType::Timestamp(..)) => of_kind(text, Kind::Time),
        Some(DataType::Date32 | DataType::Date64) => {
            let day: jiff::civil::Date = text
                .parse()
                .map_err(|_| format!("{text:?} is no day; write it like 2024-05-06"))?;
            let epoch = jiff::civil::Date::constant(1970, 1, 1);
            Ok(Value::Day((day - epoch).get_days()))
        }
        Some(DataType::Boolean) => {
            let truth = text.parse();
            truth
                .map(Value::Truth)
                .map_err(|_| format!("{text:?} is neither true nor false"))
        }
        Some(of) if of.is_integer() => of_kind(text, Kind::Integer),
        Some(of) if of.is_floating() => text
            .parse()
            .map(Value::Number)
            .map_err(|_| format!("{text:?} is no number")),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

/// The value that is meant, of a report's parameter.
pub(super) fn of_kind(text: &str, kind: Kind) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Integer => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("{text:?} is no whole number")),
        Kind::Time => {
            const MICROS: i64 = 1_000_000;
            let second = time::first(time::when(text)?, &Clock::system());
            Ok(Value::Time(second.saturating_mul(MICROS)))
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn a_value_has_a_name() {
        assert_eq!(assignment("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(assignment(":since="), Ok(("since".into(), String::new())));
        for wrong in ["a", "=b", "a b=c", "a'=c"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_what_the_query_takes() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let of = |text: &str, data_type: &DataType| of_type(text, Some(data_type));
        assert_eq!(
            of("2023-07-10T12:00:00Z", &time),
            Ok(Value::Time(1_688_990_400_000_000))
        );
        assert_eq!(of("1970-01-03", &DataType::Date32), Ok(Value::Day(2)));
        assert_eq!(of("7", &DataType::Int64), Ok(Value::Integer(7)));
        assert_eq!(of("true", &DataType::Boolean), Ok(Value::Truth(true)));
        assert_eq!(of("0.5", &DataType::Float64), Ok(Value::Number(0.5)));
        // an account stays a text, whatever it looks like
        assert_eq!(of("012", &DataType::Utf8), Ok(Value::Text("012".into())));
        assert_eq!(of_type("012", None), Ok(Value::Text("012".into())));
        for (text, data_type) in [
            ("soon", &time),
            ("5/6", &DataType::Date32),
            ("x", &DataType::Int64),
            ("yes", &DataType::Boolean),
        ] {
            assert!(of(text, data_type).unwrap_err().contains(text), "{text}");
        }
    }
}
