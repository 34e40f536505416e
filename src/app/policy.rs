//! The policy's file, read again when it changes.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use super::Error;
use crate::policy::{Access, Policy};

/// The largest file: a thousand rules take less.
const MAX_FILE: u64 = 1024 * 1024;
/// How often it is looked at, as certificates are.
const LOOK: Duration = Duration::from_secs(10);

/// A policy's file, and what was read of it last.
pub(super) struct File {
    path: PathBuf,
    last: String,
}

impl File {
    /// The file, and its policy.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Policy), Error> {
        let mut file = Self {
            path,
            last: String::new(),
        };
        let text = file.read()?;
        let policy = file.parse(&text)?;
        file.last = text;
        Ok((file, policy))
    }

    fn read(&self) -> Result<String, Error> {
        let error = |what: String| self.error(&what);
        let size = fs::metadata(&self.path)
            .map_err(|e| error(e.to_string()))?
            .len();
        if size > MAX_FILE {
            return Err(error(format!("{size} bytes; at most {MAX_FILE} are read")));
        }
        fs::read_to_string(&self.path).map_err(|e| error(e.to_string()))
    }

    fn parse(&self, text: &str) -> Result<Policy, Error> {
        Policy::parse(text).map_err(|error| self.error(&error.to_string()))
    }

    fn error(&self, what: &str) -> Error {
        Error::Config(format!("--policy {}: {what}", self.path.display()))
    }

    /// Keeps up with the file, for ever: one that cannot be used leaves what was in
    /// force.
    pub(super) async fn keep(mut self, access: Arc<Access>) {
        let mut said = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let text = match self.read() {
                Ok(text) if text == self.last => continue,
                Ok(text) => text,
                Err(error) => {
                    // a file that is being replaced may be away for a moment
                    let error = error.to_string();
                    if error != said {
                        tracing::error!(%error, "the policy stays as it was");
                        said = error;
                    }
                    continue;
                }
            };
            match self.parse(&text) {
                Ok(policy) => {
                    access.replace(policy);
                    tracing::info!("a new policy is in force");
                }
                Err(error) => tracing::error!(%error, "the policy stays as it was"),
            }
            said.clear();
            self.last = text;
        }
    }
}
