//! From events to columns.

mod nested;

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        ArrayBuilder as _, BinaryBuilder, BooleanBuilder, StringBuilder,
        TimestampMicrosecondBuilder,
    },
};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};

use self::nested::{ResourcesBuilder, UserBuilder};
use crate::event::{
    Event, Identity, Origin,
    columns::{Columns, Member},
};

/// Microseconds in a second: what the column of times counts.
pub(super) const MICROS: i64 = 1_000_000;
/// Bytes of an [`Identity`] as a column has it.
pub(super) const IDENTITY: usize = 17;

/// An identity as the column has it: what kind it is, then its bytes.
pub(super) type Id = [u8; IDENTITY];

/// An identity as the column has it.
pub(super) fn id_of(identity: &Identity) -> Id {
    let (kind, bytes) = match identity {
        Identity::Uuid(bytes) => (0, bytes),
        Identity::Record(bytes) => (1, bytes),
    };
    let mut id = [kind; IDENTITY];
    for (to, from) in id.iter_mut().skip(1).zip(bytes) {
        *to = *from;
    }
    id
}

/// Bytes that an event takes as columns, about: what is in other columns is in the record
/// once more; some 400 are beside it.
pub(super) fn bytes_of(event: &Event) -> usize {
    // the record with its tag: to look at its text would take as long as to write it
    let [.., record] = event.encoding(true);
    2 * record.len() + 400
}

/// An origin as the column has it.
pub(super) fn name_of(origin: Origin) -> &'static str {
    match origin {
        Origin::LookupEvents => "LookupEvents",
        Origin::LogFile => "LogFile",
        Origin::EventBridge => "EventBridge",
    }
}

/// The origin that a column says.
pub(super) fn origin_of(name: &str) -> Option<Origin> {
    let all = [Origin::LookupEvents, Origin::LogFile, Origin::EventBridge];
    all.into_iter().find(|origin| name_of(*origin) == name)
}

/// Members whose column has their text, in the schema's order, up to `userIdentity` and
/// after it.
const TEXTS: [&str; 5] = [
    "eventVersion",
    "eventType",
    "eventCategory",
    "awsRegion",
    "recipientAccountId",
];
const LATER_TEXTS: [&str; 5] = [
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestID",
];
const LAST_TEXTS: [&str; 3] = ["sharedEventID", "vpcEndpointId", "apiVersion"];
/// Members whose column has their JSON.
const JSONS: [&str; 5] = [
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "tlsDetails",
];

/// Columns of data files that events are added to.
pub(super) struct Builder {
    schema: SchemaRef,
    rows: usize,
    /// Bytes of what was added, roughly.
    bytes: usize,
    time: TimestampMicrosecondBuilder,
    id: StringBuilder,
    name: StringBuilder,
    source: StringBuilder,
    texts: [StringBuilder; TEXTS.len()],
    user: UserBuilder,
    username: StringBuilder,
    access_key_id: StringBuilder,
    later_texts: [StringBuilder; LATER_TEXTS.len()],
    read_only: BooleanBuilder,
    management: BooleanBuilder,
    resources: ResourcesBuilder,
    jsons: [StringBuilder; JSONS.len()],
    last_texts: [StringBuilder; LAST_TEXTS.len()],
    origin: StringBuilder,
    time_inferred: BooleanBuilder,
    lossy: BooleanBuilder,
    identity: BinaryBuilder,
    record: StringBuilder,
}

impl Builder {
    /// Columns of this schema, which is that of data files.
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            rows: 0,
            bytes: 0,
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            id: StringBuilder::new(),
            name: StringBuilder::new(),
            source: StringBuilder::new(),
            texts: Default::default(),
            user: UserBuilder::default(),
            username: StringBuilder::new(),
            access_key_id: StringBuilder::new(),
            later_texts: Default::default(),
            read_only: BooleanBuilder::new(),
            management: BooleanBuilder::new(),
            resources: ResourcesBuilder::default(),
            jsons: Default::default(),
            last_texts: Default::default(),
            origin: StringBuilder::new(),
            time_inferred: BooleanBuilder::new(),
            lossy: BooleanBuilder::new(),
            identity: BinaryBuilder::new(),
            record: StringBuilder::new(),
        }
    }

    /// How many events were added.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many bytes they take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event, whose identity is `id`.
    pub(super) fn push(&mut self, event: &Event, id: &Id) {
        let record = event.record();
        let mut columns = Columns::default();
        columns.read(record);
        self.rows += 1;
        self.bytes += bytes_of(event);
        self.time.append_value(event.time.saturating_mul(MICROS));
        self.id.append_option(event.shown_id(&columns));
        self.name.append_option(event.shown_name(&columns));
        self.source.append_option(event.shown_source(&columns));
        texts(&mut self.texts, &TEXTS, &columns);
        self.user.push(columns.user.as_ref());
        self.username.append_option(event.username());
        self.access_key_id.append_option(event.access_key_id());
        texts(&mut self.later_texts, &LATER_TEXTS, &columns);
        self.read_only.append_option(event.read_only());
        let management = columns.get("managementEvent").flag();
        self.management.append_option(management);
        self.resources.push(event.resources());
        for (builder, name) in self.jsons.iter_mut().zip(JSONS) {
            builder.append_option(columns.get(name).json());
        }
        texts(&mut self.last_texts, &LAST_TEXTS, &columns);
        self.origin.append_value(name_of(event.origin()));
        self.time_inferred.append_value(event.is_time_inferred());
        self.lossy.append_value(event.is_lossy());
        self.identity.append_value(id);
        self.record.append_value(record);
    }

    /// The events that were added; then there are none.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            text(&mut self.id),
            text(&mut self.name),
            text(&mut self.source),
        ];
        columns.extend(self.texts.iter_mut().map(text));
        columns.push(self.user.finish(kind(&self.schema, "userIdentity"))?);
        columns.extend([text(&mut self.username), text(&mut self.access_key_id)]);
        columns.extend(self.later_texts.iter_mut().map(text));
        columns.push(Arc::new(self.read_only.finish()));
        columns.push(Arc::new(self.management.finish()));
        columns.push(self.resources.finish(kind(&self.schema, "resources"))?);
        columns.extend(self.jsons.iter_mut().map(text));
        columns.extend(self.last_texts.iter_mut().map(text));
        columns.push(text(&mut self.origin));
        columns.push(Arc::new(self.time_inferred.finish()));
        columns.push(Arc::new(self.lossy.finish()));
        columns.push(Arc::new(self.identity.finish()));
        columns.push(text(&mut self.record));
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn texts<const N: usize>(
    builders: &mut [StringBuilder; N],
    names: &[&str; N],
    columns: &Columns<'_>,
) {
    for (builder, name) in builders.iter_mut().zip(names) {
        put(builder, columns.get(name));
    }
}

fn put(builder: &mut StringBuilder, member: Member<'_>) {
    match member.text() {
        Some(Cow::Borrowed(text)) => builder.append_value(text),
        Some(Cow::Owned(text)) => builder.append_value(text),
        None => builder.append_null(),
    }
}

fn text(builder: &mut StringBuilder) -> ArrayRef {
    let (rows, bytes) = (builder.len(), builder.values_slice().len());
    let column = builder.finish();
    // about as much comes again: to grow into it would copy it several times
    *builder = StringBuilder::with_capacity(rows, bytes + bytes / 8);
    Arc::new(column)
}

/// The type of a column of the schema.
fn kind<'a>(schema: &'a SchemaRef, name: &str) -> Option<&'a DataType> {
    schema.field_with_name(name).ok().map(Field::data_type)
}
