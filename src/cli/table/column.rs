//! What a table and CSV can show, a column each.

use clap::ValueEnum;

use super::{printable, who};
use crate::{
    cli::{
        time::rfc3339,
        view::{shown, time_width},
    },
    proto::v1::Event,
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Column {
    /// When it happened
    Time,
    /// The API action
    Event,
    /// The service
    Source,
    /// The user, or role and session
    Who,
    /// Account and Region
    Scope,
    /// Where the call came from
    Address,
    /// The error's code, or its message where it has no code
    Error,
    /// The first resource, and how many more there are
    Resource,
    /// The event's id
    Id,
    /// The access key that signed
    Key,
    /// What made the call
    Agent,
    /// The account
    Account,
    /// The Region
    Region,
    /// The error's message
    Message,
    /// Whether the call only read
    ReadOnly,
    /// The caller's ARN
    Arn,
    /// The record, as AWS gave it
    Record,
}

impl Column {
    /// The columns of a table where none are chosen.
    pub(super) const USUAL: [Self; 8] = [
        Self::Time,
        Self::Event,
        Self::Source,
        Self::Who,
        Self::Scope,
        Self::Address,
        Self::Error,
        Self::Resource,
    ];

    /// Those that a narrow table goes without, the first of them first.
    pub(super) const DISPENSABLE: [Self; 5] = [
        Self::Scope,
        Self::Source,
        Self::Resource,
        Self::Address,
        Self::Error,
    ];

    /// The columns of CSV where none are chosen: all that are a field each, and
    /// not the record, which holds them once more.
    pub(super) const FIELDS: [Self; 15] = [
        Self::Time,
        Self::Event,
        Self::Source,
        Self::Who,
        Self::Account,
        Self::Region,
        Self::Address,
        Self::Error,
        Self::Message,
        Self::ReadOnly,
        Self::Resource,
        Self::Id,
        Self::Key,
        Self::Agent,
        Self::Arn,
    ];

    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Time => "TIME",
            Self::Event => "EVENT",
            Self::Source => "SOURCE",
            Self::Who => "WHO",
            Self::Scope => "SCOPE",
            Self::Address => "ADDRESS",
            Self::Error => "ERROR",
            Self::Resource => "RESOURCE",
            Self::Id => "ID",
            Self::Key => "KEY",
            Self::Agent => "AGENT",
            Self::Account => "ACCOUNT",
            Self::Region => "REGION",
            Self::Message => "MESSAGE",
            Self::ReadOnly => "READ-ONLY",
            Self::Arn => "ARN",
            Self::Record => "RECORD",
        }
    }

    /// Its name, as it is chosen by and as CSV has it.
    pub(in crate::cli) fn name(self) -> String {
        self.header().to_lowercase()
    }

    /// All names.
    pub(in crate::cli) fn names() -> impl Iterator<Item = String> {
        Self::value_variants().iter().map(|column| column.name())
    }

    /// The narrowest that it is cut to, in characters: what tells most values
    /// apart.
    pub(super) fn narrowest(self) -> usize {
        match self {
            Self::Time => time_width(),
            Self::Key | Self::Arn | Self::Record => 20,
            Self::Event | Self::Agent | Self::Message | Self::Region => 14,
            Self::Source | Self::Error => 10,
            Self::Who | Self::Resource | Self::Account => 12,
            Self::ReadOnly => 9,
            Self::Scope => 22,
            Self::Address => 15,
            Self::Id => 36,
        }
    }

    /// As wide as most values are, in characters: what a column has even if
    /// the first events need less, since later ones may need it.
    pub(super) fn usual(self) -> usize {
        match self {
            Self::Time => time_width(),
            Self::Key => 20,
            Self::Event | Self::Who => 24,
            Self::Source => 22,
            Self::Scope => 27,
            Self::Address => 15,
            Self::Error => 21,
            Self::Resource | Self::Agent | Self::Message => 30,
            Self::Id => 36,
            Self::Account => 12,
            Self::Region => 14,
            Self::ReadOnly => 9,
            Self::Arn | Self::Record => 60,
        }
    }

    /// The widest that it gets, in characters.
    pub(super) fn widest(self) -> usize {
        match self {
            Self::Time => time_width(),
            Self::Key => 20,
            Self::Event | Self::Address => 40,
            Self::Source | Self::Id => 36,
            Self::Who => 44,
            Self::Scope | Self::Error => 32,
            Self::Resource | Self::Agent | Self::Message => 60,
            Self::Account => 12,
            Self::Region => 20,
            Self::ReadOnly => 9,
            // what is chosen to be seen is seen, up to what CloudTrail gives
            Self::Arn => 120,
            Self::Record => 400,
        }
    }

    /// What the event has to show here, on a line.
    pub(super) fn cell(self, event: &Event) -> String {
        let text = match self {
            Self::Resource => resource(event),
            Self::Time => {
                let time = event.event_time.as_ref();
                time.map(|time| shown(time.seconds)).unwrap_or_default()
            }
            // a failed sign-in has a message and no code
            Self::Error if event.error_code.is_empty() => event.error_message.clone(),
            _ => self.value(event),
        };
        printable(&text)
    }

    /// What the event has here, whole and as it is.
    pub(super) fn value(self, event: &Event) -> String {
        match self {
            Self::Time => {
                let time = event.event_time.as_ref();
                time.map(|time| rfc3339(time.seconds)).unwrap_or_default()
            }
            Self::Event => event.event_name.clone(),
            Self::Source => event.event_source.clone(),
            Self::Who => who(event),
            Self::Scope => format!("{}/{}", event.account_id, event.region),
            Self::Address => event.source_ip_address.clone(),
            Self::Error => event.error_code.clone(),
            Self::Resource => {
                let names = event.resources.iter().map(|one| one.name.as_str());
                let names = names.filter(|name| !name.is_empty());
                names.collect::<Vec<_>>().join("; ")
            }
            Self::Id => event.event_id.clone(),
            Self::Key => event.access_key_id.clone(),
            Self::Agent => event.user_agent.clone(),
            Self::Account => event.account_id.clone(),
            Self::Region => event.region.clone(),
            Self::Message => event.error_message.clone(),
            Self::ReadOnly => event
                .read_only
                .map(|flag| flag.to_string())
                .unwrap_or_default(),
            Self::Arn => {
                let identity = event.identity.as_ref();
                identity
                    .map(|identity| identity.arn.clone())
                    .unwrap_or_default()
            }
            Self::Record => event.record.clone(),
        }
    }
}

/// The first resource with a name, and how many more there are.
fn resource(event: &Event) -> String {
    let mut named = event
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .filter(|name| !name.is_empty());
    match (named.next(), named.count()) {
        (None, _) => String::new(),
        (Some(name), 0) => name.to_owned(),
        (Some(name), more) => format!("{name} +{more}"),
    }
}
