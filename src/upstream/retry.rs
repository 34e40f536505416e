//! The one place that sends requests: each attempt buys from its scope's
//! budget, and what may pass is tried again.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

use super::{Allowance, CloudTrail, Error, ErrorKind, Health, Page, PageRequest, health::Healths};
use crate::{
    budget::{Budget, Budgets, Caller, Class, Ledger, Ticket},
    event::{Category, Scope},
    trace,
};

/// How often, and after what pauses, a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; at least one is made. Where nothing answers at all,
    /// half of them.
    pub attempts: u32,
    /// The pause after the first attempt; it doubles with each further one.
    pub base: Duration,
    /// The longest pause, also where AWS asks for a longer one.
    pub cap: Duration,
}

impl Default for Retry {
    /// Five attempts over at most about four seconds of pauses: longer than a
    /// hiccup, shorter than the patience of a caller.
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(10),
        }
    }
}

impl Retry {
    fn attempts_for(&self, kind: ErrorKind) -> u32 {
        match kind {
            // whoever waits should soon know that nobody is there
            ErrorKind::Gone => self.attempts.div_ceil(2),
            _ => self.attempts,
        }
    }

    /// The pause after the attempt with this number (from 1): exponential,
    /// between half and all of it so that callers spread out, and no shorter
    /// than the server's hint.
    fn pause(&self, attempt: u32, hint: Option<Duration>) -> Duration {
        let doubled = self.base.saturating_mul(1_u32 << (attempt - 1).min(16));
        let jittered = doubled.min(self.cap).mul_f64(rand::random_range(0.5..=1.0));
        jittered.max(hint.unwrap_or_default().min(self.cap))
    }
}

/// The allowances of those who wait for a page; the first that has something
/// left pays. Nobody waits: nothing more is bought.
pub type Payers = Vec<Arc<Allowance>>;

/// Why a page was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// AWS, or the way there, refused, and went on to.
    #[error(transparent)]
    Upstream(#[from] Error),
    /// Nobody waits for the page any more; nothing further was bought.
    #[error("nobody waits for the page any more")]
    Abandoned,
    /// The allowances of all who wait are spent.
    #[error("the request allowance is spent")]
    AllowanceSpent,
}

/// CloudTrail behind budgets and retries.
pub struct Upstream {
    cloudtrail: Arc<dyn CloudTrail>,
    budgets: Arc<Budgets>,
    healths: Healths,
    retry: Retry,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Puts budgets and retries in front of `cloudtrail`.
    #[must_use]
    pub fn new(cloudtrail: Arc<dyn CloudTrail>, budgets: Arc<Budgets>, retry: Retry) -> Self {
        Self {
            cloudtrail,
            budgets,
            healths: Healths::default(),
            retry,
        }
    }

    /// What a question may spend: `limit` requests, and no more than the caller
    /// may today.
    #[must_use]
    pub fn allowance(&self, limit: u64, class: Class, caller: &Caller) -> Arc<Allowance> {
        let ledger = self.budgets.ledger().cloned();
        Arc::new(Allowance::new(limit, class, caller.clone(), ledger))
    }

