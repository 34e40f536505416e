//! The members of a record that the index needs, found in one pass and left
//! where they stand. Of members with one name the last counts.

use std::borrow::Cow;

use super::super::{
    MAX_UNUSUAL_FIELD_LEN, MAX_UNUSUAL_FIELDS,
    fields::{RECORD_FIELDS, number, number_of},
    index::{Text, Who},
    scan::{self, Key, Scanner, Value},
};

/// A member's value, where there is one.
type Slot<'a> = Option<Value<'a>>;

/// The top-level members of a record.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Values of the documented ones, by their numbers.
    values: Values<'a>,
    /// `userIdentity`, if it is an object.
    user: Option<User<'a>>,
    /// Names of the others: as many as the record has.
    others: Vec<Cow<'a, str>>,
}

struct Values<'a>([Slot<'a>; RECORD_FIELDS.len()]);

impl Default for Values<'_> {
    fn default() -> Self {
        Self([None; RECORD_FIELDS.len()])
    }
}

/// The members of `userIdentity`.
#[derive(Default)]
struct User<'a> {
    kind: Slot<'a>,
    principal_id: Slot<'a>,
    arn: Slot<'a>,
    account_id: Slot<'a>,
    access_key_id: Slot<'a>,
    user_name: Slot<'a>,
    invoked_by: Slot<'a>,
    /// `sessionContext.sessionIssuer`, if both are objects.
    issuer: Option<Issuer<'a>>,
}

/// The members of `sessionIssuer`.
#[derive(Default)]
struct Issuer<'a> {
    kind: Slot<'a>,
    user_name: Slot<'a>,
}

fn text(slot: Slot<'_>) -> Text<'_> {
    slot?.scalar()
}

impl<'a> Fields<'a> {
    /// Reads them, into where there are none: they are too many to be moved about
    /// for each record. False: the record is not a JSON object, and has none.
    pub(super) fn read(&mut self, record: &'a str) -> bool {
        let read = scan::members(record, &mut |scanner, key| self.member(scanner, key));
        if read.is_none() {
            *self = Self::default();
        }
        read.is_some()
    }

    #[inline(always)]
    fn member(&mut self, scanner: &mut Scanner<'a>, key: Key<'a>) -> Option<()> {
        let Some(number) = number(&key) else {
            if key.len() <= MAX_UNUSUAL_FIELD_LEN {
                self.others.push(key);
            }
            return scanner.value().map(|_| ());
        };
        if number == const { number_of("userIdentity") } {
            self.user = nested(scanner, User::member)?;
            return Some(());
        }
        let value = scanner.value()?;
        if let Some(slot) = self.values.0.get_mut(number) {
            *slot = Some(value);
        }
        Some(())
    }

    fn slot(&self, number: usize) -> Slot<'a> {
        self.values.0.get(number).copied().flatten()
    }

    fn text(&self, number: usize) -> Text<'a> {
        text(self.slot(number))
    }

    fn of_user(&self, slot: impl FnOnce(&User<'a>) -> Slot<'a>) -> Text<'a> {
        text(self.user.as_ref().and_then(slot))
    }

    /// `recipientAccountId`, else `userIdentity.accountId`.
    pub(super) fn account_id(&self) -> Text<'a> {
        self.text(const { number_of("recipientAccountId") })
            .or_else(|| self.of_user(|user| user.account_id))
    }

    pub(super) fn region(&self) -> Text<'a> {
        self.text(const { number_of("awsRegion") })
    }

    pub(super) fn id(&self) -> Text<'a> {
        self.text(const { number_of("eventID") })
    }

    pub(super) fn name(&self) -> Text<'a> {
        self.text(const { number_of("eventName") })
    }

    pub(super) fn source(&self) -> Text<'a> {
        self.text(const { number_of("eventSource") })
    }

    pub(super) fn time(&self) -> Text<'a> {
        self.text(const { number_of("eventTime") })
    }

    pub(super) fn read_only(&self) -> Text<'a> {
        self.text(const { number_of("readOnly") })
    }

    pub(super) fn category(&self) -> Text<'a> {
        self.text(const { number_of("eventCategory") })
    }

    pub(super) fn event_type(&self) -> Text<'a> {
        self.text(const { number_of("eventType") })
    }

    pub(super) fn error_code(&self) -> Text<'a> {
        self.text(const { number_of("errorCode") })
    }

    pub(super) fn error_message(&self) -> Text<'a> {
        self.text(const { number_of("errorMessage") })
    }

    pub(super) fn source_ip_address(&self) -> Text<'a> {
        self.text(const { number_of("sourceIPAddress") })
    }

    pub(super) fn user_agent(&self) -> Text<'a> {
        self.text(const { number_of("userAgent") })
    }

    pub(super) fn shared_event_id(&self) -> Text<'a> {
        self.text(const { number_of("sharedEventID") })
    }

    pub(super) fn user_name(&self) -> Text<'a> {
        self.of_user(|user| user.user_name)
    }

    pub(super) fn access_key_id(&self) -> Text<'a> {
        self.of_user(|user| user.access_key_id)
    }

    /// Whether there is an `addendum` that is an object.
    pub(super) fn has_addendum(&self) -> bool {
        self.slot(const { number_of("addendum") })
            .is_some_and(|value| value.text.starts_with('{'))
    }

    /// Types and names of the record's own resources that have either.
    pub(super) fn resources(&self) -> Vec<(Text<'a>, Text<'a>)> {
        let mut resources = Vec::new();
        let Some(list) = self.slot(const { number_of("resources") }) else {
            return resources;
        };
        scan::elements(list.text, &mut |scanner| {
            let resource = nested(scanner, Resource::member)?.unwrap_or_default();
            let (kind, name) = (text(resource.kind), resource.name());
            if kind.is_some() || name.is_some() {
                resources.push((kind, name));
            }
            Some(())
        });
        resources
    }

    pub(super) fn principal(&self) -> Option<Who<'a>> {
        self.user.as_ref().map(User::who)
    }

    /// The names of the undocumented fields that are told, in order.
    pub(super) fn unusual(&mut self) -> Vec<Cow<'a, str>> {
        let mut names = std::mem::take(&mut self.others);
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_UNUSUAL_FIELDS);
        names
    }
}

