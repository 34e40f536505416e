//! From what AWS sent to an [`Event`]. Nothing in here fails: what cannot be
//! read is left unset and flagged.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{
    Event, MAX_UNUSUAL_FIELD_LEN, MAX_UNUSUAL_FIELDS, Origin, Parts, Principal, Resource, Scope,
    fields::is_documented_field,
    json::{array, object, scalar},
};

/// The `Event` object of a `LookupEvents` answer, as AWS gives it. Every part
/// can be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupEvent {
    /// `EventId`.
    pub event_id: Option<String>,
    /// `EventName`.
    pub event_name: Option<String>,
    /// `EventSource`.
    pub event_source: Option<String>,
    /// `EventTime` in whole seconds since the Unix epoch.
    pub event_time: Option<i64>,
    /// `ReadOnly`, a string at AWS: `true` or `false`.
    pub read_only: Option<String>,
    /// `AccessKeyId`.
    pub access_key_id: Option<String>,
    /// `Username`.
    pub username: Option<String>,
    /// `Resources`.
    pub resources: Vec<Resource>,
    /// `CloudTrailEvent`: the record.
    pub record: Option<String>,
}

/// The account and the Region that a record says it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `recipientAccountId`, else `userIdentity.accountId`.
    pub account_id: Option<String>,
    /// `awsRegion`.
    pub region: Option<String>,
}

impl Places {
    /// Reads them from a record; both are `None` if it is not a JSON object.
    #[must_use]
    pub fn of(record: &str) -> Self {
        object(record)
            .map(|fields| Self::of_fields(&fields))
            .unwrap_or_default()
    }

    fn of_fields(fields: &Fields<'_>) -> Self {
        let user = nested(fields, "userIdentity").unwrap_or_default();
        Self {
            account_id: text(fields, "recipientAccountId").or_else(|| text(&user, "accountId")),
            region: text(fields, "awsRegion"),
        }
    }
}

/// The members of an object, unread.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Event {
    /// An event from a `LookupEvents` answer of `scope`. Where neither AWS nor
    /// the record gives a time, it is placed at `fallback_time`.
    #[must_use]
    pub fn from_lookup(scope: &Scope, api: LookupEvent, fallback_time: i64) -> Self {
        Self::new(&Parts::from_lookup(scope, api, fallback_time))
    }

    /// An event from a bare record, as log files and EventBridge hold it. Its
    /// scope is what the record says, `scope` where it says nothing; where it
    /// gives no time, it is placed at `fallback_time`.
    #[must_use]
    pub fn from_record(scope: &Scope, record: &[u8], origin: Origin, fallback_time: i64) -> Self {
        Self::new(&Parts::from_record(scope, record, origin, fallback_time))
    }
}

