//! A CloudTrail that behaves like AWS's, for tests and trials.
//!
//! In process it is an [`upstream::CloudTrail`] that works on paused time;
//! over HTTP ([`serve`]) any AWS SDK or the AWS CLI can ask it. Both ways
//! share all behaviour. It never uses the gateway's filters, so that it can
//! bear witness against them.

mod chance;
mod fault;
mod generate;
mod history;
mod lookup;
mod options;
mod quota;
mod records;
mod server;
mod state;
mod stats;
mod token;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

pub use fault::{Fault, FaultKind, Faults, NoFault};
pub use options::Options;
pub use quota::{NoRate, Rate};
pub use records::{Loaded, Problem, Record, Unplaced, load, shift_to};
pub use server::serve;
pub use stats::{OperationStats, ScopeStats, Stats};

use generate::Generator;
use state::State;
use token::Sealer;

use crate::{
    awsjson::{self, LookupRequest},
    clock::Clock,
    event::{LookupEvent, Scope},
    upstream::{self, CloudTrail, Page, PageFuture, PageRequest},
};

/// The account of made-up events where none is named.
pub const DEFAULT_ACCOUNT: &str = "111122223333";

/// How far back AWS can be asked, in seconds: 90 days (user guide, "Working
/// with `CloudTrail` Event history").
pub const HISTORY_SECS: i64 = 90 * 86_400;

/// A CloudTrail of its own.
#[derive(Debug)]
pub struct Simulator {
    options: Options,
    clock: Clock,
    sealer: Sealer,
    generator: Arc<Generator>,
    state: Mutex<State>,
}

/// Why a request got no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It got an error.
    Error(awsjson::Error),
    /// The connection was dropped.
    Disconnect,
}

impl Simulator {
    /// A simulator with these events in its histories, beside those that
    /// `options` has it make up. Events whose scope it does not serve are left
    /// out.
    #[must_use]
    pub fn new(options: Options, clock: Clock, records: Vec<Record>) -> Self {
        let generator = Arc::new(generator(&options));
        let state = State::new(&options, &clock, records, generator.clone());
        Self {
            sealer: Sealer::new(options.seed),
            generator,
            options,
            clock,
            state: Mutex::new(state),
        }
    }

    /// What it was made to be like.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Adds an event to a scope's history. It appears at `visible_at`; `None`:
    /// when its delay is over, faults included. Returns how many places it
    /// got: none if it has no time or its scope is not served, two if the
    /// fault `duplicate` struck.
    pub fn insert(
        &self,
        scope: &Scope,
        event: LookupEvent,
        visible_at: Option<Timestamp>,
    ) -> usize {
        let record = Record::new(scope.clone(), event);
        let visible_ms = visible_at.map(Timestamp::as_millisecond);
        self.lock().insert(&self.options, record, visible_ms)
    }

    /// Adds a bare record, as log files hold it, to the history of the scope
    /// that it names, else of `scope`. See [`Self::insert`].
    pub fn insert_record(
        &self,
        scope: &Scope,
        record: &str,
        visible_at: Option<Timestamp>,
    ) -> usize {
        let Ok(record) = Record::from_text(record, Some(scope)) else {
            return 0;
        };
        let visible_ms = visible_at.map(Timestamp::as_millisecond);
        self.lock().insert(&self.options, record, visible_ms)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.lock().stats()
    }

    /// The accounts served, in order.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        self.lock().accounts()
    }

    /// The Regions served, in order: those it was told, else those with
    /// events.
    #[must_use]
    pub fn regions(&self) -> Vec<String> {
        self.lock().regions(&self.options)
    }

    /// The Regions served, in order, and whether the account has enabled each.
    fn account_regions(&self, account: &str) -> Vec<(String, bool)> {
        let mut regions: BTreeSet<String> = self.regions().into_iter().collect();
        let own = self.options.enabled_regions.get(account);
        regions.extend(own.into_iter().flatten().cloned());
        regions
            .into_iter()
            .map(|region| {
                let is_enabled = own.is_none_or(|own| own.contains(&region));
                (region, is_enabled)
            })
            .collect()
    }

    /// The organisation's accounts in order, and whether each is active: those
    /// served, and those suspended.
    fn organization(&self) -> Vec<(String, bool)> {
        self.lock().organization()
    }

    /// Suspends an account of the organisation, or ends that: it is served from
    /// then on.
    pub fn suspend(&self, account: &str, suspended: bool) {
        self.lock().suspend(account, suspended);
    }

    /// The account that may list the organisation's.
    fn management_account(&self) -> Option<String> {
        let told = self.options.management_account.clone();
        told.or_else(|| self.accounts().into_iter().next())
    }

    /// Whether the roles of an account can be assumed by whoever brings this
    /// external id.
    fn lends(&self, account: &str, external_id: Option<&str>) -> bool {
        let wanted = self.options.external_id.as_deref();
        let is_denied = self.options.faults.denies_role(self.options.seed, account);
        let is_active = |(id, is_active): &(String, bool)| id == account && *is_active;
        (wanted.is_none() || wanted == external_id)
            && !is_denied
            && self.organization().iter().any(is_active)
    }

    /// How many events were turned away because their scope is not served.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    /// What changes, with everything in it that has happened by now.
    fn lock(&self) -> MutexGuard<'_, State> {
        // counters and events stay usable whatever panicked meanwhile
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up(&self.options, self.clock.now());
        state
    }
}

/// The generator for these options.
fn generator(options: &Options) -> Generator {
    let or = |given: &[String], default: &[&str]| -> Vec<String> {
        if given.is_empty() {
            default.iter().map(ToString::to_string).collect()
        } else {
            given.to_vec()
        }
    };
    let accounts = or(&options.accounts, &[DEFAULT_ACCOUNT]);
    let regions = or(&options.regions, &generate::DEFAULT_REGIONS);
    Generator::new(options.seed, &accounts, &regions)
}

impl CloudTrail for Simulator {
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        Box::pin(async move {
            let request = LookupRequest {
                category: request.category,
                attribute: request.attribute.clone(),
                start_ms: Some(request.range.from.saturating_mul(1000)),
                end_ms: Some(request.range.to.saturating_sub(1).saturating_mul(1000)),
                max_results: upstream::PAGE_EVENTS,
                token: request.token.clone(),
            };
            let parse = || request.check().map(|()| request);
            let answer = self
                .lookup(scope, parse)
                .await
                .map_err(|refusal| match refusal {
                    Refusal::Error(error) => {
                        let code = error.code.as_str();
                        let kind = upstream::Error::classify(code, error.code.status());
                        upstream::Error::new(kind, code, error.message)
                    }
                    Refusal::Disconnect => upstream::Error::new(
                        upstream::ErrorKind::Transient,
                        "Disconnect",
                        "the connection was dropped",
                    ),
                })?;
            Ok(Page {
                events: answer.events,
                next_token: answer.next_token,
            })
        })
    }
}
