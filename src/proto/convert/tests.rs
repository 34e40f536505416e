use prost_types::Timestamp;

use super::{
    super::{server, v1},
    *,
};
use crate::event::{LookupEvent, Origin, Parts, Principal, Resource, Scope};

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
fn check(parts: &Parts) {
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

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

#[test]
fn clients_read_every_field_and_every_record_whole() {
    let long = "x".repeat(300);
    for record in [
        String::new(),
        "{}".to_owned(),
        format!(
            "{{\"eventID\":\"{long}\",\"eventTime\":\"2024-01-01T00:00:00Z\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"arn\":\"{long}/s\",\"principalId\":\"{long}\",\"accountId\":\"{long}\",\"userName\":\"{long}\",\"invokedBy\":\"i\",\"accessKeyId\":\"k\",\"sessionContext\":{{\"sessionIssuer\":{{\"type\":\"Role\",\"userName\":\"r\"}}}}}},\"readOnly\":true,\"errorCode\":\"{long}\",\"errorMessage\":\"m\",\"sourceIPAddress\":\"{long}\",\"recipientAccountId\":\"{long}\",\"awsRegion\":\"{long}\",\"sharedEventID\":\"s\",\"eventName\":\"n\",\"eventSource\":\"o\",\"eventType\":\"t\",\"eventCategory\":\"c\",\"addendum\":{{}},\"odd\":1}}"
        ),
        "not json".to_owned(),
        // the agent is part of the record, or stands in it in another form
        "{\"userAgent\":\"aws-cli/2.15.0 Python/3.11\"}".to_owned(),
        "{\"userAgent\":\"aws-cli/2.15.0 \\\"Python\\\"/3.11 \\u00fc\"}".to_owned(),
        "{\"userAgent\":\"\"}".to_owned(),
        format!("{{\"userAgent\":\"{long}ü\",\"userIdentity\":{{}}}}"),
    ] {
        for time in [0, 1, i64::MAX, i64::MIN, -1] {
            for (origin, scope) in [
                (Origin::LogFile, scope()),
                (Origin::EventBridge, Scope::new("", "")),
            ] {
                check(&Parts::from_record(&scope, record.as_bytes(), origin, time));
            }
        }
    }
    check(&Parts::from_record(
        &scope(),
        b"{\"a\":\"\xff\"}",
        Origin::LogFile,
        0,
    ));
}

#[test]
fn what_is_there_and_empty_is_told_from_what_is_not_there() {
    let empty = || Some(String::new());
    let resource = |kind, name| Resource { kind, name };
    let mut parts = Parts::from_lookup(
        &scope(),
        LookupEvent {
            username: empty(),
            access_key_id: empty(),
            resources: vec![
                resource(None, None),
                resource(empty(), None),
                resource(None, empty()),
                resource(Some("t".into()), Some("n".into())),
            ],
            record: Some("{\"recipientAccountId\":\"444455556666\"}".into()),
            ..LookupEvent::default()
        },
        7,
    );
    check(&parts);
    assert_eq!(Event::new(&parts).username(), Some(""));
    parts.read_only = Some(false);
    parts.error_code = empty();
    parts.user_agent = empty();
    parts.principal = Some(Principal {
        arn: empty(),
        ..Principal::default()
    });
    check(&parts);
    parts.username = None;
    check(&parts);
    assert_eq!(Event::new(&parts).username(), None);
}
