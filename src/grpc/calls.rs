//! What every call passes on its way out: it is counted and logged, and a
//! request that is too large gets the answer of any other that cannot be used.

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{MAX_REQUEST, status::Invalid};
use crate::proto::{DESCRIPTORS, code_name};

/// Told of every call that was answered.
pub trait CallObserver: Clone + Send + Sync + 'static {
    /// A call of `method` (`package.Service/Method`, or `other` where there is
    /// no such method) was answered with `code`, by its name, after `latency`;
    /// of a stream, when its headers went out.
    fn answered(&self, method: &str, code: &str, latency: Duration);
}

/// Wraps every service of the port.
#[derive(Clone, Debug)]
pub struct CallsLayer<O> {
    observer: O,
    methods: Arc<HashSet<String>>,
}

impl<O: CallObserver> CallsLayer<O> {
    pub(super) fn new(observer: O) -> Self {
        Self {
            observer,
            methods: Arc::new(methods()),
        }
    }
}

impl<S, O: CallObserver> Layer<S> for CallsLayer<O> {
    type Service = Calls<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls {
            inner,
            observer: self.observer.clone(),
            methods: Arc::clone(&self.methods),
        }
    }
}

/// See [`CallsLayer`].
#[derive(Clone, Debug)]
pub struct Calls<S, O> {
    inner: S,
    observer: O,
    methods: Arc<HashSet<String>>,
}

type Answer<B, E> = Pin<Box<dyn Future<Output = Result<http::Response<B>, E>> + Send>>;

impl<S, O, A, B> Service<http::Request<A>> for Calls<S, O>
where
    S: Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    B: Default,
    O: CallObserver,
{
    type Response = http::Response<B>;
    type Error = S::Error;
    type Future = Answer<B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        // callers choose paths: only those of the contract are names
        let path = request.uri().path().trim_start_matches('/');
        let method = self
            .methods
            .get(path)
            .map_or("other", String::as_str)
            .to_owned();
        let observer = self.observer.clone();
        let start = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            // trailers-only answers carry their status in the headers; any other
            // has begun well
            let status = Status::from_header_map(answer.headers());
            if let Some(refused) = status.as_ref().and_then(too_large) {
                answer = refused.into_http();
            }
            let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |s| s.code());
            let latency = start.elapsed();
            observer.answered(&method, code_name(code), latency);
            if method.starts_with("trailgate.") {
                tracing::info!(method, code = code_name(code), ?latency, "call answered");
            } else {
                tracing::debug!(method, code = code_name(code), ?latency, "call answered");
            }
            Ok(answer)
        })
    }
}

/// tonic answers a message over the limit with `OUT_OF_RANGE`, which here says
/// that a position is too old.
fn too_large(status: &Status) -> Option<Status> {
    let is_too_large = status.code() == Code::OutOfRange
        && status
            .message()
            .starts_with("Error, decoded message length too large");
    is_too_large.then(|| {
        let message = format!(
            "more than {MAX_REQUEST} bytes; ask with fewer or shorter values, or in several requests"
        );
        Invalid::new("REQUEST_TOO_LARGE", "filters", message).into()
    })
}

/// Every method of the port, as `package.Service/Method`.
fn methods() -> HashSet<String> {
    let sets = [DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
    let files = sets
        .into_iter()
        .filter_map(|set| FileDescriptorSet::decode(set).ok());
    let mut methods = HashSet::new();
    for file in files.flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                methods.insert(format!("{package}.{service}/{}", method.name()));
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_contract() {
        let methods = methods();
        assert!(methods.contains("trailgate.v1.EventService/LookupEvents"));
        assert!(methods.contains("trailgate.v1.ScopeService/ListScopes"));
        assert!(methods.contains("grpc.health.v1.Health/Check"));
    }
}
