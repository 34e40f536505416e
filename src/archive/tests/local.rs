//! An archive in a local directory, as most begin.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem};

use super::{
    super::{Archive, Error, Kind, Options},
    support::{EVER, all, clock, event, read, sorted},
};
use crate::event::{Event, Origin, Scope};

const DAY: &str = "2026-01-01T10:00:00Z";

async fn open(folder: &Path, root: &str) -> Archive {
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
    let opened = Archive::open(store, root.into(), clock(), Options::default());
    opened.await.unwrap()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    files
}

#[tokio::test]
async fn what_is_in_a_directory_comes_back_whatever_scopes_are_called() {
    for root in ["", "some/where"] {
        let folder = tempfile::tempdir().unwrap();
        let archive = open(folder.path(), root).await;
        let mut events = Vec::new();
        for (number, (account, region)) in [
            ("1", "eu-central-1"),
            ("", ""),
            ("a/b", "c:%=d"),
            ("..", "."),
            ("\u{fc}\u{1f600}", "\u{1}\u{7f}"),
            ("__HIVE_DEFAULT_PARTITION__", " "),
            (&"long".repeat(100), "x"),
        ]
        .into_iter()
        .enumerate()
        {
            let record = format!("{{\"eventID\":\"{number}\",\"eventTime\":\"{DAY}\"}}");
            let scope = Scope::new(account, region);
            let event = Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0);
            events.push(Arc::new(event));
        }
        let done = archive.commit(&events, Some("state".into())).await.unwrap();
        assert_eq!(done.files, events.len());
        let again = open(folder.path(), root).await;
        assert_eq!(again.state().as_deref(), Some(&b"state"[..]));
        assert_eq!(all(&again).await, sorted(&events));
        assert_eq!(read(&again, EVER, true).await, sorted(&events));
        assert_eq!(again.commit(&events, None).await.unwrap().added, 0);
        // more files, that are merged
        for number in 0..9 {
            events.push(event("1", number, DAY, ""));
            again
                .commit(&events[events.len() - 1..], None)
                .await
                .unwrap();
        }
        assert_eq!(again.compact().await.unwrap().merges, 1);
        assert_eq!(again.vacuum().await.unwrap().files, 0);
        assert_eq!(archive.refresh().await.unwrap().version(), 11);
        assert_eq!(all(&archive).await, sorted(&events));
        // nothing is left of what was written on the way
        let files = files(folder.path());
        assert!(
            !files
                .iter()
                .any(|file| file.contains('#') || file.contains("probe")),
            "{files:?}"
        );
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_or_full_of_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), "").await;
    let one = [event("1", 1, DAY, "")];
    archive.commit(&one, None).await.unwrap();
    // a file where a folder is to be
    fs::write(folder.path().join("account_id=2"), "x").unwrap();
    let error = archive
        .commit(&[event("2", 1, DAY, "")], None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("writing `account_id=2/"),
        "{error}"
    );
    assert_eq!(error.kind(), Some(Kind::Other), "{error}");
    let store: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    for entry in fs::read_dir(folder.path().join("_delta_log")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let opened = Archive::open(store, "".into(), clock(), Options::default()).await;
    assert!(matches!(opened.unwrap_err(), Error::Damaged { .. }));
}
