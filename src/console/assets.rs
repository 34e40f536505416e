//! The styles, the script and the icon.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

const STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/console.css"));
const REPORTS_STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/reports.css"));
const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/console.js"));
const ICON: &str = include_str!("icon.svg");

/// Their addresses: another version is another one, so that a browser may keep them.
pub(super) const STYLE_AT: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), ".css");
pub(super) const REPORTS_STYLE_AT: &str =
    concat!("/assets/reports-", env!("CARGO_PKG_VERSION"), ".css");
pub(super) const SCRIPT_AT: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), ".js");
pub(super) const ICON_AT: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), ".svg");

pub(super) async fn file(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.rsplit_once('.') {
        Some((stem, "css")) if stem.starts_with("reports-") => {
            ("text/css; charset=utf-8", REPORTS_STYLE)
        }
        Some((_, "css")) => ("text/css; charset=utf-8", STYLE),
        Some((_, "js")) => ("text/javascript; charset=utf-8", SCRIPT),
        Some((_, "svg")) => ("image/svg+xml", ICON),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let kept = "private, max-age=3600";
    (
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)],
        text,
    )
        .into_response()
}
