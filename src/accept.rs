//! Connections that come in: so many at once, and of those so many from one
//! address, and so many of whom nobody knows.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::seldom::Seldom;

/// The pause after a connection could not be accepted: files have run out, and
/// come back as connections end.
const NO_ACCEPT: Duration = Duration::from_secs(1);
/// What one address may have of anything: a quarter, so that it takes four to
/// keep all others out. Whoever calls through one address with many others (a
/// balancer that hides who calls) shares it.
const PART: usize = 4;

/// Whose share an address takes; `None`: this machine's, which has no bound of its
/// own. Sidecars and forwarded ports call from there, and who runs here can do
/// worse than to connect.
pub(crate) fn neighbour(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        // a host has a whole /64 to call from (RFC 6177, RFC 7934)
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    })
}

/// What one address may have of so many.
pub(crate) fn share(of: usize) -> usize {
    (of / PART).max(1)
}

/// What connections and their calls run in: it can be waited for, and cut off. Cheap
/// to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    running: TaskTracker,
    cut: CancellationToken,
}

impl Tasks {
    /// Tasks that end where they stand when `cut` is cancelled.
    pub(crate) fn until(cut: CancellationToken) -> Self {
        Self {
            running: TaskTracker::new(),
            cut,
        }
    }

    /// Has one more run.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.cut.clone().run_until_cancelled_owned(task);
        self.running.spawn(task);
    }

    async fn end(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

/// Places for connections.
#[derive(Debug)]
pub(crate) struct Places {
    /// Those that there was none for.
    closed: Seldom,
    most: usize,
    /// The most that nobody knows, if those who are known are told apart.
    most_unknown: Option<usize>,
    room: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    unknown: usize,
    by_address: HashMap<IpAddr, Count>,
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    unknown: usize,
}

/// The place of a connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    neighbour: Option<IpAddr>,
    is_unknown: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many, and of them at most so many for those who are not known: that have
    /// not shown a certificate, or not yet.
    pub(crate) fn new(most: usize, most_unknown: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            closed: Seldom::default(),
            most,
            most_unknown,
            room: Arc::new(Semaphore::new(most)),
            taken: Mutex::default(),
        })
    }

    /// The next connection that there is a place for. While there is none at all,
    /// others wait to be accepted; one that its address or nobody has a place for
    /// is closed.
    async fn accept(self: &Arc<Self>, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            // the semaphore is never closed
            let permit = Arc::clone(&self.room).acquire_owned().await.ok();
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                // it has gone meanwhile, which is no trouble of ours
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(NO_ACCEPT).await;
                    continue;
                }
            };
            let Some(place) = self.take(peer.ip(), permit) else {
                tracing::debug!(%peer, "a connection too many was closed");
                if let Some(closed) = self.closed.count() {
                    let most = self.most;
                    tracing::warn!(%peer, closed, most, "an address has too many connections, or nobody has a place for unknown callers; further ones are closed");
                }
                continue;
            };
            // answers are small and awaited; without it they wait for acknowledgements
            let _ = stream.set_nodelay(true);
            return (stream, peer, place);
        }
    }

    /// Has each connection opened that comes until `shutdown` resolves; then takes no
    /// more, tells those that are there by `stopping`, and waits for the end of all
    /// `tasks`.
    pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        stopping: CancellationToken,
        tasks: Tasks,
        open: impl Fn(TcpStream, SocketAddr, Place) -> F,
    ) {
        let accepting = async {
            loop {
                let (stream, peer, place) = self.accept(&listener).await;
                tasks.spawn(open(stream, peer, place));
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = accepting => {}
        }
        // whoever connects now is refused rather than left waiting
        drop(listener);
        stopping.cancel();
        tasks.end().await;
    }

    fn take(
        self: &Arc<Self>,
        address: IpAddr,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Option<Place> {
        let neighbour = neighbour(address);
        let is_unknown = self.most_unknown.is_some();
        let mut taken = self.lock();
        if self.most_unknown.is_some_and(|most| taken.unknown >= most) {
            return None;
        }
        if let Some(neighbour) = neighbour {
            let count = taken.by_address.get(&neighbour);
            let (all, unknown) = count.map_or((0, 0), |count| (count.all, count.unknown));
            let is_full = self.most_unknown.is_some_and(|most| unknown >= share(most));
            if is_full || all >= share(self.most) {
                return None;
            }
            let count = taken.by_address.entry(neighbour).or_default();
            count.all += 1;
            count.unknown += usize::from(is_unknown);
        }
        taken.unknown += usize::from(is_unknown);
        Some(Place {
            places: Arc::clone(self),
            neighbour,
            is_unknown,
            _permit: permit,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // every change is made whole
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Who has it is known: it counts no longer among those who are not.
    pub(crate) fn is_known(&mut self) {
        if !std::mem::take(&mut self.is_unknown) {
            return;
        }
        let mut taken = self.places.lock();
        taken.unknown -= 1;
        let count = self.neighbour.and_then(|it| taken.by_address.get_mut(&it));
        if let Some(count) = count {
            count.unknown -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_known();
        let Some(neighbour) = self.neighbour else {
            return;
        };
        let mut taken = self.places.lock();
        if let Some(count) = taken.by_address.get_mut(&neighbour) {
            count.all -= 1;
            if count.all == 0 {
                taken.by_address.remove(&neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, address: &str) -> Option<Place> {
        places.take(address.parse().unwrap(), None)
    }

    #[test]
    fn an_address_has_a_quarter_and_this_machine_what_there_is() {
        let places = Places::new(8, None);
        let first = take(&places, "192.0.2.1").unwrap();
        let _second = take(&places, "192.0.2.1").unwrap();
        assert!(take(&places, "::ffff:192.0.2.1").is_none(), "the same one");
        let _other = take(&places, "192.0.2.2").unwrap();
        let _near: Vec<_> = (0..5)
            .map(|_| take(&places, "127.0.0.1").unwrap())
            .collect();
        drop(first);
        assert!(take(&places, "192.0.2.1").is_some());
        assert_eq!(
            places.lock().by_address.len(),
            2,
            "who is gone is forgotten"
        );
    }

    #[test]
    fn a_network_of_a_host_is_one_address() {
        let places = Places::new(4, None);
        let _one = take(&places, "2001:db8:0:1::1").unwrap();
        assert!(take(&places, "2001:db8:0:1:ffff::2").is_none());
        assert!(take(&places, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn who_is_unknown_leaves_places_to_those_who_are_not() {
        let places = Places::new(32, Some(8));
        let [mut a, b] = ["192.0.2.1"; 2].map(|address| take(&places, address).unwrap());
        assert!(take(&places, "192.0.2.1").is_none(), "a quarter of them");
        a.is_known();
        let c = take(&places, "192.0.2.1").unwrap();
        let near: Vec<_> = (0..6).map(|_| take(&places, "::1").unwrap()).collect();
        assert!(take(&places, "192.0.2.9").is_none(), "nor for any other");
        drop(near);
        let mut others: Vec<_> = (0..6)
            .map(|n| take(&places, &format!("192.0.2.{}", 10 + n)).unwrap())
            .collect();
        others.iter_mut().for_each(Place::is_known);
        assert_eq!(places.lock().unknown, 2);
        drop((a, b, c, others));
        let taken = places.lock();
        assert!(taken.unknown == 0 && taken.by_address.is_empty());
    }
}
