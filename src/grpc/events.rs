//! `EventService`: validate, call, convert.

use std::pin::Pin;

use futures_util::Stream;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    Service,
    request::{Context, Page},
    status::{not_found, not_implemented, unfinished},
};
use crate::{
    event::{Event, is_uuid},
    lookup::{Answer, PageToken, ScopeAnswer, ScopeState, Stats},
    proto::{
        self,
        v1::{self, event_service_server::EventService},
    },
};

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Service {
    async fn lookup_events(
        &self,
        request: Request<v1::LookupEventsRequest>,
    ) -> Result<Response<v1::LookupEventsResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let page = self.context().page(request, &metadata)?;
        let answer = self.lookup.ask(&page.question).await?;
        Ok(Response::new(v1::LookupEventsResponse {
            next_page_token: next_page(&page, &answer),
            events: answer
                .events
                .iter()
                .map(|e| proto::event(e, page.with_record))
                .collect(),
            scopes: answer.scopes.iter().map(scope_status).collect(),
            stats: Some(stats(answer.stats)),
            estimate: None,
        }))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let Page {
            question,
            with_record,
            ..
        } = self.context().event(&request, &metadata)?;
        let id = &request.event_id;
        let respond = |event: &Event, scopes, total| {
            Ok(Response::new(v1::GetEventResponse {
                event: Some(proto::event(event, with_record)),
                scopes,
                stats: Some(stats(total)),
            }))
        };
        if let Some(event) = self.lookup.held(&question.scopes, question.category, id) {
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
        for scope in answer.scopes {
            match scope.state {
                ScopeState::Complete => {}
                ScopeState::Failed(error) => return Err(error.into()),
                ScopeState::Partial(reason) => return Err(unfinished(reason)),
                // a search for one event has no earlier page
                ScopeState::FailedBefore(_) => {}
            }
        }
        Err(not_found(id))
    }

    type ExportEventsStream = Streamed<v1::ExportEventsResponse>;

    async fn export_events(
        &self,
        _: Request<v1::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        Err(not_implemented("ExportEvents"))
    }

    async fn summarize_events(
        &self,
        _: Request<v1::SummarizeEventsRequest>,
    ) -> Result<Response<v1::SummarizeEventsResponse>, Status> {
        Err(not_implemented("SummarizeEvents"))
    }

    type SubscribeEventsStream = Streamed<v1::SubscribeEventsResponse>;

    async fn subscribe_events(
        &self,
        _: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        Err(not_implemented("SubscribeEvents"))
    }
}

impl Service {
    fn context(&self) -> Context<'_> {
        Context {
            lookup: &self.lookup,
            scopes: &self.scopes,
            limits: &self.limits,
        }
    }
}

/// The token of the next page; empty: there is none.
fn next_page(page: &Page, answer: &Answer) -> String {
    let Some(after) = answer.next.clone() else {
        return String::new();
    };
    let question = &page.question;
    let failed = question
        .scopes
        .iter()
        .enumerate()
        .filter_map(|(place, scope)| {
            let state = &answer
                .scopes
                .iter()
                .find(|answer| answer.scope == *scope)?
                .state;
            match state {
                ScopeState::Failed(error) => Some((place, error.reason().to_owned())),
                ScopeState::FailedBefore(reason) => Some((place, reason.clone())),
                ScopeState::Complete | ScopeState::Partial(_) => None,
            }
        });
    let token = PageToken {
        digest: page.digest,
        window: question.window,
        asked_at: question.asked_at,
        after,
        short_by: answer.short_by.clone(),
        failed: failed.collect(),
    };
    token.encode()
}

fn scope_status(answer: &ScopeAnswer) -> v1::ScopeStatus {
    let (state, reason, message) = match &answer.state {
        ScopeState::Complete if answer.starts_before_history => (
            v1::SearchState::Complete,
            "BEFORE_HISTORY".to_owned(),
            "the window starts before what AWS keeps; nothing earlier was searched".to_owned(),
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
    let second = |seconds| Some(Timestamp { seconds, nanos: 0 });
    v1::ScopeStatus {
        account_id: answer.scope.account.to_string(),
        region: answer.scope.region.to_string(),
        state: state.into(),
        reason,
        message,
        // nothing was searched: there is no from and no to
        searched_from: (!searched.is_empty())
            .then(|| second(searched.from))
            .flatten(),
        searched_to: (!searched.is_empty())
            .then(|| second(searched.to - 1))
            .flatten(),
        as_of: Some(Timestamp {
            seconds: answer.as_of.as_second(),
            nanos: answer.as_of.subsec_nanosecond().max(0),
        }),
    }
}

fn stats(stats: Stats) -> v1::Stats {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    v1::Stats {
        upstream_calls: count(stats.upstream_calls),
        events_scanned: count(stats.events_scanned),
        events_matched: count(stats.events_matched),
        events_from_cache: count(stats.events_from_cache),
    }
}
