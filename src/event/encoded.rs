//! Events as they are held: encoded once, and read where they lie.

use std::{cmp::Ordering, fmt};

use super::{
    Identity, Origin, Parts, Position, Principal, Resource, Scope,
    index::{EVENT_BRIDGE, Index, LOG_FILE},
    wire::{self, Fields, Value, event as field, identity, resource},
};

/// A user agent that is shorter is kept in both places.
const SHORTEST_SHARED: usize = 16;

/// Where no part of the record stands for the user agent.
const NOT_SHARED: u32 = u32::MAX;

/// A record with its indexed fields, held as the bytes of its
/// `trailgate.v1.Event`: what a page is made of. Fields are found by walking
/// them, which takes some ten nanoseconds; the hot ones come first.
#[derive(Clone)]
pub struct Event {
    /// `eventTime` in whole seconds since the Unix epoch.
    pub time: i64,
    /// The index, then the record: the message without its record is what
    /// stands before.
    bytes: Box<[u8]>,
    /// What most events do not have.
    odd: Option<Box<Odd>>,
    /// Where the record's text starts.
    record_at: u32,
    /// Where the user agent starts in the record, by far the longest field of
    /// the index: its bytes are held once. [`NOT_SHARED`]: they are in the
    /// index.
    agent_at: u32,
}

/// What most events do not have.
#[derive(Clone, PartialEq, Eq)]
struct Odd {
    /// Where it is not the event's own account and Region.
    scope: Option<Scope>,
    addendum: bool,
    malformed: bool,
    lossy: bool,
    time_inferred: bool,
    unusual_fields: Vec<Box<str>>,
}

impl Event {
    /// An event of these parts.
    #[must_use]
    pub fn new(parts: &Parts) -> Self {
        Self::of(&Index::from(parts))
    }

    /// The event of an index.
    pub(super) fn of(parts: &Index<'_>) -> Self {
        let agent = parts.user_agent.as_deref();
        let agent_at = agent
            .filter(|agent| agent.len() >= SHORTEST_SHARED)
            .and_then(|agent| place_in(parts.record, agent))
            .and_then(|at| u32::try_from(at).ok())
            .unwrap_or(NOT_SHARED);
        let mut index = Vec::with_capacity(1024);
        if agent_at != NOT_SHARED {
            // stands first, so that both ends of the hole are known at once
            wire::put_head(&mut index, field::USER_AGENT, agent.map_or(0, str::len));
        }
        parts.put(&mut index);
        if agent_at == NOT_SHARED {
            wire::put_given(&mut index, field::USER_AGENT, agent);
        }
        if !parts.record.is_empty() {
            wire::put_head(&mut index, field::RECORD, parts.record.len());
        }
        // AWS's events have at most 256 KB; four gigabytes could not be told
        let record_at = u32::try_from(index.len()).unwrap_or(u32::MAX);
        // as large as it is, not a byte more
        let bytes = [index.as_slice(), parts.record.as_bytes()].concat();
        Self {
            time: parts.time,
            bytes: bytes.into(),
            odd: Odd::of(parts).map(Box::new),
            record_at,
            agent_at,
        }
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Parts {
            scope: self.scope(),
            id: self.id().to_owned(),
            name: self.name().to_owned(),
            source: self.source().to_owned(),
            time: self.time,
            region: self.region().into(),
            account_id: self.account_id().into(),
            username: owned(self.username()),
            access_key_id: owned(self.access_key_id()),
            read_only: self.read_only(),
            resources: self
                .resources()
                .map(|(kind, name)| Resource {
                    kind: owned(kind),
                    name: owned(name),
                })
                .collect(),
            category: owned(self.category()),
            event_type: owned(self.event_type()),
            error_code: owned(self.error_code()),
            error_message: owned(self.error_message()),
            source_ip_address: owned(self.source_ip_address()),
            user_agent: owned(self.user_agent()),
            principal: self.principal(),
            shared_event_id: owned(self.shared_event_id()),
            record: self.record().to_owned(),
            hash: self.hash(),
            origin: self.origin(),
            addendum: self.is_addendum(),
            malformed: self.is_malformed(),
            lossy: self.is_lossy(),
            time_inferred: self.is_time_inferred(),
            unusual_fields: self.unusual_fields().to_vec(),
        }
    }

