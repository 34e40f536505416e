//! Checkpoints, when it is time for one.

use super::super::{
    Inner,
    error::Error,
    log::{self, checkpoint, table::Table},
};

impl Inner {
    /// Writes a checkpoint if it is time for one, and cleans up what it has summed up. Should
    /// that fail, the table is as good, and a later version tries again.
    pub(in super::super) async fn checkpoint(&self, table: &mut Table) {
        let version = table.snapshot.version;
        if version < table.checkpoint_due(self.options.checkpoint_every) {
            return;
        }
        if let Err(error) = self.write_checkpoint(table).await {
            tracing::warn!(%error, version, "a checkpoint of the archive could not be written");
            // not each commit is to wait for that
            table.checkpoint_failed = Some(version);
            return;
        }
        table.checkpoint = Some(version);
        let keep = i64::try_from(self.options.keep_log.as_secs()).unwrap_or(i64::MAX);
        let until = self.clock.now_secs().saturating_sub(keep);
        if let Err(error) = log::clean(&self.store, until).await {
            tracing::warn!(%error, "the archive's old log could not be cleaned up");
        }
    }

    async fn write_checkpoint(&self, table: &mut Table) -> Result<(), Error> {
        let kept = i64::try_from(self.options.keep_removed.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now().as_millisecond();
        // twice as long as files are kept: whoever vacuums finds them named
        table.forget_removed(now.saturating_sub(kept.saturating_mul(2)));
        let frozen = table.frozen();
        let version = frozen.snapshot.version;
        // a hundred thousand files take a second
        let encode = tokio::task::spawn_blocking(move || checkpoint::encode(&frozen));
        let encoded = encode.await.map_err(|_| Error::Stopping)??;
        checkpoint::write(&self.store, version, encoded).await
    }
}
