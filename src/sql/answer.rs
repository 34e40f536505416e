//! Answers, batch by batch, made as they are read.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        compute::cast,
        datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    },
    common::Result,
};
use futures_util::Stream;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, Sleep, sleep_until, timeout_at},
};
use tokio_util::{sync::DropGuard, task::AbortOnDropHandle};

use super::{
    error::{Error, Reason},
    runtime::Own,
    tree::{Found, label},
};

/// What a query says, in this order: columns, batches, and how it ended.
#[derive(Debug)]
pub(super) enum Piece {
    Schema(SchemaRef),
    Batch(RecordBatch),
    End,
    Failed(Error),
}

/// What is held while a query runs, which is ended when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) _task: AbortOnDropHandle<()>,
    /// What it runs on.
    pub(super) _own: Arc<Own>,
    /// Tells it that nobody reads any more.
    pub(super) _gone: DropGuard,
}

/// The answer to a query: batches with at least a row each. Dropping it ends the
/// query.
#[derive(Debug)]
pub struct Answer {
    schema: SchemaRef,
    pieces: Receiver<Piece>,
    _running: Running,
    /// When it has to be over. It is looked at here as well: a query that computes
    /// without a pause does not look.
    end: Pin<Box<Sleep>>,
    limit: Duration,
    is_over: bool,
}

impl Answer {
    /// The answer, once its columns are known.
    pub(super) async fn begin(
        mut pieces: Receiver<Piece>,
        running: Running,
        end: Instant,
        limit: Duration,
    ) -> std::result::Result<Self, Error> {
        let first = timeout_at(end, pieces.recv()).await;
        match first {
            Ok(Some(Piece::Schema(schema))) => Ok(Self {
                schema,
                pieces,
                _running: running,
                end: Box::pin(sleep_until(end)),
                limit,
                is_over: false,
            }),
            Ok(Some(Piece::Failed(error))) => Err(error),
            Ok(Some(Piece::Batch(_) | Piece::End) | None) => {
                Err(Error::Internal(Reason::default()))
            }
            Err(_) => Err(Error::Time { limit }),
        }
    }

    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Stream for Answer {
    type Item = std::result::Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = match self.pieces.poll_recv(context) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                ready!(self.end.as_mut().poll(context));
                Some(Piece::Failed(Error::Time { limit: self.limit }))
            }
        };
        let item = match piece {
            Some(Piece::Batch(batch)) => return Poll::Ready(Some(Ok(batch))),
            Some(Piece::Failed(error)) => Some(Err(error)),
            Some(Piece::End) => None,
            // it says how it ended, unless it broke
            Some(Piece::Schema(_)) | None => Some(Err(Error::Internal(Reason::default()))),
        };
        self.is_over = true;
        Poll::Ready(item)
    }
}

/// The columns of an answer: by types that every client has, and names as CloudTrail
/// spells them.
pub(super) fn schema(of: &Schema, found: &Found) -> SchemaRef {
    let fields = of.fields().iter().map(|field| {
        let name = label(field.name(), &found.labels);
        // the plan that is told and the one that runs differ in it
        Field::new(name, plain(field.data_type()), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A batch by the types of an answer.
pub(super) fn batch(of: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = of
        .columns()
        .iter()
        .zip(schema.fields())
        .map(
            |(column, field)| match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => cast(column, field.data_type()),
            },
        );
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    let rows =
        datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(of.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &rows,
    )?)
}

/// A type without views and dictionaries, which not every client reads.
pub(super) fn plain(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef {
        let plain = plain(field.data_type());
        Arc::new(Field::new(field.name(), plain, field.is_nullable()))
    };
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::List(element) => DataType::List(field(element)),
        DataType::LargeList(element) => DataType::LargeList(field(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}
