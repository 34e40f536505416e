//! From columns back to events.

use arrow_array::{
    Array, BinaryArray, BooleanArray, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, cast::AsArray as _, types::TimestampMicrosecondType,
};

use super::columns::{Id, MICROS, origin_of};
use crate::event::{Beside, Event, Scope, Stored};

/// The columns that an event is made of, and ordered by.
pub(super) const NEEDED: [&str; 14] = [
    "eventTime",
    "awsRegion",
    "recipientAccountId",
    "eventID",
    "eventName",
    "eventSource",
    "username",
    "accessKeyId",
    "readOnly",
    "resources",
    "origin",
    "timeInferred",
    "lossy",
    "record",
];

/// Rows of [`NEEDED`] columns, and maybe others.
pub(super) struct Rows<'a> {
    scope: &'a Scope,
    time: &'a TimestampMicrosecondArray,
    /// `eventID`, `eventName`, `eventSource`, `username`, `accessKeyId`, `origin`, `record`.
    texts: [&'a StringArray; 7],
    /// `readOnly`, `timeInferred`, `lossy`.
    flags: [&'a BooleanArray; 3],
    resources: &'a ListArray,
    kinds: &'a StringArray,
    names: &'a StringArray,
}

impl<'a> Rows<'a> {
    /// Those of a batch of a file of this scope. `Err`: a column that is missing, or of
    /// another type.
    pub(super) fn of(batch: &'a RecordBatch, scope: &'a Scope) -> Result<Self, String> {
        let text = |name| -> Result<&'a StringArray, String> {
            let column = column(batch, name)?;
            column.as_string_opt::<i32>().ok_or_else(|| other(name))
        };
        let flag = |name| -> Result<&'a BooleanArray, String> {
            let column = column(batch, name)?;
            column.as_boolean_opt().ok_or_else(|| other(name))
        };
        let resources = column(batch, "resources")?;
        let resources = resources
            .as_list_opt::<i32>()
            .ok_or_else(|| other("resources"))?;
        let elements: &StructArray = resources
            .values()
            .as_struct_opt()
            .ok_or_else(|| other("resources"))?;
        let part = |name: &str| {
            let part = elements.column_by_name(name);
            part.and_then(|part| part.as_string_opt::<i32>())
                .ok_or_else(|| other("resources"))
        };
        Ok(Self {
            scope,
            time: times(batch)?,
            texts: [
                text("eventID")?,
                text("eventName")?,
                text("eventSource")?,
                text("username")?,
                text("accessKeyId")?,
                text("origin")?,
                text("record")?,
            ],
            flags: [flag("readOnly")?, flag("timeInferred")?, flag("lossy")?],
            resources,
            kinds: part("type")?,
            names: part("name")?,
        })
    }

    /// The event of a row. `Err`: what is wrong with it.
    pub(super) fn event(&self, row: usize) -> Result<Event, String> {
        if row >= self.time.len() {
            return Err(format!("row {row} of {}", self.time.len()));
        }
        let texts = self.texts.map(|column| get(column, row));
        let [id, name, source, username, access_key_id, origin, record] = texts;
        let [read_only, time_inferred, lossy] = self
            .flags
            .map(|column| column.is_valid(row).then(|| column.value(row)));
        let origin = origin.unwrap_or_default();
        let origin = origin_of(origin).ok_or_else(|| format!("row {row} has origin `{origin}`"))?;
        Ok(Event::from_stored(Stored {
            scope: self.scope,
            record: record.unwrap_or_default(),
            origin,
            time: self.time.value(row).div_euclid(MICROS),
            time_inferred: time_inferred.unwrap_or(false),
            lossy: lossy.unwrap_or(false),
            beside: Beside {
                id,
                name,
                source,
                username,
                access_key_id,
                read_only,
                resources: self.resources(row),
            },
        }))
    }

    fn resources(&self, row: usize) -> Vec<(Option<&'a str>, Option<&'a str>)> {
        let offsets = self.resources.value_offsets();
        let at = |at| {
            offsets
                .get(at)
                .and_then(|offset| usize::try_from(*offset).ok())
        };
        let range = at(row).unwrap_or(0)..at(row + 1).unwrap_or(0);
        range
            .map(|at| (get(self.kinds, at), get(self.names, at)))
            .collect()
    }
}

fn get(column: &StringArray, row: usize) -> Option<&str> {
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, String> {
    let column = batch.column_by_name(name);
    column
        .map(|column| &**column)
        .ok_or_else(|| format!("column {name} is missing"))
}

fn other(name: &str) -> String {
    format!("column {name} is of another type")
}

/// The times of a batch's rows, in microseconds.
pub(super) fn times(batch: &RecordBatch) -> Result<&TimestampMicrosecondArray, String> {
    let column = column(batch, "eventTime")?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>();
    times.ok_or_else(|| other("eventTime"))
}

/// The texts of a column.
pub(super) fn strings<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, String> {
    column(batch, name)?
        .as_string_opt::<i32>()
        .ok_or_else(|| other(name))
}

/// The identities of a batch's rows, in their order. `Err`: one that is none.
pub(super) fn ids(batch: &RecordBatch) -> Result<impl Iterator<Item = Result<Id, String>>, String> {
    let ids: &BinaryArray = column(batch, "identity")?
        .as_binary_opt::<i32>()
        .ok_or_else(|| other("identity"))?;
    Ok(ids.iter().map(|id| {
        let id = id.and_then(|id| Id::try_from(id).ok());
        id.ok_or_else(|| "a row has no identity".to_owned())
    }))
}
