//! A bearer token beside each call.

use std::{fs, path::Path, sync::Arc};

use tonic::{Request, Status, metadata::AsciiMetadataValue, service::Interceptor};

/// The longest token, in bytes: a server reads no longer one.
const MAX_TOKEN: usize = 8 * 1024;

/// Sends the token that a file has as the call is made, since issuers renew them in
/// place; without a file, none.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenFile(Option<Arc<Path>>);

impl TokenFile {
    pub(super) fn at(path: &Path) -> Self {
        Self(Some(path.into()))
    }
}

impl Interceptor for TokenFile {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
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
