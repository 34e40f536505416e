//! Answers cell by cell, for who does not speak Arrow.

use datafusion::arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
        StringArray, TimestampMicrosecondArray,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, TimeUnit},
    util::display::array_value_to_string,
};

use super::{error::Error, parameters::Value, schema::ZONE};

/// What cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Texts, and whatever is told as one.
    Text,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// True or false.
    Truth,
    /// Moments.
    Time,
    /// Days.
    Day,
}

impl Type {
    /// That of a column.
    #[must_use]
    pub fn of(column: &DataType) -> Self {
        match column {
            DataType::Boolean => Self::Truth,
            DataType::Date32 | DataType::Date64 => Self::Day,
            DataType::Timestamp(..) => Self::Time,
            of if of.is_integer() => Self::Integer,
            of if of.is_floating() => Self::Number,
            _ => Self::Text,
        }
    }

    /// Columns of it, as Arrow has them.
    #[must_use]
    pub fn column(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Truth => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
            Self::Day => DataType::Date32,
        }
    }
}

/// A batch whose cells can be read one by one.
#[derive(Debug)]
pub struct Cells {
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Debug)]
enum Column {
    Text(StringArray),
    Integer(Int64Array),
    Number(Float64Array),
    Truth(BooleanArray),
    Time(TimestampMicrosecondArray),
    Day(Date32Array),
    /// Lists, structs and the like.
    Other(ArrayRef),
}

impl Cells {
    /// Those of a batch.
    ///
    /// # Errors
    /// If it has what is no cell: a whole number beyond 64 bits.
    pub fn of(batch: &RecordBatch) -> Result<Self, Error> {
        let columns = batch.columns().iter().map(column);
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
            rows: batch.num_rows(),
        })
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A row; one that there is not has nothing.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Value> + '_ {
        self.columns.iter().map(move |column| column.value(row))
    }
}

impl Column {
    fn value(&self, row: usize) -> Value {
        let value = match self {
            Self::Text(column) => {
                at(column, row).map(|row| Value::Text(column.value(row).to_owned()))
            }
            Self::Integer(column) => at(column, row).map(|row| Value::Integer(column.value(row))),
            Self::Number(column) => at(column, row).map(|row| Value::Number(column.value(row))),
            Self::Truth(column) => at(column, row).map(|row| Value::Truth(column.value(row))),
            Self::Time(column) => at(column, row).map(|row| Value::Time(column.value(row))),
            Self::Day(column) => at(column, row).map(|row| Value::Day(column.value(row))),
            Self::Other(column) => at(column, row)
                .and_then(|row| array_value_to_string(column, row).ok())
                .map(Value::Text),
        };
        value.unwrap_or(Value::Null)
    }
}

/// The row, if there is a value in it.
fn at(column: &dyn Array, row: usize) -> Option<usize> {
    (row < column.len() && column.is_valid(row)).then_some(row)
}

fn column(column: &ArrayRef) -> Result<Column, Error> {
    let of = Type::of(column.data_type());
    let is_other = of == Type::Text
        && !matches!(
            column.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        );
    if is_other {
        return Ok(Column::Other(ArrayRef::clone(column)));
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let cast = cast_with_options(column, &of.column(), &strict);
    let cast = cast.map_err(|error| Error::wrong(error.to_string()))?;
    let any = cast.as_any();
    let column = match of {
        Type::Text => any.downcast_ref().cloned().map(Column::Text),
        Type::Integer => any.downcast_ref().cloned().map(Column::Integer),
        Type::Number => any.downcast_ref().cloned().map(Column::Number),
        Type::Truth => any.downcast_ref().cloned().map(Column::Truth),
        Type::Time => any.downcast_ref().cloned().map(Column::Time),
        Type::Day => any.downcast_ref().cloned().map(Column::Day),
    };
    // it is what it was cast to
    column.ok_or(Error::Internal(super::Reason::default()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{
            Date64Array, Int16Array, ListArray, NullArray, StringViewArray, TimestampSecondArray,
            UInt64Array,
        },
        datatypes::Int32Type,
    };

    use super::*;

    fn values(column: ArrayRef) -> Vec<Value> {
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let cells = Cells::of(&batch).unwrap();
        let rows = 0..cells.rows();
        rows.map(|row| cells.row(row).next().unwrap()).collect()
    }

    #[test]
    fn cells_are_values_of_few_types() {
        let texts = StringViewArray::from(vec![Some("a"), None]);
        assert_eq!(
            values(Arc::new(texts)),
            [Value::Text("a".into()), Value::Null]
        );
        let numbers = Int16Array::from(vec![Some(-7), None]);
        assert_eq!(values(Arc::new(numbers)), [Value::Integer(-7), Value::Null]);
        let times = TimestampSecondArray::from(vec![7]);
        assert_eq!(values(Arc::new(times)), [Value::Time(7_000_000)]);
        let days = Date64Array::from(vec![2 * 86_400_000]);
        assert_eq!(values(Arc::new(days)), [Value::Day(2)]);
        assert_eq!(values(Arc::new(NullArray::new(1))), [Value::Null]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        let [Value::Text(told)] = &values(Arc::new(list))[..] else {
            panic!()
        };
        assert!(told.starts_with("[1, "), "{told}");
    }

    #[test]
    fn what_fits_no_cell_is_said() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        assert!(matches!(Cells::of(&batch), Err(Error::Wrong(_))));
        let cells = Cells {
            columns: Vec::new(),
            rows: 3,
        };
        assert_eq!(cells.row(9).count(), 0);
    }
}
