//! The next version of the table: one object, written if there is none.

use std::time::Duration;

use super::super::{
    Inner,
    error::{Error, Kind},
    file::uuid,
    log::{
        self,
        action::{Add, CommitInfo, Line, Remove, Txn},
        table::Table,
    },
    store::Put,
};

/// How often the same commit is written again while nobody knows whether it is there.
const TRIES: u32 = 4;
/// The wait before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// What the next version changes.
pub(in super::super) struct Plan {
    operation: &'static str,
    pub(in super::super) add: Vec<Add>,
    pub(in super::super) remove: Vec<Remove>,
    pub(in super::super) txn: Option<Txn>,
}

impl Plan {
    pub(in super::super) fn new(operation: &'static str) -> Self {
        Self {
            operation,
            add: Vec::new(),
            remove: Vec::new(),
            txn: None,
        }
    }

    /// Whether no file comes or goes.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    fn lines(self, now: i64, mark: &str) -> Vec<Line> {
        let info = CommitInfo::of(self.operation, now, mark.to_owned());
        let first = Line {
            commit_info: Some(info),
            ..Line::default()
        };
        let txn = self.txn.map(|txn| Line {
            txn: Some(txn),
            ..Line::default()
        });
        let removed = self.remove.into_iter().map(|remove| Line {
            remove: Some(remove),
            ..Line::default()
        });
        let added = self.add.into_iter().map(|add| Line {
            add: Some(add),
            ..Line::default()
        });
        [first]
            .into_iter()
            .chain(txn)
            .chain(removed)
            .chain(added)
            .collect()
    }
}

impl Inner {
    /// Writes the next version, and takes it in. False: another writer has come first.
    ///
    /// # Errors
    /// If the store does not do it, or does not say whether it did: then it may yet be
    /// there.
    pub(in super::super) async fn append(
        &self,
        table: &mut Table,
        plan: Plan,
        now: i64,
    ) -> Result<bool, Error> {
        let version = table.snapshot.version + 1;
        let path = log::commit_path(version);
        let mark = uuid(&self.clock);
        let lines = plan.lines(now, &mark);
        let bytes = log::bytes_of(&lines);
        let bytes = bytes.ok_or_else(|| Error::damaged(&path, "it cannot be written down"))?;
        let mut pause = PAUSE;
        let mut tries = 1;
        let is_ours = loop {
            let error = match self.store.put_new(&path, bytes.clone()).await {
                Ok(Put::Created) => break true,
                // maybe ours: the store's client asks again when an answer gets lost
                Ok(Put::Exists) => match self.is_ours(version, &mark).await? {
                    Some(is_ours) => break is_ours,
                    None => vanished(&path),
                },
                Err(error) => match self.is_ours(version, &mark).await {
                    Ok(Some(is_ours)) => break is_ours,
                    Ok(None) | Err(_) => error,
                },
            };
            if tries >= TRIES || error.kind() == Some(Kind::Denied) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            tries += 1;
        };
        if is_ours {
            table.apply(version, lines, &path, self.store.root())?;
        }
        Ok(is_ours)
    }

    /// Whether a version is the one that was marked so; `None`: there is none.
    async fn is_ours(&self, version: u64, mark: &str) -> Result<Option<bool>, Error> {
        let lines = log::read_commit(&self.store, version).await?;
        Ok(lines.map(|lines| {
            let infos = lines.iter().filter_map(|line| line.commit_info.as_ref());
            infos
                .filter_map(|info| info.txn_id.as_deref())
                .any(|id| id == mark)
        }))
    }
}

fn vanished(path: &str) -> Error {
    Error::Store {
        operation: "writing",
        path: path.to_owned(),
        kind: Kind::Other,
        what: "the store says that it is there, and that it is not".to_owned(),
    }
}
