//! What is not an archive, or not any more, is named and left as it is.

use object_store::path::Path;

use super::{
    super::{Archive, Error, Kind, Options},
    stage::{Fault, Plan, Stage},
    support::{ROOT, all, clock, event, open_with, sorted},
};

const DAY: &str = "2026-01-01T10:00:00Z";

fn commit_path(version: u64) -> String {
    format!("{ROOT}/_delta_log/{version:020}.json")
}

async fn stage() -> Stage {
    let clock = clock();
    let stage = Stage::new(&clock);
    let options = Options {
        checkpoint_every: 4,
        ..Options::default()
    };
    let archive = open_with(&stage.store(), &clock, options).await;
    for number in 0..6 {
        archive
            .commit(
                &[event("1", number, DAY, "")],
                Some(format!("{number}").into()),
            )
            .await
            .unwrap();
    }
    stage
}

/// Opens it, which is refused; what is there stays as it is.
async fn refused(stage: &Stage) -> Error {
    let before = contents(stage).await;
    let opened = Archive::open(stage.store(), Path::from(ROOT), clock(), Options::default());
    let error = opened.await.unwrap_err();
    assert_eq!(contents(stage).await, before);
    assert!(!error.may_pass(), "{error}");
    error
}

async fn contents(stage: &Stage) -> Vec<(String, Option<bytes::Bytes>)> {
    let mut contents = Vec::new();
    for path in stage.paths().await {
        let bytes = stage.get(&path).await;
        contents.push((path, bytes));
    }
    contents
}

async fn edit(stage: &Stage, version: u64, edit: impl Fn(&str) -> String) {
    let path = commit_path(version);
    let text = stage.get(&path).await.unwrap();
    let text = edit(str::from_utf8(&text).unwrap());
    stage.put(&path, text).await;
}

#[tokio::test(start_paused = true)]
async fn newer_tables_are_named() {
    let stage = stage().await;
    let line = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#;
    edit(&stage, 5, |text| format!("{text}{line}\n")).await;
    let error = refused(&stage).await.to_string();
    assert_eq!(
        error,
        "the archive at `some/where` is newer than this program: it asks for reader version 3 \
         (deletionVectors) and writer version 7 (deletionVectors); this program has 1 and 2"
    );
}

#[tokio::test(start_paused = true)]
async fn what_becomes_newer_while_it_is_open_is_not_written() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let line = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":3}}"#;
    stage.put(&commit_path(1), format!("{line}\n")).await;
    let before = contents(&stage).await;
    let error = archive
        .commit(&[event("1", 1, DAY, "")], None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    assert_eq!(contents(&stage).await, before);
}