    /// The scope in whose history it stands.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let given = self.odd.as_ref().and_then(|odd| odd.scope.clone());
        given.unwrap_or_else(|| Scope::new(self.account_id(), self.region()))
    }

    /// Whether it stands in the history of this scope.
    #[must_use]
    pub fn is_of(&self, scope: &Scope) -> bool {
        match self.odd.as_ref().and_then(|odd| odd.scope.as_ref()) {
            Some(given) => given == scope,
            None => {
                let (mut account, mut region): (&[u8], &[u8]) = (&[], &[]);
                for (number, value) in Fields(self.index()) {
                    match value {
                        Value::Bytes(bytes) if number == field::ACCOUNT_ID => account = bytes,
                        Value::Bytes(bytes) if number == field::REGION => region = bytes,
                        // both stand before it, if they are there
                        _ if number == field::TIME => break,
                        _ => {}
                    }
                }
                scope.account.as_bytes() == account && scope.region.as_bytes() == region
            }
        }
    }

    /// `eventID`; may be reused in the wild, may be empty.
    #[must_use]
    pub fn id(&self) -> &str {
        self.find(field::ID).unwrap_or_default()
    }

    /// `eventName`; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        self.find(field::NAME).unwrap_or_default()
    }

    /// `eventSource`; may be empty.
    #[must_use]
    pub fn source(&self) -> &str {
        self.find(field::SOURCE).unwrap_or_default()
    }

    /// `awsRegion`, else the scope's Region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.find(field::REGION).unwrap_or_default()
    }

    /// `recipientAccountId`, else `userIdentity.accountId`, else the scope's
    /// account.
    #[must_use]
    pub fn account_id(&self) -> &str {
        self.find(field::ACCOUNT_ID).unwrap_or_default()
    }

    /// `Username` as the API derived it; else `userIdentity.userName`.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.find(field::USERNAME)
    }

    /// The access key that signed the call.
    #[must_use]
    pub fn access_key_id(&self) -> Option<&str> {
        self.find(field::ACCESS_KEY_ID)
    }

    /// Whether the call only read.
    #[must_use]
    pub fn read_only(&self) -> Option<bool> {
        wire::find_number(self.index(), field::READ_ONLY).map(|flag| flag != 0)
    }

    /// What it was about, type and name: as the API derived it, else the
    /// record's own.
    pub fn resources(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
        Fields(self.index()).filter_map(|(number, value)| match value {
            Value::Bytes(message) if number == field::RESOURCES => Some((
                wire::find(message, resource::KIND),
                wire::find(message, resource::NAME),
            )),
            _ => None,
        })
    }

    /// `eventCategory`.
    #[must_use]
    pub fn category(&self) -> Option<&str> {
        self.find(field::CATEGORY)
    }

    /// `eventType`.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.find(field::EVENT_TYPE)
    }

    /// `errorCode`.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.find(field::ERROR_CODE)
    }

    /// `errorMessage`.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        self.find(field::ERROR_MESSAGE)
    }

    /// `sourceIPAddress`: an address or a service's name.
    #[must_use]
    pub fn source_ip_address(&self) -> Option<&str> {
        self.find(field::SOURCE_IP_ADDRESS)
    }

    /// `userAgent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        if self.agent_at == NOT_SHARED {
            return self.find(field::USER_AGENT);
        }
        Some(wire::text(self.layout().agent))
    }

    /// `userIdentity`, if there is one.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        let message = self.find_bytes(field::IDENTITY)?;
        let get = |number| wire::find(message, number).map(str::to_owned);
        Some(Principal {
            kind: get(identity::KIND),
            principal_id: get(identity::PRINCIPAL_ID),
            arn: get(identity::ARN),
            account_id: get(identity::ACCOUNT_ID),
            user_name: get(identity::USER_NAME),
            role_name: get(identity::ROLE_NAME),
            session_name: get(identity::SESSION_NAME),
            invoked_by: get(identity::INVOKED_BY),
        })
    }

    /// `sharedEventID`.
    #[must_use]
    pub fn shared_event_id(&self) -> Option<&str> {
        self.find(field::SHARED_EVENT_ID)
    }

    /// The record, character for character.
    #[must_use]
    pub fn record(&self) -> &str {
        wire::text(self.record_bytes())
    }

    /// The first 16 bytes of the record's SHA-256. Computed when it is asked for,
    /// which is seldom: by ids that are no UUIDs, and by corrections.
    #[must_use]
    pub fn hash(&self) -> [u8; 16] {
        super::identity::hash(self.record())
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match wire::find_number(self.index(), field::ORIGIN) {
            Some(LOG_FILE) => Origin::LogFile,
            Some(EVENT_BRIDGE) => Origin::EventBridge,
            _ => Origin::LookupEvents,
        }
    }

    /// The record is a corrected delivery: it has an `addendum`.
    #[must_use]
    pub fn is_addendum(&self) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.addendum)
    }

    /// The record is not a JSON object; the index holds what came beside it.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.malformed)
    }

    /// The record was not UTF-8 and has replacement characters.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.lossy)
    }

    /// No readable time was given; `time` is where it was found.
    #[must_use]
    pub fn is_time_inferred(&self) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.time_inferred)
    }

    /// Names of the record's top-level fields that no documentation knows;
    /// a filter may name them. At most [`super::MAX_UNUSUAL_FIELDS`].
    #[must_use]
    pub fn unusual_fields(&self) -> &[Box<str>] {
        self.odd
            .as_ref()
            .map(|odd| odd.unusual_fields.as_slice())
            .unwrap_or_default()
    }

    /// What tells this event from every other one of its scope.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::of_uuid(self.id()).unwrap_or_else(|| Identity::Record(self.hash()))
    }

    /// Where it stands in the one total order: (`event_time`, `account_id`,
    /// `region`, `event_id`, hash of the record), ascending.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            time: self.time,
            account_id: self.account_id().into(),
            region: self.region().into(),
            id: self.id().into(),
            hash: self.hash(),
        }
    }

    /// Compares by [`Event::position`] without making positions.
    #[must_use]
    pub fn cmp_position(&self, other: &Self) -> Ordering {
        // most events are told apart by their time
        self.time
            .cmp(&other.time)
            .then_with(|| self.as_parts().cmp(&other.as_parts()))
            .then_with(|| match self.record() == other.record() {
                true => Ordering::Equal,
                false => self.hash().cmp(&other.hash()),
            })
    }

    /// Compares with a position.
    #[must_use]
    pub fn cmp_to(&self, position: &Position) -> Ordering {
        self.time
            .cmp(&position.time)
            .then_with(|| self.as_parts().cmp(&position.as_parts()))
            .then_with(|| self.hash().cmp(&position.hash))
    }

    fn as_parts(&self) -> (&str, &str, &str) {
        (self.account_id(), self.region(), self.id())
    }

    /// The bytes of its `trailgate.v1.Event`, with the record or without, in
    /// four pieces.
    #[must_use]
    pub fn encoding(&self, with_record: bool) -> [&[u8]; 4] {
        let Layout {
            agent_head,
            agent,
            index,
            record,
        } = self.layout();
        [
            agent_head,
            agent,
            index,
            if with_record { record } else { &[] },
        ]
    }

    /// Bytes that it takes in memory: what the allocator sets aside for it
    /// behind an [`std::sync::Arc`].
    #[must_use]
    pub fn weight(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        let odd = self.odd.as_ref().map_or(0, |odd| {
            let names = odd.unusual_fields.iter();
            allocated(size_of::<Odd>())
                + odd.scope.as_ref().map_or(0, |scope| {
                    allocated(COUNTS + scope.account.len()) + allocated(COUNTS + scope.region.len())
                })
                + allocated(odd.unusual_fields.len() * size_of::<Box<str>>())
                + names.map(|name| allocated(name.len())).sum::<usize>()
        });
        allocated(COUNTS + size_of::<Self>()) + allocated(self.bytes.len()) + odd
    }

    fn layout(&self) -> Layout<'_> {
        let text = self.record_bytes();
        let record_len = match text.len() {
            0 => 0,
            // two bytes of tag, then the length
            len => 2 + wire::varint_len(u64::try_from(len).unwrap_or(u64::MAX)) + len,
        };
        let index_len = self.bytes.len().saturating_sub(record_len);
        let split = self.bytes.split_at_checked(index_len);
        let (index, record) = split.unwrap_or_default();
        let shared = (self.agent_at != NOT_SHARED)
            .then(|| {
                let (agent_head, len, index) = wire::split_head(index)?;
                let at = usize::try_from(self.agent_at).ok()?;
                let agent = text.get(at..at.checked_add(len)?)?;
                Some((agent_head, agent, index))
            })
            .flatten();
        let (agent_head, agent, index) = shared.unwrap_or((&[], &[], index));
        Layout {
            agent_head,
            agent,
            index,
            record,
        }
    }

    fn index(&self) -> &[u8] {
        self.layout().index
    }

    fn record_bytes(&self) -> &[u8] {
        let at = usize::try_from(self.record_at).unwrap_or(usize::MAX);
        self.bytes.get(at..).unwrap_or_default()
    }

    fn find(&self, number: u32) -> Option<&str> {
        wire::find(self.index(), number)
    }

    fn find_bytes(&self, wanted: u32) -> Option<&[u8]> {
        Fields(self.index()).find_map(|(number, value)| match value {
            Value::Bytes(bytes) if number == wanted => Some(bytes),
            _ => None,
        })
    }
}

