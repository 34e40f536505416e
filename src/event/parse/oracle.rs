//! Indexing as it is defined: every object as a map, every text a copy. Slow,
//! and the oracle of what is fast.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;

use super::{super::identity::hash, LookupEvent, Places, parse_time};
use crate::event::{
    Event, MAX_UNUSUAL_FIELD_LEN, MAX_UNUSUAL_FIELDS, Origin, Parts, Principal, Resource, Scope,
    fields::is_documented_field,
    json::{Key, array, scalar},
};

/// The members of an object, unread.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn object(text: &str) -> Option<Fields<'_>> {
    let members: BTreeMap<Key, &RawValue> = serde_json::from_str(text).ok()?;
    let members = members.into_iter().map(|(key, value)| (key.0, value));
    Some(members.collect())
}

pub(super) fn places(record: &str) -> Places {
    object(record)
        .map(|fields| places_of(&fields))
        .unwrap_or_default()
}

fn places_of(fields: &Fields<'_>) -> Places {
    let user = nested(fields, "userIdentity").unwrap_or_default();
    Places {
        account_id: text(fields, "recipientAccountId").or_else(|| text(&user, "accountId")),
        region: text(fields, "awsRegion"),
    }
}

pub(crate) fn from_lookup(scope: &Scope, api: LookupEvent, fallback_time: i64) -> Parts {
    let record = api.record.unwrap_or_default();
    let mut event = index(scope, record, Origin::LookupEvents, fallback_time);
    let set = |field: &mut String, given: Option<String>| {
        if let Some(given) = given {
            *field = given;
        }
    };
    set(&mut event.id, api.event_id);
    set(&mut event.name, api.event_name);
    set(&mut event.source, api.event_source);
    if let Some(time) = api.event_time {
        event.time = time;
        event.time_inferred = false;
    }
    if api.access_key_id.is_some() {
        event.access_key_id = api.access_key_id;
    }
    if let Some(read_only) = api.read_only.as_deref().and_then(|text| text.parse().ok()) {
        event.read_only = Some(read_only);
    }
    // what the API derives is the API's to say: an absent Username is absent
    event.username = api.username;
    event.resources = api.resources;
    event
}

pub(super) fn from_record(
    scope: &Scope,
    record: &[u8],
    origin: Origin,
    fallback_time: i64,
) -> Parts {
    let text = String::from_utf8_lossy(record);
    let lossy = matches!(text, Cow::Owned(_));
    let mut event = index(scope, text.into_owned(), origin, fallback_time);
    event.lossy = lossy;
    event.scope = Scope {
        account: event.account_id.clone(),
        region: event.region.clone(),
    };
    event
}

fn index(scope: &Scope, record: String, origin: Origin, fallback_time: i64) -> Parts {
    let parsed = object(&record);
    let malformed = parsed.is_none();
    let fields = parsed.unwrap_or_default();
    let get = |key| text(&fields, key);
    let places = places_of(&fields);
    let user = nested(&fields, "userIdentity");
    let of_user = |key| user.as_ref().and_then(|user| text(user, key));
    let time = get("eventTime").as_deref().and_then(parse_time);
    let event = Parts {
        scope: scope.clone(),
        id: get("eventID").unwrap_or_default(),
        name: get("eventName").unwrap_or_default(),
        source: get("eventSource").unwrap_or_default(),
        time: time.unwrap_or(fallback_time),
        region: shared(places.region, &scope.region),
        account_id: shared(places.account_id, &scope.account),
        username: of_user("userName"),
        access_key_id: of_user("accessKeyId"),
        read_only: get("readOnly").and_then(|text| text.parse().ok()),
        resources: resources(&fields),
        category: get("eventCategory"),
        event_type: get("eventType"),
        error_code: get("errorCode"),
        error_message: get("errorMessage"),
        source_ip_address: get("sourceIPAddress"),
        user_agent: get("userAgent"),
        principal: user.as_ref().map(principal),
        shared_event_id: get("sharedEventID"),
        hash: hash(&record),
        record: String::new(),
        origin,
        addendum: nested(&fields, "addendum").is_some(),
        malformed,
        lossy: false,
        time_inferred: time.is_none(),
        unusual_fields: unusual(&fields),
    };
    Parts { record, ..event }
}

