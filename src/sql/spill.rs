//! Where queries put on disk what they do not hold: a folder of this process's own.
//!
//! It goes when the engine does. What a process left behind that was killed goes when the
//! next one begins: each holds a lock beside its folder, and whoever gets another's knows
//! that nobody is there.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use rand::RngExt as _;

/// What names of folders and locks begin with.
const PREFIX: &str = "trailgate-sql-";
/// What those of locks end with.
const LOCK: &str = ".lock";
/// How often a folder is removed into which queries that end still write.
const TRIES: u32 = 5;
/// How many names are tried: one is taken only by chance, or swept before it is locked.
const NAMES: u32 = 5;

/// See the module.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl Spill {
    /// One below `parent`, which is made if it is not there; others' that were left there
    /// are removed.
    ///
    /// # Errors
    /// If there can be none.
    pub(super) fn begin(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep(parent);
        for _ in 0..NAMES {
            let name = format!("{PREFIX}{:016x}", rand::rng().random::<u64>());
            let lock = parent.join(format!("{name}{LOCK}"));
            let locked = match File::create_new(&lock) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // where there are no locks nothing is swept either
            let is_swept = matches!(locked.try_lock(), Err(TryLockError::WouldBlock));
            if is_swept || !lock.exists() {
                continue;
            }
            let folder = parent.join(name);
            fs::create_dir(&folder)?;
            return Ok(Self {
                folder,
                lock,
                _locked: locked,
            });
        }
        Err(io::Error::other("no name is free for a folder"))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes it with all that is in it.
    pub(super) fn end(&self) {
        if remove(&self.folder) {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether there is no such folder any more.
fn remove(folder: &Path) -> bool {
    for _ in 0..TRIES {
        match fs::remove_dir_all(folder) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            // something was put there meanwhile
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(_) => return false,
        }
    }
    false
}

/// Removes what was left by processes that are gone.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(LOCK));
        let Some(name) = name.filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        // whoever may write there may leave a pipe, which to open would take for ever
        if !entry.file_type().is_ok_and(|of| of.is_file()) {
            continue;
        }
        let Ok(lock) = File::open(entry.path()) else {
            continue;
        };
        if lock.try_lock().is_ok() && remove(&parent.join(name)) {
            tracing::debug!(folder = name, "what queries had left on disk was removed");
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_left_goes_with_the_next_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().join("below");
        let one = Spill::begin(&parent).unwrap();
        fs::write(one.folder().join("held"), "x").unwrap();
        // a process that was killed, and something of somebody else's
        let left = parent.join(format!("{PREFIX}left"));
        fs::create_dir_all(left.join("some")).unwrap();
        fs::write(left.join("some").join("held"), "x").unwrap();
        fs::write(parent.join(format!("{PREFIX}left{LOCK}")), "").unwrap();
        fs::create_dir(parent.join("others")).unwrap();
        fs::write(parent.join("others.lock"), "").unwrap();
        let two = Spill::begin(&parent).unwrap();
        assert!(!left.exists());
        assert!(one.folder().join("held").exists());
        assert_ne!(one.folder(), two.folder());
        assert_eq!(names(&parent).len(), 6);
        drop(one);
        two.end();
        drop(two);
        let mut rest = names(&parent);
        rest.sort();
        assert_eq!(rest, ["others", "others.lock"]);
    }
}
