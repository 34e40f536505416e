//! Reading, compaction, retention and vacuuming.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    super::{Archive, Compacted, Options},
    stage::{Fault, Plan, Stage},
    support::{EVER, ROOT, all, clock, event, open_with, read, sorted},
};
use crate::event::{Event, Scope, TimeRange};

const HOUR: Duration = Duration::from_secs(3600);

/// Commits of a few events each, of three days of two accounts, some in the same second.
async fn filled(archive: &Archive) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    for commit in 0..30_u32 {
        let mut some = Vec::new();
        for number in 0..20 {
            let number = commit * 20 + number;
            // spread: files overlap
            let minute = number * 37 % 240;
            let day = number % 3 + 1;
            let time = format!("2026-01-{day:02}T{:02}:{:02}:00Z", minute / 60, minute % 60);
            let account = if number % 4 == 0 { "2" } else { "1" };
            some.push(event(account, number, &time, ""));
        }
        archive.commit(&some, None).await.unwrap();
        events.extend(some);
    }
    events
}

#[tokio::test(start_paused = true)]
async fn events_are_told_in_order_and_stay_the_same_when_files_are_merged() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let events = filled(&archive).await;
    let expected = sorted(&events);
    assert_eq!(read(&archive, EVER, false).await, expected);
    assert_eq!(read(&archive, EVER, true).await, expected);
    let before = archive.snapshot();
    assert_eq!(before.files(), 30 * 6);
    let done = archive.compact().await.unwrap();
    assert_eq!((done.merges, done.from, done.into), (6, 180, 6));
    let after = archive.snapshot();
    assert_eq!((after.files(), after.rows()), (6, 600));
    assert_eq!(all(&archive).await, expected);
    assert_eq!(read(&archive, EVER, false).await, expected);
    assert_eq!(read(&archive, EVER, true).await, expected);
    // files have what they say
    assert!(
        after
            .all()
            .all(|file| file.rows == Some(150) || file.rows == Some(50))
    );
    // who knows the older version reads on
    for file in before.all() {
        assert!(stage.get(&format!("{ROOT}/{}", file.path)).await.is_some());
    }
    // nothing more to do
    assert_eq!(archive.compact().await.unwrap(), Compacted::default());
    // what was merged is known when it comes again
    let again = archive.commit(&events, None).await.unwrap();
    assert_eq!((again.added, again.repeated), (0, 600));
    let other = open_with(&stage.store(), &clock, Options::default()).await;
    assert_eq!(other.commit(&events, None).await.unwrap().added, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stretch_of_time_is_read_of_the_files_that_have_it() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let events = filled(&archive).await;
    let midnight = 1_767_312_000; // 2026-01-02
    for range in [
        TimeRange::new(midnight, midnight + 3600),
        TimeRange::new(midnight + 60, midnight + 61),
        TimeRange::new(midnight - 86_400, midnight + 1),
        TimeRange::new(midnight + 5 * 3600, midnight + 6 * 3600),
        TimeRange::new(midnight + 1, midnight),
        TimeRange::new(i64::MIN, midnight),
    ] {
        let mut expected = sorted(&events);
        expected.retain(|event| range.contains(event.time));
        assert_eq!(read(&archive, range, false).await, expected, "{range}");
        assert_eq!(read(&archive, range, true).await, expected, "{range}");
    }
    archive.compact().await.unwrap();
    stage.asked();
    let hour = TimeRange::new(midnight, midnight + 3600);
    let mut expected = sorted(&events);
    expected.retain(|event| hour.contains(event.time));
    assert_eq!(read(&archive, hour, true).await, expected);
    let asked = stage.asked();
    assert!(
        asked.iter().all(|asked| asked.contains("date=2026-01-02")),
        "{asked:?}"
    );
    let nobody = archive.read(&Scope::new("3", "x"), EVER, true);
    assert_eq!(nobody.count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_in_the_way_of_its_own_partition_alone() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    filled(&archive).await;
    let before = archive.snapshot();
    let broken = before.all().next().unwrap();
    stage
        .put(&format!("{ROOT}/{}", broken.path), "no file")
        .await;
    let error = archive.compact().await.unwrap_err();
    assert!(error.to_string().contains(&*broken.path), "{error}");
    let after = archive.snapshot();
    assert_eq!(after.files(), 5 + before.of(&broken.partition).len());
    assert_eq!(after.rows(), before.rows());
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_stays_for_a_day_and_goes_then() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let events = filled(&archive).await;
    let removed = archive.retain("2026-01-02".parse().unwrap()).await.unwrap();
    assert_eq!(removed, 60);
    let mut left = sorted(&events);
    left.retain(|event| event.time >= 1_767_312_000);
    assert_eq!(all(&archive).await, left);
    let kept_from = Some("2026-01-02".parse().unwrap());
    assert_eq!(archive.snapshot().kept_from(), kept_from);
    let version = archive.snapshot().version();
    // again, or less: there is nothing to do, nor to say
    for day in ["2026-01-02", "2026-01-01"] {
        assert_eq!(archive.retain(day.parse().unwrap()).await.unwrap(), 0);
    }
    assert_eq!(archive.snapshot().version(), version);
    let again = open_with(&stage.store(), &clock, Options::default()).await;
    assert_eq!(again.snapshot().kept_from(), kept_from);
    archive.compact().await.unwrap();
    // one that nobody committed, and one of somebody else's
    let orphan = format!(
        "{ROOT}/account_id=1/region=r/date=2026-01-01/\
         part-019b0000-0000-7000-8000-000000000000.zstd.parquet"
    );
    stage.put(&orphan, "x").await;
    let foreign = format!("{ROOT}/account_id=1/region=r/date=2026-01-01/foreign.parquet");
    stage.put(&foreign, "x").await;
    tokio::time::advance(23 * HOUR).await;
    assert_eq!(archive.vacuum().await.unwrap().files, 0);
    tokio::time::advance(2 * HOUR).await;
    // a list that lies does no harm
    stage.lie(&[], &[&format!("{ROOT}/account_id=1/region=r/date=2026-01-01/part-019b0000-0000-7000-8000-000000000001.zstd.parquet")]);
    let done = archive.vacuum().await.unwrap();
    assert_eq!(done.files, 180 + 1 + 1);
    stage.lie(&[], &[]);
    assert!(stage.get(&orphan).await.is_none());
    assert!(stage.get(&foreign).await.is_some());
    assert_eq!(all(&archive).await, left);
    let data = stage.paths().await;
    let data = data.iter().filter(|path| path.contains("/part-")).count();
    assert_eq!(data, archive.snapshot().files());
    assert_eq!(archive.vacuum().await.unwrap().files, 0);
}

#[tokio::test(start_paused = true)]
async fn a_writer_goes_on_when_a_file_that_it_cannot_read_was_taken_out() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let other = open_with(&stage.store(), &clock, Options::default()).await;
    let old = [event("1", 0, "2026-01-01T00:00:00Z", "")];
    other.commit(&old, None).await.unwrap();
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let paths = stage.paths().await;
    let lost = paths.iter().find(|path| path.contains("/part-")).unwrap();
    stage.put(lost, "x").await;
    let new = [event("1", 1, "2026-01-01T00:00:01Z", "")];
    for _ in 0..2 {
        let error = archive.commit(&new, None).await.unwrap_err();
        let name = lost.rsplit('/').next().unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(
        other.retain("2026-01-02".parse().unwrap()).await.unwrap(),
        1
    );
    // it does not know yet
    assert!(archive.commit(&new, None).await.is_err());
    archive.commit(&new, None).await.unwrap();
    assert_eq!(all(&archive).await, sorted(&new));
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_when_its_files_are_vacuumed() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let archive = open_with(&stage.store(), &clock, Options::default()).await;
    let mut events: Vec<_> = (0..3000)
        .map(|number| {
            let time = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
            event("1", number, &time, "")
        })
        .collect();
    for some in events.chunks(300) {
        archive.commit(some, None).await.unwrap();
    }
    let scope = Scope::new("1", "eu-central-1");
    for newest_first in [false, true] {
        let mut reading = std::pin::pin!(archive.read(&scope, EVER, newest_first));
        let mut told = reading.try_next().await.unwrap().unwrap();
        assert!(told.len() < 1000);
        // merged by another process, and vacuumed
        let other = open_with(&stage.store(), &clock, Options::default()).await;
        events.push(event(
            "1",
            9000 + u32::from(newest_first),
            "2026-01-01T09:00:00Z",
            "",
        ));
        other
            .commit(&events[events.len() - 1..], None)
            .await
            .unwrap();
        assert_eq!(other.compact().await.unwrap().merges, 1);
        tokio::time::advance(25 * HOUR).await;
        assert!(other.vacuum().await.unwrap().files > 1);
        while let Some(more) = reading.try_next().await.unwrap() {
            told.extend(more);
        }
        if newest_first {
            told.reverse();
        }
        let mut expected = sorted(&events);
        if newest_first {
            // what came after it was begun is before what it has told
            expected.pop();
        }
        assert_eq!(told, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn large_files_are_written_in_several_and_left_alone() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let options = Options {
        max_memory: 0,
        target_file: 0,
        ..Options::default()
    };
    let archive = open_with(&stage.store(), &clock, options).await;
    // what does not compress
    let noise = |number: u32| {
        let mut text = String::new();
        let mut state = u64::from(number) + 1;
        for _ in 0..600 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.push_str(&format!("{:08x}", state >> 32));
        }
        format!(",\"requestParameters\":{{\"noise\":\"{text}\"}}")
    };
    let events: Vec<_> = (0..2000)
        .map(|number| event("1", number, "2025-12-01T00:00:00Z", &noise(number)))
        .collect();
    let done = archive.commit(&events[..1000], None).await.unwrap();
    assert!(done.files > 2, "{done:?}");
    for some in events[1000..].chunks(50) {
        archive.commit(some, None).await.unwrap();
    }
    let done = archive.compact().await.unwrap();
    assert!(done.into > 1 && done.into < done.from, "{done:?}");
    let expected = sorted(&events);
    assert_eq!(all(&archive).await, expected);
    assert_eq!(read(&archive, EVER, true).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_log_goes_behind_a_checkpoint_that_is_old() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let options = Options {
        checkpoint_every: 5,
        ..Options::default()
    };
    let archive = open_with(&stage.store(), &clock, options.clone()).await;
    let mut events = Vec::new();
    let mut later = Vec::new();
    for number in 0..40 {
        events.push(event("1", number, "2026-01-01T00:00:00Z", ""));
        archive
            .commit(&events[events.len() - 1..], None)
            .await
            .unwrap();
        // a day each: from the eighth on there is something old
        tokio::time::advance(24 * HOUR).await;
        if number == 20 {
            later = archive.snapshot().all().cloned().collect();
        }
    }
    let log = format!("{ROOT}/_delta_log/");
    let paths = stage.paths().await;
    let log: Vec<_> = paths
        .iter()
        .filter_map(|path| path.strip_prefix(&log))
        .collect();
    // 40 was written with the last checkpoint, when the one of 30 was over a week old
    let first = format!("{:020}", 30);
    assert!(
        log.contains(&format!("{first}.checkpoint.parquet").as_str()),
        "{log:?}"
    );
    for name in &log {
        assert!(*name >= first.as_str(), "{log:?}");
    }
    assert_eq!(log.len(), 11 + 3 + 1, "{log:?}");
    let again = open_with(&stage.store(), &clock, options.clone()).await;
    assert_eq!(again.snapshot().version(), 40);
    assert_eq!(all(&again).await, sorted(&events));
    assert_eq!(later.len(), 21);
    // who has slept meanwhile does not begin a table of its own beside that
    let asleep = open_with(&stage.store(), &clock, options.clone()).await;
    for number in 40..60 {
        events.push(event("1", number, "2026-01-01T00:00:00Z", ""));
        archive
            .commit(&events[events.len() - 1..], None)
            .await
            .unwrap();
        tokio::time::advance(24 * HOUR).await;
    }
    assert!(
        stage
            .get(&format!("{ROOT}/_delta_log/{:020}.json", 41))
            .await
            .is_none()
    );
    let done = asleep.commit(&events, None).await.unwrap();
    assert_eq!((done.added, done.version), (0, 60));
    assert_eq!(all(&asleep).await, sorted(&events));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_written_holds_up_nobody_for_long() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let options = Options {
        checkpoint_every: 10,
        ..Options::default()
    };
    let archive = open_with(&stage.store(), &clock, options.clone()).await;
    let commit = |number: u32| {
        let archive = archive.clone();
        async move {
            let one = [event("1", number, "2026-01-01T00:00:00Z", "")];
            archive.commit(&one, None).await.unwrap()
        }
    };
    for number in 0..9 {
        commit(number).await;
    }
    // what a commit asks before its checkpoint: a file, twice the next version, the last
    // checkpoint, the commit
    stage.asked();
    commit(9).await;
    let asked = stage.asked();
    let at = asked
        .iter()
        .position(|asked| asked.contains(".checkpoint.parquet"))
        .unwrap();
    assert!(asked[at].starts_with("put"), "{asked:?}");
    let checkpoint = format!("{ROOT}/_delta_log/{:020}.checkpoint.parquet", 10);
    for number in 10..19 {
        commit(number).await;
    }
    stage.plan(Some(Plan {
        at,
        count: usize::MAX,
        fault: Fault::Fails,
    }));
    let done = commit(19).await;
    stage.plan(None);
    assert_eq!(done.version, 20);
    assert!(stage.get(&checkpoint).await.is_some());
    let next = checkpoint.replace("10.checkpoint", "20.checkpoint");
    assert!(stage.get(&next).await.is_none());
    // two later it is tried again
    commit(20).await;
    assert!(
        stage
            .get(&next.replace("20.checkpoint", "21.checkpoint"))
            .await
            .is_none()
    );
    commit(21).await;
    assert!(
        stage
            .get(&next.replace("20.checkpoint", "22.checkpoint"))
            .await
            .is_some()
    );
    let again = open_with(&stage.store(), &clock, options).await;
    assert_eq!(all(&again).await.len(), 22);
}
