//! Who calls.

use std::net::SocketAddr;

use tonic::{Request, transport::server::TcpConnectInfo};

use crate::{budget::Caller, tls::Identity};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// It showed a certificate.
    pub(super) is_known: bool,
    /// Whose turns and allowance its calls take.
    pub(super) caller: Caller,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, identity: Option<&Identity>) -> Self {
        Self {
            address,
            is_known: identity.is_some(),
            caller: match identity {
                Some(identity) => Caller::named(identity.name()),
                None => Caller::peer(address.ip()),
            },
        }
    }

    /// Tells the services who calls.
    pub(super) fn introduce(&self, extensions: &mut http::Extensions) {
        // as tonic's own listener does
        extensions.insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(self.address),
        });
        extensions.insert(self.caller.clone());
    }
}

/// Who calls, as they were introduced; one in the same process was not.
pub(super) fn caller<T>(request: &Request<T>) -> Caller {
    let known = request.extensions().get::<Caller>();
    known.cloned().unwrap_or_else(|| Caller::named("local"))
}