impl Parts {
    /// As [`Event::from_lookup`].
    #[must_use]
    pub fn from_lookup(scope: &Scope, api: LookupEvent, fallback_time: i64) -> Self {
        let record = api.record.unwrap_or_default();
        let mut event = Self::index(scope, record, Origin::LookupEvents, fallback_time);
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

    /// As [`Event::from_record`].
    #[must_use]
    pub fn from_record(scope: &Scope, record: &[u8], origin: Origin, fallback_time: i64) -> Self {
        let text = String::from_utf8_lossy(record);
        let lossy = matches!(text, Cow::Owned(_));
        let mut event = Self::index(scope, text.into_owned(), origin, fallback_time);
        event.lossy = lossy;
        event.scope = Scope {
            account: event.account_id.clone(),
            region: event.region.clone(),
        };
        event
    }

    fn index(scope: &Scope, record: String, origin: Origin, fallback_time: i64) -> Self {
        let parsed = object(&record);
        let malformed = parsed.is_none();
        let fields = parsed.unwrap_or_default();
        let get = |key| text(&fields, key);
        let places = Places::of_fields(&fields);
        let user = nested(&fields, "userIdentity");
        let of_user = |key| user.as_ref().and_then(|user| text(user, key));
        let time = get("eventTime").as_deref().and_then(parse_time);
        let event = Self {
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
        Self { record, ..event }
    }
}

fn unusual(fields: &Fields<'_>) -> Vec<Box<str>> {
    fields
        .keys()
        .filter(|name| !is_documented_field(name) && name.len() <= MAX_UNUSUAL_FIELD_LEN)
        .take(MAX_UNUSUAL_FIELDS)
        .map(|name| name.as_str().into())
        .collect()
}

/// Whole seconds since the Unix epoch of a time as records write it
/// (`2023-07-10T11:42:36Z`), rounded down.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    // as_second truncates toward zero
    Some(time.as_second() - i64::from(time.subsec_nanosecond() < 0))
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

fn hash(record: &str) -> [u8; 16] {
    // SHA-256 has 32 bytes
    Sha256::digest(record.as_bytes())
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::new("111122223333", "eu-west-1")
    }

    const RECORD: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:build-42","arn":"arn:aws:sts::444455556666:assumed-role/Deploy/build-42","accountId":"444455556666","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Deploy"}},"invokedBy":"cloudformation.amazonaws.com"},"eventTime":"2024-05-06T07:08:09Z","eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.7","userAgent":"aws-cli/2","errorCode":"AccessDenied","errorMessage":"no","eventID":"0a1b2c3d-0000-4000-8000-00000000000f","readOnly":false,"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"},{"type":null},null],"eventType":"AwsApiCall","recipientAccountId":"111122223333","sharedEventID":"s","eventCategory":"Management"}"#;

    #[test]
    fn a_record_and_its_lookup_event_give_the_same_event() {
        let bare = Parts::from_record(&scope(), RECORD.as_bytes(), Origin::LogFile, 0);
        let api = LookupEvent {
            event_id: Some("0a1b2c3d-0000-4000-8000-00000000000f".into()),
            event_name: Some("PutBucketPolicy".into()),
            event_source: Some("s3.amazonaws.com".into()),
            event_time: Some(1_714_979_289),
            read_only: Some("false".into()),
            access_key_id: Some("ASIAEXAMPLE".into()),
            username: Some("build-42".into()),
            resources: vec![Resource {
                kind: None,
                name: Some("b".into()),
            }],
            record: Some(RECORD.into()),
        };
        let looked_up = Parts::from_lookup(&scope(), api, 0);
        assert_eq!(looked_up.username.as_deref(), Some("build-42"));
        assert_eq!(bare.username, None, "only the API derives it");
        assert_eq!(bare.resources.len(), 1);
        assert_eq!(&*bare.record, RECORD);
        let same = Parts {
            username: None,
            resources: bare.resources.clone(),
            origin: Origin::LogFile,
            ..looked_up
        };
        assert_eq!(bare, same);
        let who = bare.principal.unwrap();
        assert_eq!(who.role_name.as_deref(), Some("Deploy"));
        assert_eq!(who.session_name.as_deref(), Some("build-42"));
        assert_eq!(who.user_name, None);
    }

    #[test]
    fn a_record_that_does_not_parse_is_an_event_all_the_same() {
        for (record, lossy) in [
            (&b"{\"eventID\":"[..], false),
            (b"", false),
            (b"[1]", false),
            (b"{\"a\":\"\xff\"}", true),
        ] {
            let event = Parts::from_record(&scope(), record, Origin::LogFile, 77);
            assert_eq!(event.malformed, !lossy);
            assert_eq!(event.lossy, lossy);
            assert_eq!((event.time, event.time_inferred), (77, true));
            assert_eq!(event.scope, scope());
        }
        let api = LookupEvent {
            event_id: Some("x".into()),
            event_time: Some(5),
            record: Some("not json".into()),
            ..LookupEvent::default()
        };
        let event = Parts::from_lookup(&scope(), api, 77);
        assert!(event.malformed);
        assert_eq!(
            (event.id.as_str(), event.time, event.time_inferred),
            ("x", 5, false)
        );
    }

    #[test]
    fn odd_types_are_read_where_they_have_one_meaning_and_left_unset_elsewhere() {
        let record = br#"{"userIdentity":{"accountId":123456789012,"invokedBy":null},"eventTime":null,"readOnly":"true","sourceIPAddress":{"ipaddress":"192.0.2.1"},"resources":null,"eventName":["a"]}"#;
        let event = Parts::from_record(&scope(), record, Origin::LogFile, 1);
        assert_eq!(&*event.account_id, "123456789012");
        assert_eq!(event.read_only, Some(true));
        assert_eq!(event.source_ip_address, None);
        assert_eq!(event.name, "");
        assert!(event.time_inferred && !event.malformed);
        let event = Parts::from_record(&scope(), br#"{"userIdentity":"none"}"#, Origin::LogFile, 1);
        assert_eq!(event.principal, None);
    }

    #[test]
    fn no_key_that_a_caller_can_choose_makes_a_record_unreadable() {
        for key in [
            "$serde_json::private::Number",
            "$serde_json::private::RawValue",
        ] {
            for value in ["\"x\"", "\"{\\\"arn\\\":\\\"arn:good\\\"}\"", "{}"] {
                let odd = format!("{{\"{key}\":{value}}}");
                let record = format!(
                    "{{\"eventName\":\"DeleteTrail\",\"userIdentity\":{{\"arn\":\"arn:evil\",\"x\":{odd}}},\"requestParameters\":{{\"labels\":{odd}}},\"tlsDetails\":{odd}}}"
                );
                let event = Parts::from_record(&scope(), record.as_bytes(), Origin::LogFile, 0);
                assert!(!event.malformed, "{record}");
                assert_eq!(event.name, "DeleteTrail");
                assert_eq!(event.principal.unwrap().arn.as_deref(), Some("arn:evil"));
            }
        }
    }

    #[test]
    fn times_round_down() {
        assert_eq!(parse_time("1970-01-01T00:00:01.9Z"), Some(1));
        assert_eq!(parse_time("1969-12-31T23:59:59.5Z"), Some(-1));
        assert_eq!(parse_time("red"), None);
    }
}
