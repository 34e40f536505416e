//! Parameters, as one types them: `NAME=VALUE`.

use crate::{cli::view, clock::Clock, sql::Typed};

/// A name and a value.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (of, value) = text
        .split_once('=')
        .ok_or("is no NAME=VALUE; write it like since=7d")?;
    Ok((name(of)?.to_owned(), value.to_owned()))
}

/// The name of a parameter, which may be typed as a query has it.
pub(super) fn name(text: &str) -> Result<&str, String> {
    let name = text.trim_start_matches(':');
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(is_name) {
        true => Ok(name),
        false => Err(format!("{name:?} is no name of a parameter")),
    }
}

/// Values that are typed here and now.
pub(super) fn typed() -> Typed {
    Typed {
        now: Clock::system().now_secs(),
        zone: view::zone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_a_name() {
        assert_eq!(assignment("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(assignment(":since="), Ok(("since".into(), String::new())));
        for wrong in ["a", "=b", "a b=c", "a'=c"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
