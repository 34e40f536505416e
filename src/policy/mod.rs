//! Who may ask what, as pure functions.
//!
//! A policy is a list of rules. The first that names a caller says all that it
//! may; whoever is named by none has no right.

mod access;
mod file;
mod rights;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use access::{Access, Denied};
pub use file::Error;
pub use rights::{FIELDS, Rights, Share};

use crate::bearer::Bearer;

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
    /// `ReportService`: its reports, listed and run. Who may ask SQL may do so as well.
    RunReport,
    /// SQL over the archive: every method of Flight SQL.
    Sql,
    /// Server reflection.
    Reflection,
    /// `/metrics` of the HTTP port.
    Metrics,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LookupEvents,
        Self::ExportEvents,
        Self::GetEvent,
        Self::SummarizeEvents,
        Self::SubscribeEvents,
        Self::IngestEvents,
        Self::ListScopes,
        Self::RunReport,
        Self::Sql,
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
            Self::RunReport => "RunReport",
            Self::Sql => "Sql",
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
            // what there is to run tells nobody anything
            "trailgate.v1.ReportService" if matches!(name, "ListReports" | "RunReport") => {
                Some(Self::RunReport)
            }
            "arrow.flight.protocol.FlightService" => Some(Self::Sql),
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                Some(Self::Reflection)
            }
            _ => None,
        }
    }

    const fn service(self) -> Option<&'static str> {
        match self {
            Self::ListScopes => Some("trailgate.v1.ScopeService"),
            Self::RunReport => Some("trailgate.v1.ReportService"),
            Self::Sql | Self::Reflection | Self::Metrics => None,
            _ => Some("trailgate.v1.EventService"),
        }
    }
}

/// Who calls, and how that is known. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// It showed nothing.
    Anonymous,
    /// Whom a client certificate is for.
    Certificate(Arc<str>),
    /// Whom a token is about.
    Token(Bearer),
    /// Whom a trusted proxy says it is.
    User(Arc<str>),
    /// Whose key pair signed, at the AWS endpoint.
    Key(Arc<str>),
}

/// A name, or how names begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

impl Pattern {
    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

/// How callers can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// By a client certificate.
    pub by_certificate: bool,
    /// By a token.
    pub by_token: bool,
    /// By the key pair that signs.
    pub by_key: bool,
    /// By the word of a proxy.
    pub by_proxy: bool,
}

/// Whom a rule is for, and what they may.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    is_for_anonymous: bool,
    /// Names in certificates.
    callers: Vec<Pattern>,
    /// Names of key pairs.
    keys: Vec<Pattern>,
    /// Subjects of tokens.
    subjects: Vec<Pattern>,
    /// Names that a trusted proxy says.
    users: Vec<Pattern>,
    /// Claims that a token has, each with one of these values. Beside subjects it
    /// has to have both.
    claims: BTreeMap<String, BTreeSet<String>>,
    rights: Arc<Rights>,
}

impl Rule {
    /// Why it is for nobody, and what would do.
    fn is_for_nobody(&self, known: Known) -> Option<&'static str> {
        let is_for_tokens = !self.subjects.is_empty() || !self.claims.is_empty();
        let kinds = [
            (
                !self.callers.is_empty(),
                known.by_certificate,
                "is for callers, who are known by certificates, and none is asked for; name \
                 --tls-client-ca",
            ),
            (
                is_for_tokens,
                known.by_token,
                "is for tokens, and none is taken; name --jwt-issuer",
            ),
            (
                !self.keys.is_empty(),
                known.by_key,
                "is for key pairs, and none is known; name --aws-keys",
            ),
            (
                !self.users.is_empty(),
                known.by_proxy,
                "is for users of a proxy, and none is believed; name --console-proxy",
            ),
        ];
        let mut named = kinds.into_iter().filter(|(is_named, ..)| *is_named);
        if self.is_for_anonymous || named.clone().any(|(_, is_known, _)| is_known) {
            return None;
        }
        named.next().map(|(.., why)| why)
    }

    fn is_for(&self, who: &Who) -> bool {
        match who {
            Who::Anonymous => self.is_for_anonymous,
            Who::Certificate(name) => self.callers.iter().any(|pattern| pattern.fits(name)),
            Who::User(name) => self.users.iter().any(|pattern| pattern.fits(name)),
            Who::Key(name) => self.keys.iter().any(|pattern| pattern.fits(name)),
            Who::Token(bearer) => {
                let mut subjects = self.subjects.iter();
                let is_subject = subjects.any(|pattern| pattern.fits(bearer.subject()));
                let has_claim = |(name, values): (&String, &BTreeSet<String>)| {
                    bearer
                        .claim(name)
                        .iter()
                        .any(|value| values.contains(value))
                };
                let is_named = !self.subjects.is_empty() || !self.claims.is_empty();
                is_named
                    && (self.subjects.is_empty() || is_subject)
                    && self.claims.iter().all(has_claim)
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// Rules that are for nobody who can be known: each in words.
    #[must_use]
    pub fn doubts(&self, known: Known) -> Vec<String> {
        let rules = self.rules.iter().enumerate();
        let doubts = rules.filter_map(|(place, rule)| {
            let why = rule.is_for_nobody(known)?;
            Some(format!("rules[{place}] {why}, or leave the rule out"))
        });
        doubts.collect()
    }

    /// What a caller may; `None`: nothing.
    #[must_use]
    pub fn rights(&self, who: &Who) -> Option<Arc<Rights>> {
        let rule = self.rules.iter().find(|rule| rule.is_for(who))?;
        Some(Arc::clone(&rule.rights))
    }
}

/// Names that are allowed; `None`: all.
type Allowed = Option<BTreeSet<Arc<str>>>;

#[cfg(test)]
mod tests;
