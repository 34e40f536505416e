//! A query that comes back: its text, and the values that are bound to it.

use arrow_flight::{FlightData, decode::FlightRecordBatchStream, error::FlightError};
use datafusion::arrow::{
    array::RecordBatch,
    ipc::{Message, root_as_message},
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::super::status::Invalid;
use crate::{
    sealed,
    sql::{MAX_TEXT, Parameters, Value},
};

/// The version of its form.
const VERSION: u8 = 1;

/// The most bytes of a handle: it comes back with each call, and a request has at most
/// 1 MiB.
const MAX_HANDLE: usize = MAX_TEXT + 256 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Statement {
    pub(super) text: String,
    /// In the order of its parameters.
    values: Vec<Value>,
}

impl Statement {
    pub(super) fn of(text: String) -> Self {
        Self {
            text,
            values: Vec::new(),
        }
    }

    /// What stands for it.
    pub(super) fn handle(&self) -> Vec<u8> {
        sealed::seal(VERSION, self)
    }

    /// That which this stands for.
    pub(super) fn read(handle: &[u8]) -> Result<Self, Status> {
        let is_short = handle.len() <= MAX_HANDLE;
        let statement = is_short.then(|| sealed::open(VERSION, handle)).flatten();
        statement.ok_or_else(|| {
            let what = "is none that this server gave, or of another version of it; ask anew";
            Invalid::new("INVALID_TICKET", "ticket", what).into()
        })
    }

    /// The same with the row of values that comes.
    pub(super) async fn bind(
        self,
        data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> Result<Self, Status> {
        let data = data.map(|data| match data {
            // it says itself how long it will be, and is believed
            Ok(data) if is_compressed(&data) => {
                let status = invalid("come compressed; send them as they are");
                Err(FlightError::Tonic(Box::new(status)))
            }
            data => data.map_err(|status| FlightError::Tonic(Box::new(status))),
        });
        let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
        let read = |error: FlightError| match error {
            FlightError::Tonic(status) => *status,
            error => invalid(&format!("cannot be read: {error}")),
        };
        let mut row: Option<RecordBatch> = None;
        while let Some(batch) = batches.try_next().await.map_err(read)? {
            let rows = batch.num_rows() + row.as_ref().map_or(0, RecordBatch::num_rows);
            if rows > 1 {
                return Err(invalid(&format!(
                    "are {rows} rows; give one, and run the query again for others"
                )));
            }
            if rows == 1 && row.is_none() {
                row = Some(batch);
            }
        }
        let schema = row.as_ref().map(RecordBatch::schema);
        let columns = row.iter().flat_map(RecordBatch::columns);
        let values = columns.enumerate().map(|(place, column)| {
            Value::of(column, 0).ok_or_else(|| {
                let name = schema.as_ref().map(|schema| schema.field(place).name());
                invalid(&format!(
                    "have {} as {}; give texts, numbers, truths, times and days",
                    column.data_type(),
                    name.map_or("a value", |name| name)
                ))
            })
        });
        let bound = Self {
            values: values.collect::<Result<_, _>>()?,
            ..self
        };
        match bound.handle().len() > MAX_HANDLE {
            true => Err(invalid("are too long; at most 256 KiB together")),
            false => Ok(bound),
        }
    }

    /// The values.
    pub(super) fn parameters(&self) -> Parameters {
        Parameters::Placed(self.values.clone())
    }
}

fn invalid(what: &str) -> Status {
    Invalid::new("INVALID_VALUES", "parameters", what).into()
}

fn is_compressed(data: &FlightData) -> bool {
    let message = root_as_message(&data.data_header).ok();
    let message = message.as_ref();
    let batch = message.and_then(Message::header_as_record_batch);
    let dictionary = message.and_then(Message::header_as_dictionary_batch);
    let batch = batch.or_else(|| dictionary.and_then(|dictionary| dictionary.data()));
    batch.is_some_and(|batch| batch.compression().is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_flight::encode::FlightDataEncoderBuilder;
    use datafusion::arrow::{
        array::{ArrayRef, Int32Array, ListArray, StringArray, TimestampSecondArray},
        datatypes::Int32Type,
        ipc::{CompressionType, writer::IpcWriteOptions},
    };
    use futures_util::stream;

    use super::*;

    fn data(batch: RecordBatch, options: IpcWriteOptions) -> Vec<Result<FlightData, Status>> {
        let encoded = FlightDataEncoderBuilder::new()
            .with_options(options)
            .build(stream::iter([Ok(batch)]));
        let encoded = encoded.map_err(|error| panic!("{error}"));
        futures_util::FutureExt::now_or_never(encoded.collect()).unwrap()
    }

    async fn bound(columns: Vec<(&str, ArrayRef)>) -> Result<Statement, Status> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let data = data(batch, IpcWriteOptions::default());
        Statement::of("select ?".into())
            .bind(stream::iter(data))
            .await
    }

    #[tokio::test]
    async fn a_row_of_values_is_bound_and_comes_back() {
        let statement = bound(vec![
            ("a", Arc::new(StringArray::from(vec!["x'y"]))),
            ("b", Arc::new(Int32Array::from(vec![None]))),
            ("c", Arc::new(TimestampSecondArray::from(vec![7]))),
        ]);
        let statement = statement.await.unwrap();
        let back = Statement::read(&statement.handle()).unwrap();
        assert_eq!(back, statement);
        let values = vec![
            Value::Text("x'y".into()),
            Value::Null,
            Value::Time(7_000_000),
        ];
        assert_eq!(back.parameters(), Parameters::Placed(values));
        let mut broken = statement.handle();
        broken[3] ^= 1;
        assert!(Statement::read(&broken).is_err() && Statement::read(&[]).is_err());
        let long = Statement::of("x".repeat(MAX_HANDLE));
        assert!(Statement::read(&long.handle()).is_err());
    }

    #[tokio::test]
    async fn what_are_no_values_is_said() {
        let two: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        for (columns, words) in [
            (vec![("a", two)], "2 rows"),
            (vec![("l", Arc::new(list) as ArrayRef)], "as l; give texts"),
        ] {
            let status = bound(columns).await.unwrap_err();
            assert!(status.message().contains(words), "{status:?}");
        }
        let one: ArrayRef = Arc::new(StringArray::from(vec!["a".repeat(1000)]));
        let batch = RecordBatch::try_from_iter([("a", one)]).unwrap();
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .unwrap();
        let data = data(batch, options);
        let status = Statement::of("select ?".into()).bind(stream::iter(data));
        let status = status.await.unwrap_err();
        assert!(status.message().contains("compressed"), "{status:?}");
    }
}
