//! Columns that have others in them.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray, builder::StringBuilder};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::{ArrowError, DataType, Fields};

use super::{put, text};
use crate::event::columns::User;

/// `userIdentity` with what is in it.
pub(super) struct UserBuilder {
    is_there: NullBufferBuilder,
    texts: [StringBuilder; 8],
    has_session: NullBufferBuilder,
    has_issuer: NullBufferBuilder,
    issuer: [StringBuilder; 5],
    has_attributes: NullBufferBuilder,
    attributes: [StringBuilder; 2],
    source_identity: StringBuilder,
    web_id: StringBuilder,
    on_behalf_of: StringBuilder,
}

impl Default for UserBuilder {
    fn default() -> Self {
        // grows with what is added
        let flags = || NullBufferBuilder::new(1024);
        Self {
            is_there: flags(),
            texts: Default::default(),
            has_session: flags(),
            has_issuer: flags(),
            issuer: Default::default(),
            has_attributes: flags(),
            attributes: Default::default(),
            source_identity: StringBuilder::new(),
            web_id: StringBuilder::new(),
            on_behalf_of: StringBuilder::new(),
        }
    }
}

impl UserBuilder {
    pub(super) fn push(&mut self, user: Option<&User<'_>>) {
        let none = User::default();
        self.is_there.append(user.is_some());
        let user = user.unwrap_or(&none);
        let members = [
            user.kind,
            user.principal_id,
            user.arn,
            user.account_id,
            user.access_key_id,
            user.user_name,
            user.invoked_by,
            user.identity_provider,
        ];
        for (builder, member) in self.texts.iter_mut().zip(members) {
            put(builder, member);
        }
        self.on_behalf_of.append_option(user.on_behalf_of.json());
        let session = user.session.as_ref();
        self.has_session.append(session.is_some());
        let issuer = session.and_then(|session| session.issuer.as_ref());
        self.has_issuer.append(issuer.is_some());
        let members = issuer.map(|issuer| {
            [
                issuer.kind,
                issuer.principal_id,
                issuer.arn,
                issuer.account_id,
                issuer.user_name,
            ]
        });
        for (builder, member) in self.issuer.iter_mut().zip(members.unwrap_or_default()) {
            put(builder, member);
        }
        let attributes = session.and_then(|session| session.attributes.as_ref());
        self.has_attributes.append(attributes.is_some());
        let members =
            attributes.map(|attributes| [attributes.creation_date, attributes.mfa_authenticated]);
        for (builder, member) in self.attributes.iter_mut().zip(members.unwrap_or_default()) {
            put(builder, member);
        }
        let member = session.map(|session| session.source_identity);
        put(&mut self.source_identity, member.unwrap_or_default());
        let member = session.map(|session| session.web_id);
        self.web_id.append_option(member.unwrap_or_default().json());
    }

    pub(super) fn finish(&mut self, kind: Option<&DataType>) -> Result<ArrayRef, ArrowError> {
        let user = fields(kind)?;
        let session_kind = field(user, "sessionContext");
        let session = fields(session_kind)?;
        let issuer = self.issuer.iter_mut().map(text).collect();
        let issuer = object(
            field(session, "sessionIssuer"),
            issuer,
            &mut self.has_issuer,
        )?;
        let attributes = self.attributes.iter_mut().map(text).collect();
        let attributes = object(
            field(session, "attributes"),
            attributes,
            &mut self.has_attributes,
        )?;
        let session = vec![
            issuer,
            attributes,
            text(&mut self.source_identity),
            text(&mut self.web_id),
        ];
        let session = object(session_kind, session, &mut self.has_session)?;
        let mut columns: Vec<ArrayRef> = self.texts.iter_mut().map(text).collect();
        columns.extend([session, text(&mut self.on_behalf_of)]);
        object(kind, columns, &mut self.is_there)
    }
}

/// `resources`: a list of types and names.
pub(super) struct ResourcesBuilder {
    is_there: NullBufferBuilder,
    lengths: Vec<usize>,
    kinds: StringBuilder,
    names: StringBuilder,
}

impl Default for ResourcesBuilder {
    fn default() -> Self {
        Self {
            is_there: NullBufferBuilder::new(1024),
            lengths: Vec::new(),
            kinds: StringBuilder::new(),
            names: StringBuilder::new(),
        }
    }
}

impl ResourcesBuilder {
    pub(super) fn push<'a>(
        &mut self,
        each: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
    ) {
        let mut count = 0;
        for (kind, name) in each {
            self.kinds.append_option(kind);
            self.names.append_option(name);
            count += 1;
        }
        self.is_there.append(count > 0);
        self.lengths.push(count);
    }

    pub(super) fn finish(&mut self, kind: Option<&DataType>) -> Result<ArrayRef, ArrowError> {
        let Some(DataType::List(element)) = kind else {
            return Err(ArrowError::SchemaError(format!("{kind:?} is no list")));
        };
        let mut offsets = OffsetBufferBuilder::new(self.lengths.len());
        for length in self.lengths.drain(..) {
            offsets.push_length(length);
        }
        let columns = vec![text(&mut self.kinds), text(&mut self.names)];
        let elements =
            StructArray::try_new(fields(Some(element.data_type()))?.clone(), columns, None)?;
        let list = ListArray::try_new(
            element.clone(),
            offsets.finish(),
            Arc::new(elements),
            self.is_there.finish(),
        )?;
        Ok(Arc::new(list))
    }
}

/// The fields of a struct; none, where the schema has another type.
fn fields(kind: Option<&DataType>) -> Result<&Fields, ArrowError> {
    match kind {
        Some(DataType::Struct(fields)) => Ok(fields),
        other => Err(ArrowError::SchemaError(format!("{other:?} is no struct"))),
    }
}

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a DataType> {
    fields.find(name).map(|(_, field)| field.data_type())
}

/// A struct of columns, null where `is_there` says so.
fn object(
    kind: Option<&DataType>,
    columns: Vec<ArrayRef>,
    is_there: &mut NullBufferBuilder,
) -> Result<ArrayRef, ArrowError> {
    let fields = fields(kind)?.clone();
    let nulls = is_there.finish();
    Ok(Arc::new(StructArray::try_new(fields, columns, nulls)?))
}
