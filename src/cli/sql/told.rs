//! A report's answer, as a server tells it, as batches that can be written.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch,
        RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::{Field, Schema, SchemaRef},
};
use futures_util::{StreamExt, stream};
use tonic::{Status, Streaming};

use super::ask::{Answer, Failure};
use crate::{
    client::Client,
    event::day_number,
    proto::v1::{
        ReportCell, ReportRow, ReportRows, ReportType, RunReportRequest, RunReportResponse,
        report_cell::Value, run_report_response::Piece,
    },
    sql::Type,
};

/// Asks a server for a report.
pub(super) async fn ask(client: &Client, request: RunReportRequest) -> Result<Answer, Failure> {
    let mut told = client.run_report(request).await?;
    let Some(Piece::Header(header)) = piece(&mut told).await? else {
        return Err(unread("it does not begin with a header"));
    };
    let types: Vec<Type> = header.columns.iter().map(|it| of(it.r#type())).collect();
    let fields = header.columns.iter().zip(&types);
    let fields = fields.map(|(column, of)| Field::new(&column.name, of.column(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let begun = (told, Arc::clone(&schema), types);
    let batches = stream::try_unfold(begun, async |(mut told, schema, types)| {
        let batch = match piece(&mut told).await? {
            None => return Ok(None),
            Some(Piece::Header(_)) => return Err(unread("it has two headers")),
            Some(Piece::Rows(rows)) => batch(rows, &schema, &types)?,
        };
        Ok(Some((batch, (told, schema, types))))
    });
    Ok(Answer {
        schema,
        batches: batches.boxed(),
    })
}

/// The next piece that this version knows.
async fn piece(told: &mut Streaming<RunReportResponse>) -> Result<Option<Piece>, Failure> {
    while let Some(response) = told.message().await? {
        if response.piece.is_some() {
            return Ok(response.piece);
        }
    }
    Ok(None)
}

fn unread(why: &str) -> Failure {
    Status::internal(format!("the answer cannot be read: {why}")).into()
}

fn of(told: ReportType) -> Type {
    match told {
        ReportType::Integer => Type::Integer,
        ReportType::Number => Type::Number,
        ReportType::Truth => Type::Truth,
        ReportType::Time => Type::Time,
        ReportType::Day => Type::Day,
        ReportType::Text | ReportType::Unspecified => Type::Text,
    }
}

/// Rows as a batch.
fn batch(rows: ReportRows, schema: &SchemaRef, types: &[Type]) -> Result<RecordBatch, Failure> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.rows.len()));
    let mut columns: Vec<Column> = types.iter().copied().map(Column::new).collect();
    for ReportRow { cells } in rows.rows {
        if cells.len() != columns.len() {
            return Err(unread("a row has not the cells of its columns"));
        }
        for (column, ReportCell { value }) in columns.iter_mut().zip(cells) {
            column.push(value)?;
        }
    }
    let columns: Vec<ArrayRef> = columns.into_iter().map(Column::end).collect();
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| unread(&error.to_string()))
}

/// A column of a batch, as it grows.
enum Column {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Truth(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Day(Date32Builder),
}

impl Column {
    fn new(of: Type) -> Self {
        match of {
            Type::Text => Self::Text(StringBuilder::new()),
            Type::Integer => Self::Integer(Int64Builder::new()),
            Type::Number => Self::Number(Float64Builder::new()),
            Type::Truth => Self::Truth(BooleanBuilder::new()),
            Type::Time => {
                Self::Time(TimestampMicrosecondBuilder::new().with_data_type(of.column()))
            }
            Type::Day => Self::Day(Date32Builder::new()),
        }
    }

    fn push(&mut self, value: Option<Value>) -> Result<(), Failure> {
        match (self, value) {
            (Self::Text(column), Some(Value::Text(text))) => column.append_value(text),
            (Self::Integer(column), Some(Value::Integer(number))) => column.append_value(number),
            (Self::Number(column), Some(Value::Number(number))) => column.append_value(number),
            (Self::Truth(column), Some(Value::Truth(truth))) => column.append_value(truth),
            (Self::Time(column), Some(Value::Time(time))) => {
                let micros = time.seconds.checked_mul(1_000_000);
                let micros = micros.and_then(|it| it.checked_add(i64::from(time.nanos) / 1_000));
                column.append_option(micros);
            }
            (Self::Day(column), Some(Value::Day(day))) => {
                column.append_option(day.parse().ok().map(day_number));
            }
            (Self::Text(column), None) => column.append_null(),
            (Self::Integer(column), None) => column.append_null(),
            (Self::Number(column), None) => column.append_null(),
            (Self::Truth(column), None) => column.append_null(),
            (Self::Time(column), None) => column.append_null(),
            (Self::Day(column), None) => column.append_null(),
            (_, Some(_)) => return Err(unread("a cell is not of its column's type")),
        }
        Ok(())
    }

    fn end(self) -> ArrayRef {
        match self {
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Integer(mut column) => Arc::new(column.finish()),
            Self::Number(mut column) => Arc::new(column.finish()),
            Self::Truth(mut column) => Arc::new(column.finish()),
            Self::Time(mut column) => Arc::new(column.finish()),
            Self::Day(mut column) => Arc::new(column.finish()),
        }
    }
}
