//! What is told of a call when it ends, however it does.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde::Serialize;
use tokio::time::Instant;
use tracing::Span;

use super::{AwsObserver, AwsOptions, Visitor};
use crate::{
    audit::{Notes, Trail},
    awsjson::{LOOKUP_EVENTS, LookupRequest},
    event::{Category, Scope},
    policy::Who,
    trace,
};

/// How calls are named in the audit log.
const METHOD: &str = "CloudTrail/LookupEvents";
/// What stands for a token, which tells nobody anything.
const TOKEN: &str = "...";
/// The code of a call whose caller went away, as gRPC names it.
const CANCELLED: &str = "CANCELLED";

pub(super) struct Ending {
    start: Instant,
    pub(super) span: Span,
    trail: Option<Trail>,
    observer: Arc<dyn AwsObserver>,
    has_ended: bool,
}

/// A request as it is written.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked<'a> {
    account_id: &'a str,
    region: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup_attributes: Option<[Attribute<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_category: Option<&'a str>,
    max_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute<'a> {
    attribute_key: &'a str,
    attribute_value: &'a str,
}

impl Ending {
    pub(super) fn begin(options: &AwsOptions, visitor: &Visitor, headers: &HeaderMap) -> Self {
        let log = options.audit.as_ref();
        Self {
            start: Instant::now(),
            span: trace::aws_call(LOOKUP_EVENTS, headers),
            trail: log.map(|log| Trail::new(log.clone(), visitor.address, METHOD)),
            observer: Arc::clone(&options.observer),
            has_ended: false,
        }
    }

    /// It is not let in, and why.
    pub(super) fn is_refused(&mut self, why: &str) {
        if let Some(trail) = &mut self.trail {
            trail.refused = Some(why.to_owned());
        }
    }

    /// Who asks.
    pub(super) fn is_by(&mut self, who: &Who) {
        if let Some(trail) = &mut self.trail {
            trail.who = Some(who.clone());
        }
    }

    /// Where what it buys is counted, if anywhere.
    pub(super) fn notes(&self) -> Option<&Arc<Notes>> {
        self.trail.as_ref().map(|trail| &trail.notes)
    }

    /// What is asked.
    pub(super) fn asks(&self, scope: &Scope, request: &LookupRequest) {
        let Some(notes) = self.notes() else { return };
        let attribute = request.attribute.as_ref();
        let asked = Asked {
            account_id: &scope.account,
            region: &scope.region,
            lookup_attributes: attribute.map(|attribute| {
                [Attribute {
                    attribute_key: attribute.key.as_str(),
                    attribute_value: &attribute.value,
                }]
            }),
            start_time: request.start_secs(),
            end_time: request.end_secs(),
            event_category: (request.category == Category::Insight).then_some("insight"),
            max_results: request.max_results,
            next_token: request.token.as_ref().map(|_| TOKEN),
        };
        if let Ok(json) = serde_json::to_string(&asked) {
            notes.asked(json);
        }
    }

    /// So many events are told.
    pub(super) fn told(&self, events: usize) {
        if let Some(notes) = self.notes() {
            notes.told(events);
        }
    }

    /// It ended with `OK`, or with AWS's error `code`: by fault of the server, or not.
    pub(super) fn tell(&mut self, code: &'static str, is_fault: bool) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let span = self.span.clone();
        if code != "OK" {
            trace::refused(&span, code, is_fault);
        }
        let _in = span.enter();
        let latency = self.start.elapsed();
        self.observer.ended(code, latency);
        if let Some(trail) = &self.trail {
            trail.ends(code, latency);
        }
        tracing::debug!(method = METHOD, code, ?latency, "call ended");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tell(CANCELLED, false);
    }
}
