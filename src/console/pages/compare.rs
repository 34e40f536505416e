//! A few events side by side: what they have alike, and what not.

use std::collections::BTreeMap;

use axum::{
    extract::RawQuery,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;
use serde_json::Value;

use super::{
    super::{layout::page as laid_out, refused, who::Calls},
    event::get,
    events::details,
};
use crate::proto::v1::Event;

/// The most events side by side: more columns than can be read.
const MOST: usize = 5;
/// The most fields of an event that are compared.
const MAX_FIELDS: usize = 2000;

pub(in super::super) async fn page(calls: Calls, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parts = form_urlencoded::parse(query.as_bytes());
    let asked: Vec<_> = parts
        .filter(|(name, _)| name == "event")
        .map(|(_, which)| which)
        .collect();
    if !(2..=MOST).contains(&asked.len()) {
        let content = html! {
            h1 { "Compare" }
            p class="notice bad" role="alert" { (asked.len()) " events are ticked; tick two to five, and compare them" }
        };
        return (
            StatusCode::BAD_REQUEST,
            laid_out("Compare", "/events", &content),
        )
            .into_response();
    }
    let mut events = Vec::new();
    for which in asked {
        match get(calls.visitor.clone(), &which).await {
            Ok(answer) => events.extend(answer.event),
            Err(refusal) => return refused(&refusal),
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
    laid_out("Compare", "/events", &content).into_response()
}

/// What an event has, by paths into its record.
fn fields(event: &Event) -> BTreeMap<String, String> {
    let mut into = BTreeMap::new();
    match serde_json::from_str::<Value>(&event.record) {
        Ok(record) => flatten("", &record, &mut into),
        // without a record there is what stands beside it
        Err(_) => into.extend([
            ("eventID".to_owned(), event.event_id.clone()),
            ("eventName".to_owned(), event.event_name.clone()),
            ("eventSource".to_owned(), event.event_source.clone()),
            ("userName".to_owned(), event.username.clone()),
        ]),
    }
    into
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    if into.len() >= MAX_FIELDS {
        return;
    }
    let below = |name: &str| match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                flatten(&below(name), value, into);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (place, value) in values.iter().enumerate() {
                flatten(&below(&place.to_string()), value, into);
            }
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}
