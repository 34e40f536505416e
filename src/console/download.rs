//! Events as a file: those of a page, or all.

use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use prost_reflect::DynamicMessage;

use super::{Console, columns::Column, layout::is_short, view::View, who::Calls};
use crate::{
    grpc::{Refusal, Told, Visitor},
    proto::{
        messages,
        v1::{Event, EventView, ExportEventsResponse, ScopeStatus},
    },
    sheet::Cells,
};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// With cells that no spreadsheet runs.
    Csv,
    /// An object with `events`, and what was not searched.
    Json,
}

pub(super) async fn file(
    State(console): State<Console>,
    calls: Calls,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let view = View::parse(&query, console.clock.now());
    let said = |name: &str| {
        let mut parts = form_urlencoded::parse(query.as_bytes());
        parts
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    };
    let form = match said("as").as_deref() {
        Some("json") => Form::Json,
        None | Some("csv") => Form::Csv,
        Some(_) => return (StatusCode::BAD_REQUEST, "as: say csv or json\n").into_response(),
    };
    let is_all = said("all").is_some();
    let of = match form {
        Form::Csv if is_all => EventView::Basic,
        // a page is asked for as it was for showing it: its token is of that question
        _ => EventView::Full,
    };
    let columns = match view.columns.is_empty() {
        true => Column::ALL.to_vec(),
        false => view.columns.clone(),
    };
    // reading all of it may take longer than a page does
    calls.by.takes_time();
    let told = match told(calls.visitor.clone(), &view, is_all, of).await {
        Err(refusal) if refusal.is_for_record() => {
            told(calls.visitor, &view, is_all, EventView::Basic).await
        }
        told => told,
    };
    let told = match told {
        Ok(told) => told,
        Err(refusal) => return console.refused(&refusal),
    };
    let (kind, name) = match form {
        Form::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"events.csv\"",
        ),
        Form::Json => ("application/json", "attachment; filename=\"events.json\""),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    let from = view.start_second();
    let pieces = pieces(told, form, columns, (from, view.unread));
    (headers, Body::from_stream(pieces)).into_response()
}

/// All events of a view, or those of its page.
async fn told(
    visitor: Visitor,
    view: &View,
    is_all: bool,
    of: EventView,
) -> Result<Told<ExportEventsResponse>, Refusal> {
    if is_all {
        return visitor.export(view.export(of)).await;
    }
    let page = visitor.lookup(view.lookup(of)).await?;
    Ok(Box::pin(stream::iter([Ok(ExportEventsResponse {
        events: page.events,
        scopes: page.scopes,
        ..ExportEventsResponse::default()
    })])))
}

/// What was written, and what is still to be.
struct Writing {
    told: Told<ExportEventsResponse>,
    form: Form,
    columns: Vec<Column>,
    scopes: Vec<ScopeStatus>,
    /// The second that was asked from.
    from: Option<i64>,
    /// What of the address could not be read.
    unread: Vec<String>,
    events: u64,
    is_over: bool,
}

/// A file's pieces, one for each batch. One that breaks off ends with an error, so
/// that a browser does not take it for whole.
fn pieces(
    told: Told<ExportEventsResponse>,
    form: Form,
    columns: Vec<Column>,
    (from, unread): (Option<i64>, Vec<String>),
) -> impl Stream<Item = Result<Bytes, Refusal>> {
    let head = match form {
        Form::Csv => lines([columns
            .iter()
            .map(|column| column.name().to_owned())
            .collect()]),
        Form::Json => b"{\"events\":[".to_vec(),
    };
    let writing = Writing {
        told,
        form,
        columns,
        scopes: Vec::new(),
        from,
        unread,
        events: 0,
        is_over: false,
    };
    let rest = stream::unfold(writing, async |mut writing| {
        if writing.is_over {
            return None;
        }
        let piece = match writing.told.next().await {
            Some(Ok(batch)) => Ok(writing.batch(batch)),
            Some(Err(refusal)) => {
                writing.is_over = true;
                Err(refusal)
            }
            None => {
                writing.is_over = true;
                Ok(writing.end())
            }
        };
        Some((piece.map(Bytes::from), writing))
    });
    stream::iter([Ok(Bytes::from(head))]).chain(rest)
}

impl Writing {
    fn batch(&mut self, batch: ExportEventsResponse) -> Vec<u8> {
        if !batch.scopes.is_empty() {
            self.scopes = batch.scopes;
        }
        match self.form {
            Form::Csv => lines(batch.events.iter().map(|event| {
                self.columns
                    .iter()
                    .map(|column| column.value(event))
                    .collect()
            })),
            Form::Json => {
                let mut piece = Vec::new();
                for event in &batch.events {
                    piece.extend_from_slice(if self.events == 0 { b"\n" } else { b",\n" });
                    piece.extend(json(event));
                    self.events += 1;
                }
                piece
            }
        }
    }

    /// What was not searched, or not applied, is in the file itself, which goes on
    /// without this page.
    fn end(&self) -> Vec<u8> {
        let short = self
            .scopes
            .iter()
            .filter(|scope| is_short(scope, self.from));
        let short: Vec<String> = short
            .map(|it| {
                format!(
                    "{} {}: {} ({})",
                    it.account_id, it.region, it.message, it.reason
                )
            })
            .collect();
        match self.form {
            Form::Csv => {
                let said = [
                    ("not all was searched", &short),
                    ("not applied, as it could not be read", &self.unread),
                ];
                let said = said.into_iter().filter(|(_, parts)| !parts.is_empty());
                lines(said.map(|(what, parts)| vec![format!("{what}: {}", parts.join("; "))]))
            }
            Form::Json => {
                let (short, unread) = (serde_json::json!(short), serde_json::json!(self.unread));
                format!("\n],\"not_searched\":{short},\"not_applied\":{unread}}}\n").into_bytes()
            }
        }
    }
}

fn lines(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    // rows of another length are written one by one
    Cells::default().lines(rows).unwrap_or_default()
}

/// An event as protobuf's JSON.
fn json(event: &Event) -> Vec<u8> {
    let of = messages().and_then(|all| all.get_message_by_name("trailgate.v1.Event"));
    let message = of.and_then(|of| {
        let bytes = event.encode_to_vec();
        DynamicMessage::decode(of, bytes.as_slice()).ok()
    });
    let text = message.and_then(|message| serde_json::to_vec(&message).ok());
    text.unwrap_or_else(|| b"null".to_vec())
}
