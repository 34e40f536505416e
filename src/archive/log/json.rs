//! Arrow's columns of JSON values, and back: as much as checkpoints have.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, StringArray,
    StructArray,
    cast::AsArray as _,
    types::{Int32Type, Int64Type},
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use serde_json::{Map, Value};

/// A column of values; what is of another type is null.
pub(super) fn array(kind: &DataType, values: &[Option<&Value>]) -> Result<ArrayRef, ArrowError> {
    Ok(match kind {
        DataType::Utf8 => {
            let texts = values.iter().map(|value| value.and_then(Value::as_str));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Int64 => {
            let numbers = values.iter().map(|value| value.and_then(Value::as_i64));
            Arc::new(numbers.collect::<Int64Array>())
        }
        DataType::Int32 => {
            let number = |value: &Value| value.as_i64().and_then(|number| number.try_into().ok());
            let numbers = values.iter().map(|value| value.and_then(number));
            Arc::new(numbers.collect::<Int32Array>())
        }
        DataType::Boolean => {
            let flags = values.iter().map(|value| value.and_then(Value::as_bool));
            Arc::new(flags.collect::<BooleanArray>())
        }
        DataType::Struct(fields) => {
            let objects: Vec<_> = values
                .iter()
                .map(|value| value.and_then(Value::as_object))
                .collect();
            let columns = fields.iter().map(|field| {
                let members = objects
                    .iter()
                    .map(|object| object.and_then(|o| o.get(field.name())));
                array(field.data_type(), &members.collect::<Vec<_>>())
            });
            let columns = columns.collect::<Result<_, _>>()?;
            let present: NullBuffer = objects
                .iter()
                .map(Option::is_some)
                .collect::<Vec<_>>()
                .into();
            Arc::new(StructArray::try_new(
                fields.clone(),
                columns,
                Some(present),
            )?)
        }
        DataType::List(element) => {
            let lists: Vec<_> = values
                .iter()
                .map(|value| value.and_then(Value::as_array))
                .collect();
            let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let elements: Vec<_> = lists
                .iter()
                .flatten()
                .flat_map(|list| list.iter())
                .map(Some)
                .collect();
            let elements = array(element.data_type(), &elements)?;
            let present: NullBuffer = lists.iter().map(Option::is_some).collect::<Vec<_>>().into();
            Arc::new(ListArray::try_new(
                element.clone(),
                offsets,
                elements,
                Some(present),
            )?)
        }
        DataType::Map(pairs, is_sorted) => {
            let DataType::Struct(fields) = pairs.data_type() else {
                return Err(ArrowError::SchemaError("a map of no pairs".to_owned()));
            };
            let maps: Vec<_> = values
                .iter()
                .map(|value| value.and_then(Value::as_object))
                .collect();
            let offsets =
                OffsetBuffer::from_lengths(maps.iter().map(|map| map.map_or(0, Map::len)));
            let all = || maps.iter().flatten().flat_map(|map| map.iter());
            let keys: StringArray = all().map(|(key, _)| Some(key.as_str())).collect();
            let texts: StringArray = all().map(|(_, value)| value.as_str()).collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(texts)];
            let entries = StructArray::try_new(fields.clone(), columns, None)?;
            let present: NullBuffer = maps.iter().map(Option::is_some).collect::<Vec<_>>().into();
            Arc::new(MapArray::try_new(
                pairs.clone(),
                offsets,
                entries,
                Some(present),
                *is_sorted,
            )?)
        }
        other => return Err(ArrowError::SchemaError(format!("{other} is not written"))),
    })
}

/// The value of a row; null where it is of a type that is not read.
pub(super) fn value(column: &ArrayRef, row: usize) -> Value {
    if row >= column.len() || column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns().iter();
            let members = fields.iter().zip(columns);
            let members = members.map(|(field, column)| (field.name().clone(), value(column, row)));
            Value::Object(members.collect())
        }
        DataType::List(_) => {
            let elements = column.as_list::<i32>().value(row);
            (0..elements.len()).map(|at| value(&elements, at)).collect()
        }
        DataType::Map(..) => {
            let pairs = column.as_map().value(row);
            let [keys, values] = pairs.columns() else {
                return Value::Null;
            };
            let pairs = (0..pairs.len()).filter_map(|at| match value(keys, at) {
                Value::String(key) => Some((key, value(values, at))),
                _ => None,
            });
            Value::Object(pairs.collect())
        }
        _ => Value::Null,
    }
}
