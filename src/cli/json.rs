//! An event as JSON: the contract's names, the record as it came.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::time::rfc3339;
use crate::proto::v1;

/// The event as one line of JSON. Absent fields are left out.
///
/// # Errors
///
/// None that a well-formed [`v1::Event`] can cause.
pub(super) fn line(event: &v1::Event) -> serde_json::Result<String> {
    serde_json::to_string(&Event::of(event))
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    event_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    account_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    access_key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_category: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_ip_address: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    shared_event_id: &'a str,
    #[serde(skip_serializing_if = "Record::is_absent")]
    record: Record<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    record_malformed: bool,
    #[serde(skip_serializing_if = "is_false")]
    record_lossy: bool,
    #[serde(skip_serializing_if = "is_false")]
    event_time_inferred: bool,
    #[serde(skip_serializing_if = "is_false")]
    record_redacted: bool,
}

#[derive(Serialize)]
struct Resource<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    r#type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    r#type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    principal_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    arn: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    account_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    role_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    session_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    invoked_by: &'a str,
}

impl<'a> Event<'a> {
    fn of(event: &'a v1::Event) -> Self {
        let origin = v1::Origin::try_from(event.origin).unwrap_or_default();
        Self {
            event_id: &event.event_id,
            event_name: &event.event_name,
            event_source: &event.event_source,
            event_time: event.event_time.as_ref().map(|time| rfc3339(time.seconds)),
            region: &event.region,
            account_id: &event.account_id,
            username: &event.username,
            access_key_id: &event.access_key_id,
            read_only: event.read_only,
            resources: event
                .resources
                .iter()
                .map(|resource| Resource {
                    r#type: &resource.r#type,
                    name: &resource.name,
                })
                .collect(),
            event_category: &event.event_category,
            event_type: &event.event_type,
            error_code: &event.error_code,
            error_message: &event.error_message,
            source_ip_address: &event.source_ip_address,
            user_agent: &event.user_agent,
            identity: event.identity.as_ref().map(|identity| Identity {
                r#type: &identity.r#type,
                principal_id: &identity.principal_id,
                arn: &identity.arn,
                account_id: &identity.account_id,
                user_name: &identity.user_name,
                role_name: &identity.role_name,
                session_name: &identity.session_name,
                invoked_by: &identity.invoked_by,
            }),
            shared_event_id: &event.shared_event_id,
            record: Record::of(event),
            origin: (origin != v1::Origin::Unspecified).then(|| origin.as_str_name()),
            record_malformed: event.record_malformed,
            record_lossy: event.record_lossy,
            event_time_inferred: event.event_time_inferred,
            record_redacted: event.record_redacted,
        }
    }
}

enum Record<'a> {
    Absent,
    /// The record itself, on one line.
    Json(Cow<'a, str>),
    /// What came in place of JSON.
    Text(&'a str),
}

impl<'a> Record<'a> {
    fn of(event: &'a v1::Event) -> Self {
        let text = event.record.as_str();
        if text.is_empty() {
            return Self::Absent;
        }
        if event.record_malformed || serde_json::from_str::<&RawValue>(text).is_err() {
            return Self::Text(text);
        }
        // in JSON a bare line break is mere space; one object is one line
        if text.contains(['\n', '\r']) {
            return Self::Json(text.replace(['\n', '\r'], " ").into());
        }
        Self::Json(text.into())
    }

    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => to.serialize_none(),
            Self::Json(json) => serde_json::from_str::<&RawValue>(json)
                .map_err(serde::ser::Error::custom)?
                .serialize(to),
            Self::Text(text) => to.serialize_str(text),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_embedded_as_it_came() {
        let mut event = v1::Event {
            event_id: "i".to_owned(),
            event_time: Some(prost_types::Timestamp {
                seconds: 1_714_979_289,
                nanos: 0,
            }),
            read_only: Some(false),
            origin: v1::Origin::LogFile.into(),
            record: r#"{"b": 1e3, "a":"é\u00e9", "b":[ ] }"#.to_owned(),
            resources: vec![v1::Resource {
                r#type: String::new(),
                name: "n".to_owned(),
            }],
            ..v1::Event::default()
        };
        assert_eq!(
            line(&event).unwrap(),
            r#"{"event_id":"i","event_time":"2024-05-06T07:08:09Z","read_only":false,"resources":[{"name":"n"}],"record":{"b": 1e3, "a":"é\u00e9", "b":[ ] },"origin":"ORIGIN_LOG_FILE"}"#
        );
        event.record = "{\r\n\"a\":\n1}\n".to_owned();
        assert!(line(&event).unwrap().contains("\"record\":{  \"a\": 1},"));
    }

    #[test]
    fn a_malformed_record_is_a_string() {
        for (record, flagged) in [("{\"a\":\n", false), ("[1]", true), ("\"", true)] {
            let event = v1::Event {
                record: record.to_owned(),
                record_malformed: flagged,
                ..v1::Event::default()
            };
            let line = line(&event).unwrap();
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["record"], record, "{line}");
        }
        assert_eq!(line(&v1::Event::default()).unwrap(), "{}");
    }
}
