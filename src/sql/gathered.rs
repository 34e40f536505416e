//! Small batches of an answer, put together: each is a message, which takes the same to
//! send and to read whatever is in it.

use std::{mem, pin::Pin, time::Duration};

use datafusion::{
    arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef},
    common::Result,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};

/// Bytes of values that are enough for a message: what is larger is sent while what comes
/// next is made.
const ENOUGH: usize = 256 << 10;

/// How long rows wait for others: whoever reads an answer as it comes does not feel it.
const WAIT: Duration = Duration::from_millis(20);

struct Gathering<S> {
    batches: Pin<Box<S>>,
    schema: SchemaRef,
    held: Vec<RecordBatch>,
    bytes: usize,
    /// When the first of them came.
    since: Instant,
    is_over: bool,
}

/// The same rows in batches that are worth a message; none is empty. What is held when it
/// fails is told before.
pub(super) fn gathered<S>(
    batches: S,
    schema: &SchemaRef,
) -> impl Stream<Item = Result<RecordBatch>> + use<S>
where
    S: Stream<Item = Result<RecordBatch>>,
{
    let gathering = Gathering {
        batches: Box::pin(batches),
        schema: SchemaRef::clone(schema),
        held: Vec::new(),
        bytes: 0,
        since: Instant::now(),
        is_over: false,
    };
    stream::try_unfold((gathering, None), async |(mut gathering, failed)| {
        if let Some(error) = failed {
            return Err(error);
        }
        let failed = gathering.fill().await.err();
        match (gathering.take()?, failed) {
            (Some(batch), failed) => Ok(Some((batch, (gathering, failed)))),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    })
}

impl<S: Stream<Item = Result<RecordBatch>>> Gathering<S> {
    /// Holds as much as is enough, or as there is.
    async fn fill(&mut self) -> Result<()> {
        while self.bytes < ENOUGH && !self.is_over {
            let next = match self.held.is_empty() {
                true => self.batches.next().await,
                false => match timeout_at(self.since + WAIT, self.batches.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(()),
                },
            };
            let Some(batch) = next else {
                self.is_over = true;
                return Ok(());
            };
            let batch = batch.inspect_err(|_| self.is_over = true)?;
            if batch.num_rows() == 0 {
                continue;
            }
            if self.held.is_empty() {
                self.since = Instant::now();
            }
            self.bytes += bytes_of(&batch);
            self.held.push(batch);
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<RecordBatch>> {
        self.bytes = 0;
        let mut held = mem::take(&mut self.held);
        match (held.pop(), held.is_empty()) {
            (last, true) => Ok(last),
            (last, false) => {
                held.extend(last);
                Ok(Some(concat_batches(&self.schema, &held)?))
            }
        }
    }
}

/// Bytes of the values in it: others' in the same buffers are not.
fn bytes_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| column.to_data().get_slice_memory_size());
    // what cannot be told is as large as its buffers
    bytes
        .sum::<std::result::Result<usize, _>>()
        .unwrap_or_else(|_| batch.get_array_memory_size())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::{
            array::{Array, Int64Array},
            datatypes::{DataType, Field, Schema},
        },
        common::DataFusionError,
    };
    use tokio::time::sleep;

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
    }

    fn batch(rows: usize) -> RecordBatch {
        let column = Int64Array::from(vec![7; rows]);
        RecordBatch::try_new(schema(), vec![Arc::new(column)]).unwrap()
    }

    /// How many rows each batch has, and how it ended.
    async fn rows(
        batches: impl Stream<Item = Result<RecordBatch>>,
    ) -> (Vec<usize>, Option<DataFusionError>) {
        let mut rows = Vec::new();
        let mut batches = std::pin::pin!(gathered(batches, &schema()));
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => {
                    assert_eq!(batch.column(0).null_count(), 0);
                    rows.push(batch.num_rows());
                }
                Err(error) => return (rows, Some(error)),
            }
        }
        (rows, None)
    }

    #[tokio::test(start_paused = true)]
    async fn small_ones_are_put_together_and_large_ones_stay() {
        let given = [0, 1_000, 2_000, 0, 500, 40_000, 10, 33_000, 5, 0];
        let batches = stream::iter(given).map(|rows| Ok(batch(rows)));
        let (rows, error) = rows(batches).await;
        assert!(error.is_none());
        // 32,768 numbers are enough
        assert_eq!(rows, [43_500, 33_010, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_do_not_wait_long_for_others() {
        let batches = stream::iter([0, 5, 500, 5]).then(async |pause| {
            sleep(Duration::from_millis(pause)).await;
            Ok(batch(1))
        });
        assert_eq!(rows(batches).await.0, [2, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_an_error_is_told() {
        let failed = || DataFusionError::Execution("broken".to_owned());
        let batches = stream::iter([Ok(batch(3)), Ok(batch(4)), Err(failed())]);
        let (told, error) = rows(batches).await;
        assert_eq!(told, [7]);
        assert!(error.unwrap().to_string().contains("broken"));
        let (told, error) = rows(stream::iter([Err(failed())])).await;
        assert!(told.is_empty() && error.is_some());
        assert_eq!(rows(stream::empty()).await.0, [0; 0]);
    }
}
