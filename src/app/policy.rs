//! The policy's file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    kept::{self, Named},
    policy::{Access, Policy},
};

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
    pub(super) fn open(path: PathBuf) -> Result<(Self, Policy), kept::Error> {
        let last = named(&path).text()?;
        let policy = parse(&path, &last)?;
        Ok((Self { path, last }, policy))
    }

    /// Keeps up with the file, for ever: one that cannot be used leaves what was in
    /// force.
    pub(super) async fn keep(mut self, access: Arc<Access>) {
        let (is_new, is_old) = ("a new policy is in force", "the policy stays as it was");
        kept::keep(is_new, is_old, || self.reload(&access)).await;
    }

    fn reload(&mut self, access: &Access) -> Result<bool, kept::Error> {
        let text = named(&self.path).text()?;
        if text == self.last {
            return Ok(false);
        }
        let policy = parse(&self.path, &text);
        // one that cannot be used is said once
        self.last = text;
        access.replace(policy?);
        Ok(true)
    }
}

fn named(path: &Path) -> Named<'_> {
    Named {
        setting: "--policy",
        path,
    }
}

fn parse(path: &Path, text: &str) -> Result<Policy, kept::Error> {
    Policy::parse(text).map_err(|error| named(path).error(error.to_string()))
}
