//! What answers took, in all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Stats;

/// What pages took since the server began. Exports, summaries and subscriptions that
/// read history are pages, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pages that bought no request.
    pub held: u64,
    /// Pages that bought requests.
    pub bought: u64,
    /// Events looked at that were held already.
    pub events_from_cache: u64,
    /// Events looked at that were read from the archive.
    pub events_from_archive: u64,
    /// Events looked at that came from AWS then.
    pub events_from_upstream: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    held: AtomicU64,
    bought: AtomicU64,
    events_from_cache: AtomicU64,
    events_from_archive: AtomicU64,
    events_from_upstream: AtomicU64,
}

impl Counts {
    pub(super) fn note(&self, page: &Stats) {
        let pages = match page.upstream_calls {
            0 => &self.held,
            _ => &self.bought,
        };
        pages.fetch_add(1, Relaxed);
        let held = page.events_from_cache;
        self.events_from_cache.fetch_add(held, Relaxed);
        let kept = page.events_from_archive;
        self.events_from_archive.fetch_add(kept, Relaxed);
        let fresh = page.events_scanned.saturating_sub(held + kept);
        self.events_from_upstream.fetch_add(fresh, Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            held: self.held.load(Relaxed),
            bought: self.bought.load(Relaxed),
            events_from_cache: self.events_from_cache.load(Relaxed),
            events_from_archive: self.events_from_archive.load(Relaxed),
            events_from_upstream: self.events_from_upstream.load(Relaxed),
        }
    }
}
