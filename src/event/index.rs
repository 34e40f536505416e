//! The index of a record before it is encoded: borrowed from wherever its
//! texts stand.

use std::borrow::Cow;

use super::{
    Origin, Parts, Principal, Resource, Scope,
    wire::{self, event as field, identity, resource},
};

/// A text that may be absent.
pub(super) type Text<'a> = Option<Cow<'a, str>>;

/// As [`Parts`], borrowed.
pub(super) struct Index<'a> {
    pub(super) record: &'a str,
    /// Where it is not the event's own account and Region.
    pub(super) scope: Option<&'a Scope>,
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) source: Cow<'a, str>,
    pub(super) time: i64,
    pub(super) region: Cow<'a, str>,
    pub(super) account_id: Cow<'a, str>,
    pub(super) username: Text<'a>,
    pub(super) access_key_id: Text<'a>,
    pub(super) read_only: Option<bool>,
    /// Types and names.
    pub(super) resources: Vec<(Text<'a>, Text<'a>)>,
    pub(super) category: Text<'a>,
    pub(super) event_type: Text<'a>,
    pub(super) error_code: Text<'a>,
    pub(super) error_message: Text<'a>,
    pub(super) source_ip_address: Text<'a>,
    pub(super) user_agent: Text<'a>,
    pub(super) principal: Option<Who<'a>>,
    pub(super) shared_event_id: Text<'a>,
    pub(super) origin: Origin,
    pub(super) addendum: bool,
    pub(super) malformed: bool,
    pub(super) lossy: bool,
    pub(super) time_inferred: bool,
    /// Some of it was taken out.
    pub(super) redacted: bool,
    pub(super) unusual_fields: Vec<Cow<'a, str>>,
}

/// As [`Principal`], borrowed.
pub(super) struct Who<'a> {
    pub(super) kind: Text<'a>,
    pub(super) principal_id: Text<'a>,
    pub(super) arn: Text<'a>,
    pub(super) account_id: Text<'a>,
    pub(super) user_name: Text<'a>,
    pub(super) role_name: Text<'a>,
    pub(super) session_name: Text<'a>,
    pub(super) invoked_by: Text<'a>,
}

/// Values of `trailgate.v1.Origin`.
pub(super) const LOOKUP_EVENTS: u64 = 1;
pub(super) const LOG_FILE: u64 = 2;
pub(super) const EVENT_BRIDGE: u64 = 3;

impl Index<'_> {
    /// Writes everything but the user agent and the record.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        // what identity, order and filters ask for most
        wire::put_text(out, field::ID, &self.id);
        wire::put_text(out, field::NAME, &self.name);
        wire::put_text(out, field::SOURCE, &self.source);
        if let Some(flag) = self.read_only {
            wire::put_number(out, field::READ_ONLY, flag.into());
        }
        wire::put_text(out, field::ACCOUNT_ID, &self.account_id);
        wire::put_text(out, field::REGION, &self.region);
        // and what the feed asks of each
        wire::put_time(out, field::TIME, self.time);
        let origin = match self.origin {
            Origin::LookupEvents => LOOKUP_EVENTS,
            Origin::LogFile => LOG_FILE,
            Origin::EventBridge => EVENT_BRIDGE,
        };
        wire::put_number(out, field::ORIGIN, origin);
        wire::put_given(out, field::CATEGORY, self.category.as_deref());
        wire::put_given(out, field::USERNAME, self.username.as_deref());
        wire::put_given(out, field::ACCESS_KEY_ID, self.access_key_id.as_deref());
        for (kind, name) in &self.resources {
            let texts = [
                (resource::KIND, kind.as_deref()),
                (resource::NAME, name.as_deref()),
            ];
            wire::put_texts(out, field::RESOURCES, &texts);
        }
        for (number, text) in [
            (field::EVENT_TYPE, &self.event_type),
            (field::ERROR_CODE, &self.error_code),
            (field::SOURCE_IP_ADDRESS, &self.source_ip_address),
            (field::ERROR_MESSAGE, &self.error_message),
            (field::SHARED_EVENT_ID, &self.shared_event_id),
        ] {
            wire::put_given(out, number, text.as_deref());
        }
        wire::put_flag(out, field::MALFORMED, self.malformed);
        wire::put_flag(out, field::LOSSY, self.lossy);
        wire::put_flag(out, field::TIME_INFERRED, self.time_inferred);
        wire::put_flag(out, field::REDACTED, self.redacted);
        if let Some(who) = &self.principal {
            let texts = [
                (identity::KIND, who.kind.as_deref()),
                (identity::PRINCIPAL_ID, who.principal_id.as_deref()),
                (identity::ARN, who.arn.as_deref()),
                (identity::ACCOUNT_ID, who.account_id.as_deref()),
                (identity::USER_NAME, who.user_name.as_deref()),
                (identity::ROLE_NAME, who.role_name.as_deref()),
                (identity::SESSION_NAME, who.session_name.as_deref()),
                (identity::INVOKED_BY, who.invoked_by.as_deref()),
            ];
            wire::put_texts(out, field::IDENTITY, &texts);
        }
    }
}

/// A text that others hold.
pub(super) fn lent(text: Option<&String>) -> Text<'_> {
    text.map(|text| text.as_str().into())
}

/// Resources that others hold.
pub(super) fn lent_resources(resources: &[Resource]) -> Vec<(Text<'_>, Text<'_>)> {
    let each = resources.iter();
    each.map(|one| (lent(one.kind.as_ref()), lent(one.name.as_ref())))
        .collect()
}

impl<'a> From<&'a Parts> for Index<'a> {
    fn from(parts: &'a Parts) -> Self {
        let is_own = parts.scope.account == parts.account_id && parts.scope.region == parts.region;
        let text = |text: &'a Option<String>| lent(text.as_ref());
        Self {
            record: &parts.record,
            scope: (!is_own).then_some(&parts.scope),
            id: parts.id.as_str().into(),
            name: parts.name.as_str().into(),
            source: parts.source.as_str().into(),
            time: parts.time,
            region: (&*parts.region).into(),
            account_id: (&*parts.account_id).into(),
            username: text(&parts.username),
            access_key_id: text(&parts.access_key_id),
            read_only: parts.read_only,
            resources: lent_resources(&parts.resources),
            category: text(&parts.category),
            event_type: text(&parts.event_type),
            error_code: text(&parts.error_code),
            error_message: text(&parts.error_message),
            source_ip_address: text(&parts.source_ip_address),
            user_agent: text(&parts.user_agent),
            principal: parts.principal.as_ref().map(Who::from),
            shared_event_id: text(&parts.shared_event_id),
            origin: parts.origin,
            addendum: parts.addendum,
            malformed: parts.malformed,
            lossy: parts.lossy,
            time_inferred: parts.time_inferred,
            redacted: false,
            unusual_fields: parts.unusual_fields.iter().map(|n| (&**n).into()).collect(),
        }
    }
}

impl<'a> From<&'a Principal> for Who<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self {
            kind: lent(principal.kind.as_ref()),
            principal_id: lent(principal.principal_id.as_ref()),
            arn: lent(principal.arn.as_ref()),
            account_id: lent(principal.account_id.as_ref()),
            user_name: lent(principal.user_name.as_ref()),
            role_name: lent(principal.role_name.as_ref()),
            session_name: lent(principal.session_name.as_ref()),
            invoked_by: lent(principal.invoked_by.as_ref()),
        }
    }
}
