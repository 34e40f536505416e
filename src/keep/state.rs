//! What a commit says of the keeper: where it stands, and what is complete.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::spans::{Spans, Written};
use crate::feed::ResumeToken;

/// The version of the form below.
const VERSION: u32 = 1;

/// Why the archive cannot be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// What its last commit says of the keeper is nothing that this version writes.
    #[error(
        "the archive's last commit cannot be gone on with: its state {0}; run the version of \
         trailgate that wrote it, or name another place with --archive"
    )]
    Unreadable(String),
    /// The feed cannot be read.
    #[error("the feed cannot be read for the archive: {0}")]
    Start(String),
}

/// Where the keeper stands.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) token: Option<ResumeToken>,
    pub(super) spans: Spans,
}

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    token: String,
    scopes: Vec<Written>,
}

impl State {
    /// What a commit says; nothing, if there was none.
    pub(super) fn of(text: Option<&[u8]>, digest: &[u8; 16]) -> Result<Self, StateError> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let unreadable = |what: String| StateError::Unreadable(what);
        let form: Form = serde_json::from_slice(text)
            .map_err(|error| unreadable(format!("is not what it should be ({error})")))?;
        if form.version != VERSION {
            let version = form.version;
            return Err(unreadable(format!(
                "has version {version}, and {VERSION} is known"
            )));
        }
        let token = ResumeToken::decode(&form.token, digest)
            .map_err(|error| unreadable(format!("has no resume token ({error})")))?;
        Ok(Self {
            token: Some(token),
            spans: Spans::read(form.scopes),
        })
    }

    /// What a commit is to say.
    pub(super) fn text(token: &ResumeToken, spans: &Spans) -> Bytes {
        let form = Form {
            version: VERSION,
            token: token.encode(),
            scopes: spans.write(),
        };
        // names, numbers and strings: nothing that JSON has not
        serde_json::to_vec(&form).unwrap_or_default().into()
    }
}
