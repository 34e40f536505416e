//! The console: pages for people, made of what calls answer.
//!
//! It asks through a [`Door`], as whoever visits it, and holds nothing of its own:
//! what a visitor may not ask by gRPC it may not see here. Pages are made whole on the
//! server; the script beside them adds comfort, and nothing depends on it but live
//! events.

mod assets;
mod columns;
mod download;
mod guard;
mod json;
mod layout;
mod live;
mod pages;
mod press;
mod view;
mod who;

use std::sync::Arc;

use axum::{
    Router, middleware,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use maud::Markup;

use self::layout::Html;
use crate::{
    clock::Clock,
    grpc::{Door, Refusal},
};

pub use guard::Hosts;
pub use who::Proxy;

/// How the console is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The names that it answers to.
    pub hosts: Hosts,
    /// Who says whom it brings.
    pub proxy: Option<Proxy>,
}

/// What pages are made with. Cheap to clone.
#[derive(Clone, Debug)]
struct Console {
    door: Door,
    clock: Clock,
    options: Arc<Options>,
}

/// The pages, for an HTTP port that tells who visits it.
pub fn router(door: Door, clock: Clock, options: Options) -> Router {
    let console = Console {
        door,
        clock,
        options: Arc::new(options),
    };
    let guard = middleware::from_fn_with_state(console.clone(), guard::guard);
    Router::new()
        .route("/", get(|| async { Redirect::to("/events") }))
        .route("/events", get(pages::events::page))
        .route("/counts", get(pages::counts::fragment))
        .route("/event", get(pages::event::page))
        .route("/compare", get(pages::compare::page))
        .route("/scopes", get(pages::scopes::page))
        .route("/reports", get(pages::reports::list))
        .route("/reports/{name}", get(pages::reports::page))
        .route("/reports/{name}/rows.csv", get(pages::reports::file))
        .route("/live", get(live::page))
        .route("/live/stream", get(live::stream))
        .route("/download", get(download::file))
        .route("/assets/{name}", get(assets::file))
        .layer(middleware::from_fn(press::press))
        .layer(guard)
        .with_state(console)
}

impl Console {
    /// A page; `here` is the one that it belongs to of those that all lead to.
    fn page(&self, title: &str, here: &str, content: &Markup) -> Html {
        layout::page(self.door.has_reports(), title, here, content)
    }

    /// A page that says why there is none.
    fn refused(&self, refusal: &Refusal) -> Response {
        let status = layout::status(refusal.code);
        let page = self.page("Not answered", "", &layout::refusal(refusal));
        (status, page).into_response()
    }
}
