//! Records, events, their identity, scopes and time: the words everything else
//! is said in.
//!
//! A *record* is the JSON that AWS wrote, kept character for character. An
//! *event* is a record with an index of its most used fields beside it; the
//! index never replaces the record, and a record that does not parse is an
//! event all the same.

mod fields;
mod identity;
pub mod json;
mod parse;
mod scope;

use std::{cmp::Ordering, sync::Arc};

pub use fields::{RECORD_FIELDS, is_documented_field};
pub use identity::{Identity, is_uuid};
pub use parse::{LookupEvent, Places, parse_time};
pub use scope::{Attribute, AttributeKey, Category, NoAttributeKey, Scope, TimeRange};

/// The most unusual field names that one event tells: real records have a few.
pub const MAX_UNUSUAL_FIELDS: usize = 32;

/// The longest name of an unusual field that is told, in bytes.
pub const MAX_UNUSUAL_FIELD_LEN: usize = 128;

/// Where an event came from. Only what `LookupEvents` returned can answer
/// `Username`, `ResourceName` and `ResourceType`: AWS derives them, and log
/// files lack them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The `LookupEvents` API.
    LookupEvents,
    /// A log file that a trail delivered to S3.
    LogFile,
    /// An EventBridge event.
    EventBridge,
}

/// Something that an event was about. Either part can be null at AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its type, such as `AWS::S3::Bucket`.
    pub kind: Option<String>,
    /// Its name or ARN.
    pub name: Option<String>,
}

/// Who made a call, from the record's `userIdentity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// `IAMUser`, `AssumedRole`, `Root`, `AWSService` and so on.
    pub kind: Option<String>,
    /// The principal's unique id.
    pub principal_id: Option<String>,
    /// The principal's ARN.
    pub arn: Option<String>,
    /// The principal's account.
    pub account_id: Option<String>,
    /// The IAM user's name.
    pub user_name: Option<String>,
    /// The role's name, where a role was assumed.
    pub role_name: Option<String>,
    /// The session's name, where a role was assumed or a user federated.
    pub session_name: Option<String>,
    /// The service that called on someone's behalf.
    pub invoked_by: Option<String>,
}

/// A record with its indexed fields. A field is `None` (or empty, for the
/// strings that every event should have) where the record lacks it or holds
/// something of an unexpected type there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The scope in whose history it stands.
    pub scope: Scope,
    /// `eventID`; may be reused in the wild, may be empty.
    pub id: String,
    /// `eventName`.
    pub name: String,
    /// `eventSource`.
    pub source: String,
    /// `eventTime` in whole seconds since the Unix epoch.
    pub time: i64,
    /// `awsRegion`, else the scope's Region.
    pub region: Arc<str>,
    /// `recipientAccountId`, else `userIdentity.accountId`, else the scope's
    /// account.
    pub account_id: Arc<str>,
    /// `Username` as the API derived it; else `userIdentity.userName`.
    pub username: Option<String>,
    /// The access key that signed the call.
    pub access_key_id: Option<String>,
    /// Whether the call only read.
    pub read_only: Option<bool>,
    /// What it was about: as the API derived it, else the record's own.
    pub resources: Vec<Resource>,
    /// `eventCategory`.
    pub category: Option<String>,
    /// `eventType`.
    pub event_type: Option<String>,
    /// `errorCode`.
    pub error_code: Option<String>,
    /// `errorMessage`.
    pub error_message: Option<String>,
    /// `sourceIPAddress`: an address or a service's name.
    pub source_ip_address: Option<String>,
    /// `userAgent`.
    pub user_agent: Option<String>,
    /// `userIdentity`, if there is one.
    pub principal: Option<Principal>,
    /// `sharedEventID`.
    pub shared_event_id: Option<String>,
    /// The record, character for character.
    pub record: Box<str>,
    /// The first 16 bytes of the record's SHA-256.
    pub hash: [u8; 16],
    /// Where it came from.
    pub origin: Origin,
    /// The record is a corrected delivery: it has an `addendum`.
    pub addendum: bool,
    /// The record is not a JSON object; the index holds what came beside it.
    pub malformed: bool,
    /// The record was not UTF-8 and has replacement characters.
    pub lossy: bool,
    /// No readable time was given; `time` is where it was found.
    pub time_inferred: bool,
    /// Names of the record's top-level fields that no documentation knows;
    /// a filter may name them. At most [`MAX_UNUSUAL_FIELDS`].
    pub unusual_fields: Vec<Box<str>>,
}

