//! Which service a path belongs to.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use super::MAX_REQUEST;
use crate::proto::server::{
    event_service_server::EventServiceServer, scope_service_server::ScopeServiceServer,
};

type Request = http::Request<Body>;
type Response = http::Response<Body>;
type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The services of the port. A call finds its own by comparing names: there are a
/// handful, and tonic's router, which any number of them may be added to, takes
/// as long as a short answer out of the cache.
#[derive(Clone)]
pub(super) struct Routes(Arc<Services>);

struct Services {
    events: EventServiceServer<super::Service>,
    scopes: ScopeServiceServer<super::Service>,
    /// Those that are asked seldom, by name.
    others: Vec<(&'static str, Box<dyn Other>)>,
}

/// A service that is asked seldom.
trait Other: Send + Sync {
    fn call(&self, request: Request) -> Answer;
}

impl<S> Other for S
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn call(&self, request: Request) -> Answer {
        Box::pin(Service::call(&mut self.clone(), request))
    }
}

/// Services beside trailgate's own.
#[derive(Default)]
pub(super) struct Others(Vec<(&'static str, Box<dyn Other>)>);

impl Others {
    pub(super) fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.0.push((S::NAME, Box::new(service)));
        self
    }
}

impl Routes {
    pub(super) fn new(service: super::Service, others: Others) -> Self {
        let events = EventServiceServer::new(service.clone());
        let scopes = ScopeServiceServer::new(service);
        Self(Arc::new(Services {
            events: events.max_decoding_message_size(MAX_REQUEST),
            scopes: scopes.max_decoding_message_size(MAX_REQUEST),
            others: others.0,
        }))
    }
}

impl Service<Request> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    /// Services are always ready: what they wait for they wait for in a call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        let path = request.uri().path();
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let name = name.map(|(name, _)| name).unwrap_or_default();
        let services = &*self.0;
        if name == EventServiceServer::<super::Service>::NAME {
            return services.events.clone().call(request);
        }
        if name == ScopeServiceServer::<super::Service>::NAME {
            return services.scopes.clone().call(request);
        }
        let mut others = services.others.iter();
        match others.find(|(other, _)| *other == name) {
            Some((_, other)) => other.call(request),
            None => Box::pin(unknown()),
        }
    }
}

fn unknown() -> Ready<Result<Response, Infallible>> {
    ready(Ok(Status::unimplemented("no such service").into_http()))
}
