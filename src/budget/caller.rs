//! Who asks, and how urgent it is.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Who asks: those of one class take turns. The same caller is the same on whatever
/// terms. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Who,
    terms: Terms,
    /// Counts what it buys, for whoever wants to know.
    bought: Option<Arc<AtomicU64>>,
}

/// On what terms a caller buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The turns that it has while each of others has one; at least one is had.
    pub weight: u8,
    /// The requests that it may buy a UTC day; 0: any number; `None`: as many as
    /// everybody.
    pub daily: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            weight: 1,
            daily: None,
        }
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.who == other.who
    }
}

impl Eq for Caller {}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.who.hash(state);
    }
}

impl PartialOrd for Caller {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Caller {
    fn cmp(&self, other: &Self) -> Ordering {
        self.who.cmp(&other.who)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Gateway,
    Named(Arc<str>),
    Peer(IpAddr),
}

impl Caller {
    /// The gateway itself, for everybody: it has no daily allowance.
    #[must_use]
    pub fn gateway() -> Self {
        Who::Gateway.into()
    }

    /// Whether it is the gateway itself.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.who == Who::Gateway
    }

    /// A caller by name: an identity.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Who::Named(name.into()).into()
    }

    /// A caller who is known by address alone: without the port, since a new
    /// connection makes no new caller.
    #[must_use]
    pub fn peer(address: IpAddr) -> Self {
        // an IPv4 peer of a socket for both families is the same peer
        Who::Peer(address.to_canonical()).into()
    }

    /// The caller on other terms than everybody's.
    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// The caller, with what it buys counted there.
    #[must_use]
    pub fn counted(self, bought: Arc<AtomicU64>) -> Self {
        Self {
            bought: Some(bought),
            ..self
        }
    }

    /// It bought a request.
    pub(super) fn bought(&self) {
        if let Some(bought) = &self.bought {
            bought.fetch_add(1, Relaxed);
        }
    }

    /// What it bought was not sent after all.
    pub(super) fn gave_back(&self) {
        if let Some(bought) = &self.bought {
            bought.fetch_sub(1, Relaxed);
        }
    }

    /// On what terms it buys.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms
    }
}

impl From<Who> for Caller {
    fn from(who: Who) -> Self {
        Self {
            who,
            terms: Terms::default(),
            bought: None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Gateway => f.write_str("gateway"),
            Who::Named(name) => f.write_str(name),
            Who::Peer(address) => address.fmt(f),
        }
    }
}

/// How urgent a request is. The first comes first; none is starved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits in front of the answer.
    #[default]
    Interactive,
    /// A subscription's next look.
    Subscription,
    /// Nobody is in haste.
    Backfill,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Subscription, Self::Backfill];

    /// A word for it, as metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Subscription => "subscription",
            Self::Backfill => "backfill",
        }
    }
}
