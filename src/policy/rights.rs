//! What a caller may.

use std::{collections::BTreeSet, sync::Arc};

use super::{Allowed, Method};
use crate::{
    event::{AttributeKey, Event, Redaction, Scope},
    filter::{EventFilter, Match, Sight},
};

/// What of a record the fields of an event tell beside it: who may not see records
/// may ask by these, and by the attributes of `LookupEvents`.
pub const FIELDS: [&str; 21] = [
    "awsRegion",
    "errorCode",
    "errorMessage",
    "eventCategory",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventType",
    "readOnly",
    "recipientAccountId",
    "sharedEventID",
    "sourceIPAddress",
    "userAgent",
    "userIdentity.accessKeyId",
    "userIdentity.accountId",
    "userIdentity.arn",
    "userIdentity.invokedBy",
    "userIdentity.principalId",
    "userIdentity.type",
    "userIdentity.userName",
];

/// The attributes that `LookupEvents` has (its API reference, `LookupAttribute`).
const ATTRIBUTES: [&str; 8] = [
    "AccessKeyId",
    "EventId",
    "EventName",
    "EventSource",
    "ReadOnly",
    "ResourceName",
    "ResourceType",
    "Username",
];

/// What a caller may ask, and of which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub(super) methods: BTreeSet<Method>,
    pub(super) accounts: Allowed,
    pub(super) regions: Allowed,
    pub(super) event_sources: Option<Vec<String>>,
    pub(super) sees_record: bool,
    pub(super) redaction: Redaction,
    pub(super) share: Share,
}

/// What of the server a caller may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The turns that it has while others have one, 1 to [`Share::MAX_WEIGHT`].
    pub weight: u8,
    /// The requests that it may buy a UTC day; 0: any number; `None`: as many as
    /// everybody.
    pub daily_requests: Option<u64>,
    /// The subscriptions that it may have at once; `None`: as many as everybody.
    pub subscriptions: Option<usize>,
    /// The exports that it may have at once; `None`: as many as everybody.
    pub exports: Option<usize>,
    /// The calls that it may begin in a second; 0: any number; `None`: as many as
    /// everybody.
    pub calls_per_second: Option<u32>,
}

impl Share {
    /// The most turns: more would keep the others from theirs for half a minute, at
    /// two requests a second.
    pub const MAX_WEIGHT: u8 = 64;
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            daily_requests: None,
            subscriptions: None,
            exports: None,
            calls_per_second: None,
        }
    }
}

impl Rights {
    /// Every right.
    #[must_use]
    pub fn all() -> Self {
        Self {
            methods: Method::ALL.into(),
            accounts: None,
            regions: None,
            event_sources: None,
            sees_record: true,
            redaction: Redaction::default(),
            share: Share::default(),
        }
    }

    /// Whether it may see and call the same as with others, on the same terms: what
    /// has begun by others must begin anew. What bounds how much is begun counts for
    /// what begins.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let Self {
            methods,
            accounts,
            regions,
            event_sources,
            sees_record,
            redaction,
            share,
        } = self;
        *methods == other.methods
            && *accounts == other.accounts
            && *regions == other.regions
            && *event_sources == other.event_sources
            && *sees_record == other.sees_record
            && *redaction == other.redaction
            && share.weight == other.share.weight
            && share.daily_requests == other.share.daily_requests
    }

    /// What of the server it may use.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// What is taken out of the events that it sees.
    #[must_use]
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Whether it may call this.
    #[must_use]
    pub fn has(&self, method: Method) -> bool {
        self.methods.contains(&method)
            // a report is a query that anybody who may ask any could write
            || method == Method::RunReport && self.methods.contains(&Method::Sql)
    }

    /// Whether it may see all of those events that it sees.
    #[must_use]
    pub fn sees_whole_events(&self) -> bool {
        self.sees_record && self.redaction.is_empty()
    }

    /// Whether it may see all of every event.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.sees_all_scopes() && self.event_sources.is_none() && self.sees_whole_events()
    }

    /// Whether it may see events of every scope, those too that are heard of later.
    #[must_use]
    pub fn sees_all_scopes(&self) -> bool {
        self.accounts.is_none() && self.regions.is_none()
    }

    /// Whether it may see events of a scope.
    #[must_use]
    pub fn sees(&self, scope: &Scope) -> bool {
        let is_in = |allowed: &Allowed, name: &str| {
            allowed.as_ref().is_none_or(|names| names.contains(name))
        };
        is_in(&self.accounts, &scope.account) && is_in(&self.regions, &scope.region)
    }

    /// The accounts whose events it may see; `None`: all.
    #[must_use]
    pub fn accounts(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.accounts.as_ref()
    }

    /// The Regions whose events it may see; `None`: all.
    #[must_use]
    pub fn regions(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.regions.as_ref()
    }

    /// Whether it may see records.
    #[must_use]
    pub fn sees_record(&self) -> bool {
        self.sees_record
    }

    /// Whether it may ask by a field, count its values or be told them.
    #[must_use]
    pub fn sees_field(&self, field: &str) -> bool {
        let path = field.strip_prefix("record.").unwrap_or(field);
        let is_beside = ATTRIBUTES.contains(&field) || FIELDS.contains(&path);
        (self.sees_record || is_beside) && !self.is_redacted(field)
    }

    /// Whether a field tells of what is taken out.
    fn is_redacted(&self, field: &str) -> bool {
        if self.redaction.is_empty() {
            return false;
        }
        let concerns = |path: &[&str]| self.redaction.concerns(path);
        match Sight::of(field) {
            Ok(Sight::Path(path)) => self.redaction.concerns(&path),
            Ok(Sight::Attribute(key)) => match key {
                AttributeKey::AccessKeyId => concerns(&["userIdentity", "accessKeyId"]),
                AttributeKey::EventId => concerns(&["eventID"]),
                AttributeKey::EventName => concerns(&["eventName"]),
                AttributeKey::EventSource => concerns(&["eventSource"]),
                AttributeKey::ReadOnly => concerns(&["readOnly"]),
                AttributeKey::ResourceName | AttributeKey::ResourceType => {
                    self.redaction.concerns_resources()
                }
                AttributeKey::Username => self.redaction.concerns_username(),
            },
            // it is refused as no field
            Err(_) => false,
        }
    }

    /// Whether there may be events in the scopes that it sees that it does not see.
    #[must_use]
    pub fn hides_events(&self) -> bool {
        self.event_sources.is_some()
    }

    /// Whether it may see an event of a scope that it sees.
    #[must_use]
    pub fn sees_event(&self, event: &Event) -> bool {
        let sources = self.event_sources.as_ref();
        sources.is_none_or(|sources| sources.iter().any(|source| source == event.source()))
    }

    /// Has filters let through only what it may see; whether that changes them.
    pub fn restrict(&self, filters: &mut Vec<EventFilter>) -> bool {
        let Some(sources) = &self.event_sources else {
            return false;
        };
        let only = Match {
            field: "eventSource".to_owned(),
            values: sources.clone(),
            ..Match::default()
        };
        if filters.is_empty() {
            filters.push(EventFilter::default());
        }
        for filter in filters {
            filter.matches.push(only.clone());
        }
        true
    }
}
