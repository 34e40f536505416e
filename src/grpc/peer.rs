//! Who calls, and what they may.

use std::{net::SocketAddr, sync::Arc};

use tonic::{Request, transport::server::TcpConnectInfo};

use crate::{
    budget::Caller,
    policy::{Rights, Who},
    tls::Identity,
};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Whom its certificate is for, if it showed one.
    identity: Option<Identity>,
    /// Whose turns and allowance its calls take that have no token.
    caller: Caller,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, identity: Option<Identity>) -> Self {
        Self {
            address,
            caller: match &identity {
                Some(identity) => Caller::named(identity.name()),
                None => Caller::peer(address.ip()),
            },
            identity,
        }
    }

    /// The name in its certificate.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(Identity::name)
    }

    /// Who asks in one call.
    pub(super) fn asker(&self, who: &Who, rights: Arc<Rights>) -> Asker {
        let caller = match who {
            // no certificate has such a name: these are two who ask
            Who::Token(bearer) => Caller::named(&format!("token {}", bearer.subject())),
            Who::Certificate(_) | Who::Anonymous => self.caller.clone(),
        };
        Asker { caller, rights }
    }

    /// Tells the services who asks.
    pub(super) fn introduce(&self, asker: Asker, extensions: &mut http::Extensions) {
        // as tonic's own listener does
        extensions.insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(self.address),
        });
        extensions.insert(asker);
    }
}

/// Who asks, and what they may. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// Whose turns and allowance it takes.
    pub(super) caller: Caller,
    pub(super) rights: Arc<Rights>,
}

impl Asker {
    /// As they were introduced; one in the same process was not, and may everything.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let known = request.extensions().get::<Self>();
        known.cloned().unwrap_or_else(|| Self {
            caller: Caller::named("local"),
            rights: Arc::new(Rights::all()),
        })
    }
}
