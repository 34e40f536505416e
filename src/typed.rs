//! Conditions, and defaults of reports, as one types them: on the command line and in
//! the console.

use crate::proto::v1::{Match, Operator};

/// Operators made of signs; the longer of two with the same start comes first.
pub(crate) const SIGNS: [(&str, Operator); 5] = [
    ("^=", Operator::Prefix),
    ("$=", Operator::Suffix),
    ("*=", Operator::Contains),
    ("=", Operator::Equals),
    ("~", Operator::Regex),
];

/// Operators that are words; all but `exists` take a value or a list.
const WORDS: [(&str, Operator); 4] = [
    ("like", Operator::Glob),
    ("cidr", Operator::Cidr),
    ("in", Operator::Equals),
    ("exists", Operator::Exists),
];

/// Reads one condition.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub fn parse(text: &str) -> Result<Match, String> {
    let (field, rest) = field(text.trim_start());
    if field.is_empty() {
        return Err("no field; write it like eventName=RunInstances".to_owned());
    }
    let (negate, operator, values) = match signs(rest.trim_start()) {
        Some((negate, operator, rest)) => {
            habit(operator, rest)?;
            (negate, operator, vec![value(rest)?])
        }
        None => words(rest).ok_or_else(|| {
            let rest = rest.trim();
            if rest.is_empty() {
                format!("no operator after {field:?}; write it like {field}=VALUE, or {field} exists")
            } else {
                format!("{rest:?} has no operator in front; write = != ^= $= *= ~ like cidr in or exists")
            }
        })??,
    };
    Ok(Match {
        field,
        operator: operator.into(),
        values,
        negate,
        ignore_case: false,
    })
}

/// The field that `text` starts with, and what follows it. `\.` and `\\` stay
/// escaped, for the server to read.
fn field(text: &str) -> (String, &str) {
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped @ ('.' | '\\'))) => field.extend(['\\', escaped]),
                Some((_, escaped)) => field.push(escaped),
                None => field.push('\\'),
            },
            '=' | '!' | '^' | '$' | '*' | '~' => {
                return (field, text.get(at..).unwrap_or_default());
            }
            c if c.is_whitespace() => return (field, text.get(at..).unwrap_or_default()),
            other => field.push(other),
        }
    }
    (field, "")
}

fn signs(text: &str) -> Option<(bool, Operator, &str)> {
    let (negate, text) = match text.strip_prefix('!') {
        Some(text) => (true, text),
        None => (false, text),
    };
    SIGNS.iter().find_map(|(sign, operator)| {
        let rest = text.strip_prefix(sign)?;
        Some((negate, *operator, rest))
    })
}

/// Refuses operators of other languages, which begin with one of these.
fn habit(operator: Operator, rest: &str) -> Result<(), String> {
    let (typed, meant) = match (operator, rest.chars().next()) {
        (Operator::Equals, Some('=')) => ("==", "="),
        (Operator::Equals, Some('~')) => ("=~", "~"),
        (Operator::Regex, Some('=')) => ("~=", "~"),
        (Operator::Regex, Some('~')) => ("~~", "~"),
        _ => return Ok(()),
    };
    let sign = rest.get(..1).unwrap_or_default();
    Err(format!(
        "{typed} is no operator; write {meant}, or the value in double quotes if it starts with {sign}"
    ))
}

/// Refuses a value in single quotes, which a shell took for text inside its own.
fn unquoted(text: &str) -> Result<String, String> {
    match text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
    {
        None => Ok(text.to_owned()),
        Some(inside) => Err(format!(
            "the single quotes of {text} would be part of the value; write {inside} without quotes, or in double quotes"
        )),
    }
}

type Parsed = (bool, Operator, Vec<String>);

