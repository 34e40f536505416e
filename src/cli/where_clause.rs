//! `--where` and `--or`: conditions as one types them.

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::completions;
use crate::{
    proto::v1::{EventFilter, Match, Operator},
    typed::parse,
};

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
