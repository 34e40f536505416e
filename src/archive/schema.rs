//! The columns of the table, as `sql/schema.json` states them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::Deserialize;

use super::partition;

/// The schema as Spark writes one down: what the table's log has.
pub const SCHEMA_JSON: &str = include_str!("../../sql/schema.json");

/// A type as Spark writes it down.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Type {
    Simple(String),
    Nested(Nested),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Nested {
    Struct {
        fields: Vec<Column>,
    },
    Array {
        #[serde(rename = "elementType")]
        element: Box<Type>,
        #[serde(rename = "containsNull")]
        contains_null: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: Type,
    nullable: bool,
}

/// The schema in Arrow's words, with the columns of the partition last. `None`: the text
/// has a type that the archive does not have.
#[must_use]
pub fn arrow_schema() -> Option<SchemaRef> {
    let schema: Nested = serde_json::from_str(SCHEMA_JSON).ok()?;
    match schema {
        Nested::Struct { fields } => Some(Arc::new(Schema::new(columns(&fields)?))),
        Nested::Array { .. } => None,
    }
}

/// The columns of data files: those of the partition are told by the folders.
pub(super) fn file_schema(whole: &Schema) -> SchemaRef {
    let fields = whole.fields().iter();
    let stored = fields.filter(|field| !partition::COLUMNS.contains(&field.name().as_str()));
    Arc::new(Schema::new(stored.cloned().collect::<Fields>()))
}

fn columns(columns: &[Column]) -> Option<Fields> {
    let each = columns.iter();
    each.map(|column| {
        Some(Field::new(
            &column.name,
            kind(&column.kind)?,
            column.nullable,
        ))
    })
    .collect()
}

fn kind(kind: &Type) -> Option<DataType> {
    Some(match kind {
        Type::Simple(name) => match name.as_str() {
            "string" => DataType::Utf8,
            "boolean" => DataType::Boolean,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => return None,
        },
        Type::Nested(Nested::Struct { fields }) => DataType::Struct(columns(fields)?),
        Type::Nested(Nested::Array {
            element,
            contains_null,
        }) => {
            // as Parquet calls it
            let element = Field::new("element", self::kind(element)?, *contains_null);
            DataType::List(Arc::new(element))
        }
    })
}

/// The schema's text as the log has it: without white space.
pub(super) fn schema_string() -> String {
    serde_json::from_str(SCHEMA_JSON).map_or_else(
        |_| SCHEMA_JSON.to_owned(),
        |schema: serde_json::Value| schema.to_string(),
    )
}

/// Whether a schema's text says the same.
pub(super) fn is_ours(schema: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    parse(schema).is_some_and(|schema| parse(SCHEMA_JSON) == Some(schema))
}
