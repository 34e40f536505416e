//! `ReportService`: reports over the archive, with typed cells.

use futures_util::{StreamExt, stream};
use prost::Message;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    MAX_REQUEST,
    events::Streamed,
    peer::Asker,
    queries::{MESSAGE, Queries, sight},
    status::{Invalid, lacking, unknown_report, wrong_values},
};
use crate::{
    audit::Notes,
    clock::Clock,
    event::numbered_day,
    proto::{
        server::report_service_server::{ReportService, ReportServiceServer},
        v1::{self, ReportType, report_cell, run_report_response::Piece},
    },
    slots::Slot,
    sql::{self, Cells, Kind, Report, Reported, Type, Typed, Value},
};

/// The service of an engine.
pub(super) fn server(queries: Queries, clock: Clock) -> ReportServiceServer<Reports> {
    let server = ReportServiceServer::new(Reports { queries, clock });
    server.max_decoding_message_size(MAX_REQUEST)
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    queries: Queries,
    clock: Clock,
}

#[tonic::async_trait]
impl ReportService for Reports {
    async fn list_reports(
        &self,
        request: Request<v1::ListReportsRequest>,
    ) -> Result<Response<v1::ListReportsResponse>, Status> {
        let asker = Asker::of(&request);
        asker.asks("ListReportsRequest", request.get_ref());
        sight(&asker.rights)?;
        let reports = sql::reports();
        let reports = reports.iter().map(|report| self.told(report));
        Ok(Response::new(v1::ListReportsResponse {
            reports: reports.collect(),
        }))
    }

    type RunReportStream = Streamed<v1::RunReportResponse>;

    async fn run_report(
        &self,
        request: Request<v1::RunReportRequest>,
    ) -> Result<Response<Self::RunReportStream>, Status> {
        let asker = Asker::of(&request);
        let request = request.into_inner();
        asker.asks("RunReportRequest", &request);
        let sight = sight(&asker.rights)?;
        let report = sql::report(&request.name);
        let report = report
            .ok_or_else(|| unknown_report(&request.name, sql::nearest(&request.name).as_deref()))?;
        let now = self.clock.now();
        let typed = Typed {
            now: now.as_second(),
            zone: jiff::tz::TimeZone::UTC,
        };
        // by name: a map has no order, and what is wrong is said in one
        let mut given: Vec<_> = request.parameters.iter().collect();
        given.sort();
        let given = given
            .into_iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let values = typed.values(&report, given);
        let values = values.map_err(|wrong| wrong_values(&wrong))?;
        let missing = self.queries.engine.lacks(&report);
        if !missing.is_empty() {
            return Err(lacking(report.name, &missing));
        }
        let place = self.queries.place(&asker).await?;
        let reported = self
            .queries
            .engine
            .report(&report, values, typed.now, sight);
        let Reported { values, answer } = reported.await.map_err(failed)?;
        let header = header(&answer.schema(), values, now);
        let rows = Rows {
            answer,
            batch: None,
            notes: asker.notes().cloned(),
            _place: place,
        };
        let first = v1::RunReportResponse {
            piece: Some(Piece::Header(header)),
        };
        let rows = stream::unfold(Some(rows), next);
        Ok(Response::new(Box::pin(
            stream::iter([Ok(first)]).chain(rows),
        )))
    }
}

/// A query of ours did not do: with these values, or at all.
fn failed(error: sql::Error) -> Status {
    match &error {
        sql::Error::Wrong(_) | sql::Error::Refused(_) => {
            Invalid::new(error.reason(), "parameters", error.to_string()).into()
        }
        _ => error.into(),
    }
}

/// Rows on their way.
struct Rows {
    answer: sql::Answer,
    /// What is being told, and the row that is next.
    batch: Option<(Cells, usize)>,
    notes: Option<std::sync::Arc<Notes>>,
    /// Given back with the last of them.
    _place: Slot,
}

/// The next response; none follows one that is an error.
async fn next(rows: Option<Rows>) -> Option<(Result<v1::RunReportResponse, Status>, Option<Rows>)> {
    let mut rows = rows?;
    loop {
        if let Some(told) = rows.message() {
            if let Some(notes) = &rows.notes {
                notes.told(told.rows.len());
            }
            let response = v1::RunReportResponse {
                piece: Some(Piece::Rows(told)),
            };
            return Some((Ok(response), Some(rows)));
        }
        let batch = rows.answer.next().await?;
        match batch.and_then(|batch| Cells::of(&batch)) {
            Ok(cells) => rows.batch = Some((cells, 0)),
            Err(error) => return Some((Err(failed(error)), None)),
        }
    }
}

