//! Cells of an answer as text.

use std::io;

use datafusion::arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, TimeUnit, TimestampMicrosecondType},
    util::display::{ArrayFormatter, FormatOptions},
};

use crate::cli::view;

/// A batch as text.
pub(super) struct Text<'a> {
    columns: Vec<Column<'a>>,
}

enum Column<'a> {
    /// Whole seconds as people read them.
    Seconds(&'a dyn Array),
    Other(ArrayFormatter<'a>),
}

/// Nothing is written as nothing.
const OPTIONS: FormatOptions<'_> = FormatOptions::new()
    .with_display_error(false)
    .with_null("")
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));

const MICROS: i64 = 1_000_000;

impl<'a> Text<'a> {
    /// `for_people`: times in the zone that they read.
    pub(super) fn of(batch: &'a RecordBatch, for_people: bool) -> io::Result<Self> {
        let columns = batch.columns().iter().map(|column| {
            let is_time = matches!(
                column.data_type(),
                DataType::Timestamp(TimeUnit::Microsecond, Some(_))
            );
            Ok(match is_time && for_people {
                true => Column::Seconds(column),
                false => {
                    let formatter = ArrayFormatter::try_new(column, &OPTIONS);
                    Column::Other(formatter.map_err(io::Error::other)?)
                }
            })
        });
        Ok(Self {
            columns: columns.collect::<io::Result<_>>()?,
        })
    }

    /// The cells of a row.
    pub(super) fn row(&self, row: usize) -> io::Result<Vec<String>> {
        let cells = self.columns.iter().map(|column| match column {
            Column::Seconds(times) if times.is_null(row) => Ok(String::new()),
            Column::Seconds(times) => {
                let micros = times.as_primitive::<TimestampMicrosecondType>().value(row);
                Ok(view::shown(micros.div_euclid(MICROS)))
            }
            Column::Other(formatter) => {
                let cell = formatter.value(row).try_to_string();
                cell.map_err(io::Error::other)
            }
        });
        cells.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn nothing_is_nothing_and_times_are_utc() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_688_990_400_500_000), None]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("t", Arc::new(times.with_timezone("UTC"))),
            ("s", Arc::new(StringArray::from(vec![None, Some("a")]))),
            ("n", Arc::new(Int64Array::from(vec![Some(-1), None]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let rows = |for_people| {
            let text = Text::of(&batch, for_people).unwrap();
            [0, 1].map(|row| text.row(row).unwrap().join("|"))
        };
        assert_eq!(rows(false), ["2023-07-10T12:00:00.500Z||-1", "|a|"]);
        assert_eq!(rows(true), ["2023-07-10T12:00:00Z||-1", "|a|"]);
    }
}
