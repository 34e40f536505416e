//! What every call passes on its way out: it is counted and logged, and a
//! request that is too large gets the answer of any other that cannot be used.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{MAX_REQUEST, status::Invalid};

/// Told of every call that was answered.
pub trait CallObserver: Clone + Send + Sync + 'static {
    /// A call of `method` (`/package.Service/Method`) was answered with `code`
    /// after `latency`; of a stream, when its headers went out.
    fn answered(&self, method: &str, code: Code, latency: Duration);
}

/// Wraps every service of the port.
#[derive(Clone, Debug)]
pub struct CallsLayer<O> {
    observer: O,
}

impl<O: CallObserver> CallsLayer<O> {
    pub(super) fn new(observer: O) -> Self {
        Self { observer }
    }
}

impl<S, O: CallObserver> Layer<S> for CallsLayer<O> {
    type Service = Calls<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Calls {
            inner,
            observer: self.observer.clone(),
        }
    }
}

/// See [`CallsLayer`].
#[derive(Clone, Debug)]
pub struct Calls<S, O> {
    inner: S,
    observer: O,
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
        let method = request.uri().path().to_owned();
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
            observer.answered(&method, code, latency);
            tracing::debug!(method, ?code, ?latency, "call answered");
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
