//! What trailgate keeps beside the table: its consumer's state, and marks.

use bytes::Bytes;

use super::{
    error::Error,
    file::uuid,
    log::{
        action::Txn,
        table::{APP, Table},
    },
    store::{Put, Store},
};
use crate::clock::Clock;

/// The folder of what trailgate alone reads; names that begin so are not read by engines.
pub(super) const FOLDER: &str = "_trailgate";
/// What says that there is a table, should its log get lost.
const MARK: &str = "_trailgate/table.json";
/// The largest state, in bytes: some positions for each of thousands of scopes.
const MAX_STATE: u64 = 16 * 1024 * 1024;
/// How many names are tried for a state: one is taken only by who commits in the same
/// millisecond.
const NAMES: i64 = 16;

/// Where a state is, whose version and time a transaction of the table names: two writers
/// that try for one version do not overwrite each other's.
pub(super) fn path_of(txn: &Txn) -> String {
    let stamp = txn.last_updated.unwrap_or(0);
    format!("{FOLDER}/state-{:020}-{stamp}.json", txn.version)
}

/// Whether an object is one that is needed for a while: a version's state, or what the
/// store was tried with.
pub(super) fn is_passing(path: &str) -> bool {
    let name = path
        .strip_prefix(FOLDER)
        .and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| name.starts_with("state-") || name.starts_with("probe-"))
}

/// Writes the state that a version is to have; what names it.
pub(super) async fn write(
    store: &Store,
    clock: &Clock,
    version: u64,
    state: &Bytes,
) -> Result<Txn, Error> {
    let bytes = u64::try_from(state.len()).unwrap_or(u64::MAX);
    if bytes > MAX_STATE {
        return Err(Error::TooLarge {
            what: "the consumer's state".to_owned(),
            bytes,
            limit: MAX_STATE,
        });
    }
    let now = clock.now().as_millisecond();
    let mut outcome = Ok(());
    for name in 0..NAMES {
        let txn = Txn {
            app_id: APP.to_owned(),
            version: i64::try_from(version).unwrap_or(i64::MAX),
            last_updated: Some(now + name),
        };
        // an answer that was lost leaves one that nobody names
        match store.put_new(&path_of(&txn), state.clone()).await {
            Ok(Put::Created) => return Ok(txn),
            Ok(Put::Exists) => {}
            Err(error) if name < 2 => outcome = Err(error),
            Err(error) => return Err(error),
        }
    }
    outcome.and(Err(Error::Busy { tries: 16 }))
}

/// The state that a transaction of the table names, if there is one.
pub(super) async fn load(store: &Store, txn: Option<&Txn>) -> Result<Option<Bytes>, Error> {
    let Some(txn) = txn else {
        return Ok(None);
    };
    let path = path_of(txn);
    match store.get(&path, MAX_STATE).await? {
        Some(state) => Ok(Some(state)),
        None => {
            let what = format!("it is missing, but version {} names it", txn.version);
            Err(Error::damaged(&path, what))
        }
    }
}

/// Makes sure that the store writes an object only if there is none, where it is told so:
/// else two writers would overwrite each other's commits.
pub(super) async fn check_store(store: &Store, clock: &Clock) -> Result<(), Error> {
    let path = format!("{FOLDER}/probe-{}", uuid(clock));
    let first = Bytes::from_static(b"first");
    // an answer that gets lost says Exists when asked again: it is there, that is enough
    let mut put = store.put_new(&path, first.clone()).await;
    if put.is_err() {
        put = store.put_new(&path, first.clone()).await;
    }
    put?;
    let second = store.put_new(&path, Bytes::from_static(b"second")).await?;
    let is_kept = store.get(&path, 1024).await?.as_ref() == Some(&first);
    // vacuuming finds it, if it stays
    let _ = store.delete(&path).await;
    if second == Put::Created || !is_kept {
        return Err(Error::NotAtomic {
            root: store.root().to_owned(),
        });
    }
    Ok(())
}

/// Marks that the table is there.
pub(super) async fn mark(store: &Store, table: &Table) -> Result<(), Error> {
    if store.get(MARK, 1024 * 1024).await?.is_some() {
        return Ok(());
    }
    let id = table.metadata.as_ref().map(|metadata| metadata.id.as_str());
    let mark = serde_json::json!({ "id": id });
    // whoever opens it at the same time writes the same
    store
        .put_new(MARK, mark.to_string().into())
        .await
        .map(|_| ())
}

/// Makes sure that there is no mark of a table that is not there.
pub(super) async fn check_unmarked(store: &Store) -> Result<(), Error> {
    match store.get(MARK, 1024 * 1024).await? {
        None => Ok(()),
        Some(_) => Err(Error::damaged(
            MARK,
            "it says that there is a table, but its log is gone",
        )),
    }
}
