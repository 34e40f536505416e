//! `ScopeService`.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    Service,
    events::{count, second, time},
    peer::Asker,
    request::select,
};
use crate::{
    budget::{Caller, Class},
    collect::Health,
    coverage::{Report, Span},
    event::Scope,
    proto::{server::scope_service_server::ScopeService, v1},
    upstream::{self, ErrorKind},
};

#[tonic::async_trait]
impl ScopeService for Service {
    async fn list_scopes(
        &self,
        request: Request<v1::ListScopesRequest>,
    ) -> Result<Response<v1::ListScopesResponse>, Status> {
        let asker = Asker::of(&request);
        let caller = asker.caller.clone();
        let request = request.into_inner();
        asker.asks("ListScopesRequest", &request);
        let rights = Arc::clone(&asker.rights);
        let context = self.context(asker);
        let scopes = select(&context.scopes, &request.account_ids, &request.regions)?;
        let reports = self.lookup.coverage().report(&scopes);
        let scopes = scopes.iter().zip(&reports);
        let scopes = scopes.map(|(scope, report)| {
            let mut told = self.scope(scope, report, &caller);
            if let Some(coverage) = &mut told.coverage
                && (rights.hides_events() || !rights.sees_whole_events())
            {
                // they would tell of events, or of how long they are, that are not seen
                (coverage.events, coverage.bytes) = (0, 0);
            }
            told
        });
        Ok(Response::new(v1::ListScopesResponse {
            scopes: scopes.collect(),
        }))
    }
}

impl Service {
    fn scope(&self, scope: &Scope, report: &Report, caller: &Caller) -> v1::Scope {
        let upstream = self.lookup.upstream();
        let budget = upstream.budget(scope);
        let quota = budget.stats();
        let wait = budget.estimated_wait(Class::Interactive, caller);
        let health = upstream.health(scope);
        let settled = self.feed.settled(scope);
        let now = Instant::now();
        let wall = |instant| Some(time(self.lookup.clock().wall_at(instant)));
        let last = health.last_error.as_ref();
        v1::Scope {
            account_id: scope.account.to_string(),
            region: scope.region.to_string(),
            // 0 is unmetered
            requests_per_second: quota.rate.unwrap_or_default(),
            waiting_calls: count(quota.all_waiting()),
            estimated_wait: wait.try_into().ok(),
            watermark: settled.map(second),
            last_error: last.map_or_else(String::new, |last| reason(last.kind).to_owned()),
            state: state(&health, now).into(),
            max_requests_per_second: quota.ceiling.unwrap_or_default(),
            requests_bought: count(quota.bought),
            requests_throttled: count(quota.throttled),
            last_error_time: last.and_then(|last| wall(last.at)),
            last_success_time: health.last_success.and_then(wall),
            denied_until: health
                .barred_until
                .filter(|until| *until > now)
                .and_then(wall),
            coverage: Some(coverage(report)),
            collector_state: collector_state(self.poller.health(scope).as_ref(), settled.is_some())
                .into(),
            lag: settled.and_then(|settled| {
                let behind = self.lookup.clock().now_secs().saturating_sub(settled);
                u64::try_from(behind)
                    .ok()
                    .map(Duration::from_secs)?
                    .try_into()
                    .ok()
            }),
        }
    }
}

/// How new events of a scope come; `is_collected` if they do.
pub(super) fn collector_state(poll: Option<&Health>, is_collected: bool) -> v1::CollectorState {
    match poll {
        None if is_collected => v1::CollectorState::Unverified,
        None => v1::CollectorState::None,
        Some(Health::Starting) => v1::CollectorState::Starting,
        Some(Health::Collecting) => v1::CollectorState::Collecting,
        Some(Health::Overrun) => v1::CollectorState::Overrun,
        Some(Health::Failing(_)) => v1::CollectorState::Failing,
    }
}

fn coverage(report: &Report) -> v1::ScopeCoverage {
    v1::ScopeCoverage {
        seconds: report.seconds,
        oldest_time: report.ends.map(|(oldest, _)| second(oldest)),
        newest_time: report.ends.map(|(_, newest)| second(newest)),
        stretches: count(report.stretches),
        events: count(report.events),
        bytes: count(report.bytes),
        spans: report.spans.iter().map(span).collect(),
    }
}

fn span(span: &Span) -> v1::HeldSpan {
    v1::HeldSpan {
        start_time: Some(second(span.from)),
        end_time: Some(second(span.to)),
        seconds: span.seconds,
    }
}

fn state(health: &upstream::Health, now: Instant) -> v1::ScopeState {
    let Some(last) = &health.last_error else {
        return match health.last_success {
            Some(_) => v1::ScopeState::Ok,
            None => v1::ScopeState::NotAsked,
        };
    };
    if !health.is_barred(now) && health.last_success.is_some_and(|at| at >= last.at) {
        return v1::ScopeState::Ok;
    }
    match last.kind {
        ErrorKind::Denied | ErrorKind::Credentials => v1::ScopeState::Denied,
        ErrorKind::Throttled => v1::ScopeState::Throttled,
        ErrorKind::Invalid | ErrorKind::InvalidToken | ErrorKind::Transient | ErrorKind::Gone => {
            v1::ScopeState::Failing
        }
    }
}

/// A stable word for what went wrong; AWS's own words may name principals.
fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throttled => "UPSTREAM_THROTTLED",
        ErrorKind::Denied => "UPSTREAM_ACCESS_DENIED",
        ErrorKind::Credentials => "UPSTREAM_CREDENTIALS",
        ErrorKind::Invalid | ErrorKind::InvalidToken => "UPSTREAM_REJECTED",
        ErrorKind::Transient | ErrorKind::Gone => "UPSTREAM_UNAVAILABLE",
    }
}
