//! `--where` and `--or`: conditions as one types them.

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::proto::v1::{EventFilter, Match, Operator};

/// The grammar, for help texts.
pub(super) const HELP: &str = r#"Conditions (--where, --or):
  FIELD = VALUE       is VALUE                  FIELD != VALUE      is not
  FIELD ^= VALUE      starts with VALUE         FIELD !^= VALUE     does not
  FIELD $= VALUE      ends with VALUE           FIELD !$= VALUE     does not
  FIELD *= VALUE      has VALUE in it           FIELD !*= VALUE     has not
  FIELD ~ REGEX       the expression is found   FIELD !~ REGEX      is not found
  FIELD like GLOB     all of it fits * and ?    FIELD not like GLOB
  FIELD cidr NETWORK  an address in NETWORK     FIELD not cidr NETWORK
  FIELD in (A, B)     is any of them            FIELD not in (A, B)
  FIELD exists        is there, not null        FIELD not exists

FIELD is a LookupEvents attribute (EventName, Username, ResourceName, ...) or a
path into the record (userIdentity.type, requestParameters.bucketName). In it,
\. is a dot inside a key, and a backslash makes any other sign part of the key.
Elements of arrays are looked into: any may match, and none may for a "not". An
absent field matches nothing, so a "not" holds.

Spaces around the operator do not count. After it VALUE is taken as it is, to
the end; "VALUE" in double quotes may have outer spaces (\" and \\ inside).
like, cidr and in take a list in parentheses: quote elements that have commas.

All --where must hold. --or starts an alternative, to which the --where after
it belong: --where A --where B --or C --where D is (A and B) or (C and D)."#;

/// Alternatives of conditions, from `--where` and `--or` in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    alternatives: Vec<Vec<Match>>,
}

impl Conditions {
    /// The filters that hold where `common` holds and any alternative does.
    pub(super) fn filters(self, common: &[Match], ignore_case: bool) -> Vec<EventFilter> {
        let mut alternatives = self.alternatives;
        if alternatives.is_empty() && !common.is_empty() {
            alternatives.push(Vec::new());
        }
        alternatives
            .into_iter()
            .map(|alternative| {
                let own = alternative
                    .into_iter()
                    .map(|one| Match { ignore_case, ..one });
                EventFilter {
                    matches: common.iter().cloned().chain(own).collect(),
                }
            })
            .collect()
    }
}

impl Args for Conditions {
    fn augment_args(command: Command) -> Command {
        let arg = |name: &'static str| {
            clap::Arg::new(name)
                .long(name)
                .value_name("CONDITION")
                .action(ArgAction::Append)
                .value_parser(parse)
                .help_heading("What")
        };
        command
            .arg(arg("where").short('w').help(
                "Only events for which CONDITION holds, such as errorCode=AccessDenied; all of them must",
            ))
            .arg(arg("or").help("Or events for which CONDITION holds, and each --where after it"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Conditions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &'static str| {
            let places = matches.indices_of(name).into_iter().flatten();
            let values = matches.get_many::<Match>(name).into_iter().flatten();
            places.zip(values.cloned().map(move |one| (name, one)))
        };
        let mut given: Vec<_> = given("where").chain(given("or")).collect();
        given.sort_by_key(|(place, _)| *place);
        let mut alternatives: Vec<Vec<Match>> = Vec::new();
        for (_, (name, one)) in given {
            match alternatives.last_mut().filter(|_| name == "where") {
                Some(alternative) => alternative.push(one),
                None => alternatives.push(vec![one]),
            }
        }
        Ok(Self { alternatives })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A match on one field that must be one of these values, for everyday options.
pub(super) fn equals(field: &str, values: &[String]) -> Option<Match> {
    (!values.is_empty()).then(|| Match {
        field: field.to_owned(),
        operator: Operator::Equals.into(),
        values: values.to_vec(),
        ..Match::default()
    })
}

/// Operators made of signs; the longer of two with the same start comes first.
const SIGNS: [(&str, Operator); 5] = [
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
fn parse(text: &str) -> Result<Match, String> {
    let (field, rest) = field(text.trim_start());
    if field.is_empty() {
        return Err("no field; write it like eventName=RunInstances".to_owned());
    }
    let (negate, operator, values) = match signs(rest.trim_start()) {
        Some((negate, operator, rest)) => (negate, operator, vec![value(rest)?]),
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
        return Ok(text.to_owned());
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
            value.to_owned()
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

#[cfg(test)]
mod tests;
