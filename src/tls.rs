//! TLS of both ports: certificates that are read again when their files change,
//! and who it is that shows one.

mod expiry;
mod files;
mod peer;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

pub use files::Files;
pub use peer::Identity;

use self::files::Contents;
use crate::{
    kept::{self, Error, Looks},
    seldom::Seldom,
};

/// How long a client may take to shake hands: two round trips, and some signing.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection by TLS.
pub type Stream = TlsStream<TcpStream>;

/// Which port is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// HTTP/2 alone.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// What is in force.
#[derive(Debug)]
struct Current {
    contents: Contents,
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// The server's side of TLS. See the module.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: Mutex<Current>,
    /// Handshakes that failed.
    failed: Seldom,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, or is not what it should be.
    pub fn load(files: Files) -> Result<Self, Error> {
        let contents = files.read()?;
        let (grpc, http) = files.configs(&contents)?;
        Ok(Self {
            files,
            failed: Seldom::default(),
            current: Mutex::new(Current {
                contents,
                grpc,
                http,
            }),
        })
    }

    /// When the certificate ends that is in force; `None`: it does not say so in a way
    /// that can be read.
    #[must_use]
    pub fn expiry(&self) -> Option<Timestamp> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let certs = self.files.certs(&current.contents).ok()?;
        expiry::expiry(certs.first()?)
    }

    /// Why clients may not take the certificate that is in force; `None`: nothing is seen
    /// that would keep them from it.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        self.files.doubt(&current.contents)
    }

    /// Whether who calls has to show a certificate, but for probes.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Reads the files again; whether new ones are in force. Connections that are
    /// there keep what they began with.
    ///
    /// # Errors
    /// As of [`Tls::load`]: what was in force stays so.
    pub fn reload(&self) -> Result<bool, Error> {
        let contents = self.files.read()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.contents == contents {
            return Ok(false);
        }
        let (grpc, http) = self.files.configs(&contents)?;
        if let Some(doubt) = self.files.doubt(&contents) {
            tracing::warn!("{doubt}");
        }
        *current = Current {
            contents,
            grpc,
            http,
        };
        Ok(true)
    }

    /// Keeps up with the files, for ever.
    pub async fn keep(&self, looks: Looks) {
        let is_new = "new certificates are in force";
        let is_old = "the certificates stay as they were";
        kept::keep(looks, "certificates", is_new, is_old, || self.reload()).await;
    }

    /// Shakes hands; who it is, if a certificate was shown.
    ///
    /// # Errors
    /// If that fails, or takes longer than ten seconds.
    pub async fn accept(
        &self,
        port: Port,
        stream: TcpStream,
    ) -> io::Result<(Stream, Option<Identity>)> {
        let config = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(match port {
                Port::Grpc => &current.grpc,
                Port::Http => &current.http,
            })
        };
        let peer = stream.peer_addr()?;
        let shaken = async {
            let stream = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await??;
            let (_, connection) = stream.get_ref();
            let shown = connection.peer_certificates().and_then(<[_]>::first);
            let identity = shown.map(Identity::of).transpose()?;
            Ok((stream, identity))
        };
        let shaken = shaken.await;
        if let Err(error) = &shaken {
            self.failed(peer, error);
        }
        shaken
    }

    fn failed(&self, peer: SocketAddr, error: &io::Error) {
        // who connects and says nothing may look whether the port is open
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return;
        }
        if let Some(failed) = self.failed.count() {
            tracing::info!(%peer, %error, failed, "no TLS handshake; look at the caller's certificate and whom it trusts");
        }
    }

    /// Handshakes that failed, but for those that were not begun.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.total()
    }
}

#[cfg(test)]
pub(crate) mod tests;
