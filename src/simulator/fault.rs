//! Faults: what goes wrong, and how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::Hash,
    str::FromStr,
};

use super::chance::{hash, unit};
use crate::event::is_account;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// A request is throttled though the quota has room: someone else used it.
    Throttle,
    /// A request is answered with a 500 or a 503.
    ServerError,
    /// A request is answered only after [`super::Options::slow_by`].
    Slow,
    /// The connection is dropped without an answer.
    Disconnect,
    /// A Region refuses `LookupEvents`, always: drawn once for each Region.
    DeniedRegion,
    /// No role of an account can be assumed, ever: drawn once for each account.
    DeniedRole,
    /// An event stands twice in the history.
    Duplicate,
    /// An event appears only 20 to 60 minutes after its time.
    Late,
    /// A `NextToken` has expired when it comes back.
    ExpiredToken,
    /// The credentials of a request have expired.
    ExpiredCredentials,
    /// A page holds fewer events than it could, or none, and a token.
    ShortPage,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Throttle,
        Self::ServerError,
        Self::Slow,
        Self::Disconnect,
        Self::DeniedRegion,
        Self::DeniedRole,
        Self::Duplicate,
        Self::Late,
        Self::ExpiredToken,
        Self::ExpiredCredentials,
        Self::ShortPage,
    ];

    /// The kind as the command line spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::ServerError => "5xx",
            Self::Slow => "slow",
            Self::Disconnect => "disconnect",
            Self::DeniedRegion => "denied-region",
            Self::DeniedRole => "denied-role",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::ExpiredToken => "expired-token",
            Self::ExpiredCredentials => "expired-credentials",
            Self::ShortPage => "short-page",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A kind, with its probability from 0 to 1.
    Chance(FaultKind, f64),
    /// The Region of this name refuses `LookupEvents`.
    Denied(String),
    /// No role of this account can be assumed.
    DeniedRole(String),
}

/// Why a text asks for no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFault {
    /// There is no such kind.
    #[error("no fault kind {0:?}; there are {kinds}", kinds = kinds())]
    Kind(String),
    /// The value is no probability.
    #[error("{value:?} is no probability for {kind}: give a number from 0 to 1")]
    Probability {
        /// The kind.
        kind: FaultKind,
        /// What was given.
        value: String,
    },
    /// It has no `=`.
    #[error("{0:?} is not KIND=PROBABILITY")]
    Shape(String),
}

fn kinds() -> String {
    FaultKind::ALL.map(FaultKind::as_str).join(", ")
}

impl FromStr for Fault {
    type Err = NoFault;

    /// `KIND=PROBABILITY`, with blanks and underscores as good as hyphens; or
    /// `denied-region=REGION`, `denied-role=ACCOUNT`.
    fn from_str(s: &str) -> Result<Self, NoFault> {
        let (kind, value) = s
            .split_once('=')
            .ok_or_else(|| NoFault::Shape(s.to_owned()))?;
        let spelt = kind.trim().to_ascii_lowercase().replace([' ', '_'], "-");
        let kind = FaultKind::ALL
            .into_iter()
            .find(|known| known.as_str() == spelt)
            .ok_or_else(|| NoFault::Kind(kind.to_owned()))?;
        let value = value.trim();
        // twelve digits are no probability
        if kind == FaultKind::DeniedRole && is_account(value) {
            return Ok(Self::DeniedRole(value.to_owned()));
        }
        match value.parse::<f64>() {
            Ok(p) if (0.0..=1.0).contains(&p) => Ok(Self::Chance(kind, p)),
            Err(_)
                if kind == FaultKind::DeniedRegion
                    && value.starts_with(|c: char| c.is_ascii_lowercase()) =>
            {
                Ok(Self::Denied(value.to_owned()))
            }
            _ => Err(NoFault::Probability {
                kind,
                value: value.to_owned(),
            }),
        }
    }
}

/// All the faults of a simulator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    chances: BTreeMap<FaultKind, f64>,
    denied: BTreeSet<String>,
    denied_roles: BTreeSet<String>,
}

impl FromIterator<Fault> for Faults {
    /// The last one of a kind counts; denied Regions add up.
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        let mut all = Self::default();
        for fault in faults {
            match fault {
                Fault::Chance(kind, p) => {
                    all.chances.insert(kind, p);
                }
                Fault::Denied(region) => {
                    all.denied.insert(region);
                }
                Fault::DeniedRole(account) => {
                    all.denied_roles.insert(account);
                }
            }
        }
        all
    }
}

impl Faults {
    /// Whether a fault of this kind strikes what `key` names. The same seed
    /// and key always get the same verdict.
    pub(super) fn strike(&self, seed: u64, kind: FaultKind, key: impl Hash) -> bool {
        self.chances
            .get(&kind)
            .is_some_and(|p| unit(hash((seed, kind, key))) < *p)
    }

    /// Whether the Region refuses `LookupEvents`.
    pub(super) fn denies(&self, seed: u64, region: &str) -> bool {
        self.denied.contains(region) || self.strike(seed, FaultKind::DeniedRegion, region)
    }

    /// Whether no role of the account can be assumed.
    pub(super) fn denies_role(&self, seed: u64, account: &str) -> bool {
        self.denied_roles.contains(account) || self.strike(seed, FaultKind::DeniedRole, account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_in_every_spelling() {
        for (text, fault) in [
            ("throttle=0.5", Fault::Chance(FaultKind::Throttle, 0.5)),
            ("5xx=1", Fault::Chance(FaultKind::ServerError, 1.0)),
            (
                "denied region=0.1",
                Fault::Chance(FaultKind::DeniedRegion, 0.1),
            ),
            ("denied-region=us-east-1", Fault::Denied("us-east-1".into())),
            (
                "denied role=111122223333",
                Fault::DeniedRole("111122223333".into()),
            ),
            ("denied-role=1", Fault::Chance(FaultKind::DeniedRole, 1.0)),
            (
                "Expired_Token=0",
                Fault::Chance(FaultKind::ExpiredToken, 0.0),
            ),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
        for (text, says) in [
            ("slow", "not KIND=PROBABILITY"),
            (
                "sloww=1",
                "no fault kind \"sloww\"; there are throttle, 5xx",
            ),
            ("slow=2", "\"2\" is no probability for slow"),
            ("slow=often", "\"often\" is no probability"),
            ("denied-region=1.5", "no probability"),
            ("denied-role=12", "no probability"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_same_seed_strikes_the_same_and_about_as_often_as_asked() {
        let faults: Faults = [Fault::Chance(FaultKind::Slow, 0.25)].into_iter().collect();
        let strikes = |seed| -> Vec<bool> {
            (0..4000)
                .map(|n| faults.strike(seed, FaultKind::Slow, n))
                .collect()
        };
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        let count = strikes(1).into_iter().filter(|struck| *struck).count();
        assert!((900..1100).contains(&count), "{count}");
        assert!(!(0..100).any(|n| faults.strike(1, FaultKind::Late, n)));
    }
}
