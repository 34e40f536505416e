//! A few events side by side: what they have alike, and what not.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

use super::{
    super::{Console, view::count, who::Calls},
    event::get,
    events::details,
};
use crate::{event::json, proto::v1::Event};

/// The most events side by side: more columns than can be read.
const MOST: usize = 5;
/// The most fields of an event that are compared.
const MAX_FIELDS: usize = 2000;
/// Where it is said that there are more.
const MORE: &str = "…";
/// Deeper than that a value is one: each level is read once more.
const DEEPEST: usize = 32;

pub(in super::super) async fn page(
    State(console): State<Console>,
    calls: Calls,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let parts = form_urlencoded::parse(query.as_bytes());
    let asked: Vec<_> = parts
        .filter(|(name, _)| name == "event")
        .map(|(_, which)| which)
        .collect();
    if !(2..=MOST).contains(&asked.len()) {
        let content = html! {
            h1 { "Compare" }
            p class="notice bad" role="alert" { (count(i64::try_from(asked.len()).unwrap_or(i64::MAX), "event is", "events are")) " ticked; tick two to five, and compare them" }
        };
        return (
            StatusCode::BAD_REQUEST,
            console.page("Compare", "/events", &content),
        )
            .into_response();
    }
    let mut events = Vec::new();
    for which in asked {
        match get(calls.visitor.clone(), &which).await {
            Ok(answer) => events.extend(answer.event),
            Err(refusal) => return console.refused(&refusal),
        }
    }
    let columns: Vec<_> = events.iter().map(fields).collect();
    let mut names: Vec<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let content = html! {
        h1 { "Compare" }
        p class="faint" { "Fields that differ are marked." }
        div class="wide-table" tabindex="0" role="region" aria-label="Events side by side" {
            table class="compare" {
                thead { tr {
                    th scope="col" { "Field" }
                    @for event in &events { th scope="col" { a href=(details(event)) { bdi { (event.event_name) } } } }
                } }
                tbody {
                    @for name in names {
                        @let values: Vec<_> = columns.iter().map(|column| column.get(name)).collect();
                        @let differs = values.windows(2).any(|pair| pair.first() != pair.last());
                        tr class=[differs.then_some("differs")] {
                            th scope="row" { code { bdi { (name) } } @if differs { span class="hidden" { " differs" } } }
                            @for value in values {
                                td { @match value { Some(value) => bdi { (value) }, None => span class="faint" { "–" } } }
                            }
                        }
                    }
                }
            }
        }
    };
    console.page("Compare", "/events", &content).into_response()
}

/// What an event has, by paths into its record.
fn fields(event: &Event) -> BTreeMap<String, String> {
    let mut into = BTreeMap::new();
    match is_object(&event.record) {
        true => flatten("", &event.record, 0, &mut into),
        // without a record there is what stands beside it
        false => into.extend([
            ("eventID".to_owned(), event.event_id.clone()),
            ("eventName".to_owned(), event.event_name.clone()),
            ("eventSource".to_owned(), event.event_source.clone()),
            ("userName".to_owned(), event.username.clone()),
        ]),
    }
    into
}

fn is_object(record: &str) -> bool {
    json::members(record).is_some()
}

/// Values as they stand in the record, each at its path, as conditions name it. Beyond
/// [`MAX_FIELDS`] of them, what is left is one.
fn flatten(path: &str, value: &str, depth: usize, into: &mut BTreeMap<String, String>) {
    if into.len() >= MAX_FIELDS {
        into.insert(
            MORE.to_owned(),
            format!("more than {MAX_FIELDS} fields; the rest is not compared"),
        );
        return;
    }
    let below = |name: &str| {
        let name = name.replace('\\', "\\\\").replace('.', "\\.");
        match path.is_empty() {
            true => name,
            false => format!("{path}.{name}"),
        }
    };
    let is_deep = depth >= DEEPEST;
    if let Some(members) = json::members(value).filter(|all| !all.is_empty() && !is_deep) {
        for (name, value) in members {
            flatten(&below(&name), value.get(), depth + 1, into);
        }
    } else if let Some(values) = json::array(value).filter(|all| !all.is_empty() && !is_deep) {
        for (place, value) in values.iter().enumerate() {
            flatten(&below(&place.to_string()), value.get(), depth + 1, into);
        }
    } else {
        let text = json::scalar(value).map_or_else(|| value.to_owned(), Cow::into_owned);
        let mut path = path.to_owned();
        // a key that is there twice says two things
        while into.contains_key(&path) {
            path.push_str(" (again)");
        }
        into.insert(path, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(record: &str) -> BTreeMap<String, String> {
        fields(&Event {
            record: record.to_owned(),
            event_name: "A".to_owned(),
            ..Event::default()
        })
    }

    #[test]
    fn what_differs_in_a_record_differs_here() {
        for (one, other) in [
            (r#"{"a":1.10}"#, r#"{"a":1.1}"#),
            (
                r#"{"a":123456789012345678901234567890}"#,
                r#"{"a":123456789012345678901234567891}"#,
            ),
            (r#"{"a":{"b":1}}"#, r#"{"a.b":1}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":1}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":{}}"#, r#"{"a":[]}"#),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
        let paths: Vec<_> = of(r#"{"a":{"b.c":[{"d":"x\ny"}]}}"#).into_iter().collect();
        assert_eq!(paths, [("a.b\\.c.0.d".to_owned(), "x\ny".to_owned())]);
        assert_eq!(of("no json")["eventName"], "A");
        let many: Vec<_> = (0..2 * MAX_FIELDS)
            .map(|place| format!("\"k{place}\":1"))
            .collect();
        let many = of(&format!("{{{}}}", many.join(",")));
        assert_eq!(many.len(), MAX_FIELDS + 1);
        assert!(many.contains_key(MORE));
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(of(&format!("{{\"a\":{deep}}}")).len(), 1);
    }
}
