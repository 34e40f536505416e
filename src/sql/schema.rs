//! The columns of the table, as the archive has them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};

use crate::archive;

/// The columns that a partition's name has, and no file.
pub(super) const PARTITIONS: [&str; 3] = ["account_id", "region", "date"];

/// The time zone of every time.
pub(super) const ZONE: &str = "UTC";

/// The columns of files, and those of partitions.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// In the files, in order.
    pub(super) file: Arc<Schema>,
    /// In the names of partitions, in the order of [`PARTITIONS`].
    pub(super) partitions: Vec<FieldRef>,
    /// Those of files, then those of partitions.
    pub(super) all: Arc<Schema>,
}

impl Columns {
    /// Those of the archive; `None`: it has a type that it does not have.
    pub(super) fn read() -> Option<Self> {
        let archived = archive::arrow_schema()?;
        let fields = archived.fields().iter();
        let (partitions, file): (Vec<FieldRef>, Vec<FieldRef>) = fields
            .map(read)
            .partition(|field| PARTITIONS.contains(&field.name().as_str()));
        let partition = |name: &&str| {
            let mut found = partitions.iter();
            found.find(|field| field.name() == name).cloned()
        };
        let partitions: Vec<FieldRef> = PARTITIONS.iter().map(partition).collect::<Option<_>>()?;
        let all: Vec<FieldRef> = file.iter().chain(&partitions).cloned().collect();
        Some(Self {
            file: Arc::new(Schema::new(file)),
            partitions,
            all: Arc::new(Schema::new(all)),
        })
    }
}

/// A column as it is read: texts are views into what was decoded, which copies none of
/// a record; within lists and structs they are read as they were written.
fn read(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        _ => return Arc::clone(field),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_archive() {
        let columns = Columns::read().unwrap();
        let names: Vec<&str> = columns.all.fields().iter().map(|it| &**it.name()).collect();
        assert_eq!(names.first(), Some(&"eventTime"));
        assert_eq!(&names[names.len() - 3..], PARTITIONS);
        let of = |name: &str| {
            columns
                .all
                .field_with_name(name)
                .unwrap()
                .data_type()
                .clone()
        };
        assert_eq!(of("eventTime").to_string(), "Timestamp(µs, \"UTC\")");
        assert_eq!(of("record"), DataType::Utf8View);
        assert_eq!(of("account_id"), DataType::Utf8View);
        assert_eq!(of("date"), DataType::Date32);
        let DataType::Struct(user) = of("userIdentity") else {
            panic!("userIdentity is no struct");
        };
        let (_, arn) = user.find("arn").unwrap();
        assert_eq!(*arn.data_type(), DataType::Utf8);
        assert_eq!(columns.file.fields().len() + 3, names.len());
    }
}
