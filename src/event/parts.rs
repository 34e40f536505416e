//! Events taken apart, as they are read and as tests look at them.

use std::sync::Arc;

use super::{Origin, Principal, Resource, Scope};

/// An event taken apart: a record with its indexed fields. A field is `None`
/// (or empty, for the strings that every event should have) where the record
/// lacks it or holds something of an unexpected type there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
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
    pub record: String,
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
