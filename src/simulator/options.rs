//! What a simulator is made to be like.

use std::{collections::BTreeMap, time::Duration};

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
    /// The Regions that an account has enabled, where it is not all that are
    /// served.
    pub enabled_regions: BTreeMap<String, Vec<String>>,
    /// The account that may list the organisation's; `None`: the first.
    pub management_account: Option<String>,
    /// Accounts of the organisation that are suspended: their keys are refused,
    /// and none of their roles can be assumed.
    pub suspended: Vec<String>,
    /// What `AssumeRole` must bring along; `None`: anything, or nothing.
    pub external_id: Option<String>,
    /// The longest that a session lasts, in whole seconds, also below what AWS
    /// allows; `None`: as long as it is asked for.
    pub session: Option<Duration>,
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
        account && self.allow_region(&scope.region) && self.is_enabled(scope)
    }

    /// Whether the account of a scope has enabled its Region.
    pub(super) fn is_enabled(&self, scope: &Scope) -> bool {
        let enabled = self.enabled_regions.get(&*scope.account);
        enabled.is_none_or(|regions| regions.iter().any(|enabled| **enabled == *scope.region))
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
            enabled_regions: BTreeMap::new(),
            management_account: None,
            suspended: Vec::new(),
            external_id: None,
            session: None,
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