#[tokio::test(start_paused = true)]
async fn other_tables_are_named() {
    let fresh = || async {
        let clock = clock();
        let stage = Stage::new(&clock);
        open_with(&stage.store(), &clock, Options::default()).await;
        stage
    };
    for (from, to, says) in [
        ("eventID", "eventId", "its columns are others"),
        ("\"region\",", "", "it is partitioned by `account_id, date`"),
        ("parquet", "orc", "its files are orc"),
        (
            "\"configuration\":{",
            "\"configuration\":{\"delta.appendOnly\":\"true\",",
            "appended",
        ),
    ] {
        let stage = fresh().await;
        edit(&stage, 0, |text| {
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1)
        })
        .await;
        let error = refused(&stage).await;
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_named() {
    // a commit in the midst is gone
    let damaged = stage().await;
    damaged.delete(&commit_path(5)).await;
    let error = refused(&damaged).await;
    assert_eq!(
        error.to_string(),
        "the archive is damaged: `_delta_log/00000000000000000005.json`: it is missing, but \
         version 6 is there"
    );
    // what the list says that is not there is no commit
    let whole = stage().await;
    whole.lie(&[], &[&commit_path(9)]);
    open_with(&whole.store(), &clock(), Options::default()).await;

    for broken in ["{\"add\":{\"path\":1}}", "{", "\u{fffd}", "", "[]"] {
        let damaged = stage().await;
        damaged.put(&commit_path(6), broken.to_owned()).await;
        let error = refused(&damaged).await;
        assert!(
            matches!(&error, Error::Damaged { path, .. } if commit_path(6).ends_with(path)),
            "{error}"
        );
    }
    // a file that is not of the table
    let damaged = stage().await;
    edit(&damaged, 6, |text| {
        text.replacen("\"path\":\"", "\"path\":\"s3://other/", 1)
    })
    .await;
    let error = refused(&damaged).await;
    assert!(
        error.to_string().contains("s3://other/account_id=1"),
        "{error}"
    );

    let checkpoint = format!("{ROOT}/_delta_log/00000000000000000004.checkpoint.parquet");
    let damaged = stage().await;
    damaged.delete(&checkpoint).await;
    let error = refused(&damaged).await.to_string();
    assert!(
        error.contains("checkpoint.parquet`: it is missing, but"),
        "{error}"
    );

    let whole = damaged;
    for broken in [&b""[..], b"PAR1", b"PAR1xxxxxxxxxxxxxxxxPAR1"] {
        whole.put(&checkpoint, broken.to_vec()).await;
        let error = refused(&whole).await;
        assert!(
            matches!(&error, Error::Damaged { path, .. } if path.ends_with(".parquet")),
            "{error}"
        );
    }

    let damaged = stage().await;
    damaged
        .put(&format!("{ROOT}/_delta_log/_last_checkpoint"), "?")
        .await;
    let error = refused(&damaged).await;
    assert!(error.to_string().contains("_last_checkpoint"), "{error}");

    // the state that the newest commit names
    let damaged = stage().await;
    for path in damaged.paths().await {
        if path.contains("_trailgate/state-00000000000000000006-") {
            damaged.delete(&path).await;
        }
    }
    let error = refused(&damaged).await;
    assert!(
        error.to_string().contains("state-00000000000000000006-"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_gone_is_not_begun_again() {
    for hides in [false, true] {
        let gone = stage().await;
        let log = format!("{ROOT}/_delta_log/");
        if hides {
            gone.delete(&format!("{log}_last_checkpoint")).await;
            gone.delete(&commit_path(0)).await;
        } else {
            for path in gone.paths().await {
                if path.starts_with(&log) {
                    gone.delete(&path).await;
                }
            }
        }
        let error = refused(&gone).await;
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
    // without our mark, what is listed says it
    let gone = stage().await;
    gone.delete(&format!("{ROOT}/_trailgate/table.json")).await;
    gone.delete(&format!("{ROOT}/_delta_log/_last_checkpoint"))
        .await;
    gone.delete(&commit_path(0)).await;
    let error = refused(&gone).await;
    assert!(
        error.to_string().contains("neither a first commit nor"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn stores_that_overwrite_are_named() {
    let clock = clock();
    let careless = Stage::new(&clock);
    careless.be_careless();
    let opened = Archive::open(
        careless.store(),
        Path::from(ROOT),
        clock.clone(),
        Options::default(),
    );
    let error = opened.await.unwrap_err();
    assert!(matches!(error, Error::NotAtomic { .. }), "{error}");
    let left = careless.paths().await;
    assert!(
        left.iter().all(|path| !path.contains("_delta_log")),
        "{left:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_was_asked_of_which_object() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let all_of = |fault| {
        Some(Plan {
            at: 0,
            count: usize::MAX,
            fault,
        })
    };
    let one = event("1", 1, DAY, "");
    for (fault, kind, says) in [
        (Fault::Denied, Kind::Denied, "not for you"),
        (Fault::Fails, Kind::Other, "no more room for put"),
        (
            Fault::Stalls,
            Kind::Stalled,
            "the store gave no answer in 60 s",
        ),
    ] {
        stage.plan(all_of(fault));
        let error = archive
            .commit(std::slice::from_ref(&one), None)
            .await
            .unwrap_err();
        stage.plan(None);
        assert_eq!(error.kind(), Some(kind), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("writing `account_id=1/region=eu-central-1/date=2026-01-01/part-"),
            "{text}"
        );
        assert!(text.contains(says) && error.may_pass(), "{text}");
        assert_eq!(archive.refresh().await.unwrap().version(), 0);
    }
    archive
        .commit(std::slice::from_ref(&one), None)
        .await
        .unwrap();
    assert_eq!(all(&archive).await, sorted(&[one]));
}
