//! An event's message, field for field: what the bytes that are held must say.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::sync::Arc;

use prost::Message;
use prost_types::Timestamp;

use super::{
    super::{server, v1},
    Encoded, basic_size, full_size,
};
use crate::event::{Event, Origin, Parts, Principal};

/// The message of an event, field for field.
fn message(event: &Parts, with_record: bool) -> v1::Event {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let resources = event.resources.iter().map(|resource| v1::Resource {
        r#type: text(&resource.kind),
        name: text(&resource.name),
    });
    let identity = |principal: &Principal| v1::Identity {
        r#type: text(&principal.kind),
        principal_id: text(&principal.principal_id),
        arn: text(&principal.arn),
        account_id: text(&principal.account_id),
        user_name: text(&principal.user_name),
        role_name: text(&principal.role_name),
        session_name: text(&principal.session_name),
        invoked_by: text(&principal.invoked_by),
    };
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
            event.record.clone()
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
        record_redacted: false,
    }
}

/// What a client reads is what the parts say; what is held is the parts.
pub(crate) fn check(parts: &Parts) {
    let event = Arc::new(Event::new(parts));
    assert_eq!(event.parts(), *parts);
    for with_record in [true, false] {
        let page = server::LookupEventsResponse {
            events: vec![Encoded::new(Arc::clone(&event), with_record); 2],
            ..Default::default()
        };
        let bytes = page.encode_to_vec();
        let size = if with_record { full_size } else { basic_size };
        assert_eq!(bytes.len(), 2 * size(&event));
        let read = v1::LookupEventsResponse::decode(bytes.as_slice()).unwrap();
        let expected = message(parts, with_record);
        assert_eq!(read.events, [expected.clone(), expected]);
    }
}
