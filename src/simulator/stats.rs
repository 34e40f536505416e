//! What was asked and answered: counters only.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::Scope;

/// The counters of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationStats {
    /// Every attempt, refused ones included.
    pub requests: u64,
    /// Those that were answered with an error or not at all.
    pub refused: u64,
    /// Those that were throttled, by the quota or by a fault.
    pub throttled: u64,
    /// Refusals by AWS's code; `Disconnect` where the connection was dropped.
    pub errors: BTreeMap<&'static str, u64>,
    /// Events answered with.
    pub events: u64,
}

/// The counters of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScopeStats {
    /// The account; empty where a request named none that is served.
    pub account: String,
    /// The Region; empty where a request named none that is served.
    pub region: String,
    /// Events in its history, those that are yet to appear included.
    pub records: u64,
    /// By operation.
    pub operations: BTreeMap<&'static str, OperationStats>,
}

/// The counters of a simulator. Asking for them is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Every attempt of any operation, refused ones included.
    pub requests: u64,
    /// Those that were answered with an error or not at all.
    pub refused: u64,
    /// Those that were throttled.
    pub throttled: u64,
    /// Events answered with.
    pub events: u64,
    /// Events in all histories, those that are yet to appear included.
    pub records: u64,
    /// By scope: by account, then by Region.
    pub scopes: Vec<ScopeStats>,
}

impl Stats {
    /// The counters of an operation in a scope; zeroes if it was never asked.
    #[must_use]
    pub fn operation(&self, scope: &Scope, operation: &str) -> OperationStats {
        self.scopes
            .iter()
            .find(|s| *s.account == *scope.account && *s.region == *scope.region)
            .and_then(|s| s.operations.get(operation))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn add(&mut self, scope: ScopeStats) {
        for operation in scope.operations.values() {
            self.requests += operation.requests;
            self.refused += operation.refused;
            self.throttled += operation.throttled;
            self.events += operation.events;
        }
        self.records += scope.records;
        self.scopes.push(scope);
    }
}
