//! What must be true of every request and every token, whoever made it: in a server
//! without sockets, in front of a CloudTrail that has little to tell.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::{sync::Arc, time::Duration};

use prost::Message;
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::timeout,
};
use tonic::{Status, metadata::MetadataMap};

use super::{Asker, Context, Limits, enumerated, operator};
use crate::{
    budget::Budgets,
    clock::Clock,
    coverage::{self, Coverage},
    event::{Event, LookupEvent, Scope, TimeRange},
    feed::{self, Feed, FilePage, FilePlace, FindScopes, LogFiles, Subscription},
    filter::Match,
    lookup::{self, Lookup, Order, PageToken},
    proto::v1::{self, subscribe_events_request::Start},
    upstream::{CloudTrail, Page, PageFuture, PageRequest, Retry, Scopes, Upstream},
};

/// What clients take of headers (gRPC's default).
const MAX_HEADERS: usize = 8 * 1024;
/// How long a page, or the next word of a stream, may take: on paused time.
const LONG: Duration = Duration::from_secs(86_400);

/// A CloudTrail that tells the first and the last second of what it is asked.
struct Ends;

fn event(scope: &Scope, second: i64) -> LookupEvent {
    LookupEvent {
        event_id: Some(format!("{}/{second}", scope.region)),
        event_name: Some("Ends".to_owned()),
        event_time: Some(second),
        ..LookupEvent::default()
    }
}

impl CloudTrail for Ends {
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        let TimeRange { from, to } = request.range;
        let mut events = vec![event(scope, to - 1)];
        if from < to - 1 {
            events.push(event(scope, from));
        }
        let page = Page {
            events,
            next_token: None,
        };
        Box::pin(std::future::ready(Ok(page)))
    }
}

/// Log files of one scope, none of which can be read.
#[derive(Debug)]
struct NoFiles(Scope);

impl LogFiles for NoFiles {
    fn scopes(&self) -> FindScopes {
        let scope = self.0.clone();
        Box::pin(async move { Arc::from([scope]) })
    }

    fn read(&self, _: &Scope, _: TimeRange, _: Option<FilePlace>) -> mpsc::Receiver<FilePage> {
        mpsc::channel(1).1
    }
}

/// A server.
pub(crate) struct World {
    runtime: Runtime,
    scopes: Scopes,
    limits: Limits,
}

/// What one request is checked with.
struct Gateway<'a> {
    world: &'a World,
    lookup: Arc<Lookup>,
    feed: Arc<Feed>,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let scope = |region| Scope::new("111122223333", region);
        Self {
            runtime,
            scopes: Scopes::from(vec![scope("eu-west-1"), scope("us-east-1")]),
            limits: Limits {
                timeout: Duration::from_secs(10),
                max_upstream_calls: 20,
                calls_per_second: 0,
            },
        }
    }

    fn gateway(&self) -> Gateway<'_> {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().unwrap());
        let upstream = Upstream::new(
            Arc::new(Ends),
            Arc::new(Budgets::new(0.0)),
            Retry::default(),
        );
        let horizon = Duration::from_secs(900);
        let coverage = Coverage::new(coverage::Options {
            max_bytes: 1 << 20,
            horizon,
        });
        let lookup = Lookup::new(
            clock.clone(),
            Arc::new(coverage),
            Arc::new(upstream),
            Some(Duration::from_secs(90 * 86_400)),
        );
        let options = feed::Options {
            max_bytes: 4096,
            horizon,
        };
        let scope = Scope::new("111122223333", "eu-west-1");
        let feed =
            Feed::new(clock.clone(), options).with_log_files(Arc::new(NoFiles(scope.clone())));
        // more than the log holds
        for place in 0..20 {
            let api = event(&scope, clock.now_secs() - 100 + place);
            feed.take(&[Arc::new(Event::from_lookup(&scope, api, 0))]);
        }
        Gateway {
            world: self,
            lookup: Arc::new(lookup),
            feed: Arc::new(feed),
        }
    }

    /// Checks that a message is a request that is answered, or is refused in a way
    /// that clients can read.
    pub(crate) fn check_request(&self, method: u8, message: &[u8]) {
        self.runtime.block_on(async {
            let gateway = self.gateway();
            let context = gateway.context();
            let metadata = MetadataMap::new();
            match method.wrapping_sub(b'0') % 5 {
                0 => {
                    if let Ok(request) = v1::LookupEventsRequest::decode(message)
                        && let Some(page) = told(context.page(request, &metadata))
                    {
                        gateway.ask(&page.question).await;
                    }
                }
                1 => {
                    if let Ok(request) = v1::ExportEventsRequest::decode(message) {
                        told(context.export(request, &metadata));
                    }
                }
                2 => {
                    if let Ok(request) = v1::SummarizeEventsRequest::decode(message) {
                        told(context.summary(request, &metadata));
                    }
                }
                3 => {
                    if let Ok(request) = v1::GetEventRequest::decode(message) {
                        told(context.event(&request, &metadata));
                    }
                }
                _ => {
                    if let Ok(request) = v1::SubscribeEventsRequest::decode(message) {
                        gateway.subscribe(request).await;
                    }
                }
            }
        });
    }

    /// Checks a page whose token somebody made.
    pub(crate) fn check_page_token(&self, is_oldest_first: bool, body: &[u8]) {
        let order = match is_oldest_first {
            true => v1::Order::OldestFirst,
            false => v1::Order::NewestFirst,
        };
        let mut request = v1::LookupEventsRequest {
            order: order.into(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let gateway = self.gateway();
            let context = gateway.context();
            let metadata = MetadataMap::new();
            let first = context.page(request.clone(), &metadata).unwrap();
            request.page_token = lookup::oracle::forged(&first.digest, body);
            lookup::oracle::check(&request.page_token, &first.digest);
            let Some(page) = told(context.page(request, &metadata)) else {
                return;
            };
            gateway.ask(&page.question).await;
        });
    }

    /// Checks a stream that begins with a token that somebody made.
    pub(crate) fn check_resume_token(&self, body: &[u8]) {
        self.runtime.block_on(async {
            let gateway = self.gateway();
            let first = gateway
                .context()
                .subscription(Default::default(), &gateway.feed);
            let digest = first.unwrap().settings.digest;
            let token = feed::oracle::forged(&digest, &gateway.feed, body);
            feed::oracle::check(&token, &digest);
            let request = v1::SubscribeEventsRequest {
                start: Some(Start::ResumeToken(token)),
                ..Default::default()
            };
            gateway.subscribe(request).await;
        });
    }
}