/// `None` if `text` does not begin with a word that is an operator.
fn words(text: &str) -> Option<Result<Parsed, String>> {
    let (mut name, mut rest) = word(text);
    let negate = name == "not";
    if negate {
        (name, rest) = word(rest);
    }
    let (_, operator) = WORDS.iter().find(|(word, _)| *word == name)?;
    let values = match (name, rest.trim_start().strip_prefix('(')) {
        ("exists", _) if rest.trim().is_empty() => Ok(Vec::new()),
        ("exists", _) => Err(format!(
            "exists takes no value, but {:?} follows",
            rest.trim()
        )),
        (_, Some(items)) => list(items),
        ("in", None) => Err("in takes a list in parentheses, like in (A, B)".to_owned()),
        (_, None) if rest.trim().is_empty() => Err(format!("no value after {name}")),
        (_, None) => value(rest).map(|value| vec![value]),
    };
    Some(values.map(|values| (negate, *operator, values)))
}

/// The next word: up to a space or a parenthesis.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text
        .find(|c: char| c.is_whitespace() || c == '(')
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Everything after the operator: quoted, or as it is.
fn value(text: &str) -> Result<String, String> {
    let text = text.trim_start();
    if !text.starts_with('"') {
        return unquoted(text.trim_end()).map(|_| text.to_owned());
    }
    match quoted(text)? {
        (value, rest) if rest.trim().is_empty() => Ok(value),
        (_, rest) => Err(format!(
            "{rest:?} follows the closing quote; write \\\" for a quote inside"
        )),
    }
}

/// The elements of a list, after its opening parenthesis.
fn list(mut text: &str) -> Result<Vec<String>, String> {
    let open = "the list is not closed; end it with )";
    let mut values = Vec::new();
    loop {
        text = text.trim_start();
        let value = if text.starts_with('"') {
            let (value, rest) = quoted(text)?;
            text = rest.trim_start();
            value
        } else {
            let end = text.find([',', ')']).ok_or(open)?;
            let (value, rest) = text.split_at_checked(end).ok_or(open)?;
            text = rest;
            let value = value.trim_end();
            if value.is_empty() {
                return Err(
                    r#"the list has an empty element; write "" for an empty value"#.to_owned(),
                );
            }
            unquoted(value)?
        };
        values.push(value);
        if let Some(rest) = text.strip_prefix(',') {
            text = rest;
        } else if let Some(rest) = text.strip_prefix(')') {
            return match rest.trim() {
                "" => Ok(values),
                rest => Err(format!(
                    "{rest:?} follows the list; quote elements that have a )"
                )),
            };
        } else {
            return Err(open.to_owned());
        }
    }
}

/// What stands in the double quotes that `text` starts with, and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err(format!("{text:?} has no closing quote"))
}

/// The default of a report's parameter, which is SQL, as one types it; one that counts back
/// from another parameter, as one says it.
pub(crate) fn usual(default: &str) -> String {
    if default == "now()" {
        return "now".to_owned();
    }
    let back = default.strip_suffix("' day");
    if let Some((from, days)) = back.and_then(|it| it.split_once(" - interval '")) {
        return match from.strip_prefix(':') {
            Some(name) if days == "1" => format!("1 day before {name}"),
            Some(name) => format!("{days} days before {name}"),
            None => format!("{days}d"),
        };
    }
    if let Some(name) = default.strip_prefix(':') {
        return name.to_owned();
    }
    let quoted = default.strip_prefix("TIMESTAMP ").unwrap_or(default);
    let quoted = quoted
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    quoted.unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_told_as_one_types_them() {
        for (sql, typed) in [
            ("now()", "now"),
            ("now() - interval '90' day", "90d"),
            (":since - interval '90' day", "90 days before since"),
            (":since - interval '1' day", "1 day before since"),
            (":since", "since"),
            ("'no'", "no"),
            ("TIMESTAMP '2000-01-01 00:00:00'", "2000-01-01 00:00:00"),
            ("10000", "10000"),
            ("", ""),
        ] {
            assert_eq!(usual(sql), typed);
        }
    }
}
