//! What was asked, in the words of whoever typed it: for messages about it.

use super::{input::Origin, where_clause::Condition};
use crate::{
    event::Category,
    filter::{self, Filter, KnownFields},
    proto::v1::{Operator, Order},
};

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Conditions, in the places that they have in the request.
    pub(super) alternatives: Vec<Vec<Condition>>,
    pub(super) accounts: Vec<String>,
    pub(super) regions: Vec<String>,
    /// The option that named the start, and the second since the Unix epoch.
    pub(super) start: Option<(&'static str, i64)>,
    pub(super) order: Order,
    pub(super) category: Category,
    pub(super) ignore_case: bool,
    /// Fields whose values are counted.
    pub(super) top: Vec<String>,
    /// It is asked by the contract's own names, and has no options.
    pub(super) is_raw: bool,
    /// Where the rest came from, if it was in a file.
    pub(super) input: Origin,
}

impl Asked {
    /// The option that became this field of the request, as it was typed, or the
    /// place in a file.
    pub(super) fn option(&self, field: &str) -> Option<String> {
        if let Some(place) = self.input.place(field) {
            return Some(place);
        }
        if self.is_raw {
            return Some(field.to_owned());
        }
        if let Some((filter, rest)) = element(field, "filters") {
            let (place, _) = element(rest.strip_prefix('.')?, "matches")?;
            return Some(self.alternatives.get(filter)?.get(place)?.typed.clone());
        }
        let named = |list, option, values: &[String]| {
            let (place, _) = element(field, list)?;
            Some(format!("{option} {}", values.get(place)?))
        };
        named("account_ids", "--account", &self.accounts)
            .or_else(|| named("regions", "--region", &self.regions))
            .or_else(|| named("top_fields", "--top", &self.top))
            .or_else(|| {
                let option = match field {
                    "resume_token" => "--resume-file",
                    "start_time" => self.start.map_or("--start", |(option, _)| option),
                    "end_time" => "--end",
                    "event_category" => "--category",
                    "order" => "--order",
                    "page_size" => "--page-size",
                    "max_staleness" => "--max-staleness",
                    "max_upstream_calls" => "--max-upstream-calls",
                    "event_id" => "EVENT_ID",
                    "bucket" => "--bucket",
                    "top_values" => "--top-values",
                    _ => return None,
                };
                Some(option.to_owned())
            })
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.alternatives.iter().flatten()
    }

    /// What may be wrong with conditions that no event fitted, where something
    /// in them looks like it.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for Condition { typed, one } in self.conditions() {
            if one.operator() != Operator::Equals {
                continue;
            }
            let is_source = matches!(one.field.as_str(), "EventSource" | "eventSource");
            for value in &one.values {
                if value.contains('*') && !typed.contains('"') {
                    let not = if one.negate { "not " } else { "" };
                    doubts.push(format!(
                        "{typed}: = takes * as it is; like takes patterns (--where '{} {not}like {value}')",
                        one.field
                    ));
                } else if matches!(one.field.as_str(), "EventName" | "eventName")
                    && !one.ignore_case
                    && value.starts_with(|c: char| c.is_ascii_lowercase())
                {
                    doubts.push(format!(
                        "{typed}: names of calls are compared with their case, and most begin with a capital; -i takes either"
                    ));
                } else if is_source && !value.is_empty() && !value.contains('.') {
                    doubts.push(format!("{typed}: did you mean {value}.amazonaws.com?"));
                }
            }
        }
        // a common condition is in every alternative
        doubts.sort();
        doubts.dedup();
        doubts
    }

    /// The fields that may be misspelled without anyone knowing: the gateway
    /// checks the first key of a path alone.
    pub(super) fn unchecked(&self) -> Option<String> {
        let mut fields: Vec<&str> = self
            .conditions()
            .filter(|condition| !condition.one.negate)
            .map(|condition| condition.one.field.as_str())
            .filter(|field| is_deep(field))
            .collect();
        fields.sort_unstable();
        fields.dedup();
        (!fields.is_empty()).then(|| {
            let fields = fields.join(", ");
            format!(
                "either no event searched had {fields}, or none with it matched; -o jsonl shows how records spell their fields"
            )
        })
    }

    /// What to say if the search takes long because AWS cannot be asked by
    /// these conditions; `None` if it can be, or there are none.
    pub(super) fn breadth(&self) -> Option<String> {
        if self.alternatives.is_empty() || self.is_narrow(self.ignore_case) {
            return None;
        }
        let why = if self.ignore_case && self.is_narrow(false) {
            "with --ignore-case AWS cannot be asked by any field"
        } else {
            "AWS cannot be asked by these conditions"
        };
        let what = match self.start {
            None => "all history",
            Some(_) => "everything in this time",
        };
        Some(format!(
            "{why}: {what} is read, fifty events a request, two requests a second and scope at AWS's pace; narrow it with --since"
        ))
    }

    /// Whether AWS can be asked for less than everything.
    fn is_narrow(&self, ignore_case: bool) -> bool {
        let matches = |alternative: &Vec<Condition>| {
            let narrowing = alternative.iter().filter(|condition| {
                condition.one.operator() == Operator::Equals && !condition.one.negate
            });
            narrowing
                .map(|Condition { one, .. }| filter::Match {
                    field: one.field.clone(),
                    values: one.values.clone(),
                    ignore_case: ignore_case && one.ignore_case,
                    ..filter::Match::default()
                })
                .collect()
        };
        let filters: Vec<_> = self
            .alternatives
            .iter()
            .map(|alternative| filter::EventFilter {
                matches: matches(alternative),
            })
            .collect();
        // what does not compile the gateway refuses anyway
        Filter::compile(&filters, &AnyField)
            .is_ok_and(|filter| !filter.pushdowns(self.category).is_empty())
    }
}

