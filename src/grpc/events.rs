//! `EventService`: validate, call, convert.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use prost_types::Timestamp;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    Service,
    listen::Leaving,
    peer::Asker,
    request::{Context, Page},
    status::{not_found, not_found_in, unfinished},
    summary::response,
};
use crate::{
    event::{Event, Scope, is_uuid},
    lookup::{Answer, Estimate, ScopeAnswer, ScopeState, Stats},
    proto::{
        Ready,
        server::{self, event_service_server::EventService},
        v1,
    },
};

pub(super) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Service {
    async fn lookup_events(
        &self,
        request: Request<v1::LookupEventsRequest>,
    ) -> Result<Response<server::LookupEventsResponse>, Status> {
        let asker = Asker::of(&request);
        let (metadata, _, request) = request.into_parts();
        let answer = self.lookup(asker, &metadata, request).await?;
        Ok(Response::new(answer))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<server::GetEventResponse>, Status> {
        let asker = Asker::of(&request);
        let (metadata, _, request) = request.into_parts();
        asker.asks("GetEventRequest", &request);
        let rights = Arc::clone(&asker.rights);
        let Page { question, view, .. } = self.context(asker).event(&request, &metadata)?;
        let id = &request.event_id;
        let respond = |event: &Arc<Event>, scopes, total| {
            Ok(Response::new(server::GetEventResponse {
                event: Some(view.message(event)),
                scopes,
                stats: Some(view.stats(total)),
            }))
        };
        let held = self
            .lookup
            .held(&question.scopes, question.category, id)
            .filter(|event| rights.sees_event(event));
        if let Some(event) = held {
            let total = Stats {
                events_scanned: 1,
                events_matched: 1,
                events_from_cache: 1,
                ..Stats::default()
            };
            return respond(&event, Vec::new(), total);
        }
        let answer = self.lookup.find(&question, is_uuid(id)).await?;
        if let Some(event) = answer.events.first() {
            let scopes = answer.scopes.iter().map(scope_status).collect();
            return respond(event, scopes, answer.stats);
        }
        let unsearched: Vec<&Scope> = answer
            .scopes
            .iter()
            .filter(|scope| scope.state != ScopeState::Complete)
            .map(|scope| &scope.scope)
            .collect();
        let searched = answer.scopes.len() - unsearched.len();
        let why = answer.scopes.iter().find_map(|scope| match &scope.state {
            ScopeState::Failed(error) => Some(error.clone().of(&scope.scope).into()),
            ScopeState::Partial(reason) => Some(unfinished(reason.clone(), &scope.scope)),
            // a search for one event has no earlier page
            ScopeState::Complete | ScopeState::FailedBefore(_) => None,
        });
        Err(match why {
            Some(status) => not_found_in(status, searched, &unsearched),
            None => not_found(id),
        })
    }

    type ExportEventsStream = Streamed<server::ExportEventsResponse>;

    async fn export_events(
        &self,
        request: Request<v1::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        let asker = Asker::of(&request);
        let (metadata, _, request) = request.into_parts();
        asker.asks("ExportEventsRequest", &request);
        let page = self.context(asker).export(request, &metadata)?;
        Ok(Response::new(self.export(page)?))
    }

    async fn summarize_events(
        &self,
        request: Request<v1::SummarizeEventsRequest>,
    ) -> Result<Response<v1::SummarizeEventsResponse>, Status> {
        let asker = Asker::of(&request);
        let (metadata, _, request) = request.into_parts();
        asker.asks("SummarizeEventsRequest", &request);
        let names = request.top_fields.clone();
        let view = asker.view(false);
        let (question, of) = self.context(asker).summary(request, &metadata)?;
        let _turn = self
            .turn_to_summarize(&question.caller, question.deadline)
            .await?;
        let summary = self.lookup.summarize(question, &of).await?;
        let stats = view.stats(summary.stats);
        Ok(Response::new(response(&summary, &of, names, stats)))
    }

    type SubscribeEventsStream = Streamed<Ready>;

    async fn subscribe_events(
        &self,
        request: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        let asker = Asker::of(&request);
        let leaving = Leaving::of(&request);
        let request = request.into_inner();
        asker.asks("SubscribeEventsRequest", &request);
        let asked = self.context(asker).subscription(request, &self.feed)?;
        Ok(Response::new(self.subscribe(asked, leaving)?))
    }

    type IngestEventsStream = Streamed<v1::IngestEventsResponse>;

    async fn ingest_events(
        &self,
        request: Request<Streaming<v1::IngestEventsRequest>>,
    ) -> Result<Response<Self::IngestEventsStream>, Status> {
        let asker = Asker::of(&request);
        Ok(Response::new(self.ingest(&asker, request.into_inner())?))
    }
}

impl Service {
    /// Answers a `LookupEvents` call.
    pub(super) async fn lookup(
        &self,
        asker: Asker,
        metadata: &MetadataMap,
        request: v1::LookupEventsRequest,
    ) -> Result<server::LookupEventsResponse, Status> {
        asker.asks("LookupEventsRequest", &request);
        let is_estimate = request.estimate_only;
        let page = self.context(asker).page(request, metadata)?;
        if is_estimate {
            let estimate = self.lookup.estimate(&page.question).await;
            return Ok(server::LookupEventsResponse {
                estimate: Some(convert(estimate)),
                ..server::LookupEventsResponse::default()
            });
        }
        let answer = self.lookup.ask(&page.question).await?;
        Ok(server::LookupEventsResponse {
            events: page.view.messages(&answer.events),
            scopes: answer.scopes.iter().map(scope_status).collect(),
            stats: Some(page.view.stats(answer.stats)),
            next_page_token: next_page(page, &answer),
            estimate: None,
        })
    }

    pub(super) fn context(&self, asker: Asker) -> Context<'_> {
        let seen = |scopes: Arc<[Scope]>| match asker.rights.sees_all_scopes() {
            true => scopes,
            false => {
                let scopes = scopes.iter().filter(|scope| asker.rights.sees(scope));
                scopes.cloned().collect()
            }
        };
        Context {
            scopes: seen(self.scopes.now()),
            scopes_before: self.scopes.before().into_iter().map(seen).collect(),
            asker,
            lookup: &self.lookup,
            limits: &self.limits,
        }
    }
}

