//! `--where` and `--or`: conditions as one types them.

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::completions;
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

/// What joins conditions elsewhere, and nothing here.
const JOINERS: [&str; 4] = ["&&", "||", "and", "or"];

/// A condition, and how it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// The option and its text, for messages.
    pub(super) typed: String,
    pub(super) one: Match,
}

/// Alternatives of conditions, from `--where` and `--or` in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    alternatives: Vec<Vec<Condition>>,
}

impl Conditions {
    /// The alternatives, in each of which `common` holds too.
    pub(super) fn with(self, common: &[Condition], ignore_case: bool) -> Vec<Vec<Condition>> {
        let mut alternatives = self.alternatives;
        if alternatives.is_empty() && !common.is_empty() {
            alternatives.push(Vec::new());
        }
        for alternative in &mut alternatives {
            alternative.splice(..0, common.iter().cloned());
            for Condition { one, .. } in alternative {
                one.ignore_case = ignore_case && has_case(one);
            }
        }
        alternatives
    }
}

/// Whether letter case matters: "true" has no other, and AWS can be asked for it.
pub(super) fn has_case(one: &Match) -> bool {
    one.field != "ReadOnly"
}

/// The alternatives as the contract has them.
pub(super) fn filters(alternatives: &[Vec<Condition>]) -> Vec<EventFilter> {
    alternatives
        .iter()
        .map(|alternative| EventFilter {
            matches: alternative.iter().map(|each| each.one.clone()).collect(),
        })
        .collect()
}

impl Args for Conditions {
    fn augment_args(command: Command) -> Command {
        let arg = |name: &'static str| {
            clap::Arg::new(name)
                .long(name)
                .value_name("CONDITION")
                .action(ArgAction::Append)
                .value_parser(|text: &str| {
                    let one = joined(text).map_or_else(|| parse(text), Err)?;
                    Ok::<_, String>((text.to_owned(), one))
                })
                .add(completions::fields())
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
            let values = matches.get_many::<(String, Match)>(name);
            let values = values.into_iter().flatten().cloned();
            places.zip(values.map(move |(text, one)| {
                let typed = format!("--{name} '{text}'");
                (name, Condition { typed, one })
            }))
        };
        let mut given: Vec<_> = given("where").chain(given("or")).collect();
        given.sort_by_key(|(place, _)| *place);
        let mut alternatives: Vec<Vec<Condition>> = Vec::new();
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

/// The same of filters that were in a file: `typed` is the place of one.
pub(super) fn in_file(
    filters: &[EventFilter],
    typed: impl Fn(usize, usize) -> String,
) -> Vec<Vec<Condition>> {
    let alternative = |(filter, of): (usize, &EventFilter)| {
        let matches = of.matches.iter().enumerate();
        let conditions = matches.map(|(place, one)| Condition {
            typed: typed(filter, place),
            one: one.clone(),
        });
        conditions.collect()
    };
    filters.iter().enumerate().map(alternative).collect()
}

/// A condition on one field that must be one of these values, for the everyday
/// option that is called so.
pub(super) fn equals(option: &str, field: &str, values: &[String]) -> Option<Condition> {
    let typed = values.iter().map(|value| format!("{option} '{value}'"));
    (!values.is_empty()).then(|| Condition {
        typed: typed.collect::<Vec<_>>().join(" "),
        one: Match {
            field: field.to_owned(),
            operator: Operator::Equals.into(),
            values: values.to_vec(),
            ..Match::default()
        },
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

/// Why not, if two conditions are in `text`: both sides of a word that joins
/// conditions elsewhere read as one.
fn joined(text: &str) -> Option<String> {
    let mut end = 0;
    text.split(char::is_whitespace).find_map(|word| {
        let start = end;
        end += word.len();
        let [before, after] = [text.get(..start)?, text.get(end..)?];
        end += after.chars().next().map_or(0, char::len_utf8);
        let is_joiner = JOINERS
            .iter()
            .any(|joiner| joiner.eq_ignore_ascii_case(word));
        (is_joiner && parse(before).is_ok() && parse(after).is_ok()).then(|| {
            let after = after.trim();
            let say = match word {
                "&&" => "where",
                word if word.eq_ignore_ascii_case("and") => "where",
                _ => "or",
            };
            format!(
                "{word:?} joins no conditions here; write {after:?} as a --{say} of its own, or the value in double quotes if it means itself"
            )
        })
    })
}

/// Reads one condition.
pub(super) fn parse(text: &str) -> Result<Match, String> {
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

/// A condition of `--where`, for other tests.
#[cfg(test)]
pub(super) fn condition(text: &str) -> Condition {
    Condition {
        typed: format!("--where '{text}'"),
        one: parse(text).unwrap(),
    }
}

#[cfg(test)]
mod tests;
