//! Collecting by polling: heads, which read down to known ground, and settle
//! walks, which read each stretch once more when its horizon has passed.
//!
//! Both go through [`Lookup`], so that what they read serves everyone. A quiet
//! scope's head reads all that is not settled in its one request, and settles it
//! by that; only a busy one needs settle walks.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex as Turn, Notify},
    time::Instant,
};

use crate::{
    budget::{Caller, Class},
    clock::Clock,
    coverage::settled_before,
    event::{Event, Scope, TimeRange},
    feed::{Feed, Gap, GapReason},
    lookup::{Answer, Error, Lookup, Question, ScopeState},
};

/// Events of a head's page: what one request brings.
const HEAD_EVENTS: usize = 50;
/// Events of a settle walk's page.
const SETTLE_EVENTS: usize = 500;
/// Requests that a page may buy: it goes on from where it stands.
const CALLS_A_PAGE: u64 = 20;
/// The longest that a page waits for quota.
const PAGE_TIME: Duration = Duration::from_secs(600);
/// Seconds that have to be settled before a walk is worth it.
const SETTLE_STEP: i64 = 60;
/// Seconds that one settle walk reads at most, so that the watermark moves while
/// much is to be read.
const SETTLE_MOST: i64 = 600;
/// Seconds by which the watermark may fall behind the horizon before what is
/// between may be given up.
const GIVEN_UP_AFTER: i64 = 3600;
/// It is given up once so many walks in a row have taken longer than what they
/// settled, or one so many times as long: then the scope has more events than can
/// be read. After an outage walks are fast.
const LOSING: u32 = 3;
/// Seconds that a head takes at most: then newer events come first.
const HEAD_MOST: i64 = 300;
/// How old a reading may be of what was there before a scope was collected.
const STALENESS: Duration = Duration::from_secs(30);
/// The wait after an error; it doubles up to [`MAX_WAIT`].
const WAIT: Duration = Duration::from_secs(1);
/// See [`WAIT`].
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What of a scope is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// What is new, and each stretch once more when it is settled.
    Full,
    /// Each stretch once, when it is settled: a queue brings what is new, and this
    /// proves that it brought all.
    Settle,
    /// Nothing.
    Off,
}

/// Settings of the poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is asked.
    pub polling: Polling,
    /// How often a scope is asked where something happens.
    pub interval: Duration,
    /// How often where nothing does.
    pub max_interval: Duration,
    /// How long a scope is collected after the last who wanted it has gone, so that
    /// who comes back finds no hole.
    pub linger: Duration,
}

impl Default for Options {
    /// Five seconds: a tenth of the quota, and little beside the minutes that
    /// `CloudTrail` takes. Thirty where nothing happens. Ten minutes.
    fn default() -> Self {
        Self {
            polling: Polling::Full,
            interval: Duration::from_secs(5),
            max_interval: Duration::from_secs(30),
            linger: Duration::from_secs(600),
        }
    }
}

/// How the collection of a scope stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// What was there before is being read.
    Starting,
    /// It is collected.
    Collecting,
    /// It has more events than its share of the quota lets be read.
    Overrun,
    /// AWS does not answer, for this reason.
    Failing(&'static str),
}

impl Health {
    /// A word for it, as metrics have it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Collecting => "collecting",
            Self::Overrun => "overrun",
            Self::Failing(_) => "failing",
        }
    }
}

/// What the two walks of one scope share.
#[derive(Debug)]
pub(super) struct Status {
    health: Mutex<Health>,
    /// Heads that read down to known ground.
    polls: AtomicU64,
    polled: Notify,
    /// How often AWS did not answer.
    troubles: AtomicU64,
}

impl Status {
    pub(super) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Heads that read down to known ground so far.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            health: Mutex::new(Health::Starting),
            polls: AtomicU64::new(0),
            polled: Notify::new(),
            troubles: AtomicU64::new(0),
        }
    }
}

/// How far heads have read.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Everything that was there above this second was read.
    ground: i64,
    /// The second of the newest event that the gateway's own requests are not.
    active: i64,
}

/// The collection of one scope.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) feed: Arc<Feed>,
    pub(super) lookup: Arc<Lookup>,
    pub(super) scope: Scope,
    pub(super) options: Options,
    /// When it began to be collected, in seconds.
    pub(super) since: i64,
    pub(super) status: Arc<Status>,
    /// A head has it until it has read down to known ground; settle walks have it
    /// page by page.
    pub(super) turn: Turn<()>,
}