impl Event {
    /// What tells this event from every other one of its scope.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::of(&self.id, &self.hash)
    }

    /// Where it stands in the one total order: (`event_time`, `account_id`,
    /// `region`, `event_id`, hash of the record), ascending.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            time: self.time,
            account_id: self.account_id.clone(),
            region: self.region.clone(),
            id: self.id.as_str().into(),
            hash: self.hash,
        }
    }

    /// Compares by [`Event::position`] without making positions.
    #[must_use]
    pub fn cmp_position(&self, other: &Self) -> Ordering {
        self.as_parts().cmp(&other.as_parts())
    }

    /// Compares with a position.
    #[must_use]
    pub fn cmp_to(&self, position: &Position) -> Ordering {
        self.as_parts().cmp(&position.as_parts())
    }

    fn as_parts(&self) -> (i64, &str, &str, &str, &[u8; 16]) {
        (
            self.time,
            &self.account_id,
            &self.region,
            &self.id,
            &self.hash,
        )
    }

    /// Bytes that it takes in memory, near enough for a cache's limit.
    #[must_use]
    pub fn weight(&self) -> usize {
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        let principal = self.principal.as_ref().map_or(0, |p| {
            [
                &p.kind,
                &p.principal_id,
                &p.arn,
                &p.account_id,
                &p.user_name,
                &p.role_name,
            ]
            .into_iter()
            .chain([&p.session_name, &p.invoked_by])
            .map(text)
            .sum()
        });
        let indexed: usize = [
            &self.username,
            &self.access_key_id,
            &self.category,
            &self.event_type,
            &self.error_code,
            &self.error_message,
            &self.source_ip_address,
            &self.user_agent,
            &self.shared_event_id,
        ]
        .into_iter()
        .map(text)
        .sum();
        let resources: usize = self
            .resources
            .iter()
            .map(|r| text(&r.kind) + text(&r.name) + size_of::<Resource>())
            .sum();
        size_of::<Self>()
            + self.record.len()
            + self.id.len()
            + self.name.len()
            + self.source.len()
            + self.region.len()
            + self.account_id.len()
            + principal
            + indexed
            + resources
            + self
                .unusual_fields
                .iter()
                .map(|name| name.len() + size_of::<Box<str>>())
                .sum::<usize>()
    }
}

/// A place in the total order of events. See [`Event::position`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Whole seconds since the Unix epoch.
    pub time: i64,
    /// The event's account.
    pub account_id: Arc<str>,
    /// The event's Region.
    pub region: Arc<str>,
    /// The event's id.
    pub id: Arc<str>,
    /// The hash of the event's record.
    pub hash: [u8; 16],
}

impl Position {
    /// The place before every event of `second` and after every event of the
    /// second before.
    #[must_use]
    pub fn start_of(second: i64) -> Self {
        let none: Arc<str> = "".into();
        Self {
            time: second,
            account_id: none.clone(),
            region: none.clone(),
            id: none,
            hash: [0; 16],
        }
    }

    /// The end (exclusive) of the seconds that have a place before this one.
    #[must_use]
    pub fn seconds_before(&self) -> i64 {
        let is_start = *self == Self::start_of(self.time);
        self.time.saturating_add(i64::from(!is_start))
    }

    fn as_parts(&self) -> (i64, &str, &str, &str, &[u8; 16]) {
        (
            self.time,
            &self.account_id,
            &self.region,
            &self.id,
            &self.hash,
        )
    }
}
