//! Records, events, their identity, scopes and time: the words everything else
//! is said in.
//!
//! A *record* is the JSON that AWS wrote, kept character for character. An
//! *event* is a record with an index of its most used fields beside it; the
//! index never replaces the record, and a record that does not parse is an
//! event all the same.

pub mod columns;
mod day;
mod encoded;
mod fields;
mod identity;
mod index;
pub mod json;
mod parse;
mod parts;
mod position;
mod redact;
mod scan;
mod scope;
mod stored;
mod wire;

pub use day::{day_number, numbered_day};
pub use encoded::Event;
pub use fields::{RECORD_FIELDS, is_documented_field};
pub use identity::{Identity, is_uuid};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use parse::oracle;
pub use parse::{LookupEvent, Places, parse_time};
pub use parts::Parts;
pub use position::Position;
pub use redact::Redaction;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use redact::oracle as redaction_oracle;
pub use scope::{Attribute, AttributeKey, Category, NoAttributeKey, Scope, TimeRange, is_account};
pub use stored::{Beside, Stored};

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
