//! Connections that come in, so many at once.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// The pause after a connection could not be accepted: files have run out, and
/// come back as connections end.
const NO_ACCEPT: Duration = Duration::from_secs(1);

/// A connection, from whom, and its place: others wait while there is none.
pub(crate) type Accepted = (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>);

/// The next connection, once `room` has a place for it.
pub(crate) async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Accepted {
    loop {
        match try_accept(listener, room).await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(NO_ACCEPT).await;
            }
        }
    }
}

async fn try_accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Accepted> {
    // the semaphore is never closed
    let place = Arc::clone(room).acquire_owned().await.ok();
    let (stream, peer) = listener.accept().await?;
    // answers are small and awaited; without it they wait for acknowledgements
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}
