//! What of an event a row shows.

use jiff::Timestamp;

use crate::{
    proto::v1::{Event, Resource},
    when::rfc3339,
};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Time,
    Event,
    User,
    Source,
    Resources,
    Error,
    Address,
    Account,
    Region,
    ReadOnly,
    AccessKey,
    Agent,
    Category,
    Message,
    Arn,
    Id,
}

impl Column {
    pub(super) const ALL: [Self; 16] = [
        Self::Time,
        Self::Event,
        Self::User,
        Self::Source,
        Self::Resources,
        Self::Error,
        Self::Address,
        Self::Account,
        Self::Region,
        Self::ReadOnly,
        Self::AccessKey,
        Self::Agent,
        Self::Category,
        Self::Message,
        Self::Arn,
        Self::Id,
    ];

    /// Those that are shown where none are chosen.
    pub(super) const USUAL: [Self; 8] = [
        Self::Time,
        Self::Event,
        Self::User,
        Self::Source,
        Self::Resources,
        Self::Error,
        Self::Address,
        Self::Region,
    ];

    /// Its name in URLs and files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Event => "event",
            Self::User => "user",
            Self::Source => "source",
            Self::Resources => "resources",
            Self::Error => "error",
            Self::Address => "address",
            Self::Account => "account",
            Self::Region => "region",
            Self::ReadOnly => "read_only",
            Self::AccessKey => "access_key",
            Self::Agent => "agent",
            Self::Category => "category",
            Self::Message => "message",
            Self::Arn => "arn",
            Self::Id => "id",
        }
    }

    /// Its head.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Time => "Time (UTC)",
            Self::Event => "Event",
            Self::User => "User",
            Self::Source => "Source",
            Self::Resources => "Resources",
            Self::Error => "Error",
            Self::Address => "Address",
            Self::Account => "Account",
            Self::Region => "Region",
            Self::ReadOnly => "Read-only",
            Self::AccessKey => "Access key",
            Self::Agent => "User agent",
            Self::Category => "Category",
            Self::Message => "Error message",
            Self::Arn => "ARN",
            Self::Id => "Event ID",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// The field that an event's cell is filtered by when it is clicked.
    pub(super) fn field(self, event: &Event) -> Option<&'static str> {
        match self {
            // what is shown there is something else then
            Self::User if event.username.is_empty() => None,
            Self::Event => Some("EventName"),
            Self::User => Some("Username"),
            Self::Source => Some("EventSource"),
            Self::Error => Some("errorCode"),
            Self::Address => Some("sourceIPAddress"),
            Self::AccessKey => Some("AccessKeyId"),
            Self::Arn => Some("userIdentity.arn"),
            _ => None,
        }
    }

    /// As a file has it: times say that they are in UTC.
    pub(super) fn value(self, event: &Event) -> String {
        match (self, &event.event_time) {
            (Self::Time, Some(time)) => rfc3339(time.seconds),
            _ => self.text(event),
        }
    }

    pub(super) fn text(self, event: &Event) -> String {
        match self {
            Self::Time => event.event_time.as_ref().map_or_else(String::new, time),
            Self::Event => event.event_name.clone(),
            Self::User => user(event),
            Self::Source => event.event_source.clone(),
            Self::Resources => resources(&event.resources),
            Self::Error => event.error_code.clone(),
            Self::Address => event.source_ip_address.clone(),
            Self::Account => event.account_id.clone(),
            Self::Region => event.region.clone(),
            Self::ReadOnly => event.read_only.map_or("", yes).to_owned(),
            Self::AccessKey => event.access_key_id.clone(),
            Self::Agent => event.user_agent.clone(),
            Self::Category => event.event_category.clone(),
            Self::Message => event.error_message.clone(),
            Self::Arn => event
                .identity
                .as_ref()
                .map_or_else(String::new, |it| it.arn.clone()),
            Self::Id => event.event_id.clone(),
        }
    }
}

/// The user as `LookupEvents` names it, else what else says who called.
fn user(event: &Event) -> String {
    let identity = event.identity.as_ref();
    let others = identity.into_iter().flat_map(|identity| {
        [
            &identity.user_name,
            &identity.invoked_by,
            &identity.arn,
            &identity.r#type,
        ]
    });
    let mut all = std::iter::once(&event.username).chain(others);
    let said = all.find(|name| !name.is_empty());
    said.cloned().unwrap_or_default()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// A time as people read it.
pub(super) fn time(time: &prost_types::Timestamp) -> String {
    let at = Timestamp::from_second(time.seconds);
    at.map_or_else(
        |_| time.seconds.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// The first resource, and how many more there are.
fn resources(resources: &[Resource]) -> String {
    let named = |one: &Resource| match one.name.is_empty() {
        true => one.r#type.clone(),
        false => one.name.clone(),
    };
    match resources {
        [] => String::new(),
        [one] => named(one),
        [one, others @ ..] => format!("{} and {} more", named(one), others.len()),
    }
}