/// Where `part` stands in `text`: at once, if it was read there.
fn place_in(text: &str, part: &str) -> Option<usize> {
    let at = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let stands_there = |at: usize| text.get(at..)?.starts_with(part).then_some(at);
    stands_there(at).or_else(|| text.find(part))
}

/// Where what lies in an event's bytes. The message is the four in a row.
struct Layout<'a> {
    /// Tag and length of a user agent that stands in the record; else empty.
    agent_head: &'a [u8],
    agent: &'a [u8],
    /// All other fields but the record.
    index: &'a [u8],
    /// The record with its tag and length.
    record: &'a [u8],
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

/// What is said counts, not at which of its places in the record the user
/// agent was found.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.time == other.time
            && self.odd == other.odd
            && self.encoding(true) == other.encoding(true)
    }
}

impl Eq for Event {}

/// What an allocation of so many bytes takes: malloc of the GNU C library
/// keeps eight bytes before each, and rounds up to sixteen.
pub(crate) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let rounded = (bytes + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}

impl Odd {
    fn of(parts: &Index<'_>) -> Option<Self> {
        let is_odd = parts.scope.is_some()
            || parts.addendum
            || parts.malformed
            || parts.lossy
            || parts.time_inferred
            || !parts.unusual_fields.is_empty();
        is_odd.then(|| Self {
            scope: parts.scope.cloned(),
            addendum: parts.addendum,
            malformed: parts.malformed,
            lossy: parts.lossy,
            time_inferred: parts.time_inferred,
            unusual_fields: parts.unusual_fields.iter().map(|n| (&**n).into()).collect(),
        })
    }
}