impl Poll {
    /// Collects what happens from `window.to` on, for ever, and what is told late of
    /// the window before it.
    pub(super) async fn run(self, window: TimeRange) {
        if self.options.polling == Polling::Settle {
            return self.settle().await;
        }
        tokio::join!(self.heads(window.to), async {
            self.first(window).await;
            self.settle().await;
        });
    }

    async fn heads(&self, from: i64) {
        let mut known = Known {
            ground: from,
            active: from,
        };
        let mut interval = self.options.interval;
        loop {
            let next = Instant::now() + interval;
            let before = known;
            known = self.head(before).await;
            interval = match known.active > before.active {
                true => self.options.interval,
                false => (interval * 3 / 2).min(self.options.max_interval),
            };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Reads what is there before anything is new, unless a head has done so.
    async fn first(&self, window: TimeRange) {
        // the first head has its turn first
        let mut polled = pin!(self.status.polled.notified());
        polled.as_mut().enable();
        if self.status.polls() == 0 {
            polled.await;
        }
        let mut question = self.question(window, SETTLE_EVENTS);
        // what comes between counts as new, and is told: no harm
        question.max_staleness = STALENESS;
        while self.feed.is_beginning(&self.scope) {
            let _turn = self.turn.lock().await;
            if self.page(&mut question).await.next.is_none() {
                self.feed.begun(&self.scope);
            }
        }
        self.judge();
    }

    /// Reads from now down to known ground, and on to what is settled where that
    /// costs no other request.
    async fn head(&self, known: Known) -> Known {
        let _turn = self.turn.lock().await;
        let begun = self.lookup.clock().now();
        let now = begun.as_second();
        let settled = self.feed.settled(&self.scope).unwrap_or(known.ground);
        // the clock may have been set back
        let ground = known.ground.max(settled).min(now);
        let window = TimeRange::new(settled.min(ground), now.saturating_add(1));
        let mut question = self.question(window, HEAD_EVENTS);
        let mut next = Known {
            ground,
            active: known.active.min(now),
        };
        loop {
            let answer = self.page(&mut question).await;
            for event in &answer.events {
                next.ground = next.ground.max(event.time);
                if !is_own(event) {
                    next.active = next.active.max(event.time);
                }
            }
            match &answer.next {
                None => {
                    self.feed.begun(&self.scope);
                    self.settled(begun, &answer);
                    break;
                }
                Some(next) if next.time < ground => break,
                // newer ones are waiting, and settle walks come by
                Some(_) if self.lookup.clock().now_secs().saturating_sub(now) > HEAD_MOST => break,
                Some(_) => {}
            }
        }
        self.status.polls.fetch_add(1, Relaxed);
        self.status.polled.notify_waiters();
        if !self.feed.is_beginning(&self.scope) {
            self.judge();
        }
        next
    }

    /// All that was not settled was read at once: what is old enough is settled.
    fn settled(&self, begun: Timestamp, answer: &Answer) {
        let scope = answer.scopes.first();
        let read = scope.and_then(|scope| scope.unsettled_as_of);
        let settled = settled_before(read.unwrap_or(begun), self.horizon());
        self.feed.settle(&self.scope, settled);
    }

    async fn settle(&self) {
        // walks in a row that took longer than what they settled
        let mut losing = 0;
        loop {
            let now = self.feed.clock().now();
            let until = settled_before(now, self.horizon());
            let from = self.feed.settled(&self.scope).unwrap_or(until);
            let due = from.saturating_add(SETTLE_STEP);
            if until < due {
                losing = 0;
                let wait = due.saturating_sub(until).clamp(1, SETTLE_STEP);
                tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())).await;
                continue;
            }
            // where a queue brings what is new, nothing is missed by being late
            let is_full = self.options.polling == Polling::Full;
            let is_late = until.saturating_sub(from) > GIVEN_UP_AFTER;
            if is_full && is_late && losing >= LOSING {
                self.give_up(TimeRange::new(from, until));
                self.feed.settle(&self.scope, until);
                losing = 0;
                continue;
            }
            let until = until.min(from.saturating_add(SETTLE_MOST));
            let mut question = self.question(TimeRange::new(from, until), SETTLE_EVENTS);
            // time in which AWS answered
            let mut spent = Duration::ZERO;
            let most = Duration::from_secs(SETTLE_MOST.unsigned_abs()) * LOSING;
            let is_over = loop {
                let begun = Instant::now();
                let troubles = self.status.troubles.load(Relaxed);
                let _turn = self.turn.lock().await;
                if self.page(&mut question).await.next.is_none() {
                    break true;
                }
                if self.status.troubles.load(Relaxed) == troubles {
                    spent += begun.elapsed();
                }
                if is_full && is_late && spent > most {
                    break false;
                }
            };
            if !is_over {
                losing = LOSING;
                continue;
            }
            self.feed.settle(&self.scope, until);
            if until >= self.since {
                self.feed.begun(&self.scope);
            }
            let took = self.feed.clock().now_secs().saturating_sub(now.as_second());
            losing = match took > until.saturating_sub(from) {
                true => losing + 1,
                false => 0,
            };
            self.judge();
        }
    }

