//! What a message on the queue says, whoever wrapped it.
//!
//! CloudTrail, S3 and EventBridge each have their own form, and SNS may stand
//! in between, with its envelope or without. Forms are told apart by the members
//! that they have, never by where the queue is said to be fed from: one queue
//! may be fed by several.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
mod s3;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use crate::event::{
    json::{array, scalar},
    parse_time,
};

/// How often a notification may be wrapped: SNS in SQS, and two forwarders that
/// quote what they pass on.
const MAX_DEPTH: usize = 4;

/// The most bytes of what was seen that an error tells: enough to know the form.
const MAX_SEEN: usize = 160;

/// What CloudTrail sends to a topic that a trail is given.
const VALIDATION: &str = "CloudTrail validation message";

/// An object that was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Its bucket.
    pub bucket: String,
    /// Its key, decoded.
    pub key: String,
    /// The bucket's Region, where the notification tells it.
    pub region: Option<String>,
    /// Its size in bytes, where the notification tells it.
    pub size: Option<u64>,
    /// Its entity tag, without quotes, where the notification tells it.
    pub etag: Option<String>,
    /// Its version, in a bucket that keeps versions.
    pub version: Option<String>,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Objects were created. Not empty.
    Objects(Vec<ObjectRef>),
    /// An event, from EventBridge.
    Event(Delivered<'a>),
    /// Nothing that is to be collected.
    Nothing(Nothing),
}

/// A record as EventBridge delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered<'a> {
    /// The record, character for character as it stood in `detail`.
    pub record: Cow<'a, str>,
    /// The envelope's account.
    pub account: Option<String>,
    /// The envelope's Region.
    pub region: Option<String>,
    /// The envelope's time, in whole seconds since the Unix epoch.
    pub time: Option<i64>,
}

/// Why a message has nothing to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// S3 checked that it may send here.
    TestEvent,
    /// CloudTrail checked that it may send to the topic.
    Validation,
    /// Objects were announced, but none as created: removals, restores.
    NotCreated,
    /// SNS ended a subscription: nothing will come from this topic any more.
    Unsubscribed {
        /// The topic's ARN.
        topic: String,
    },
    /// SNS asks whether the queue shall be subscribed. Nothing comes from this
    /// topic until that is confirmed.
    Unconfirmed {
        /// The topic's ARN.
        topic: String,
        /// Whoever opens it confirms. SNS honours it for two days.
        url: String,
    },
}

/// A message of no known form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is neither JSON nor a text that is known.
    #[error("the message is not JSON: {seen}")]
    NotJson {
        /// Its beginning.
        seen: String,
    },
    /// Its members are those of no notification that is known.
    #[error("the message is no notification that is known: {seen}")]
    Unknown {
        /// Which members it has.
        seen: String,
    },
    /// It is wrapped more often than is looked into.
    #[error("the message is wrapped more than {MAX_DEPTH} times")]
    TooDeep,
    /// It is a known notification, but lacks what it must have.
    #[error("the message is {form}, but has no usable {member}")]
    Incomplete {
        /// Which notification it is.
        form: &'static str,
        /// What it lacks.
        member: &'static str,
    },
}

/// The members of an object, unread.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The members of an object; of those with one name the last counts.
pub(super) fn members(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

/// A member that is a scalar, as text.
pub(super) fn text(members: &Members<'_>, name: &str) -> Option<String> {
    scalar(members.get(name)?.get()).map(Cow::into_owned)
}

/// A member that is an object.
pub(super) fn nested<'a>(parent: &Members<'a>, name: &str) -> Option<Members<'a>> {
    members(parent.get(name)?.get())
}

/// Reads what a message says.
///
/// # Errors
/// The message has no form that is known. Nothing in it is collected, also not
/// what could be read of it.
pub fn open(body: &str) -> Result<Content<'_>, Error> {
    open_at(body, 0)
}

fn open_at(text: &str, depth: usize) -> Result<Content<'_>, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let text = text.trim();
    if text.starts_with(VALIDATION) {
        return Ok(Content::Nothing(Nothing::Validation));
    }
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(text)
    {
        // a forwarder quoted it
        return open_owned(&inner, depth);
    }
    let Some(members) = members(text) else {
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Error::Unknown {
                seen: shorten(text),
            },
            Err(_) => Error::NotJson {
                seen: shorten(text),
            },
        });
    };
    if let Some(nothing) = of_sns(&members) {
        return Ok(Content::Nothing(nothing));
    }
    if members.contains_key("s3ObjectKey") {
        return cloudtrails(&members).map(Content::Objects);
    }
    if let Some(detail) = members.get("detail") {
        return of_event_bridge(&members, detail).unwrap_or_else(|| Err(unknown(&members)));
    }
    if is_record(&members) {
        // a rule that passes on `$.detail` alone
        return Ok(Content::Event(Delivered {
            record: text.into(),
            account: None,
            region: None,
            time: None,
        }));
    }
    if text_of(&members, "Event").is_some_and(|event| event == "s3:TestEvent") {
        return Ok(Content::Nothing(Nothing::TestEvent));
    }
    if let Some(records) = members.get("Records").and_then(|list| array(list.get())) {
        return s3::of_records(&records, depth).unwrap_or_else(|| Err(unknown(&members)));
    }
    if let Some(message) = members.get("Message") {
        return match scalar(message.get()) {
            Some(inner) => open_owned(&inner, depth),
            None => open_at(message.get(), depth + 1),
        };
    }
    Err(unknown(&members))
}