    /// What callers bought today, if that is limited.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.budgets.ledger().map(Arc::as_ref)
    }

    /// How a scope does.
    #[must_use]
    pub fn health(&self, scope: &Scope) -> Health {
        self.healths.of(scope)
    }

    /// How many attempts failed, by scope and by what can be done about it.
    #[must_use]
    pub fn failed(&self) -> Vec<(Scope, ErrorKind, u64)> {
        self.healths.failed()
    }

    /// The error that a scope is not asked for now: it denied a request, or did
    /// not accept the credentials, a short while ago.
    #[must_use]
    pub fn remembered(&self, scope: &Scope, category: Category) -> Option<Error> {
        self.healths.remembered(scope, category)
    }

    /// The budget of a scope.
    #[must_use]
    pub fn budget(&self, scope: &Scope) -> Arc<Budget> {
        self.budgets.of(scope)
    }

    /// Fetches one page. Every attempt waits for the ticket's turn, with the
    /// claims of those who wait then.
    ///
    /// `payers` are those who wait for the page. If there are none before a
    /// request is sent, it is not; one that was sent is awaited, whoever hangs
    /// up.
    ///
    /// # Errors
    /// The last attempt's error, or why no further one was made.
    pub async fn fetch(
        &self,
        scope: &Scope,
        request: &PageRequest,
        ticket: &mut Ticket,
        payers: &mut watch::Receiver<Payers>,
    ) -> Result<Page, FetchError> {
        let mut attempt = 1;
        loop {
            let permit = tokio::select! {
                biased;
                () = abandoned(payers) => return Err(FetchError::Abandoned),
                permit = ticket.ready().instrument(trace::quota(attempt)) => permit,
            };
            let payer = match self.payer(scope, request.category, &payers.borrow()) {
                Ok(payer) => payer,
                Err(error) => {
                    permit.give_back();
                    return Err(error);
                }
            };
            let sent = Instant::now();
            let span = trace::attempt(&scope.account, &scope.region, attempt);
            let answer = self.cloudtrail.lookup_events(scope, request);
            let answer = answer.instrument(span.clone()).await;
            let outcome = answer.as_ref().map(|page| page.events.len());
            trace::answered(&span, outcome.map_err(|error| error.code.as_str()));
            drop(span);
            tracing::debug!(%scope, attempt, took = ?sent.elapsed(), "request bought");
            let error = answer.as_ref().err();
            self.healths.note(scope, request.category, sent, error);
            let error = match answer {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if error.kind == ErrorKind::Throttled {
                payer.note_throttled();
                permit.throttled(error.retry_after.map(|hint| hint.min(self.retry.cap)));
            } else {
                drop(permit);
            }
            if !error.is_retryable() || attempt >= self.retry.attempts_for(error.kind) {
                tracing::warn!(%scope, attempt, %error, "cloudtrail refused");
                return Err(error.into());
            }
            let pause = self.retry.pause(attempt, error.retry_after);
            tracing::debug!(%scope, attempt, code = error.code, ?pause, "cloudtrail refused, trying again");
            tokio::select! {
                () = abandoned(payers) => return Err(FetchError::Abandoned),
                () = tokio::time::sleep(pause) => {}
            }
            attempt += 1;
        }
    }

    /// Who pays for the attempt that is sent now, if it may be.
    fn payer(
        &self,
        scope: &Scope,
        category: Category,
        payers: &Payers,
    ) -> Result<Arc<Allowance>, FetchError> {
        if payers.is_empty() {
            return Err(FetchError::Abandoned);
        }
        let payer = payers.iter().find(|payer| payer.take());
        let payer = payer.ok_or(FetchError::AllowanceSpent)?;
        // it may have denied another one since
        if let Err(error) = self.healths.admit(scope, category) {
            payer.put_back();
            return Err(error.into());
        }
        Ok(Arc::clone(payer))
    }
}

