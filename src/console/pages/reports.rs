//! Reports: which there are, and each with its parameters, its picture and its rows.

mod cells;
mod form;
mod pictures;
mod read;

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use maud::{Markup, html};

use self::{
    cells::{Links, text},
    form::Given,
    pictures::Picture,
    read::Read,
};
use super::super::{
    Console,
    layout::{refusal, status, unread},
    view::{count, number},
    who::Calls,
};
use crate::{
    grpc::{Refusal, Told},
    proto::v1::{Report, RunReportResponse, run_report_response::Piece},
    sheet::Cells,
};

/// Where reports are.
const HERE: &str = "/reports";

pub(in super::super) async fn list(State(console): State<Console>, calls: Calls) -> Response {
    let reports = match calls.visitor.reports().await {
        Ok(answer) => answer.reports,
        Err(refusal) => return console.refused(&refusal),
    };
    let content = html! {
        h1 { "Reports" }
        p class="faint" { "Questions over the archive: all that was ever kept, and not the last 90 days alone." }
        ul class="reports" {
            @for report in &reports {
                li {
                    h2 { a href=(format!("{HERE}/{}", report.name)) { (report.title) } }
                    p { (report.about) }
                    (lacking(report))
                }
            }
        }
    };
    console.page("Reports", HERE, &content).into_response()
}

/// What a report needs and this server has not.
fn lacking(report: &Report) -> Markup {
    let lacking = report.functions.iter().filter(|it| !it.is_available);
    let lacking: Vec<_> = lacking.map(|it| it.name.as_str()).collect();
    html! {
        @if !lacking.is_empty() {
            p class="notice" { "Not here: it needs " (lacking.join(" and ")) ", which a server answers that has a database of places (--sql-places)." }
        }
    }
}

pub(in super::super) async fn page(
    State(console): State<Console>,
    calls: Calls,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let reports = match calls.visitor.clone().reports().await {
        Ok(answer) => answer.reports,
        Err(refusal) => return console.refused(&refusal),
    };
    let report = reports.iter().find(|report| report.name == name);
    let given = Given::parse(report, &query.unwrap_or_default());
    let Some(report) = report else {
        // it says which is meant
        return match calls.visitor.report(given.request(&name)).await {
            Err(refusal) => console.refused(&refusal),
            Ok(_) => StatusCode::NOT_FOUND.into_response(),
        };
    };
    if !given.is_enough(report) {
        let content = laid(report, &given, None, &html! {});
        return console.page(&report.title, HERE, &content).into_response();
    }
    // a query may take longer than a page of events does
    calls.by.takes_time();
    let picture = Picture::of(&report.name);
    let read = match calls.visitor.report(given.request(&name)).await {
        Ok(told) => Read::all(told, picture.columns()).await,
        Err(refusal) => Err(refusal),
    };
    let (status, answer, wrong) = match &read {
        Ok(read) => (
            StatusCode::OK,
            answered(&console, report, &given, picture, read),
            None,
        ),
        Err(refusal) => (status(refusal.code), html! {}, Some(refusal)),
    };
    let content = laid(report, &given, wrong, &answer);
    let page = console.page(&report.title, HERE, &content);
    (status, page).into_response()
}

/// What a report is, its form, and what came of it.
fn laid(report: &Report, given: &Given, wrong: Option<&Refusal>, answer: &Markup) -> Markup {
    // what is said beside a field is not said twice
    let said = wrong.filter(|refusal| !given.says(report, refusal));
    html! {
        p class="faint" { a href=(HERE) { "All reports" } }
        h1 { (report.title) }
        p { (report.about) }
        (lacking(report))
        (given.form(report, wrong))
        (unread(&given.unread))
        @if let Some(wrong) = said { (refusal(wrong)) }
        (answer)
        details class="query" {
            summary { "The query" }
            pre tabindex="0" { (report.query) }
        }
    }
}

fn answered(
    console: &Console,
    report: &Report,
    given: &Given,
    picture: Picture,
    read: &Read,
) -> Markup {
    let links = Links::new(console.clock.now(), read);
    let columns = &read.header.columns;
    html! {
        p class="faint" { (read.of()) }
        @if let Some(drawn) = picture.draw(report, read) {
            figure class="picture" tabindex="0" role="region" aria-label="Picture" { (drawn) }
        }
        @if read.is_cut {
            p class="notice" { "These are the first " (number(read.rows)) " rows, in the picture too: there are more. " a href=(given.link(report, "/rows.csv")) { "The file" } " has all." }
        }
        div class="wide-table" tabindex="0" role="region" aria-label="Rows" {
            table {
                thead { tr { @for column in columns { th scope="col" { (column.name) } } } }
                tbody {
                    @for row in &read.shown {
                        tr class=[links.has_failed(row).then_some("failed")] {
                            @for (place, cell) in row.cells.iter().enumerate() { (links.cell(row, place, cell)) }
                        }
                    }
                }
            }
        }
        @if read.rows == 0 { p class="nothing" { "No rows: nothing of this was kept in that time." } }
        p class="below" {
            @let shown = i64::try_from(read.shown.len()).unwrap_or(i64::MAX);
            span class="faint" {
                @if shown < read.rows { (number(shown)) " of " }
                (count(read.rows, "row", "rows"))
                @if read.is_cut { " or more" }
            }
            span { "Download: " a href=(given.link(report, "/rows.csv")) { "CSV" } " of all" }
        }
    }
}

/// All rows, as a file.
pub(in super::super) async fn file(
    State(console): State<Console>,
    calls: Calls,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let reports = match calls.visitor.clone().reports().await {
        Ok(answer) => answer.reports,
        Err(refusal) => return console.refused(&refusal),
    };
    let report = reports.iter().find(|report| report.name == name);
    let given = Given::parse(report, &query.unwrap_or_default());
    calls.by.takes_time();
    let told = match calls.visitor.report(given.request(&name)).await {
        Ok(told) => told,
        Err(refusal) => return console.refused(&refusal),
    };
    // it is a report's
    let name = format!("attachment; filename=\"{name}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, Body::from_stream(pieces(told))).into_response()
}

/// A file's pieces. One that breaks off ends with an error, so that a browser does not
/// take it for whole.
fn pieces(told: Told<RunReportResponse>) -> impl Stream<Item = Result<Bytes, Refusal>> {
    let pieces = told.map(|response| {
        let rows = match response?.piece {
            None => Vec::new(),
            Some(Piece::Header(header)) => {
                vec![
                    header
                        .columns
                        .into_iter()
                        .map(|column| column.name)
                        .collect(),
                ]
            }
            Some(Piece::Rows(rows)) => {
                let rows = rows.rows.iter();
                rows.map(|row| row.cells.iter().map(text).collect())
                    .collect()
            }
        };
        // rows of another length are written one by one
        Ok(Bytes::from(
            Cells::default().lines(rows).unwrap_or_default(),
        ))
    });
    // nothing follows an error
    stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        let piece: Result<Bytes, Refusal> = pieces.next().await?;
        let rest = piece.is_ok().then_some(pieces);
        Some((piece, rest))
    })
}
