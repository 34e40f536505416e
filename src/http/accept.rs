//! Connections to the HTTP port, in plain text or TLS.

use std::{io, sync::Arc};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_util::{
    either::Either,
    sync::{CancellationToken, DropGuard},
};

use crate::{
    accept::accept,
    tls::{self, Identity, Tls},
};

/// Handshakes at once, and connections that wait to be served; others wait to be
/// accepted. More than probes and scrapes need, so that some who connect and say
/// nothing hold no probe up; each takes a task and what TLS buffers.
const MAX_HANDSHAKES: usize = 1024;
/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Whom its certificate is for, if it showed one.
    identity: Option<Identity>,
}

impl Visitor {
    /// Its name, if it is known.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(Identity::name)
    }
}

type Stream = Either<TcpStream, tls::Stream>;

/// Accepts connections; slow handshakes hold nobody up.
pub(super) struct Accepting {
    ready: mpsc::Receiver<(Stream, Visitor)>,
    _stop: DropGuard,
}

impl Accepting {
    pub(super) fn start(listener: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        let (accepted, ready) = mpsc::channel(MAX_HANDSHAKES);
        let stop = CancellationToken::new();
        let accept = accept_all(listener, tls, accepted);
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Self {
            ready,
            _stop: stop.drop_guard(),
        }
    }
}

async fn accept_all(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    accepted: mpsc::Sender<(Stream, Visitor)>,
) {
    let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let (stream, address, place) = accept(&listener, &room).await;
        let (tls, accepted) = (tls.clone(), accepted.clone());
        tokio::spawn(async move {
            let opened = match tls {
                None => Ok((Either::Left(stream), None)),
                Some(tls) => tls
                    .accept(tls::Port::Http, stream)
                    .await
                    .map(|(stream, who)| (Either::Right(stream), who)),
            };
            match opened {
                Ok((stream, identity)) => {
                    // nobody serves any more: it is closed
                    let _ = accepted.send((stream, Visitor { identity })).await;
                }
                Err(error) => tracing::debug!(peer = %address, %error, "no TLS handshake"),
            }
            drop(place);
        });
    }
}

impl Listener for Accepting {
    type Io = Stream;
    type Addr = Visitor;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // whoever accepts ends with this
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Visitor { identity: None })
    }
}

impl Connected<IncomingStream<'_, Accepting>> for Visitor {
    fn connect_info(stream: IncomingStream<'_, Accepting>) -> Self {
        stream.remote_addr().clone()
    }
}