fn unusual(fields: &Fields<'_>) -> Vec<Box<str>> {
    fields
        .keys()
        .filter(|name| !is_documented_field(name) && name.len() <= MAX_UNUSUAL_FIELD_LEN)
        .take(MAX_UNUSUAL_FIELDS)
        .map(|name| name.as_str().into())
        .collect()
}

/// A scalar as text: types vary in the wild (`readOnly` as a string, accounts
/// as numbers). Null, arrays and objects are no text.
fn text(fields: &Fields<'_>, key: &str) -> Option<String> {
    scalar(fields.get(key)?.get()).map(Cow::into_owned)
}

/// The object that stands under a key.
fn nested<'a>(fields: &Fields<'a>, key: &str) -> Option<Fields<'a>> {
    object(fields.get(key)?.get())
}

fn shared(given: Option<String>, fallback: &Arc<str>) -> Arc<str> {
    match given {
        // most events share their scope's strings
        Some(given) if *given != **fallback => given.into(),
        _ => fallback.clone(),
    }
}

fn resources(fields: &Fields<'_>) -> Vec<Resource> {
    let list = fields.get("resources").and_then(|list| array(list.get()));
    list.unwrap_or_default()
        .into_iter()
        .filter_map(|resource| object(resource.get()))
        .map(|resource| Resource {
            kind: text(&resource, "type"),
            name: text(&resource, "ARN").or_else(|| text(&resource, "ARNPrefix")),
        })
        .filter(|resource| resource.kind.is_some() || resource.name.is_some())
        .collect()
}

fn principal(user: &Fields<'_>) -> Principal {
    let get = |key| text(user, key);
    let issuer = nested(user, "sessionContext").and_then(|it| nested(&it, "sessionIssuer"));
    let issued_by_role =
        |issuer: &Fields<'_>| text(issuer, "type").is_none_or(|kind| kind == "Role");
    let kind = get("type");
    let arn = get("arn");
    let has_session = matches!(kind.as_deref(), Some("AssumedRole" | "FederatedUser"));
    let session_name = has_session.then(|| {
        let after = |text: &Option<String>, mark| {
            text.as_deref()
                .and_then(|text| text.rsplit_once(mark))
                .map(|(_, name)| name.to_owned())
        };
        after(&arn, '/').or_else(|| after(&get("principalId"), ':'))
    });
    Principal {
        kind,
        principal_id: get("principalId"),
        arn,
        account_id: get("accountId"),
        user_name: get("userName"),
        role_name: issuer
            .filter(issued_by_role)
            .and_then(|issuer| text(&issuer, "userName")),
        session_name: session_name.flatten(),
        invoked_by: get("invokedBy"),
    }
}

/// What is read in one pass is what is read with a map for every object.
pub(crate) fn check(record: &[u8]) {
    let scope = Scope::new("111122223333", "eu-west-1");
    for origin in [Origin::LogFile, Origin::EventBridge] {
        let parts = from_record(&scope, record, origin, 77);
        let event = Event::from_record(&scope, record, origin, 77);
        assert_eq!(event.parts(), parts, "{}", parts.record);
        assert_eq!(event, Event::new(&parts), "{}", parts.record);
    }
    let record = String::from_utf8_lossy(record).into_owned();
    let answers = [
        LookupEvent::default(),
        LookupEvent {
            event_id: Some("id".into()),
            event_name: Some("name".into()),
            event_source: Some(String::new()),
            event_time: Some(5),
            read_only: Some("true".into()),
            access_key_id: Some("key".into()),
            username: Some(String::new()),
            resources: vec![Resource::default()],
            record: None,
        },
    ];
    for mut api in answers {
        api.record = Some(record.clone());
        let parts = from_lookup(&scope, api.clone(), 77);
        let event = Event::from_lookup(&scope, api, 77);
        assert_eq!(event.parts(), parts, "{record}");
        assert_eq!(event, Event::new(&parts), "{record}");
        assert_eq!(Places::of(&record), places(&record), "{record}");
    }
}
