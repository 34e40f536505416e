//! What a caller may.

use std::{collections::BTreeSet, sync::Arc};

use super::{Allowed, Method};
use crate::{
    event::{Event, Scope},
    filter::{EventFilter, Match},
};

/// What of a record the fields of an event tell beside it: who may not see records
/// may ask by these, and by the attributes of `LookupEvents`.
pub const FIELDS: [&str; 23] = [
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
    "userIdentity.sessionContext.sessionIssuer.arn",
    "userIdentity.sessionContext.sessionIssuer.userName",
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
        }
    }

    /// Whether it may call this.
    #[must_use]
    pub fn has(&self, method: Method) -> bool {
        self.methods.contains(&method)
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
        self.sees_record || ATTRIBUTES.contains(&field) || FIELDS.contains(&path)
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
