//! `ExportEvents`: the stream.

use std::sync::Arc;

use futures_util::stream;
use tokio::{select, sync::OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    MAX_EXPORTS, Service,
    events::{Streamed, messages, scope_status, stats},
    request::Page,
    status::{shutting_down, too_many},
};
use crate::{
    lookup::{Error, Export, PageToken, ScopeAnswer, Step},
    proto::{server, v1},
};

/// An export under way, and what it holds.
struct Exporting {
    export: Export,
    with_record: bool,
    stopping: CancellationToken,
    _slot: OwnedSemaphorePermit,
}

impl Service {
    /// Begins an export.
    pub(super) fn export(
        &self,
        page: Page,
    ) -> Result<Streamed<server::ExportEventsResponse>, Status> {
        let slot = Arc::clone(&self.exports).try_acquire_owned();
        let slot = slot.map_err(|_| {
            let message = format!("{MAX_EXPORTS} exports are under way; try again later");
            too_many("TOO_MANY_EXPORTS", &message)
        })?;
        let lookup = Arc::clone(&self.lookup);
        let exporting = Exporting {
            export: Export::start(lookup, page.question, page.digest),
            with_record: page.with_record,
            stopping: self.stopping.clone(),
            _slot: slot,
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
        () = exporting.stopping.cancelled() => return Some((Err(shutting_down()), None)),
        step = exporting.export.next() => step,
    };
    match step? {
        Ok(step) => {
            let response = respond(&step, exporting.with_record);
            Some((Ok(response), (!step.is_last).then_some(exporting)))
        }
        Err(error) => Some((Err(error.into()), None)),
    }
}

fn respond(step: &Step, with_record: bool) -> server::ExportEventsResponse {
    let status = |scope: &ScopeAnswer| {
        let mut status = scope_status(scope);
        if !step.is_last && status.state() == v1::SearchState::Partial {
            "IN_PROGRESS".clone_into(&mut status.reason);
            "the export goes on".clone_into(&mut status.message);
        }
        status
    };
    server::ExportEventsResponse {
        events: messages(&step.events, with_record),
        scopes: step.scopes.iter().map(status).collect(),
        stats: Some(stats(step.stats)),
        next_page_token: step
            .next
            .as_ref()
            .map(PageToken::encode)
            .unwrap_or_default(),
    }
}
