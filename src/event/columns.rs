//! What a record says in the columns of a table, found in one pass and left where
//! it stands. Of members with one name the last counts, as it does everywhere.

use std::borrow::Cow;

use super::{
    fields::{RECORD_FIELDS, number},
    parse::nested,
    scan::{self, Key, Scanner, Value},
};

/// A member of a record, if it is there.
#[derive(Clone, Copy, Default)]
pub struct Member<'a>(Option<Value<'a>>);

impl<'a> Member<'a> {
    /// As text: what a string says, the text of a number or a boolean, the JSON of an
    /// array or an object. `None`: null, or not there.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let value = self.0?;
        value.scalar().or_else(|| self.odd().map(Cow::Borrowed))
    }

    /// Its JSON, as it stands in the record. `None`: null, or not there.
    #[must_use]
    pub fn json(self) -> Option<&'a str> {
        self.0
            .map(|value| value.text)
            .filter(|text| *text != "null")
    }

    /// Its JSON if it is an array or an object: what is no text.
    #[must_use]
    pub fn odd(self) -> Option<&'a str> {
        self.0
            .map(|value| value.text)
            .filter(|text| text.starts_with(['[', '{']))
    }

    /// Whether it is `true` or `false`, as such or in quotes. `None`: neither.
    #[must_use]
    pub fn flag(self) -> Option<bool> {
        self.0?.scalar()?.parse().ok()
    }
}

/// The members of a record that are columns. Those of a record that is not a JSON
/// object are not there.
#[derive(Default)]
pub struct Columns<'a> {
    values: Values<'a>,
    /// `userIdentity`, if it is an object.
    pub user: Option<User<'a>>,
}

struct Values<'a>([Member<'a>; RECORD_FIELDS.len()]);

impl Default for Values<'_> {
    fn default() -> Self {
        Self([Member(None); RECORD_FIELDS.len()])
    }
}

/// The members of `userIdentity`.
#[derive(Default)]
pub struct User<'a> {
    /// `type`.
    pub kind: Member<'a>,
    /// `principalId`.
    pub principal_id: Member<'a>,
    /// `arn`.
    pub arn: Member<'a>,
    /// `accountId`.
    pub account_id: Member<'a>,
    /// `accessKeyId`.
    pub access_key_id: Member<'a>,
    /// `userName`.
    pub user_name: Member<'a>,
    /// `invokedBy`.
    pub invoked_by: Member<'a>,
    /// `identityProvider`.
    pub identity_provider: Member<'a>,
    /// `onBehalfOf`.
    pub on_behalf_of: Member<'a>,
    /// `sessionContext`, if it is an object.
    pub session: Option<Session<'a>>,
}

/// The members of `sessionContext`.
#[derive(Default)]
pub struct Session<'a> {
    /// `sessionIssuer`, if it is an object.
    pub issuer: Option<Issuer<'a>>,
    /// `attributes`, if they are an object.
    pub attributes: Option<Attributes<'a>>,
    /// `sourceIdentity`.
    pub source_identity: Member<'a>,
    /// `webIdFederationData`.
    pub web_id: Member<'a>,
}

/// The members of `sessionIssuer`.
#[derive(Default)]
pub struct Issuer<'a> {
    /// `type`.
    pub kind: Member<'a>,
    /// `principalId`.
    pub principal_id: Member<'a>,
    /// `arn`.
    pub arn: Member<'a>,
    /// `accountId`.
    pub account_id: Member<'a>,
    /// `userName`.
    pub user_name: Member<'a>,
}

/// The members of `attributes`.
#[derive(Default)]
pub struct Attributes<'a> {
    /// `creationDate`.
    pub creation_date: Member<'a>,
    /// `mfaAuthenticated`.
    pub mfa_authenticated: Member<'a>,
}

impl<'a> Columns<'a> {
    /// Reads them, into where there are none or others: they are too many to be moved
    /// about for each record.
    pub fn read(&mut self, record: &'a str) {
        *self = Self::default();
        if scan::members(record, &mut |scanner, key| self.member(scanner, &key)).is_none() {
            *self = Self::default();
        }
    }

    fn member(&mut self, scanner: &mut Scanner<'a>, key: &Key<'a>) -> Option<()> {
        if *key == "userIdentity" {
            self.user = nested(scanner, User::member)?;
            return Some(());
        }
        let value = scanner.value()?;
        let slot = number(key).and_then(|number| self.values.0.get_mut(number));
        if let Some(slot) = slot {
            *slot = Member(Some(value));
        }
        Some(())
    }

