//! What every call passes on its way out: it is counted and logged, and a
//! request that is too large gets the answer of any other that cannot be used.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
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
pub trait CallObserver {
    /// Is told of the calls of one method.
    type Method: MethodObserver;

    /// Who is told of the calls of `method`: `package.Service/Method`, or
    /// `other` for calls of no method that there is. Asked once for each.
    fn method(&self, method: &str) -> Self::Method;
}

/// Told of every call of one method that was answered.
pub trait MethodObserver: Send + Sync + 'static {
    /// A call was answered with `code`, by its name, after `latency`; of a
    /// stream, when its headers went out.
    fn answered(&self, code: &'static str, latency: Duration);
}

/// Wraps every service of the port.
#[derive(Debug)]
pub struct CallsLayer<M> {
    methods: Arc<Methods<M>>,
}

/// Methods by `package.Service/Method`, so that a call makes no name of its
/// own.
#[derive(Debug)]
struct Methods<M> {
    known: HashMap<String, Arc<Method<M>>>,
    other: Arc<Method<M>>,
}

#[derive(Debug)]
struct Method<M> {
    name: String,
    observer: M,
}

impl<M> CallsLayer<M> {
    pub(super) fn new(observer: &impl CallObserver<Method = M>) -> Self {
        let method = |name: String| {
            let observer = observer.method(&name);
            Arc::new(Method { name, observer })
        };
        let known = methods().into_iter();
        let methods = Methods {
            known: known.map(|name| (name.clone(), method(name))).collect(),
            other: method("other".to_owned()),
        };
        Self {
            methods: Arc::new(methods),
        }
    }
}

impl<M> Clone for CallsLayer<M> {
    fn clone(&self) -> Self {
        Self {
            methods: Arc::clone(&self.methods),
        }
    }
}

impl<S, M> Layer<S> for CallsLayer<M> {
    type Service = Calls<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls {
            inner,
            methods: Arc::clone(&self.methods),
        }
    }
}

/// See [`CallsLayer`].
#[derive(Debug)]
pub struct Calls<S, M> {
    inner: S,
    methods: Arc<Methods<M>>,
}

impl<S: Clone, M> Clone for Calls<S, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            methods: Arc::clone(&self.methods),
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Call<F, M> {
    inner: F,
    method: Arc<Method<M>>,
    start: Instant,
}

impl<S, M, A, B> Service<http::Request<A>> for Calls<S, M>
where
    S: Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Unpin,
    B: Default,
    M: MethodObserver,
{
    type Response = http::Response<B>;
    type Error = S::Error;
    type Future = Call<S::Future, M>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        // callers choose paths: only those of the contract are names
        let path = request.uri().path().trim_start_matches('/');
        let method = self.methods.known.get(path);
        Call {
            method: Arc::clone(method.unwrap_or(&self.methods.other)),
            start: Instant::now(),
            inner: self.inner.call(request),
        }
    }
}

impl<F, M, B, E> Future for Call<F, M>
where
    F: Future<Output = Result<http::Response<B>, E>> + Unpin,
    B: Default,
    M: MethodObserver,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.inner).poll(context))?;
        // trailers-only answers carry their status in the headers; any other has
        // begun well
        let mut status = Status::from_header_map(answer.headers());
        if let Some(refused) = status.as_ref().and_then(too_large) {
            answer = refused.clone().into_http();
            status = Some(refused);
        }
        let code = status.map_or(Code::Ok, |status| status.code());
        let (is_ok, code) = (code == Code::Ok, code_name(code));
        let latency = self.start.elapsed();
        let Method { name, observer } = &*self.method;
        observer.answered(code, latency);
        // a line for each answer out of the cache would cost more than the answer
        if name.starts_with("trailgate.") && !is_ok {
            tracing::info!(method = name, code, ?latency, "call answered");
        } else {
            tracing::debug!(method = name, code, ?latency, "call answered");
        }
        Poll::Ready(Ok(answer))
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
