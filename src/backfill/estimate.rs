//! What a backfill would load, and how long it would take: files counted, and some of
//! them read.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    load::Load,
    read::{Reading, Told},
    target::{Target, TargetError},
    walk::Next,
};

/// Files that are read: with those of busy accounts some ten megabytes.
const SAMPLE: usize = 64;
/// Bytes of their events that go into one commit.
const COMMIT: usize = 32 << 20;

/// What would be loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Files.
    pub files: u64,
    /// Their bytes, as they lie there.
    pub bytes: u64,
    /// By part, in their order: its name, files and bytes.
    pub parts: Vec<(String, u64, u64)>,
    /// Files that were read for the rest.
    pub sampled: u64,
    /// Events, by those that were read; `None`: none could be.
    pub events: Option<u64>,
    /// How long it would take here, by how long these took to be read and committed to
    /// an archive in memory; what the real one's store needs comes on top.
    pub time: Option<Duration>,
    /// What could not be counted, and why.
    pub broken: Vec<(String, String)>,
}

/// Files out of all, each as likely as any other.
struct Sample {
    files: Vec<(usize, Next)>,
    seen: usize,
}

impl Sample {
    fn offer(&mut self, part: usize, next: &Next) {
        self.seen += 1;
        if self.files.len() < SAMPLE {
            self.files.push((part, next.clone()));
            return;
        }
        let place = rand::rng().random_range(0..self.seen);
        if let Some(file) = self.files.get_mut(place) {
            *file = (part, next.clone());
        }
    }
}

impl Load {
    /// What would be loaded. Nothing is; `scratch` takes what is read to see how long
    /// it takes.
    ///
    /// # Errors
    /// If `scratch` does not take it.
    pub async fn estimate(&self, scratch: &dyn Target) -> Result<Estimate, TargetError> {
        let mut estimate = Estimate::default();
        let mut sample = Sample {
            files: Vec::new(),
            seen: 0,
        };
        for (number, part) in self.parts.iter().enumerate() {
            let (mut files, mut bytes) = (0, 0);
            let counted = self.lists.count(part, |next| {
                files += 1;
                bytes += next.size;
                self.lists.seen.count(next.size);
                sample.offer(number, next);
            });
            if let Err(why) = counted.await {
                estimate.broken.push((part.name.clone(), why));
            }
            estimate.files += files;
            estimate.bytes += bytes;
            estimate.parts.push((part.name.clone(), files, bytes));
        }
        self.extrapolate(sample, scratch, &mut estimate).await?;
        Ok(estimate)
    }

    async fn extrapolate(
        &self,
        sample: Sample,
        scratch: &dyn Target,
        estimate: &mut Estimate,
    ) -> Result<(), TargetError> {
        let start = Instant::now();
        let (to, mut told) = mpsc::channel(2 * self.options.parallel.max(1));
        let reading = Reading {
            choice: Arc::clone(&self.lists.choice),
            limits: self.options.limits,
            to,
        };
        let now = self.lists.clock.now_secs();
        let mut files = sample.files.into_iter().filter_map(|(part, next)| {
            let source = Arc::clone(&self.parts.get(part)?.source);
            Some((source, next))
        });
        let mut readers = JoinSet::new();
        let (mut events, mut held) = (Vec::new(), 0);
        let (mut records, mut bytes) = (0, 0);
        loop {
            while readers.len() < self.options.parallel.max(1)
                && let Some((source, next)) = files.next()
            {
                readers.spawn(reading.clone().read(source, next, 0, now));
            }
            if readers.is_empty() && told.is_empty() {
                break;
            }
            tokio::select! {
                Some(one) = told.recv() => match one {
                    Told::Events(_, more) => {
                        held += more.iter().map(|event| event.weight()).sum::<usize>();
                        events.extend(more);
                    }
                    Told::Ended(_, ended) => {
                        records += ended.counts.taken();
                        bytes += ended.bytes;
                        estimate.sampled += 1;
                    }
                },
                Some(_) = readers.join_next() => {}
            }
            if held >= COMMIT {
                held = 0;
                scratch.commit(std::mem::take(&mut events)).await?;
            }
        }
        if !events.is_empty() {
            scratch.commit(events).await?;
        }
        if bytes > 0 {
            let part = as_f64(estimate.bytes) / as_f64(bytes);
            estimate.events = Some(as_u64(as_f64(records) * part));
            let time = start.elapsed().as_secs_f64() * part;
            estimate.time = Duration::try_from_secs_f64(time).ok();
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate has fewer digits")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts, and what is too large for one is the largest"
)]
const fn as_u64(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backfill::load::tests::{Memory, files, load, store};

    #[tokio::test(start_paused = true)]
    async fn what_would_be_loaded_is_counted_and_some_of_it_read() {
        let (store, target) = (store(files(200)), Arc::default());
        let load = load(&store, &target);
        let scratch = Memory::default();
        let estimate = load.estimate(&scratch).await.unwrap();
        assert_eq!((estimate.files, estimate.bytes), (200, 2000));
        assert_eq!(estimate.parts.len(), 2);
        assert_eq!(estimate.parts[0].1, 100);
        assert_eq!(estimate.sampled, 64);
        assert!(estimate.events.is_some() && estimate.time.is_some());
        assert!(target.is_empty(), "nothing is loaded");
        assert!(!scratch.is_empty());
    }
}
