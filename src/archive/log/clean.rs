//! Cleaning up the log: what a checkpoint has summed up long ago.

use futures_util::StreamExt as _;

use super::{
    super::{error::Error, store::Store},
    FOLDER, last_checkpoint,
};

/// The most objects that are deleted at one time: ten times as many as there are between two
/// checkpoints. The rest has the next.
const MOST: usize = 500;

/// Deletes commits and checkpoints from before the newest checkpoint that was written before
/// `until`, in seconds since the Unix epoch: all later versions can still be read. How many
/// they were.
pub(in super::super) async fn clean(store: &Store, until: i64) -> Result<usize, Error> {
    // what the store says, not what is known here: others may have it from there
    let Some(last) = last_checkpoint(store).await? else {
        return Ok(0);
    };
    let mut old = Vec::new();
    let mut from = None;
    {
        let mut listed = store.list(FOLDER);
        while let Some(one) = listed.next().await {
            let one = one?;
            let Some((version, is_checkpoint)) = version_of(&one.path) else {
                continue;
            };
            if one.modified >= until || version > last.version {
                continue;
            }
            if is_checkpoint {
                from = from.max(Some(version));
            }
            if old.len() < MOST {
                old.push((version, one.path));
            }
        }
    }
    let Some(from) = from else {
        return Ok(0);
    };
    old.retain(|(version, _)| *version < from);
    // from the beginning on: what is there of the log is always whole
    old.sort_unstable();
    for (_, path) in &old {
        store.delete(path).await?;
    }
    Ok(old.len())
}

/// The version of an object of the log, and whether it is a checkpoint.
fn version_of(path: &str) -> Option<(u64, bool)> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let (digits, rest) = name.split_at_checked(20)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let version = digits.parse().ok()?;
    match rest {
        ".json" => Some((version, false)),
        rest if rest.starts_with(".checkpoint.") && rest.ends_with(".parquet") => {
            Some((version, true))
        }
        _ => None,
    }
}
