//! A queue that does as it is told.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::fakes::Chance;
use crate::collect::queue::{Answer, Message, Messages, MessagesError};

/// A message in the queue.
#[derive(Clone, Debug)]
struct Stored {
    body: String,
    visible_at: Instant,
    received: u32,
    receipt: String,
    received_at: Instant,
}

#[derive(Default)]
pub(super) struct FakeQueue {
    stored: Mutex<BTreeMap<u32, Stored>>,
    next: AtomicU32,
    sent: Notify,
    pub(super) deleted: Mutex<Vec<u32>>,
    pub(super) dead: Mutex<Vec<u32>>,
    /// Every stay that was asked for: message, seconds.
    pub(super) stays: Mutex<Vec<(u32, u64)>>,
    pub(super) receives: AtomicU32,
    pub(super) failing_until: Mutex<Option<Instant>>,
    pub(super) delete_requests: AtomicU32,
    pub(super) failing_deletes: AtomicU32,
    pub(super) failing_extends: AtomicBool,
    pub(super) policy: Mutex<Option<u32>>,
    pub(super) failing_policy: AtomicBool,
    /// Given back at once: when.
    pub(super) given_back: Mutex<Vec<u32>>,
    pub(super) chance: Chance,
}

impl FakeQueue {
    pub(super) fn send(&self, body: &str) -> u32 {
        let id = self.next.fetch_add(1, Relaxed);
        let stored = Stored {
            body: body.to_owned(),
            visible_at: Instant::now(),
            received: 0,
            receipt: String::new(),
            received_at: Instant::now(),
        };
        self.lock().insert(id, stored);
        self.sent.notify_waiters();
        id
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Stored>> {
        self.stored.lock().unwrap()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn received(&self, id: u32) -> u32 {
        self.lock()[&id].received
    }

    fn by_chance(&self) -> Result<(), MessagesError> {
        if self.chance.is_bad() {
            return Err(MessagesError::Failed("by chance".into()));
        }
        Ok(())
    }

    fn visible(&self, max: usize, visibility: Duration) -> Vec<Message> {
        let now = Instant::now();
        let policy = *self.policy.lock().unwrap();
        let mut stored = self.lock();
        let mut given = Vec::new();
        let mut dead = Vec::new();
        for (id, message) in stored.iter_mut() {
            if given.len() == max || message.visible_at > now {
                continue;
            }
            if policy.is_some_and(|most| message.received >= most) {
                dead.push(*id);
                continue;
            }
            message.received += 1;
            message.receipt = format!("{id}/{}", message.received);
            message.visible_at = now + visibility;
            message.received_at = now;
            given.push(Message {
                id: id.to_string(),
                receipt: message.receipt.clone(),
                body: message.body.clone(),
                receive_count: message.received,
                sent_at: Some(7),
            });
        }
        for id in dead {
            stored.remove(&id);
            self.dead.lock().unwrap().push(id);
        }
        given
    }

    /// The message with this receipt, if that is the latest and it is invisible.
    fn held(&self, receipt: &str) -> Result<u32, MessagesError> {
        let stored = self.lock();
        let found = stored
            .iter()
            .find(|(_, it)| it.receipt == receipt && it.visible_at > Instant::now());
        found.map(|(id, _)| *id).ok_or(MessagesError::ReceiptGone)
    }
}

impl Messages for FakeQueue {
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Answer<'_, Vec<Message>, MessagesError> {
        assert!((1..=10).contains(&max));
        self.receives.fetch_add(1, Relaxed);
        Box::pin(async move {
            let until = *self.failing_until.lock().unwrap();
            if until.is_some_and(|until| Instant::now() < until) {
                return Err(MessagesError::Failed("no route".into()));
            }
            self.by_chance()?;
            let end = Instant::now() + wait;
            loop {
                let sent = self.sent.notified();
                let given = self.visible(max, visibility);
                if !given.is_empty() || Instant::now() >= end {
                    return Ok(given);
                }
                let next = self.lock().values().map(|it| it.visible_at).min();
                tokio::select! {
                    () = sent => {}
                    () = sleep_until(next.unwrap_or(end).min(end)) => {}
                }
            }
        })
    }

    fn delete<'a>(&'a self, receipt: &'a str) -> Answer<'a, (), MessagesError> {
        Box::pin(async move {
            self.delete_requests.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(20)).await;
            self.by_chance()?;
            let fails = self.failing_deletes.load(Relaxed);
            if fails > 0 {
                self.failing_deletes.store(fails - 1, Relaxed);
                return Err(MessagesError::Failed("no route".into()));
            }
            let id = self.held(receipt)?;
            self.lock().remove(&id);
            self.deleted.lock().unwrap().push(id);
            Ok(())
        })
    }

    fn extend<'a>(
        &'a self,
        receipt: &'a str,
        visibility: Duration,
    ) -> Answer<'a, (), MessagesError> {
        Box::pin(async move {
            if self.failing_extends.load(Relaxed) {
                return Err(MessagesError::Failed("no route".into()));
            }
            self.by_chance()?;
            let id = self.held(receipt)?;
            let now = Instant::now();
            let mut stored = self.lock();
            let message = stored.get_mut(&id).unwrap();
            let longest = message.received_at + Duration::from_secs(12 * 3600);
            assert!(now + visibility <= longest, "SQS refuses more than 12 h");
            message.visible_at = now + visibility;
            if visibility.is_zero() {
                self.given_back.lock().unwrap().push(id);
                self.sent.notify_waiters();
            } else {
                self.stays.lock().unwrap().push((id, visibility.as_secs()));
            }
            Ok(())
        })
    }

    fn dead_letter(&self) -> Answer<'_, Option<u32>, MessagesError> {
        Box::pin(async {
            if self.failing_policy.load(Relaxed) {
                return Err(MessagesError::Denied("no right".into()));
            }
            Ok(*self.policy.lock().unwrap())
        })
    }
}
