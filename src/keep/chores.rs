//! What an archive needs from time to time.

use std::time::Duration;

use jiff::{Span, civil::Date, tz::TimeZone};
use tokio::time::{Instant, sleep};

use crate::{archive::Archive, clock::Clock};

/// How often what is too old is dropped, and files that nothing names are deleted:
/// retention counts days.
const SELDOM: Duration = Duration::from_secs(3 * 3600);

/// How often what others wrote is looked for, two requests each: what is loaded while a
/// server runs is to be found soon.
const FOLLOW: Duration = Duration::from_secs(15);

/// What is done with an archive from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chores {
    /// How often small files are merged.
    pub compaction: Duration,
    /// For how long events are kept; `None`: for ever. At least a day.
    pub retention: Option<Duration>,
}

impl Default for Chores {
    /// A quarter of an hour: in an hour a scope makes sixty files, and readers feel some
    /// hundreds.
    fn default() -> Self {
        Self {
            compaction: Duration::from_secs(15 * 60),
            retention: None,
        }
    }
}

impl Chores {
    /// Takes in what others wrote, merges small files, drops days that are too old, and
    /// deletes what nobody reads any more, for ever. Of several servers with one archive
    /// each does, and whoever comes second finds nothing to do.
    pub async fn keep_doing(self, archive: Archive, clock: Clock) {
        tokio::join!(follow(&archive), self.tidy(&archive, &clock));
    }

    async fn tidy(self, archive: &Archive, clock: &Clock) {
        let mut seldom_at = Instant::now() + SELDOM.min(self.compaction);
        loop {
            sleep(self.compaction).await;
            match archive.compact().await {
                Ok(done) => tracing::debug!(?done, "the archive's small files are merged"),
                Err(error) => {
                    tracing::warn!(%error, "the archive's small files were not merged; trying again");
                }
            }
            if seldom_at > Instant::now() {
                continue;
            }
            seldom_at = Instant::now() + SELDOM;
            if let Some(before) = self.first_day(clock)
                && let Err(error) = archive.retain(before).await
            {
                tracing::warn!(%error, %before, "the archive's old days were not dropped; trying again");
            }
            if let Err(error) = archive.vacuum().await {
                tracing::warn!(%error, "the archive's unused files were not deleted; trying again");
            }
        }
    }

    /// The first day that is kept: a day stays until all of it is too old.
    fn first_day(&self, clock: &Clock) -> Option<Date> {
        let days = i64::try_from(self.retention?.as_secs() / 86_400).ok()?;
        let today = clock.now().to_zoned(TimeZone::UTC).date();
        today.checked_sub(Span::new().try_days(days).ok()?).ok()
    }
}

async fn follow(archive: &Archive) {
    loop {
        sleep(FOLLOW).await;
        // whoever writes or queries says what is wrong
        if let Err(error) = archive.refresh().await {
            tracing::debug!(%error, "the archive's log could not be followed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{ObjectStore, memory::InMemory, path::Path};
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::{
        archive::Options,
        event::{Event, Origin, Scope},
    };

    #[tokio::test(start_paused = true)]
    async fn what_others_write_is_taken_in_soon() {
        let clock = Clock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let open = || {
            let (store, clock) = (Arc::clone(&store), clock.clone());
            Archive::open(store, Path::default(), clock, Options::default())
        };
        let (own, others) = (open().await.unwrap(), open().await.unwrap());
        let chores = Chores::default().keep_doing(own.clone(), clock.clone());
        let _chores = AbortOnDropHandle::new(tokio::spawn(chores));
        let scope = Scope::new("111122223333", "us-east-1");
        let event = Event::from_record(&scope, b"{}", Origin::LogFile, clock.now_secs());
        others.commit(&[Arc::new(event)], None).await.unwrap();
        assert_eq!(own.snapshot().rows(), 0);
        sleep(2 * FOLLOW).await;
        assert_eq!(own.snapshot().rows(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_is_kept_until_all_of_it_is_too_old() {
        let clock = Clock::at("2026-03-01T12:00:00Z".parse().unwrap());
        let first = |days: u64| {
            let retention = Some(Duration::from_secs(days * 86_400 + 3_600));
            let chores = Chores {
                retention,
                ..Chores::default()
            };
            chores.first_day(&clock).map(|day| day.to_string())
        };
        assert_eq!(first(1).as_deref(), Some("2026-02-28"));
        assert_eq!(first(365).as_deref(), Some("2025-03-01"));
        // longer than there are days
        assert_eq!(first(5_000_000), None);
        assert_eq!(Chores::default().first_day(&clock), None);
    }
}