    /// The member of this name, which is one of [`super::RECORD_FIELDS`].
    #[must_use]
    pub fn get(&self, name: &str) -> Member<'a> {
        let slot = number(name).and_then(|number| self.values.0.get(number));
        debug_assert!(slot.is_some(), "{name} is no documented field");
        slot.copied().unwrap_or_default()
    }
}

impl<'a> User<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        if key == "sessionContext" {
            self.session = nested(scanner, Session::member)?;
            return Some(());
        }
        let value = Member(Some(scanner.value()?));
        match key {
            "type" => self.kind = value,
            "principalId" => self.principal_id = value,
            "arn" => self.arn = value,
            "accountId" => self.account_id = value,
            "accessKeyId" => self.access_key_id = value,
            "userName" => self.user_name = value,
            "invokedBy" => self.invoked_by = value,
            "identityProvider" => self.identity_provider = value,
            "onBehalfOf" => self.on_behalf_of = value,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Session<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        match key {
            "sessionIssuer" => self.issuer = nested(scanner, Issuer::member)?,
            "attributes" => self.attributes = nested(scanner, Attributes::member)?,
            "sourceIdentity" => self.source_identity = Member(Some(scanner.value()?)),
            "webIdFederationData" => self.web_id = Member(Some(scanner.value()?)),
            _ => {
                scanner.value()?;
            }
        }
        Some(())
    }
}

impl<'a> Issuer<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        let value = Member(Some(scanner.value()?));
        match key {
            "type" => self.kind = value,
            "principalId" => self.principal_id = value,
            "arn" => self.arn = value,
            "accountId" => self.account_id = value,
            "userName" => self.user_name = value,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Attributes<'a> {
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Option<()> {
        let value = Member(Some(scanner.value()?));
        match key {
            "creationDate" => self.creation_date = value,
            "mfaAuthenticated" => self.mfa_authenticated = value,
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_as_they_stand() {
        let record = r#"{"eventName":{"a": 1.10},"requestID":"x\u00fc","readOnly":"true",
            "managementEvent":false,"requestParameters":"text","responseElements":null,
            "apiVersion":2,"tlsDetails":[ ],"eventID":"first","eventID":"last",
            "userIdentity":{"type":"Root"},
            "userIdentity":{"arn":7,"onBehalfOf":{"userId": "u"},"sessionContext":
                {"attributes":{"mfaAuthenticated":true},"sessionIssuer":[],
                 "webIdFederationData":{}}}}"#;
        let mut columns = Columns::default();
        columns.read(record);
        let text = |name| columns.get(name).text();
        assert_eq!(text("eventName").as_deref(), Some(r#"{"a": 1.10}"#));
        assert_eq!(text("requestID").as_deref(), Some("xü"));
        assert_eq!(text("apiVersion").as_deref(), Some("2"));
        assert_eq!(text("eventID").as_deref(), Some("last"));
        assert_eq!(text("responseElements"), None);
        assert_eq!(text("errorCode"), None);
        assert_eq!(
            columns.get("requestParameters").json(),
            Some("\"text\""),
            "with its quotes"
        );
        assert_eq!(columns.get("responseElements").json(), None);
        assert_eq!(columns.get("tlsDetails").json(), Some("[ ]"));
        assert_eq!(columns.get("readOnly").flag(), Some(true));
        assert_eq!(columns.get("managementEvent").flag(), Some(false));
        assert_eq!(columns.get("apiVersion").flag(), None);
        let user = columns.user.as_ref().unwrap();
        assert_eq!(user.kind.text(), None, "that of another userIdentity");
        assert_eq!(user.arn.text().as_deref(), Some("7"));
        assert_eq!(user.on_behalf_of.json(), Some(r#"{"userId": "u"}"#));
        let session = user.session.as_ref().unwrap();
        assert!(session.issuer.is_none());
        let attributes = session.attributes.as_ref().unwrap();
        assert_eq!(attributes.mfa_authenticated.text().as_deref(), Some("true"));
        columns.read("{\"eventName\":\"a\"");
        assert!(columns.get("eventName").text().is_none() && columns.user.is_none());
    }
}