/// Reads the object that comes next; passes anything else.
pub(in super::super) fn nested<'a, T: Default>(
    scanner: &mut Scanner<'a>,
    member: fn(&mut T, &mut Scanner<'a>, &str) -> Option<()>,
) -> Option<Option<T>> {
    if !scanner.is_object() {
        return scanner.value().map(|_| None);
    }
    let mut read = T::default();
    scanner.object(true, &mut |scanner, key| member(&mut read, scanner, &key))?;
    Some(Some(read))
}

impl<'a> User<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        if key == "sessionContext" {
            self.issuer = nested(scanner, Session::member)?.and_then(|session| session.issuer);
            return Some(());
        }
        let value = Some(scanner.value()?);
        match key {
            "type" => self.kind = value,
            "principalId" => self.principal_id = value,
            "arn" => self.arn = value,
            "accountId" => self.account_id = value,
            "accessKeyId" => self.access_key_id = value,
            "userName" => self.user_name = value,
            "invokedBy" => self.invoked_by = value,
            _ => {}
        }
        Some(())
    }

    fn who(&self) -> Who<'a> {
        let kind = text(self.kind);
        let arn = text(self.arn);
        let principal_id = text(self.principal_id);
        let has_session = matches!(kind.as_deref(), Some("AssumedRole" | "FederatedUser"));
        let session_name = has_session
            .then(|| after(arn.as_ref(), '/').or_else(|| after(principal_id.as_ref(), ':')));
        Who {
            kind,
            principal_id,
            arn,
            account_id: text(self.account_id),
            user_name: text(self.user_name),
            role_name: self.issuer.as_ref().and_then(Issuer::role_name),
            session_name: session_name.flatten(),
            invoked_by: text(self.invoked_by),
        }
    }
}

/// The members of `sessionContext`.
#[derive(Default)]
struct Session<'a> {
    issuer: Option<Issuer<'a>>,
}

impl<'a> Session<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        if key == "sessionIssuer" {
            self.issuer = nested(scanner, Issuer::member)?;
            return Some(());
        }
        scanner.value().map(|_| ())
    }
}

impl<'a> Issuer<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        let value = Some(scanner.value()?);
        match key {
            "type" => self.kind = value,
            "userName" => self.user_name = value,
            _ => {}
        }
        Some(())
    }

    fn role_name(&self) -> Text<'a> {
        let is_role = text(self.kind).is_none_or(|kind| kind == "Role");
        text(self.user_name).filter(|_| is_role)
    }
}

/// The members of one of `resources`.
#[derive(Default)]
struct Resource<'a> {
    kind: Slot<'a>,
    arn: Slot<'a>,
    prefix: Slot<'a>,
}

impl<'a> Resource<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        let value = Some(scanner.value()?);
        match key {
            "type" => self.kind = value,
            "ARN" => self.arn = value,
            "ARNPrefix" => self.prefix = value,
            _ => {}
        }
        Some(())
    }

    fn name(&self) -> Text<'a> {
        text(self.arn).or_else(|| text(self.prefix))
    }
}

/// What stands after the last `mark`.
fn after<'a>(text: Option<&Cow<'a, str>>, mark: char) -> Text<'a> {
    match text? {
        Cow::Borrowed(text) => text.rsplit_once(mark).map(|(_, name)| name.into()),
        Cow::Owned(text) => {
            let (_, name) = text.rsplit_once(mark)?;
            Some(name.to_owned().into())
        }
    }
}
