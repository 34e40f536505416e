//! From events to messages.

use prost_types::Timestamp;

use super::v1;
use crate::event::{Event, Origin, Principal};

/// An event as a message, with its record or without.
#[must_use]
pub fn event(event: &Event, with_record: bool) -> v1::Event {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let resources = event.resources.iter().map(|resource| v1::Resource {
        r#type: text(&resource.kind),
        name: text(&resource.name),
    });
    v1::Event {
        event_id: event.id.clone(),
        event_name: event.name.clone(),
        event_source: event.source.clone(),
        event_time: Some(Timestamp {
            seconds: event.time,
            nanos: 0,
        }),
        region: event.region.to_string(),
        account_id: event.account_id.to_string(),
        username: text(&event.username),
        access_key_id: text(&event.access_key_id),
        read_only: event.read_only,
        resources: resources.collect(),
        event_category: text(&event.category),
        event_type: text(&event.event_type),
        error_code: text(&event.error_code),
        error_message: text(&event.error_message),
        source_ip_address: text(&event.source_ip_address),
        user_agent: text(&event.user_agent),
        identity: event.principal.as_ref().map(identity),
        shared_event_id: text(&event.shared_event_id),
        record: if with_record {
            event.record.to_string()
        } else {
            String::new()
        },
        origin: match event.origin {
            Origin::LookupEvents => v1::Origin::LookupEvents,
            Origin::LogFile => v1::Origin::LogFile,
            Origin::EventBridge => v1::Origin::EventBridge,
        }
        .into(),
        record_malformed: event.malformed,
        record_lossy: event.lossy,
        event_time_inferred: event.time_inferred,
    }
}

fn identity(principal: &Principal) -> v1::Identity {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    v1::Identity {
        r#type: text(&principal.kind),
        principal_id: text(&principal.principal_id),
        arn: text(&principal.arn),
        account_id: text(&principal.account_id),
        user_name: text(&principal.user_name),
        role_name: text(&principal.role_name),
        session_name: text(&principal.session_name),
        invoked_by: text(&principal.invoked_by),
    }
}

/// The most bytes that an event takes in an answer with its record.
///
/// Its weight in memory counts every text and, in place of tags and lengths,
/// fields that are wider than those.
#[must_use]
pub fn full_size(event: &Event) -> usize {
    event.weight()
}

/// The most bytes that an event takes in an answer without its record.
#[must_use]
pub fn basic_size(event: &Event) -> usize {
    event.weight() - event.record.len()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::event::{Resource, Scope};

    #[test]
    fn messages_are_never_larger_than_said_and_records_are_whole() {
        let long = "x".repeat(300);
        let records = [
            "{}".to_owned(),
            format!(
                "{{\"eventID\":\"{long}\",\"eventTime\":\"2024-01-01T00:00:00Z\",\"userIdentity\":{{\"type\":\"{long}\",\"arn\":\"{long}\",\"principalId\":\"{long}\",\"accountId\":\"{long}\",\"userName\":\"{long}\"}},\"readOnly\":true,\"errorCode\":\"{long}\",\"sourceIPAddress\":\"{long}\",\"recipientAccountId\":\"{long}\",\"awsRegion\":\"{long}\"}}"
            ),
            "not json".to_owned(),
        ];
        for record in records {
            let mut e = Event::from_record(
                &Scope::new("", ""),
                record.as_bytes(),
                Origin::LogFile,
                i64::MAX,
            );
            e.resources = vec![
                Resource {
                    kind: Some(String::new()),
                    name: Some(String::new())
                };
                100
            ];
            assert!(event(&e, true).encoded_len() + 5 <= full_size(&e));
            assert!(event(&e, false).encoded_len() + 5 <= basic_size(&e));
            assert_eq!(event(&e, true).record, record);
            assert_eq!(event(&e, false).record, "");
        }
    }
}
