//! What calls hold: how many are under way, what of their requests is read, and
//! what of their answers is not taken yet. Each has a bound over all of them, and
//! of that an address has a quarter.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use prost::bytes::Bytes;
use tokio::{sync::Notify, time::sleep};

use crate::accept::{neighbour, share};

/// Calls under way at once, twice the subscriptions: each takes some 20 KB beside
/// what it asks and answers, 160 MB together.
const MAX_CALLS: usize = 8192;
/// Bytes of requests that are read and not all there yet: 64 of the largest.
const MAX_ASKED: usize = 64 << 20;
/// Bytes of answers that nobody has taken yet: 64 of the largest. Half of it is for
/// those who wait for their first. What is written while there is room may go over
/// it, by an answer for each thread.
const MAX_ANSWERED: usize = 256 << 20;
/// Requests up to here, and pieces of answers below, are not counted: calls are, and
/// this for each of them is half of [`MAX_ANSWERED`].
pub(super) const SMALL: usize = 16 << 10;
/// How long a connection may take nothing of what waits for it, once others are in
/// want of room: at 100 KB a second the largest answer takes 40 seconds, and one
/// that is looked at twice has had so long at least.
const STALL: Duration = Duration::from_secs(60);
/// Addresses are looked through for those that are gone once there are so many.
const MANY: usize = 1024;

/// What may be held.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Calls,
    Asked,
    Answered,
}

impl What {
    fn most(self) -> usize {
        match self {
            Self::Calls => MAX_CALLS,
            Self::Asked => MAX_ASKED,
            Self::Answered => MAX_ANSWERED,
        }
    }
}

/// How much is held.
#[derive(Debug, Default)]
struct Amounts([AtomicUsize; 3]);

impl Amounts {
    fn of(&self, what: What) -> &AtomicUsize {
        let Self([calls, asked, answered]) = self;
        match what {
            What::Calls => calls,
            What::Asked => asked,
            What::Answered => answered,
        }
    }
}

/// What all calls hold.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    all: Amounts,
    by_address: Mutex<HashMap<IpAddr, Weak<Amounts>>>,
    freed: Arc<Notify>,
}

/// What the calls of one connection hold.
#[derive(Debug)]
pub(super) struct Holder {
    rooms: Arc<Rooms>,
    /// Of its address; `None`: this machine's has all.
    address: Option<Arc<Amounts>>,
    /// Bytes of its answers that are not taken.
    waiting: AtomicUsize,
    /// How often some were.
    taken: AtomicUsize,
}

/// Something that is held; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Hold {
    holder: Arc<Holder>,
    what: What,
    count: usize,
}

impl Rooms {
    /// What a connection from there holds.
    pub(super) fn holder(self: &Arc<Self>, address: IpAddr) -> Arc<Holder> {
        Arc::new(Holder {
            address: neighbour(address).map(|neighbour| self.amounts(neighbour)),
            rooms: Arc::clone(self),
            waiting: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        })
    }

    fn amounts(&self, neighbour: IpAddr) -> Arc<Amounts> {
        let by_address = self.by_address.lock();
        let mut by_address = by_address.unwrap_or_else(PoisonError::into_inner);
        if let Some(amounts) = by_address.get(&neighbour).and_then(Weak::upgrade) {
            return amounts;
        }
        if by_address.len() >= MANY {
            by_address.retain(|_, amounts| amounts.strong_count() > 0);
        }
        let amounts = Arc::default();
        by_address.insert(neighbour, Arc::downgrade(&amounts));
        amounts
    }
}

impl Holder {
    /// So much more; `None`: it, or all together, would hold too much.
    pub(super) fn take(self: &Arc<Self>, what: What, count: usize) -> Option<Hold> {
        // what turns out to be too much is given back when it is dropped
        let hold = self.add(what, count);
        (!hold.is_over()).then_some(hold)
    }

    /// So much more, whatever there is.
    pub(super) fn add(self: &Arc<Self>, what: What, count: usize) -> Hold {
        for amounts in self.amounts() {
            amounts.of(what).fetch_add(count, Relaxed);
        }
        Hold {
            holder: Arc::clone(self),
            what,
            count,
        }
    }

    fn amounts(&self) -> impl Iterator<Item = &Amounts> {
        std::iter::once(&self.rooms.all).chain(self.address.as_deref())
    }

    /// Whether more than one in so many bytes of answers is held.
    fn is_taken(&self, part: usize) -> bool {
        let is_over = |amounts: &Amounts, most| amounts.of(What::Answered).load(Relaxed) >= most;
        let own = self.address.as_ref();
        is_over(&self.rooms.all, MAX_ANSWERED / part)
            || own.is_some_and(|own| is_over(own, share(MAX_ANSWERED) / part))
    }

    /// Whether another piece of an answer may be written. Half of the room is for
    /// connections that take what they are told: nothing waits for them.
    pub(super) fn may_answer(&self) -> bool {
        let waits = self.waiting.load(Relaxed) > 0;
        !self.is_taken(if waits { 2 } else { 1 })
    }

    /// Told when some of what was held is given back.
    pub(super) fn freed(&self) -> Arc<Notify> {
        Arc::clone(&self.rooms.freed)
    }

