//! Places for calls that hold much: so many in all, and half of them for any
//! one caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::budget::Caller;

/// Callers are looked through for those who are gone once there are so many: a
/// multiple of the places, so that looking is seldom.
const MANY: usize = 256;

/// The places for calls of one kind.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    all: Arc<Semaphore>,
    /// Of callers who have a place, or wait for one.
    by_caller: Mutex<ByCaller>,
}

#[derive(Debug, Default)]
struct ByCaller(HashMap<Caller, Weak<Semaphore>>);

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

/// Whose places are all taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Everybody's.
    All,
    /// Those that this caller may have: so many.
    Own(usize),
}

impl Full {
    /// The same in words: `all` is how many there are in all, of `what`.
    pub(crate) fn told(self, all: usize, what: &str) -> String {
        match self {
            Self::All => format!("{all} {what} are under way, all that there may be"),
            Self::Own(own) => {
                format!("{own} of this caller's {what} are under way, all that it may have")
            }
        }
    }
}

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            all: Arc::new(Semaphore::new(most)),
            by_caller: Mutex::default(),
        }
    }

    /// The most places that one caller may have.
    pub(crate) fn each(&self) -> usize {
        (self.most / 2).max(1)
    }

    /// The most places that a caller with this share may have.
    pub(crate) fn of(&self, share: Option<usize>) -> usize {
        share.map_or(self.each(), |share| share.min(self.each()))
    }

    /// A place, if there is one: of `share`, where a caller has fewer than everybody.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn take(&self, caller: &Caller, share: Option<usize>) -> Result<Slot, Full> {
        let full = Full::Own(self.of(share));
        let mut by_caller = self.lock();
        let places = by_caller.of(caller, self.each());
        let own = Arc::clone(&places).try_acquire_owned().map_err(|_| full)?;
        // two who come together are not both one too many: the lock is held
        let had = self.each().saturating_sub(places.available_permits());
        if share.is_some_and(|share| had > share) {
            return Err(full);
        }
        let all = Arc::clone(&self.all).try_acquire_owned();
        Ok(Slot {
            _all: all.map_err(|_| Full::All)?,
            _own: own,
        })
    }

    /// Waits for a place. A caller's calls wait behind each other before they
    /// stand in anyone's way.
    pub(crate) async fn wait(&self, caller: &Caller) -> Option<Slot> {
        // neither is ever closed
        let own = self.lock().of(caller, self.each());
        let own = own.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot {
            _all: all,
            _own: own,
        })
    }

    /// Waits until nobody has a place.
    pub(crate) async fn ended(&self) {
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        // it is never closed, and has so many
        drop(self.all.acquire_many(all).await);
    }

    fn lock(&self) -> MutexGuard<'_, ByCaller> {
        // one insertion at a time: right after a panic elsewhere
        self.by_caller
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ByCaller {
    /// The places of a caller, who has so many if it is new.
    fn of(&mut self, caller: &Caller, each: usize) -> Arc<Semaphore> {
        let Self(callers) = self;
        if let Some(own) = callers.get(caller).and_then(Weak::upgrade) {
            return own;
        }
        if callers.len() >= MANY {
            callers.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(each));
        callers.insert(caller.clone(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_caller_has_half_of_the_places() {
        let slots = Slots::new(4);
        let [a, b, c] = ["a", "b", "c"].map(Caller::named);
        let first = slots.take(&a, None).unwrap();
        let _second = slots.take(&a, None).unwrap();
        assert_eq!(slots.take(&a, None).unwrap_err(), Full::Own(2));
        let queued = slots.wait(&a);
        let mut queued = std::pin::pin!(queued);
        assert!(queued.as_mut().now_or_never().is_none());
        // who waits for a place of one's own takes none from others
        let _third = slots.take(&b, None).unwrap();
        let fourth = slots.wait(&c).now_or_never().flatten().unwrap();
        assert_eq!(slots.take(&b, None).unwrap_err(), Full::All);
        drop(first);
        assert!(queued.as_mut().now_or_never().flatten().is_some());
        drop(fourth);
        assert!(slots.take(&b, None).is_ok());
    }

    #[test]
    fn a_caller_may_have_fewer() {
        let slots = Slots::new(8);
        let a = Caller::named("a");
        let first = slots.take(&a, Some(2)).unwrap();
        let _second = slots.take(&a, Some(2)).unwrap();
        assert_eq!(slots.take(&a, Some(2)).unwrap_err(), Full::Own(2));
        // a share that has changed counts from now on, and brings no more than all have
        let _third = slots.take(&a, None).unwrap();
        assert_eq!(slots.take(&a, Some(3)).unwrap_err(), Full::Own(3));
        drop(first);
        let _fourth = slots.take(&a, Some(100)).unwrap();
        let _fifth = slots.take(&a, Some(100)).unwrap();
        assert_eq!(slots.take(&a, Some(100)).unwrap_err(), Full::Own(4));
    }

    #[test]
    fn callers_who_are_gone_are_forgotten() {
        let slots = Slots::new(4);
        let kept = slots.take(&Caller::named("kept"), None);
        for n in 0..2 * MANY {
            drop(slots.take(&Caller::named(&n.to_string()), None));
        }
        let ByCaller(by_caller) = &*slots.lock();
        assert!(by_caller.len() <= MANY && by_caller.contains_key(&Caller::named("kept")));
        drop(kept);
    }
}
