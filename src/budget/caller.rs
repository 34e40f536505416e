//! Who asks, and how urgent it is.

use std::{fmt, net::IpAddr, sync::Arc};

/// Who asks: those of one class take turns. Cheap to make and to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller(Who);

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
        Self(Who::Gateway)
    }

    /// Whether it is the gateway itself.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.0 == Who::Gateway
    }

    /// A caller by name: an identity.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Who::Named(name.into()))
    }

    /// A caller who is known by address alone: without the port, since a new
    /// connection makes no new caller.
    #[must_use]
    pub fn peer(address: IpAddr) -> Self {
        // an IPv4 peer of a socket for both families is the same peer
        Self(Who::Peer(address.to_canonical()))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
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
