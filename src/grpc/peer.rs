//! Who calls, and what they may.

use std::{net::SocketAddr, sync::Arc};

use prost::Message;
use tonic::{Request, transport::server::TcpConnectInfo};

use super::{asked, view::View};

use crate::{
    accept::neighbour,
    audit::Notes,
    budget::{Caller, Terms},
    policy::{Rights, Who},
    tls::Identity,
};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Whom its certificate is for, if it showed one.
    identity: Option<Identity>,
    /// Whom a trusted proxy says that it is.
    pub(super) user: Option<Arc<str>>,
    /// Whose turns and allowance its calls take that have no token.
    caller: Caller,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, identity: Option<Identity>) -> Self {
        Self {
            address,
            user: None,
            caller: match &identity {
                Some(identity) => Caller::named(identity.name()),
                // a host has many IPv6 addresses, and is one caller
                None => Caller::peer(neighbour(address.ip()).unwrap_or(address.ip())),
            },
            identity,
        }
    }

    /// The name in its certificate.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(Identity::name)
    }

    /// Who asks in one call.
    pub(super) fn asker(
        &self,
        who: &Who,
        rights: Arc<Rights>,
        notes: Option<&Arc<Notes>>,
    ) -> Asker {
        let caller = match who {
            // no certificate has such a name: these are two who ask
            Who::Token(bearer) => Caller::named(&format!("token {}", bearer.subject())),
            Who::User(name) => Caller::named(&format!("user {name}")),
            // keys sign calls of the HTTP port alone
            Who::Certificate(_) | Who::Anonymous | Who::Key(_) => self.caller.clone(),
        };
        let share = rights.share();
        let caller = caller.on(Terms {
            weight: share.weight,
            daily: share.daily_requests,
        });
        Asker {
            caller: match notes {
                Some(notes) => caller.counted(Arc::clone(notes.requests())),
                None => caller,
            },
            rights,
            notes: notes.cloned(),
        }
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
    /// What is written of the call, where that is.
    notes: Option<Arc<Notes>>,
}

impl Asker {
    /// How events look to who asks, with their records or without.
    pub(super) fn view(&self, with_record: bool) -> View {
        View::new(with_record, Arc::clone(&self.rights), self.notes.clone())
    }

    /// Notes what is asked: the request, and the name of its message.
    pub(super) fn asks(&self, name: &str, request: &impl Message) {
        if let Some(notes) = &self.notes
            && let Some(json) = asked::json(name, request)
        {
            notes.asked(json);
        }
    }

    /// Where what is told of the call is noted, if anywhere.
    pub(super) fn notes(&self) -> Option<&Arc<Notes>> {
        self.notes.as_ref()
    }

    /// As they were introduced; one in the same process was not.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let known = request.extensions().get::<Self>();
        known.cloned().unwrap_or_else(Self::local)
    }

    /// One in the same process, who may everything.
    pub(super) fn local() -> Self {
        Self {
            caller: Caller::named("local"),
            rights: Arc::new(Rights::all()),
            notes: None,
        }
    }
}
