//! `ExportEvents`: the stream.

use std::sync::Arc;

use futures_util::stream;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    MAX_EXPORTS, Service,
    events::{Streamed, scope_status},
    request::Page,
    status::{broken_off, shutting_down, too_many, unread},
    view::View,
};
use crate::{
    lookup::{Error, Export, Order, ScopeAnswer, Step, UNREAD},
    proto::{server, v1},
};

/// An export under way.
struct Exporting {
    export: Export,
    view: View,
    order: Order,
    stopping: CancellationToken,
}

impl Service {
    /// Begins an export.
    pub(super) fn export(
        &self,
        page: Page,
    ) -> Result<Streamed<server::ExportEventsResponse>, Status> {
        let share = page.view.share().exports;
        let slot = self.exports.take(&page.question.caller, share);
        let slot = slot.map_err(|full| {
            let message = format!("{}; try again later", full.told(MAX_EXPORTS, "exports"));
            too_many("TOO_MANY_EXPORTS", &message)
        })?;
        let lookup = Arc::clone(&self.lookup);
        let order = page.question.order;
        let exporting = Exporting {
            export: Export::start(lookup, page.question, page.digest, slot),
            order,
            view: page.view,
            stopping: self.stopping.clone(),
        };
        Ok(Box::pin(stream::unfold(Some(exporting), next)))
    }
}

/// The next response; none follows one that is an error or the last.
async fn next(
    exporting: Option<Exporting>,
) -> Option<(
    Result<server::ExportEventsResponse, Status>,
    Option<Exporting>,
)> {
    let mut exporting = exporting?;
    let step: Option<Result<Step, Error>> = select! {
        biased;
        () = exporting.stopping.cancelled() => return Some((Err(shutting_down("next_page_token")), None)),
        step = exporting.export.next() => step,
    };
    match step {
        Some(Ok(step)) => {
            let response = respond(&step, &exporting.view, exporting.order);
            Some((Ok(response), (!step.is_last).then_some(exporting)))
        }
        Some(Err(error)) => Some((Err(error.into()), None)),
        None if exporting.export.is_unread() => Some((Err(unread(UNREAD)), None)),
        None => Some((Err(broken_off()), None)),
    }
}

fn respond(step: &Step, view: &View, order: Order) -> server::ExportEventsResponse {
    let status = |scope: &ScopeAnswer| {
        let mut status = scope_status(scope);
        if !step.is_last && status.state() == v1::SearchState::Partial {
            "IN_PROGRESS".clone_into(&mut status.reason);
            "the export goes on".clone_into(&mut status.message);
        }
        status
    };
    server::ExportEventsResponse {
        events: view.messages(&step.events),
        scopes: step.scopes.iter().map(status).collect(),
        stats: Some(view.stats(step.stats)),
        next_page_token: step
            .next
            .as_ref()
            .map(|token| view.page_token(token.clone(), order).encode())
            .unwrap_or_default(),
    }
}
