//! Which service a call is for.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use tonic::{body::Body, server::NamedService};

use super::{
    MAX_REQUEST, Service,
    body::Asked,
    peer::{Asker, Peer},
    status::{no_reports, unknown_method},
    unary,
};
use crate::proto::server::{
    event_service_server::EventServiceServer, report_service_server::SERVICE_NAME as REPORTS,
    scope_service_server::ScopeServiceServer,
};

pub(super) type Request = http::Request<Asked>;
pub(super) type Response = http::Response<Body>;
pub(super) type Responding = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The call that must cost little.
const LOOKUP_EVENTS: &str = "/trailgate.v1.EventService/LookupEvents";

/// The services of the port.
pub(super) struct Routes {
    service: Arc<Service>,
    events: EventServiceServer<Service>,
    scopes: ScopeServiceServer<Service>,
    /// Those beside trailgate's own, by name.
    others: Vec<(&'static str, Box<dyn Other>)>,
}

/// A service of any type.
trait Other: Send + Sync {
    fn call(&self, request: Request) -> Responding;
}

impl<S> Other for S
where
    S: tonic::codegen::Service<Request, Response = Response, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn call(&self, request: Request) -> Responding {
        Box::pin(tonic::codegen::Service::call(&mut self.clone(), request))
    }
}

impl Routes {
    pub(super) fn new(service: Service) -> Self {
        let service = Arc::new(service);
        let events = EventServiceServer::from_arc(Arc::clone(&service));
        let scopes = ScopeServiceServer::from_arc(Arc::clone(&service));
        Self {
            service,
            events: events.max_decoding_message_size(MAX_REQUEST),
            scopes: scopes.max_decoding_message_size(MAX_REQUEST),
            others: Vec::new(),
        }
    }

    /// Adds a service.
    pub(super) fn with<S>(mut self, service: S) -> Self
    where
        S: tonic::codegen::Service<Request, Response = Response, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.others.push((S::NAME, Box::new(service)));
        self
    }

    /// Whether reports are run.
    pub(super) fn has_reports(&self) -> bool {
        self.others.iter().any(|(name, _)| *name == REPORTS)
    }

    /// The answer to a call from `peer`.
    pub(super) fn call(&self, peer: &Peer, asker: Asker, mut request: Request) -> Responding {
        let path = request.uri().path();
        if path == LOOKUP_EVENTS && unary::is_plain(&request) {
            let service = Arc::clone(&self.service);
            return Box::pin(lookup_events(service, asker, request));
        }
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let name = name.map_or("", |(name, _)| name);
        let others = self.others.iter().find(|(other, _)| *other == name);
        let is_events = name == EventServiceServer::<Service>::NAME;
        let is_scopes = name == ScopeServiceServer::<Service>::NAME;
        let is_reports = name == REPORTS;
        peer.introduce(asker, request.extensions_mut());
        match others {
            _ if is_events => self.events.clone().call(request),
            _ if is_scopes => self.scopes.clone().call(request),
            Some((_, other)) => other.call(request),
            None => {
                let status = if is_reports {
                    no_reports()
                } else {
                    unknown_method()
                };
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}

async fn lookup_events(
    service: Arc<Service>,
    asker: Asker,
    request: Request,
) -> Result<Response, Infallible> {
    let answer = match unary::receive(request).await {
        Ok((metadata, request)) => service.lookup(asker, &metadata, request).await,
        Err(status) => Err(status),
    };
    Ok(unary::respond(answer))
}
