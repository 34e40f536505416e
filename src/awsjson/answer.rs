//! `Event` objects, to and from JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Event, LookupEvent, Resource, parse_time};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    events: Vec<WireEvent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireEvent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    resources: Vec<WireResource<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_trail_event: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireResource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
}

impl<'a> From<&'a LookupEvent> for WireEvent<'a> {
    fn from(event: &'a LookupEvent) -> Self {
        Self {
            event_id: event.event_id.as_deref(),
            event_name: event.event_name.as_deref(),
            read_only: event.read_only.as_deref(),
            access_key_id: event.access_key_id.as_deref(),
            event_time: event.event_time,
            event_source: event.event_source.as_deref(),
            username: event.username.as_deref(),
            resources: event
                .resources
                .iter()
                .map(|resource| WireResource {
                    resource_type: resource.kind.as_deref(),
                    resource_name: resource.name.as_deref(),
                })
                .collect(),
            cloud_trail_event: event.record.as_deref(),
        }
    }
}

impl<'a> From<&'a Event> for WireEvent<'a> {
    fn from(event: &'a Event) -> Self {
        let given = |text: &'a str| (!text.is_empty()).then_some(text);
        Self {
            event_id: given(event.id()),
            event_name: given(event.name()),
            read_only: event.read_only().map(|flag| match flag {
                true => "true",
                false => "false",
            }),
            // records have an empty one where AWS tells none
            access_key_id: event.access_key_id().filter(|key| !key.is_empty()),
            event_time: (!event.is_time_inferred()).then_some(event.time),
            event_source: given(event.source()),
            username: event.username(),
            resources: event
                .resources()
                .map(|(resource_type, resource_name)| WireResource {
                    resource_type,
                    resource_name,
                })
                .collect(),
            cloud_trail_event: given(event.record()),
        }
    }
}

/// The body of a `LookupEvents` answer. What an event lacks is left out.
#[must_use]
pub fn answer<'a>(
    events: impl IntoIterator<Item = &'a LookupEvent>,
    next_token: Option<&'a str>,
) -> Vec<u8> {
    body(events.into_iter().map(WireEvent::from), next_token)
}

/// As [`answer`], of events that are held: with what their records say where AWS
/// left it out.
#[must_use]
pub fn answer_of<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    next_token: Option<&'a str>,
) -> Vec<u8> {
    body(events.into_iter().map(WireEvent::from), next_token)
}

fn body<'a>(events: impl Iterator<Item = WireEvent<'a>>, next_token: Option<&'a str>) -> Vec<u8> {
    let answer = Answer {
        events: events.collect(),
        next_token,
    };
    // strings and numbers always serialise
    serde_json::to_vec(&answer).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenEvent {
    event_id: Option<String>,
    event_name: Option<String>,
    read_only: Option<Value>,
    access_key_id: Option<String>,
    event_time: Option<Value>,
    event_source: Option<String>,
    username: Option<String>,
    resources: Option<Vec<GivenResource>>,
    cloud_trail_event: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenResource {
    resource_type: Option<String>,
    resource_name: Option<String>,
}

/// Why a text is no `Event` object.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is not JSON, or a member is of the wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// `EventTime` is neither epoch seconds nor RFC 3339.
    #[error("EventTime {0} is neither epoch seconds nor an RFC 3339 time")]
    Time(String),
}

/// Reads one `Event` object of a `LookupEvents` answer: `EventTime` may be
/// epoch seconds (the wire's) or RFC 3339 (the AWS CLI's).
///
/// # Errors
///
/// [`EventError`], if the text is no such object.
pub fn event_from_json(text: &str) -> Result<LookupEvent, EventError> {
    let given: GivenEvent = serde_json::from_str(text)?;
    Ok(LookupEvent {
        event_id: given.event_id,
        event_name: given.event_name,
        event_source: given.event_source,
        event_time: given.event_time.as_ref().map(seconds).transpose()?,
        read_only: given.read_only.and_then(|value| match value {
            Value::String(text) => Some(text),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }),
        access_key_id: given.access_key_id,
        username: given.username,
        resources: given
            .resources
            .unwrap_or_default()
            .into_iter()
            .map(|resource| Resource {
                kind: resource.resource_type,
                name: resource.resource_name,
            })
            .collect(),
        record: given.cloud_trail_event,
    })
}

fn seconds(value: &Value) -> Result<i64, EventError> {
    let read = match value {
        Value::Number(number) => match number.as_i64() {
            Some(secs) => Some(secs),
            #[expect(clippy::cast_possible_truncation, reason = "checked by the range")]
            None => number
                .as_f64()
                .filter(|n| n.abs() < 1e15)
                .map(|n| n.floor() as i64),
        },
        Value::String(text) => parse_time(text),
        _ => None,
    };
    // a number that no calendar has is no time
    read.filter(|secs| Timestamp::from_second(*secs).is_ok())
        .ok_or_else(|| EventError::Time(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_lacks_is_left_out() {
        let bare = LookupEvent {
            event_time: Some(7),
            resources: vec![Resource {
                kind: None,
                name: Some("n".into()),
            }],
            ..LookupEvent::default()
        };
        assert_eq!(
            String::from_utf8(answer([&bare], None)).unwrap(),
            r#"{"Events":[{"EventTime":7,"Resources":[{"ResourceName":"n"}]}]}"#
        );
        assert_eq!(
            String::from_utf8(answer([], Some("t"))).unwrap(),
            r#"{"Events":[],"NextToken":"t"}"#
        );
    }

    #[test]
    fn an_event_survives_the_way_out_and_back() {
        let event = LookupEvent {
            event_id: Some("i".into()),
            event_name: Some("n".into()),
            event_source: Some("s".into()),
            event_time: Some(1_700_000_000),
            read_only: Some("true".into()),
            access_key_id: Some("k".into()),
            username: Some("u".into()),
            resources: vec![Resource {
                kind: Some("t".into()),
                name: Some("n".into()),
            }],
            record: Some("{\"a\": \"\\u00e9\"}".into()),
        };
        let text = serde_json::to_string(&WireEvent::from(&event)).unwrap();
        assert_eq!(event_from_json(&text).unwrap(), event);
    }

    #[test]
    fn event_times_come_in_three_shapes() {
        for (given, secs) in [
            ("1688989356", 1_688_989_356),
            ("1.688989356E9", 1_688_989_356),
            ("1688989356.9", 1_688_989_356),
            ("\"2023-07-10T13:42:36+02:00\"", 1_688_989_356),
        ] {
            let event = event_from_json(&format!("{{\"EventTime\":{given}}}")).unwrap();
            assert_eq!(event.event_time, Some(secs), "{given}");
        }
        for bad in ["\"noon\"", "true", "1e300", "99999999999999"] {
            let error = event_from_json(&format!("{{\"EventTime\":{bad}}}")).unwrap_err();
            assert!(error.to_string().contains("EventTime"), "{error}");
        }
        assert!(event_from_json("{\"EventId\":5}").is_err());
    }
}
