//! Who may ask what, as pure functions.
//!
//! A policy is a list of rules. The first that names a caller says all that it
//! may; whoever is named by none has no right.

mod access;
mod file;
mod rights;

use std::{collections::BTreeSet, sync::Arc};

pub use access::{Access, Denied};
pub use file::Error;
pub use rights::{FIELDS, Rights};

/// What a caller may be allowed to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `EventService.LookupEvents`
    LookupEvents,
    /// `EventService.ExportEvents`
    ExportEvents,
    /// `EventService.GetEvent`
    GetEvent,
    /// `EventService.SummarizeEvents`
    SummarizeEvents,
    /// `EventService.SubscribeEvents`
    SubscribeEvents,
    /// `EventService.IngestEvents`
    IngestEvents,
    /// `ScopeService.ListScopes`
    ListScopes,
    /// Server reflection.
    Reflection,
    /// `/metrics` of the HTTP port.
    Metrics,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::LookupEvents,
        Self::ExportEvents,
        Self::GetEvent,
        Self::SummarizeEvents,
        Self::SubscribeEvents,
        Self::IngestEvents,
        Self::ListScopes,
        Self::Reflection,
        Self::Metrics,
    ];

    /// Its name in a policy: that of the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LookupEvents => "LookupEvents",
            Self::ExportEvents => "ExportEvents",
            Self::GetEvent => "GetEvent",
            Self::SummarizeEvents => "SummarizeEvents",
            Self::SubscribeEvents => "SubscribeEvents",
            Self::IngestEvents => "IngestEvents",
            Self::ListScopes => "ListScopes",
            Self::Reflection => "Reflection",
            Self::Metrics => "Metrics",
        }
    }

    /// What a gRPC path, `package.Service/Method`, needs the right to; `None`: nobody
    /// has it.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (service, name) = path.split_once('/')?;
        match service {
            "trailgate.v1.EventService" | "trailgate.v1.ScopeService" => {
                let mut all = Self::ALL.into_iter();
                all.find(|method| method.service() == Some(service) && method.name() == name)
            }
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                Some(Self::Reflection)
            }
            _ => None,
        }
    }

    const fn service(self) -> Option<&'static str> {
        match self {
            Self::ListScopes => Some("trailgate.v1.ScopeService"),
            Self::Reflection | Self::Metrics => None,
            _ => Some("trailgate.v1.EventService"),
        }
    }
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Who shows nothing.
    Anonymous,
    Exact(String),
    Prefix(String),
}

impl Pattern {
    fn names(&self, caller: Option<&str>) -> bool {
        match (self, caller) {
            (Self::Anonymous, None) => true,
            (Self::Exact(name), Some(caller)) => name == caller,
            (Self::Prefix(prefix), Some(caller)) => caller.starts_with(prefix),
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    callers: Vec<Pattern>,
    rights: Arc<Rights>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// What a caller may; `None`: nothing. A caller without a name is one that showed
    /// nothing to be known by.
    #[must_use]
    pub fn rights(&self, caller: Option<&str>) -> Option<Arc<Rights>> {
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.callers.iter().any(|pattern| pattern.names(caller)))?;
        Some(Arc::clone(&rule.rights))
    }
}

/// Names that are allowed; `None`: all.
type Allowed = Option<BTreeSet<Arc<str>>>;

#[cfg(test)]
mod tests;
