//! What a simulator is made to be like.

use std::time::Duration;

use super::{Faults, Rate};
use crate::{awsjson::Several, event::Scope};

/// What a simulator is made to be like. The default behaves as AWS does, with
/// no delay and no faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The accounts served. Empty: those of the events it is given.
    pub accounts: Vec<String>,
    /// The Regions served; any other refuses, as a Region does that is not
    /// enabled. Empty: every Region answers, with an empty history where it
    /// has no events.
    pub regions: Vec<String>,
    /// Requests a second in each scope; zero is no limit.
    pub rate: Rate,
    /// How long after its time an event appears, on average: each takes
    /// between three quarters and five quarters of it, so that events appear
    /// out of order.
    pub delay: Duration,
    /// Keep events for ever instead of 90 days.
    pub unlimited_history: bool,
    /// What to do with more than one lookup attribute.
    pub several: Several,
    /// How long a `NextToken` lasts; `None` is for ever.
    pub token_ttl: Option<Duration>,
    /// What goes wrong.
    pub faults: Faults,
    /// How long a request takes that the fault `slow` strikes.
    pub slow_by: Duration,
    /// What all chance is drawn from.
    pub seed: u64,
    /// How many events to make up.
    pub synthetic: u64,
    /// The days up to now over which they are spread.
    pub days: u32,
    /// Events to go on making, a second, all scopes together; zero is none.
    pub live: Rate,
}

impl Options {
    /// Whether these options let the scope be served: an empty list lets every
    /// account, or Region, be.
    #[must_use]
    pub fn allow(&self, scope: &Scope) -> bool {
        let account =
            self.accounts.is_empty() || self.accounts.iter().any(|a| **a == *scope.account);
        account && self.allow_region(&scope.region)
    }

    pub(super) fn allow_region(&self, region: &str) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|served| served == region)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            regions: Vec::new(),
            rate: Rate::per_second(2),
            delay: Duration::ZERO,
            unlimited_history: false,
            several: Several::Refuse,
            token_ttl: None,
            faults: Faults::default(),
            slow_by: Duration::from_secs(5),
            seed: 0,
            synthetic: 0,
            days: 90,
            live: Rate::default(),
        }
    }
}