/// Whether the gateway cannot check the whole field.
fn is_deep(field: &str) -> bool {
    let mut is_escaped = false;
    field.chars().any(|c| {
        let is_dot = c == '.' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_dot
    })
}

/// The place in `list` that `field` begins with, such as 2 of `list[2].field`,
/// and what follows it.
fn element<'a>(field: &'a str, list: &str) -> Option<(usize, &'a str)> {
    let rest = field.strip_prefix(list)?.strip_prefix('[')?;
    let (place, rest) = rest.split_once(']')?;
    Some((place.parse().ok()?, rest))
}

/// Which fields there are, the gateway decides.
struct AnyField;

impl KnownFields for AnyField {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn for_each(&self, _: &mut dyn FnMut(&str)) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::where_clause::condition;

    fn asked(alternatives: &[&[&str]]) -> Asked {
        let read = |alternative: &&[&str]| alternative.iter().map(|text| condition(text)).collect();
        Asked {
            alternatives: alternatives.iter().map(read).collect(),
            regions: vec!["a".to_owned(), "b".to_owned()],
            start: Some(("--since", 0)),
            top: vec!["x".to_owned()],
            ..Asked::default()
        }
    }

    #[test]
    fn fields_of_the_request_are_options() {
        let asked = asked(&[&["a=1"], &["b=1", "c=1"]]);
        for (field, option) in [
            ("filters[1].matches[0].field", Some("--where 'b=1'")),
            ("filters[1].matches[2].field", None),
            ("filters[0]", None),
            ("filters", None),
            ("regions[1]", Some("--region b")),
            ("regions[2]", None),
            ("start_time", Some("--since")),
            ("top_fields[0]", Some("--top x")),
            ("page_token", None),
        ] {
            assert_eq!(asked.option(field).as_deref(), option, "{field}");
        }
    }

    #[test]
    fn likely_mistakes_are_named() {
        let suspect: &[&str] = &["eventName=Get*", "eventSource in (s3, ec2.amazonaws.com)"];
        let doubts = asked(&[
            suspect,
            &["eventSource != s3", "eventName != \"*\""],
            suspect,
        ]);
        assert_eq!(
            doubts.doubts(),
            [
                "--where 'eventName=Get*': = takes * as it is; like takes patterns (--where 'eventName like Get*')",
                "--where 'eventSource != s3': did you mean s3.amazonaws.com?",
                "--where 'eventSource in (s3, ec2.amazonaws.com)': did you mean s3.amazonaws.com?",
            ]
        );
        assert_eq!(doubts.unchecked(), None);
        let fields: &[&str] = &["a.c=1", r"a\.b=1", "record.x exists", "d.e != 1"];
        let unchecked = asked(&[fields]).unchecked().unwrap();
        assert!(unchecked.contains("had a.c, record.x, or"), "{unchecked}");
    }

    #[test]
    fn a_search_that_aws_cannot_narrow_is_known_as_such() {
        for (alternatives, narrow) in [
            (&[][..], true),
            (&[&["errorCode=A"][..]], false),
            (&[&["errorCode=A", "eventName=B"]], true),
            (&[&["eventName=B"], &["errorCode=A"]], false),
            (&[&["EventName like B*"]], false),
            (&[&["Username != B"]], false),
        ] {
            let breadth = asked(alternatives).breadth();
            assert_eq!(breadth.is_none(), narrow, "{alternatives:?}: {breadth:?}");
        }
        let mut cased = asked(&[&["eventName=B"]]);
        cased.ignore_case = true;
        cased.alternatives[0][0].one.ignore_case = true;
        let breadth = cased.breadth().unwrap();
        assert!(breadth.starts_with("with --ignore-case"), "{breadth}");
    }
}