/// The token of the next page; empty: there is none.
fn next_page(page: Page, answer: &Answer) -> String {
    let Page {
        mut question,
        digest,
        view,
    } = page;
    question.follow(answer);
    match answer.next {
        Some(_) => view
            .page_token(question.token(digest), question.order)
            .encode(),
        None => String::new(),
    }
}

pub(super) fn scope_status(answer: &ScopeAnswer) -> v1::ScopeStatus {
    let (state, reason, message) = match &answer.state {
        ScopeState::Complete if answer.starts_before_history => (
            v1::SearchState::Complete,
            "BEFORE_HISTORY".to_owned(),
            format!(
                "{}{}",
                match answer.searched.is_empty() {
                    true => "all of the window is before what AWS keeps; nothing was searched",
                    false => {
                        "the window starts before what AWS keeps; nothing earlier was searched"
                    }
                },
                match answer.is_in_log_files {
                    true => {
                        ": what the archive has of it is from log files, which do not tell \
                         Username, ResourceName and ResourceType"
                    }
                    false => "",
                }
            ),
        ),
        ScopeState::Complete => (v1::SearchState::Complete, String::new(), String::new()),
        ScopeState::Partial(reason) => (
            v1::SearchState::Partial,
            reason.as_str().to_owned(),
            reason.message().into_owned(),
        ),
        ScopeState::Failed(error) => (
            v1::SearchState::Failed,
            error.reason().to_owned(),
            error.to_string(),
        ),
        ScopeState::FailedBefore(reason) => (
            v1::SearchState::Failed,
            reason.clone(),
            "failed on an earlier page; ask for the first page again to retry".to_owned(),
        ),
    };
    let searched = answer.searched;
    v1::ScopeStatus {
        account_id: answer.scope.account.to_string(),
        region: answer.scope.region.to_string(),
        state: state.into(),
        reason,
        message,
        // nothing was searched: there is no from and no to
        searched_from: (!searched.is_empty()).then(|| second(searched.from)),
        searched_to: (!searched.is_empty()).then(|| second(searched.to - 1)),
        as_of: Some(time(answer.as_of)),
        unsettled_as_of: answer.unsettled_as_of.map(time),
        unproven_before: answer.unproven_before.map(second),
    }
}

fn convert(estimate: Estimate) -> v1::Estimate {
    // the longest span that the contract can say is 10,000 years
    let span = |span: Duration| prost_types::Duration::try_from(span).ok();
    v1::Estimate {
        upstream_calls: count(estimate.calls),
        duration: span(estimate.duration),
        window_upstream_calls: count(estimate.window_calls),
        window_duration: span(estimate.window_duration),
    }
}

/// A count as messages have it.
pub(super) fn count(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A second since the Unix epoch as messages have it.
pub(super) fn second(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// A time as messages have it.
pub(super) fn time(time: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond().max(0),
    }
}
