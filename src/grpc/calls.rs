//! What every call passes on its way out: it is counted and logged, and a
//! request that is too large gets the answer of any other that cannot be used.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};

use super::{
    routes::{Answer, Request, Response, Routes},
    status::{overdue, too_large},
};
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

/// Every call of the port, on its way in and out. Cheap to clone.
pub(super) struct Calls<M> {
    routes: Arc<Routes>,
    methods: Arc<Methods<M>>,
    /// The longest that an answer may be waited for: of a stream, its head.
    limit: Duration,
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

impl<M> Calls<M> {
    pub(super) fn new(
        routes: Routes,
        observer: &impl CallObserver<Method = M>,
        limit: Duration,
    ) -> Self {
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
            routes: Arc::new(routes),
            methods: Arc::new(methods),
            limit,
        }
    }

    /// A call from `peer`.
    pub(super) fn call(&self, peer: SocketAddr, request: Request) -> Call<M> {
        // callers choose paths: only those of the contract are names
        let path = request.uri().path().trim_start_matches('/');
        let method = self.methods.known.get(path);
        Call {
            method: Arc::clone(method.unwrap_or(&self.methods.other)),
            start: Instant::now(),
            limit: self.limit,
            guard: None,
            inner: self.routes.call(peer, request),
        }
    }
}

impl<M> Clone for Calls<M> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            methods: Arc::clone(&self.methods),
            limit: self.limit,
        }
    }
}

/// A call under way.
pub(super) struct Call<M> {
    inner: Answer,
    method: Arc<Method<M>>,
    start: Instant,
    limit: Duration,
    /// Set once it has to wait: most answers are there at once.
    guard: Option<Pin<Box<Sleep>>>,
}

impl<M: MethodObserver> Future for Call<M> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = match self.inner.as_mut().poll(context)? {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                let end = self.start + self.limit;
                let guard = self.guard.get_or_insert_with(|| Box::pin(sleep_until(end)));
                ready!(guard.as_mut().poll(context));
                overdue().into_http()
            }
        };
        // trailers-only answers carry their status in the headers; any other has
        // begun well
        let mut status = Status::from_header_map(answer.headers());
        if status.as_ref().is_some_and(is_too_large) {
            let refused = too_large();
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
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange
        && status
            .message()
            .starts_with("Error, decoded message length too large")
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