impl Rows {
    /// As many rows as a message has, or one that is longer; `None`: the batch is told.
    fn message(&mut self) -> Option<v1::ReportRows> {
        let (cells, next) = self.batch.as_mut()?;
        let (mut rows, mut size) = (Vec::new(), 0_usize);
        while *next < cells.rows() && size < MESSAGE {
            let values = cells.row(*next).map(cell);
            let row = v1::ReportRow {
                cells: values.collect(),
            };
            size = size.saturating_add(row.encoded_len());
            rows.push(row);
            *next += 1;
        }
        (!rows.is_empty()).then_some(v1::ReportRows { rows })
    }
}

impl From<Kind> for ReportType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Time => Self::Time,
            Kind::Text => Self::Text,
            Kind::Integer => Self::Integer,
        }
    }
}

impl Reports {
    fn told(&self, report: &Report) -> v1::Report {
        let lacking = self.queries.engine.lacks(report);
        let parameters = report.parameters.iter().map(|it| v1::ReportParameter {
            name: it.name.clone(),
            r#type: ReportType::from(it.of).into(),
            default_value: it.default.clone().unwrap_or_default(),
            is_required: it.default.is_none(),
            meaning: it.meaning.clone(),
            allowed_values: it.allowed.clone(),
        });
        let functions = report.functions.iter().map(|name| v1::ReportFunction {
            name: name.clone(),
            is_available: !lacking.contains(&name.as_str()),
        });
        v1::Report {
            name: report.name.to_owned(),
            title: report.title.clone(),
            about: report.about.clone(),
            parameters: parameters.collect(),
            functions: functions.collect(),
            query: report.text.to_owned(),
        }
    }
}

fn header(
    schema: &datafusion::arrow::datatypes::Schema,
    values: Vec<(String, Value)>,
    now: jiff::Timestamp,
) -> v1::ReportHeader {
    let columns = schema.fields().iter().map(|field| v1::ReportColumn {
        name: field.name().clone(),
        r#type: match Type::of(field.data_type()) {
            Type::Text => ReportType::Text,
            Type::Integer => ReportType::Integer,
            Type::Number => ReportType::Number,
            Type::Truth => ReportType::Truth,
            Type::Time => ReportType::Time,
            Type::Day => ReportType::Day,
        }
        .into(),
    });
    let parameters = values.into_iter().map(|(name, value)| v1::ReportValue {
        name,
        value: Some(cell(value)),
    });
    v1::ReportHeader {
        columns: columns.collect(),
        parameters: parameters.collect(),
        as_of: Some(Timestamp {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond().max(0),
        }),
    }
}

/// A value as a cell.
fn cell(value: Value) -> v1::ReportCell {
    use report_cell::Value as Told;
    const MICROS: i64 = 1_000_000;
    let value = match value {
        Value::Null => None,
        Value::Text(text) => Some(Told::Text(text)),
        Value::Integer(number) => Some(Told::Integer(number)),
        Value::Number(number) => Some(Told::Number(number)),
        Value::Truth(truth) => Some(Told::Truth(truth)),
        Value::Time(micros) => Some(Told::Time(Timestamp {
            seconds: micros.div_euclid(MICROS),
            nanos: i32::try_from(micros.rem_euclid(MICROS) * 1_000).unwrap_or(0),
        })),
        Value::Day(days) => {
            let day = numbered_day(days.into());
            day.map(|day| Told::Day(day.to_string()))
        }
    };
    v1::ReportCell { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_typed() {
        use report_cell::Value as Told;
        let of = |value| cell(value).value;
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(Value::Day(2)), Some(Told::Day("1970-01-03".into())));
        assert_eq!(of(Value::Day(-1)), Some(Told::Day("1969-12-31".into())));
        assert_eq!(of(Value::Day(i32::MAX)), None);
        let time = |seconds, nanos| Some(Told::Time(Timestamp { seconds, nanos }));
        assert_eq!(of(Value::Time(1_500_000)), time(1, 500_000_000));
        assert_eq!(of(Value::Time(-1)), time(-1, 999_999_000));
        assert_eq!(of(Value::Truth(false)), Some(Told::Truth(false)));
    }
}
