//! Files that become larger than one wants to hold.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    error::Error,
    file::Writer,
    store::{self, Store},
};

/// Bytes of a part: S3 takes none below 5 MiB but the last, and 10,000 of them.
const PART: usize = 8 * 1024 * 1024;

/// A file that is written as it grows: in parts, once it has become larger than one.
pub(super) struct Upload<'a> {
    store: &'a Store,
    path: Arc<str>,
    held: Vec<u8>,
    parts: Option<store::Upload<'a>>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(store: &'a Store, path: Arc<str>) -> Self {
        Self {
            store,
            path,
            held: Vec::new(),
            parts: None,
        }
    }

    /// Takes what a writer has finished.
    pub(super) async fn take(&mut self, writer: &mut Writer) -> Result<(), Error> {
        let taken = writer.take();
        let taken = taken.map_err(|error| Error::columns(&self.path, &error))?;
        self.hold(taken);
        if self.held.len() < PART {
            return Ok(());
        }
        self.put_parts().await
    }

    /// Holds more: what is large and comes alone is not copied.
    fn hold(&mut self, more: Vec<u8>) {
        if self.held.is_empty() {
            self.held = more;
        } else {
            self.held.extend(more);
        }
    }

    /// Writes what is held, but for less than a part.
    async fn put_parts(&mut self) -> Result<(), Error> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(self.store.upload(&self.path).await?),
        };
        let mut bytes = Bytes::from(std::mem::take(&mut self.held));
        while bytes.len() >= PART {
            parts.part(bytes.split_to(PART)).await?;
        }
        self.held = bytes.into();
        Ok(())
    }

    /// Writes the rest: then the file is there.
    pub(super) async fn finish(mut self, rest: Vec<u8>) -> Result<(), Error> {
        self.hold(rest);
        if self.parts.is_none() && self.held.len() < 2 * PART {
            return self.store.put(&self.path, self.held.into()).await;
        }
        self.put_parts().await?;
        let Some(mut parts) = self.parts else {
            return Ok(());
        };
        if !self.held.is_empty() {
            parts.part(self.held.into()).await?;
        }
        parts.finish().await
    }

    /// Leaves it.
    pub(super) async fn abort(self) {
        if let Some(parts) = self.parts {
            parts.abort().await;
        }
    }
}