    /// A piece of an answer, held until it is sent.
    pub(super) fn answer(self: &Arc<Self>, data: Bytes) -> Bytes {
        if data.len() < SMALL {
            return data;
        }
        self.waiting.fetch_add(data.len(), Relaxed);
        let _hold = self.add(What::Answered, data.len());
        Bytes::from_owner(Waiting { data, _hold })
    }

    /// Waits until its peer takes nothing, and what waits for it stands in the way
    /// of others.
    pub(super) async fn stalls(&self) {
        loop {
            let taken = self.taken.load(Relaxed);
            sleep(STALL).await;
            let has_stalled = self.waiting.load(Relaxed) > 0 && self.taken.load(Relaxed) == taken;
            if has_stalled && self.is_taken(2) {
                return;
            }
        }
    }
}

impl Hold {
    /// So much more; `false`: it is too much.
    pub(super) fn grow(&mut self, count: usize) -> bool {
        for amounts in self.holder.amounts() {
            amounts.of(self.what).fetch_add(count, Relaxed);
        }
        self.count += count;
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        let most = self.what.most();
        let is_over = |amounts: &Amounts, most| amounts.of(self.what).load(Relaxed) > most;
        let own = self.holder.address.as_deref();
        is_over(&self.holder.rooms.all, most) || own.is_some_and(|own| is_over(own, share(most)))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for amounts in self.holder.amounts() {
            amounts.of(self.what).fetch_sub(self.count, Relaxed);
        }
        if matches!(self.what, What::Answered) {
            self.holder.waiting.fetch_sub(self.count, Relaxed);
            self.holder.taken.fetch_add(1, Relaxed);
            self.holder.rooms.freed.notify_waiters();
        }
    }
}

/// A piece of an answer that is not sent yet.
struct Waiting {
    data: Bytes,
    _hold: Hold,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(rooms: &Arc<Rooms>, address: &str) -> Arc<Holder> {
        rooms.holder(address.parse().unwrap())
    }

    #[test]
    fn an_address_holds_a_quarter_and_all_no_more_than_there_is() {
        let rooms = Arc::new(Rooms::default());
        let one = holder(&rooms, "192.0.2.1");
        let quarter = one.take(What::Asked, MAX_ASKED / 4).unwrap();
        let again = holder(&rooms, "192.0.2.1");
        assert!(again.take(What::Asked, 1).is_none());
        let near = holder(&rooms, "127.0.0.1");
        let rest = near.take(What::Asked, MAX_ASKED / 4 * 3).unwrap();
        assert!(near.take(What::Asked, 1).is_none());
        assert!(
            near.take(What::Calls, 1).is_some(),
            "of which there are others"
        );
        drop(quarter);
        assert!(again.take(What::Asked, 1).is_some());
        drop(rest);
        assert_eq!(rooms.all.of(What::Asked).load(Relaxed), 0);
    }

    #[test]
    fn answers_are_held_until_their_last_piece_is_gone() {
        let rooms = Arc::new(Rooms::default());
        let (near, far) = (holder(&rooms, "::1"), holder(&rooms, "192.0.2.1"));
        let small = near.answer(vec![0; SMALL - 1].into());
        assert_eq!(near.waiting.load(Relaxed), 0);
        let mut large = far.answer(vec![0; MAX_ANSWERED / 4].into());
        assert!(!far.may_answer() && near.may_answer());
        let piece = large.split_to(1);
        drop(large);
        assert!(!far.may_answer());
        drop((piece, small));
        assert!(far.may_answer());
        assert_eq!(far.waiting.load(Relaxed), 0);
    }

    #[test]
    fn who_takes_nothing_leaves_half_to_others() {
        let rooms = Arc::new(Rooms::default());
        let [slow, other] = [(); 2].map(|()| holder(&rooms, "::1"));
        let _half = slow.answer(vec![0; MAX_ANSWERED / 2].into());
        assert!(!slow.may_answer() && other.may_answer());
        let first = other.answer(vec![0; MAX_ANSWERED / 2].into());
        let third = holder(&rooms, "::1");
        assert!(!third.may_answer(), "there is none left");
        drop(first);
        assert!(third.may_answer());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_goes_once_others_want_room() {
        let rooms = Arc::new(Rooms::default());
        let [slow, idle, other] = [(); 3].map(|()| holder(&rooms, "::1"));
        let hour = Duration::from_secs(3600);
        let stalls = async |who: &Holder| tokio::time::timeout(hour, who.stalls()).await.is_ok();
        let _kept = slow.answer(vec![0; SMALL].into());
        assert!(!stalls(&slow).await, "nobody minds");
        let _more = other.answer(vec![0; MAX_ANSWERED / 2].into());
        assert!(!stalls(&idle).await, "nothing waits for it");
        let moves = async {
            for _ in 0..100 {
                drop(slow.answer(vec![0; SMALL].into()));
                sleep(STALL / 2).await;
            }
        };
        tokio::select! {
            () = slow.stalls() => panic!("it took some"),
            () = moves => {}
        }
        assert!(stalls(&slow).await);
    }
}
