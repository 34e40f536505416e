//! What stands beside each call: the trace that it is of, and a bearer token.

use std::{fs, path::Path, sync::Arc};

use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    service::Interceptor,
};

use crate::trace;

/// The longest token, in bytes: a server reads no longer one.
const MAX_TOKEN: usize = 8 * 1024;

/// Sends the token that a file has as the call is made, since issuers renew them in
/// place; without a file, none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenFile(Option<Arc<Path>>);

impl TokenFile {
    pub(super) fn at(path: &Path) -> Self {
        Self(Some(path.into()))
    }
}

impl Interceptor for TokenFile {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in trace::outgoing() {
            if let (Ok(name), Ok(value)) = (name.parse::<AsciiMetadataKey>(), value.parse()) {
                request.metadata_mut().insert(name, value);
            }
        }
        let Some(path) = &self.0 else {
            return Ok(request);
        };
        let wrong = |what: &str| {
            Status::unauthenticated(format!("the token file {}: {what}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(wrong(&format!("{} bytes are no token", token.len())));
        }
        let mut value: AsciiMetadataValue = format!("Bearer {token}")
            .parse()
            .map_err(|_| wrong("what it has is no token"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_call_goes_on_the_trace_that_it_is_made_in() {
        let parent = || {
            let sent = TokenFile::default().call(Request::new(())).unwrap();
            let parent = sent.metadata().get("traceparent");
            parent.map(|parent| parent.to_str().unwrap().to_owned())
        };
        assert_eq!(parent(), None);
        let provider = SdkTracerProvider::builder().build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        trace::with_subscriber(tracing_subscriber::registry().with(spans), || {
            tracing::info_span!("caller").in_scope(|| {
                let (trace, span) = trace::ids().unwrap();
                assert_eq!(parent(), Some(format!("00-{trace}-{span}-01")));
            });
        });
    }
}