impl Gateway<'_> {
    fn context(&self) -> Context<'_> {
        Context {
            asker: Asker::local(),
            lookup: &self.lookup,
            scopes: self.world.scopes.now(),
            scopes_before: Vec::new(),
            limits: &self.world.limits,
        }
    }

    /// Asks for a page, whose next one must go forward.
    async fn ask(&self, question: &lookup::Question) {
        let answer = timeout(LONG, self.lookup.ask(question)).await.unwrap();
        let Ok(answer) = answer else { return };
        if let (Some(next), Some(after)) = (&answer.next, &question.after) {
            let is_forward = match question.order {
                Order::NewestFirst => next <= after,
                Order::OldestFirst => next >= after,
            };
            assert!(is_forward, "{next:?} {after:?}");
        }
        let token = answer.next.map(|after| PageToken {
            digest: [7; 16],
            window: question.window,
            asked_at: question.asked_at,
            after,
            so_far: answer.so_far,
            failed: question.failed.clone(),
        });
        if let Some(token) = token {
            assert_eq!(PageToken::decode(&token.encode(), &[7; 16]), Ok(token));
        }
    }

    /// Listens for a while, and takes the token.
    async fn subscribe(&self, request: v1::SubscribeEventsRequest) {
        let Some(asked) = told(self.context().subscription(request, &self.feed)) else {
            return;
        };
        let (feed, lookup) = (Arc::clone(&self.feed), Arc::clone(&self.lookup));
        let scopes = self.world.scopes.clone();
        let begun = Subscription::new(feed, lookup, scopes, asked.settings, asked.start);
        let Some(mut subscription) = told(begun.map_err(Status::from)) else {
            return;
        };
        for _ in 0..8 {
            timeout(LONG, subscription.next()).await.unwrap();
            feed::oracle::check_written(&subscription.token());
        }
        subscription.last();
        feed::oracle::check_written(&subscription.token());
    }
}

/// A match as requests have it.
pub(crate) fn read(one: v1::Match) -> Option<Match> {
    Some(Match {
        operator: operator(enumerated("operator", one.operator).ok()?),
        field: one.field,
        values: one.values,
        negate: one.negate,
        ignore_case: one.ignore_case,
    })
}

/// What came of a request; a refusal must fit a header.
fn told<T>(result: Result<T, Status>) -> Option<T> {
    if let Err(status) = &result {
        // as percent-encoding and base64 make them longer
        let message = status.message().bytes();
        let message: usize = message
            .map(|byte| if byte.is_ascii_graphic() { 1 } else { 3 })
            .sum();
        let len = message + status.details().len() * 4 / 3;
        assert!(len < MAX_HEADERS, "{len}: {status:?}");
    }
    result.ok()
}
