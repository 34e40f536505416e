//! From what AWS sent to an [`Event`]. Nothing in here fails: what cannot be
//! read is left unset and flagged.

mod fields;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;

use self::fields::Fields;
pub(super) use self::fields::nested;
use super::{
    Event, Origin, Parts, Resource, Scope,
    index::{Index, lent, lent_resources},
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
        let mut fields = Fields::default();
        fields.read(record);
        Self {
            account_id: fields.account_id().map(Cow::into_owned),
            region: fields.region().map(Cow::into_owned),
        }
    }
}

impl Event {
    /// An event from a `LookupEvents` answer of `scope`. Where neither AWS nor
    /// the record gives a time, it is placed at `fallback_time`.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "an answer is read once")]
    pub fn from_lookup(scope: &Scope, api: LookupEvent, fallback_time: i64) -> Self {
        let record = api.record.as_deref().unwrap_or_default();
        let mut index = index(scope, record, Origin::LookupEvents, fallback_time);
        let is_own = *scope.account == *index.account_id && *scope.region == *index.region;
        index.scope = (!is_own).then_some(scope);
        let set = |field: &mut Cow<'_, str>, given: &Option<String>| {
            if let Some(given) = given {
                *field = given.clone().into();
            }
        };
        set(&mut index.id, &api.event_id);
        set(&mut index.name, &api.event_name);
        set(&mut index.source, &api.event_source);
        if let Some(time) = api.event_time {
            index.time = time;
            index.time_inferred = false;
        }
        if api.access_key_id.is_some() {
            index.access_key_id = lent(api.access_key_id.as_ref());
        }
        if let Some(read_only) = api.read_only.as_deref().and_then(|text| text.parse().ok()) {
            index.read_only = Some(read_only);
        }
        // what the API derives is the API's to say: an absent Username is absent
        index.username = lent(api.username.as_ref());
        index.resources = lent_resources(&api.resources);
        Self::of(&index)
    }

    /// An event from a bare record, as log files and EventBridge hold it. Its
    /// scope is what the record says, `scope` where it says nothing; where it
    /// gives no time, it is placed at `fallback_time`.
    #[must_use]
    pub fn from_record(scope: &Scope, record: &[u8], origin: Origin, fallback_time: i64) -> Self {
        // many times as fast as the other, which is right for both
        let text =
            str::from_utf8(record).map_or_else(|_| String::from_utf8_lossy(record), Cow::Borrowed);
        let mut index = index(scope, &text, origin, fallback_time);
        index.lossy = matches!(text, Cow::Owned(_));
        Self::of(&index)
    }
}

impl Parts {
    /// As [`Event::from_lookup`].
    #[must_use]
    pub fn from_lookup(scope: &Scope, api: LookupEvent, fallback_time: i64) -> Self {
        Event::from_lookup(scope, api, fallback_time).parts()
    }

    /// As [`Event::from_record`].
    #[must_use]
    pub fn from_record(scope: &Scope, record: &[u8], origin: Origin, fallback_time: i64) -> Self {
        Event::from_record(scope, record, origin, fallback_time).parts()
    }
}

/// What a record says of itself, and `scope` where it says nothing.
pub(super) fn index<'a>(
    scope: &'a Scope,
    record: &'a str,
    origin: Origin,
    fallback_time: i64,
) -> Index<'a> {
    let mut fields = Fields::default();
    let malformed = !fields.read(record);
    let time = fields.time().as_deref().and_then(parse_time);
    Index {
        record,
        scope: None,
        id: fields.id().unwrap_or_default(),
        name: fields.name().unwrap_or_default(),
        source: fields.source().unwrap_or_default(),
        time: time.unwrap_or(fallback_time),
        region: fields.region().unwrap_or((&*scope.region).into()),
        account_id: fields.account_id().unwrap_or((&*scope.account).into()),
        username: fields.user_name(),
        access_key_id: fields.access_key_id(),
        read_only: fields.read_only().and_then(|text| text.parse().ok()),
        resources: fields.resources(),
        category: fields.category(),
        event_type: fields.event_type(),
        error_code: fields.error_code(),
        error_message: fields.error_message(),
        source_ip_address: fields.source_ip_address(),
        user_agent: fields.user_agent(),
        principal: fields.principal(),
        shared_event_id: fields.shared_event_id(),
        origin,
        addendum: fields.has_addendum(),
        malformed,
        lossy: false,
        time_inferred: time.is_none(),
        redacted: false,
        unusual_fields: fields.unusual(),
    }
}

/// Whole seconds since the Unix epoch of a time as records write it
/// (`2023-07-10T11:42:36Z`), rounded down.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    // as_second truncates toward zero
    Some(time.as_second() - i64::from(time.subsec_nanosecond() < 0))
}
