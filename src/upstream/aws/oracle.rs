//! What must be true of every answer, whatever AWS, or something in between, sent.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use tokio::runtime::{Builder, Runtime};

use super::{Aws, Options, Signing};
use crate::{
    awsjson,
    event::{self, Category, Event, Scope, TimeRange},
    upstream::{CloudTrail, Error, Page, PageRequest},
};

/// Answers every request alike, and needs no connection.
#[derive(Clone, Debug, Default)]
struct Canned(Arc<Mutex<(u16, Vec<u8>)>>);

impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

/// AWS, whose answers are given.
pub(crate) struct Answering {
    runtime: Runtime,
    canned: Canned,
    aws: Aws,
    scope: Scope,
}

impl Answering {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let options = Options {
            signing: Signing::Simulator,
            region: Some("eu-west-1".to_owned()),
            ..Options::default()
        };
        let mut aws = runtime.block_on(Aws::load(options));
        let canned = Canned::default();
        let connector = SharedHttpConnector::new(canned.clone());
        let client = http_client_fn(move |_, _| connector.clone());
        aws.config = aws.config.to_builder().http_client(client).build();
        Self {
            runtime,
            canned,
            aws,
            scope: Scope::new("111122223333", "eu-west-1"),
        }
    }

    fn page(&self, status: u16, body: &[u8]) -> Result<Page, Error> {
        *self.canned.0.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_vec());
        let request = PageRequest {
            category: Category::Management,
            attribute: None,
            range: TimeRange::new(0, 10),
            token: None,
        };
        self.runtime
            .block_on(self.aws.lookup_events(&self.scope, &request))
    }

    /// Checks that an answer is read or sorted, and that what was read of it, sent
    /// once more, is read as the same.
    pub(crate) fn check(&self, status: u16, body: &[u8]) {
        let page = match self.page(status, body) {
            Ok(page) => page,
            Err(error) => {
                assert!(!error.code.is_empty(), "{error:?}");
                return;
            }
        };
        assert!((200..300).contains(&status), "{status}: {page:?}");
        // AWS JSON has times as numbers, which are exact so far
        let is_exact = |time: i64| time.abs() < 1 << 53;
        if page
            .events
            .iter()
            .filter_map(|event| event.event_time)
            .all(is_exact)
        {
            let again = awsjson::answer(&page.events, page.next_token.as_deref());
            assert_eq!(self.page(200, &again).unwrap(), page);
        }
        for api in page.events {
            let expected = event::oracle::from_lookup(&self.scope, api.clone(), 77);
            let event = Event::from_lookup(&self.scope, api, 77);
            assert_eq!(event.parts(), expected);
        }
    }
}