    /// Takes the next page in, however long that takes.
    async fn page(&self, question: &mut Question) -> Answer {
        let mut wait = WAIT;
        loop {
            question.now = self.lookup.clock().now();
            question.deadline = Clock::deadline(PAGE_TIME);
            let asked = self.lookup.ask(question).await;
            let answer = match asked.map(|answer| (failure(&answer), answer)) {
                Ok((None, answer)) => answer,
                Ok((Some(error), _)) | Err(error) => {
                    wait = self.wait_after(&error, wait).await;
                    continue;
                }
            };
            // AWS tells the newest first
            let events: Vec<_> = answer.events.iter().rev().cloned().collect();
            self.feed.take(&events);
            let has_moved = answer.next != question.after;
            question.follow(&answer);
            if !has_moved && answer.next.is_some() {
                tokio::time::sleep(WAIT).await;
                continue;
            }
            return answer;
        }
    }

    async fn wait_after(&self, error: &Error, wait: Duration) -> Duration {
        let pause = match error {
            Error::Exhausted { wait: quota, .. } => (*quota).max(WAIT),
            _ => {
                self.status.troubles.fetch_add(1, Relaxed);
                wait
            }
        };
        {
            let mut health = self.status.lock();
            let failing = Health::Failing(error.reason());
            if *health != failing {
                let scope = &self.scope;
                tracing::warn!(%scope, %error, "new events cannot be collected");
                *health = failing;
            }
        }
        tokio::time::sleep(pause).await;
        (wait * 2).min(MAX_WAIT)
    }

    /// Says how it stands, where a page came.
    fn judge(&self) {
        let now = self.feed.clock().now_secs();
        let settled = self.feed.settled(&self.scope).unwrap_or(now);
        let horizon = self.feed.horizon();
        let is_behind =
            now.saturating_sub(settled) > horizon.saturating_mul(2).saturating_add(SETTLE_STEP);
        let mut health = self.status.lock();
        let next = match is_behind {
            true => Health::Overrun,
            false => Health::Collecting,
        };
        if *health != next {
            let scope = &self.scope;
            match &next {
                Health::Overrun => tracing::warn!(
                    %scope,
                    "more events than the quota lets be read; collect the scope from a queue"
                ),
                _ => tracing::info!(%scope, "new events are collected"),
            }
            *health = next;
        }
    }

    fn give_up(&self, range: TimeRange) {
        self.feed.miss(Gap {
            scope: self.scope.clone(),
            range,
            count: None,
            reason: GapReason::Overrun,
        });
    }

    fn horizon(&self) -> Duration {
        Duration::from_secs(self.feed.horizon().unsigned_abs())
    }

    /// All events of a stretch, as AWS tells them now.
    fn question(&self, window: TimeRange, page_events: usize) -> Question {
        let now = self.lookup.clock().now();
        let scopes = [self.scope.clone()].into();
        Question {
            page_events,
            max_upstream_calls: CALLS_A_PAGE,
            ..Question::new(Caller::gateway(), Class::Subscription, scopes, window, now)
        }
    }
}

/// Why the one scope of a page was not read on, if that is no matter of turns.
fn failure(answer: &Answer) -> Option<Error> {
    answer.scopes.iter().find_map(|scope| match &scope.state {
        ScopeState::Failed(error) => Some(error.clone()),
        _ => None,
    })
}

/// The gateway's own requests are recorded as events too, and are no sign that
/// anything happens; nor are those of others who look.
fn is_own(event: &Event) -> bool {
    event.name() == "LookupEvents" && event.source() == "cloudtrail.amazonaws.com"
}
