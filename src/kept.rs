//! Small files that settings name: read whole, and kept up with while the server
//! runs.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// The largest file, in bytes: a bundle of all public certificate authorities takes
/// 250 KB, a few hundred accounts or a thousand rules less.
pub const MAX: u64 = 1024 * 1024;
/// How often files are looked at. Kubernetes takes a minute or so to change what is
/// mounted.
pub const LOOK: Duration = Duration::from_secs(10);

/// Why a file cannot be used, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {}: {what}", path.display())]
pub struct Error {
    setting: &'static str,
    path: PathBuf,
    what: String,
}

/// A file, and the setting that names it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The setting, as its flag.
    pub setting: &'static str,
    /// Where the file is.
    pub path: &'a Path,
}

impl Named<'_> {
    /// Its bytes.
    ///
    /// # Errors
    /// If it cannot be read, or has more than 1 MiB.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        let error = |error: io::Error| self.error(error.to_string());
        let size = fs::metadata(self.path).map_err(error)?.len();
        let mut bytes = Vec::new();
        // a pipe has no size
        if size <= MAX {
            let file = fs::File::open(self.path).map_err(error)?;
            file.take(MAX + 1).read_to_end(&mut bytes).map_err(error)?;
        }
        let size = size.max(bytes.len().try_into().unwrap_or(u64::MAX));
        if size > MAX {
            return Err(self.error(format!("{size} bytes; at most {MAX} are read")));
        }
        Ok(bytes)
    }

    /// Its text.
    ///
    /// # Errors
    /// As of [`Named::bytes`]; if it is not UTF-8.
    pub fn text(self) -> Result<String, Error> {
        let text = String::from_utf8(self.bytes()?);
        text.map_err(|_| self.error("it is not UTF-8 text"))
    }

    /// What is wrong with it, and what would do.
    #[must_use]
    pub fn error(self, what: impl Into<String>) -> Error {
        Error {
            setting: self.setting,
            path: self.path.to_owned(),
            what: what.into(),
        }
    }
}

/// When files are looked at: every [`LOOK`], and when someone says so.
#[derive(Clone, Debug)]
pub struct Looks {
    told: Arc<watch::Sender<()>>,
    /// Those that have been followed.
    seen: watch::Receiver<()>,
    /// What came of the last one, by kind of file: there are five.
    outcomes: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Default for Looks {
    fn default() -> Self {
        let (told, seen) = watch::channel(());
        Self {
            told: Arc::new(told),
            seen,
            outcomes: Arc::default(),
        }
    }
}

impl Looks {
    /// Has everyone look now.
    pub fn now(&self) {
        self.told.send_replace(());
    }

    /// Notes whether files of a kind could be used when they were read last.
    pub fn note(&self, kind: &'static str, is_usable: bool) {
        self.lock().insert(kind, is_usable);
    }

    /// The kinds of files that are kept up with, and whether they could be used when
    /// they were read last.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<&'static str, bool> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, bool>> {
        // one insertion at a time: right after a panic elsewhere
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next one; whether someone said so.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            // the sender is here
            _ = self.seen.changed() => true,
        }
    }
}

/// Has files of a kind read again, for ever: `reload` tells whether what it read is new and
/// in force, and leaves what was in force where that cannot be used. Logs `is_new`,
/// or `is_old` with the error, which is said once while it stays the same, and again
/// to who had it looked at.
pub async fn keep(
    looks: Looks,
    kind: &'static str,
    is_new: &'static str,
    is_old: &'static str,
    mut reload: impl FnMut() -> Result<bool, Error>,
) {
    let reload = |_| std::future::ready(reload());
    keep_up(looks, kind, is_new, is_old, reload).await;
}

/// As [`keep`], where reading takes its time: `reload` is told whether someone said
/// so.
pub async fn keep_up<F: Future<Output = Result<bool, Error>>>(
    mut looks: Looks,
    kind: &'static str,
    is_new: &'static str,
    is_old: &'static str,
    mut reload: impl FnMut(bool) -> F,
) {
    let mut said = None;
    // the server began with them
    looks.note(kind, true);
    loop {
        let is_told = looks.next().await;
        if is_told {
            said = None;
        }
        let reloaded = reload(is_told).await;
        looks.note(kind, reloaded.is_ok());
        match reloaded {
            Ok(has_changed) => {
                if has_changed {
                    tracing::info!("{is_new}");
                }
                said = None;
            }
            // a file that is being replaced may be away for a moment
            Err(error) if said.as_ref() != Some(&error) => {
                tracing::error!(%error, "{is_old}");
                said = Some(error);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Named {
            setting: "--policy",
            path: &path,
        };
        let message = file.text().unwrap_err().to_string();
        assert!(message.starts_with("--policy ") && message.contains("file: No such file"));
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(file.bytes().unwrap(), [0xff]);
        assert!(file.text().unwrap_err().to_string().contains("UTF-8"));
        fs::File::create(&path).unwrap().set_len(MAX + 1).unwrap();
        let message = file.bytes().unwrap_err().to_string();
        assert!(
            message.contains("1048577 bytes; at most 1048576"),
            "{message}"
        );
    }
}