/// Resolves when nobody waits any more.
async fn abandoned(payers: &mut watch::Receiver<Payers>) {
    // a closed channel is as good as nobody
    let _ = payers.wait_for(Vec::is_empty).await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    use super::*;
    use crate::{event::TimeRange, upstream::PageFuture};

    /// Answers from a script, then with empty pages.
    #[derive(Default)]
    struct Script {
        answers: Mutex<Vec<Error>>,
        asked: AtomicU64,
    }

    impl CloudTrail for Script {
        fn lookup_events<'a>(&'a self, _: &'a Scope, _: &'a PageRequest) -> PageFuture<'a> {
            self.asked.fetch_add(1, Relaxed);
            let answer = self
                .answers
                .lock()
                .unwrap()
                .pop()
                .map_or_else(|| Ok(Page::default()), Err);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer
            })
        }
    }

    fn request() -> PageRequest {
        PageRequest {
            category: Category::Management,
            attribute: None,
            range: TimeRange::new(0, 1),
            token: None,
        }
    }

    fn upstream(answers: Vec<Error>, rate: f64) -> (Arc<Script>, Upstream) {
        let script = Arc::new(Script {
            answers: Mutex::new(answers),
            ..Script::default()
        });
        (
            script.clone(),
            Upstream::new(script, Arc::new(Budgets::new(rate)), Retry::default()),
        )
    }

    fn allowance(limit: u64) -> Arc<Allowance> {
        let caller = Caller::named("test");
        Arc::new(Allowance::new(limit, Class::Interactive, caller, None))
    }

    fn scope() -> Scope {
        Scope::new("111122223333", "us-east-1")
    }

    /// Fetches for one who waits to the end.
    async fn fetch(upstream: &Upstream, allowance: &Arc<Allowance>) -> Result<Page, FetchError> {
        let (_payers, mut paid_by) = watch::channel(vec![Arc::clone(allowance)]);
        let budget = upstream.budget(&scope());
        let (mut ticket, _claim) = budget
            .queue(allowance.class(), allowance.caller(), None)
            .unwrap();
        upstream
            .fetch(&scope(), &request(), &mut ticket, &mut paid_by)
            .await
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "Code", "why")
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_is_bought_and_hints_are_honoured() {
        let hinted = Error {
            retry_after: Some(Duration::from_secs(4)),
            ..error(ErrorKind::Throttled)
        };
        let (script, upstream) = upstream(vec![error(ErrorKind::Transient), hinted], 2.0);
        let start = Instant::now();
        let allowance = allowance(10);
        assert!(fetch(&upstream, &allowance).await.is_ok());
        assert!(
            start.elapsed() >= Duration::from_secs(4),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(script.asked.load(Relaxed), 3);
        assert_eq!(allowance.spent(), 3);
        let stats = upstream.budget(&scope()).stats();
        assert_eq!((stats.bought, stats.throttled), (3, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_not_tried_again() {
        for kind in [
            ErrorKind::Denied,
            ErrorKind::Credentials,
            ErrorKind::InvalidToken,
            ErrorKind::Invalid,
        ] {
            let (script, upstream) = upstream(vec![error(kind)], 2.0);
            let answer = fetch(&upstream, &allowance(9)).await;
            assert_eq!(answer, Err(error(kind).into()));
            assert_eq!(script.asked.load(Relaxed), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_and_the_allowance_are_limits() {
        let broken = || vec![error(ErrorKind::Transient); 20];
        let (script, upstream1) = upstream(broken(), 0.0);
        let answer = fetch(&upstream1, &allowance(9)).await;
        assert_eq!(answer, Err(error(ErrorKind::Transient).into()));
        assert_eq!(script.asked.load(Relaxed), 5);
        let (script, upstream3) = upstream(vec![error(ErrorKind::Gone); 20], 0.0);
        let answer = fetch(&upstream3, &allowance(9)).await;
        assert_eq!(answer, Err(error(ErrorKind::Gone).into()));
        assert_eq!(script.asked.load(Relaxed), 3, "nobody is there");
        let (script, upstream2) = upstream(broken(), 0.0);
        let allowance = allowance(2);
        let answer = fetch(&upstream2, &allowance).await;
        assert_eq!(answer, Err(FetchError::AllowanceSpent));
        assert_eq!((script.asked.load(Relaxed), allowance.spent()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_bought_for_nobody_and_what_is_bought_is_awaited() {
        let (script, upstream) = upstream(vec![], 1.0);
        let upstream = Arc::new(upstream);
        let allowances = [(); 2].map(|()| allowance(5));
        let (payers, _) = watch::channel(vec![Arc::clone(&allowances[0])]);
        let fetch = || {
            let (upstream, mut payers) = (Arc::clone(&upstream), payers.subscribe());
            let (mut ticket, claim) = upstream
                .budget(&scope())
                .queue(Class::Interactive, &Caller::named("test"), None)
                .unwrap();
            tokio::spawn(async move {
                let _claim = claim;
                upstream
                    .fetch(&scope(), &request(), &mut ticket, &mut payers)
                    .await
            })
        };
        let bought = fetch();
        tokio::task::yield_now().await;
        let queued = fetch();
        tokio::task::yield_now().await;
        payers.send_replace(vec![]);
        assert_eq!(bought.await.unwrap(), Ok(Page::default()));
        assert_eq!(queued.await.unwrap(), Err(FetchError::Abandoned));
        assert_eq!((script.asked.load(Relaxed), allowances[0].spent()), (1, 1));
        // who waits when it is sent pays, not who asked first
        payers.send_replace(vec![Arc::clone(&allowances[0])]);
        let inherited = fetch();
        tokio::task::yield_now().await;
        payers.send_replace(vec![Arc::clone(&allowances[1])]);
        assert_eq!(inherited.await.unwrap(), Ok(Page::default()));
        assert_eq!(allowances.map(|allowance| allowance.spent()), [1, 1]);
        assert_eq!(upstream.budget(&scope()).stats().bought, 2);
    }
}