/// Opens what was quoted: nothing of it can be borrowed.
fn open_owned<'a>(inner: &str, depth: usize) -> Result<Content<'a>, Error> {
    Ok(match open_at(inner, depth + 1)? {
        Content::Objects(objects) => Content::Objects(objects),
        Content::Nothing(nothing) => Content::Nothing(nothing),
        Content::Event(event) => Content::Event(Delivered {
            record: Cow::Owned(event.record.into_owned()),
            ..event
        }),
    })
}

fn text_of<'a>(members: &Members<'a>, name: &str) -> Option<Cow<'a, str>> {
    scalar(members.get(name)?.get())
}

/// What SNS has to say itself.
fn of_sns(members: &Members<'_>) -> Option<Nothing> {
    let topic = || text(members, "TopicArn").unwrap_or_default();
    match &*text_of(members, "Type")? {
        "SubscriptionConfirmation" => Some(Nothing::Unconfirmed {
            topic: topic(),
            url: text(members, "SubscribeURL").unwrap_or_default(),
        }),
        "UnsubscribeConfirmation" => Some(Nothing::Unsubscribed { topic: topic() }),
        _ => None,
    }
}

/// CloudTrail's own form. Its keys are not encoded, and were once a plain text.
fn cloudtrails(members: &Members<'_>) -> Result<Vec<ObjectRef>, Error> {
    let lacks = |member| Error::Incomplete {
        form: "CloudTrail's",
        member,
    };
    let given = |text: &String| !text.is_empty();
    let bucket = text(members, "s3Bucket")
        .filter(given)
        .ok_or_else(|| lacks("s3Bucket"))?;
    let keys = members.get("s3ObjectKey").map_or("", |keys| keys.get());
    let keys: Option<Vec<String>> = match array(keys) {
        Some(keys) => keys
            .into_iter()
            .map(|key| scalar(key.get()).map(Cow::into_owned).filter(given))
            .collect(),
        None => scalar(keys).map(|key| vec![key.into_owned()]),
    };
    let keys = keys
        .filter(|keys| !keys.is_empty() && keys.iter().all(given))
        .ok_or_else(|| lacks("s3ObjectKey"))?;
    let of = |key| ObjectRef {
        bucket: bucket.clone(),
        key,
        ..ObjectRef::default()
    };
    Ok(keys.into_iter().map(of).collect())
}

/// `None`: no form that is known.
fn of_event_bridge<'a>(
    members: &Members<'a>,
    detail: &'a RawValue,
) -> Option<Result<Content<'a>, Error>> {
    let kind = text_of(members, "detail-type")?;
    let within = self::members(detail.get())?;
    // "AWS API Call", "AWS Console Sign In", "AWS Service Event", and what is
    // yet to come ("AWS Insight" came later)
    let is_known = matches!(
        &*kind,
        "AWS API Call via CloudTrail"
            | "AWS Console Sign In via CloudTrail"
            | "AWS Service Event via CloudTrail"
    );
    if is_known || (kind.contains("via CloudTrail") && is_record(&within)) {
        return Some(Ok(Content::Event(Delivered {
            record: detail.get().into(),
            account: text(members, "account"),
            region: text(members, "region"),
            time: text_of(members, "time").as_deref().and_then(parse_time),
        })));
    }
    if kind == "Object Created" {
        let object = s3::of_detail(&within, text(members, "region"));
        return Some(object.map(|object| Content::Objects(vec![object])));
    }
    let is_s3 = text_of(members, "source").is_some_and(|source| source == "aws.s3");
    (is_s3 && kind.starts_with("Object ")).then_some(Ok(Content::Nothing(Nothing::NotCreated)))
}

/// Whether these are a record's.
fn is_record(members: &Members<'_>) -> bool {
    ["eventVersion", "eventID"]
        .iter()
        .all(|name| members.contains_key(*name))
}

/// An error that tells the members' names, not what they hold.
fn unknown(members: &Members<'_>) -> Error {
    let names: Vec<&str> = members.keys().map(String::as_str).take(16).collect();
    let kind = text(members, "detail-type").map_or(String::new(), |kind| format!(", {kind}"));
    let seen = format!("members {}{kind}", names.join(", "));
    Error::Unknown {
        seen: shorten(&seen),
    }
}

/// Its beginning, on one line.
pub(super) fn shorten(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars() {
        if short.len() + c.len_utf8() > MAX_SEEN {
            short.push('…');
            break;
        }
        short.push(if c.is_control() { ' ' } else { c });
    }
    short
}
