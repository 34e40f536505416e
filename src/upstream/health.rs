//! What a scope answered last, and whether it may be asked.
//!
//! A denied call is itself an event in the account, so a scope that denied one
//! is left alone for a while, and asked seldom.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Error, ErrorKind};
use crate::event::{Category, Scope};

/// How long a scope is left alone after it denied a request; it doubles with
/// each further one. A policy that was mended is seen in a minute.
const DENIED: Duration = Duration::from_secs(60);
/// The longest: one event an hour is no flood in an account's history.
const DENIED_MOST: Duration = Duration::from_secs(3600);
/// How long after credentials were not accepted. They are renewed without notice,
/// and nobody should wait for that to be seen.
const CREDENTIALS: Duration = Duration::from_secs(3);
/// How long the one request may take that is sent to see whether the scope still
/// denies: longer than an attempt may.
const PROBE: Duration = Duration::from_secs(40);

/// How a scope does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The last error, and when it came.
    pub last_error: Option<LastError>,
    /// When a page came last.
    pub last_success: Option<Instant>,
    /// Until then it is not asked.
    pub barred_until: Option<Instant>,
    /// How often it denied a request since a page came.
    denials: u32,
    /// When the request was sent that sees whether it still denies.
    probed: Option<Instant>,
}

/// An error without AWS's message, which may name principals: it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// AWS's error code, or a word of ours.
    pub code: String,
    /// When it came.
    pub at: Instant,
}

impl Health {
    /// Whether it is not asked at `now`: it denied a request, or did not accept
    /// the credentials.
    #[must_use]
    pub fn is_barred(&self, now: Instant) -> bool {
        self.barred_until.is_some_and(|until| until > now)
    }

    /// The error that it is not asked for.
    fn remembered(&self, now: Instant) -> Option<Error> {
        let until = self.barred_until.filter(|until| *until > now)?;
        let last = self.last_error.as_ref()?;
        let message = format!("remembered; asked again in {:?}", until - now);
        Some(Error::new(last.kind, &last.code, message))
    }

    /// A request that was sent at `sent` failed.
    fn failed(&mut self, error: &Error, sent: Instant, now: Instant) {
        let is_barring = matches!(error.kind, ErrorKind::Denied | ErrorKind::Credentials);
        // what bars it is what is remembered
        if self.barred_until.is_some() && !is_barring {
            // the probe told nothing: another one may go
            if self.probed.is_some_and(|probed| sent >= probed) {
                self.probed = None;
                self.barred_until = Some(now);
            }
            return;
        }
        self.probed = None;
        let before = self.last_error.replace(LastError {
            kind: error.kind,
            code: error.code.clone(),
            at: now,
        });
        let pause = match error.kind {
            ErrorKind::Denied => {
                // those that were under way together count as one
                let is_same =
                    before.is_some_and(|last| last.kind == ErrorKind::Denied && sent <= last.at);
                self.denials += u32::from(!is_same);
                let doubled = DENIED.saturating_mul(1 << self.denials.saturating_sub(1).min(16));
                doubled.min(DENIED_MOST)
            }
            ErrorKind::Credentials => CREDENTIALS,
            _ => return,
        };
        self.barred_until = Some(now + pause);
    }

    fn succeeded(&mut self, now: Instant) {
        self.last_success = Some(now);
        self.barred_until = None;
        self.probed = None;
        self.denials = 0;
    }

    /// What is known of both.
    fn and(self, other: Self) -> Self {
        let later = |a: Option<LastError>, b: Option<LastError>| match (a, b) {
            (Some(a), Some(b)) => Some(if a.at < b.at { b } else { a }),
            (a, b) => a.or(b),
        };
        Self {
            last_error: later(self.last_error, other.last_error),
            last_success: self.last_success.max(other.last_success),
            ..self
        }
    }
}

/// The health of all scopes that were asked, by the kind of events: a Region
/// without Insights has management events all the same. One or two for each that
/// is configured.
#[derive(Debug, Default)]
pub(super) struct Healths {
    scopes: Mutex<HashMap<(Scope, Category), Health>>,
    /// Attempts that failed, by what can be done about it: seven kinds a scope.
    failed: Mutex<HashMap<(Scope, ErrorKind), u64>>,
}

impl Healths {
    /// How a scope does; what bars it is of its management events.
    pub(super) fn of(&self, scope: &Scope) -> Health {
        let healths = self.lock();
        let [management, insight] = [Category::Management, Category::Insight].map(|category| {
            let health = healths.get(&(scope.clone(), category));
            health.cloned().unwrap_or_default()
        });
        management.and(insight)
    }

    /// The error that a scope is not asked for now.
    pub(super) fn remembered(&self, scope: &Scope, category: Category) -> Option<Error> {
        let healths = self.lock();
        let health = healths.get(&(scope.clone(), category))?;
        health.remembered(Instant::now())
    }

    /// As [`Healths::remembered`], just before a request is sent. The first one
    /// after a pause goes alone: others find the scope barred until it is told
    /// what came of it.
    pub(super) fn admit(&self, scope: &Scope, category: Category) -> Result<(), Error> {
        let now = Instant::now();
        let mut healths = self.lock();
        let Some(health) = healths.get_mut(&(scope.clone(), category)) else {
            return Ok(());
        };
        if let Some(error) = health.remembered(now) {
            return Err(error);
        }
        if health.barred_until.is_some() {
            health.barred_until = Some(now + PROBE);
            health.probed = Some(now);
        }
        Ok(())
    }

    pub(super) fn note(
        &self,
        scope: &Scope,
        category: Category,
        sent: Instant,
        error: Option<&Error>,
    ) {
        if let Some(error) = error {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed.entry((scope.clone(), error.kind)).or_default() += 1;
        }
        let now = Instant::now();
        let mut healths = self.lock();
        let health = healths.entry((scope.clone(), category)).or_default();
        match error {
            Some(error) => health.failed(error, sent, now),
            None => health.succeeded(now),
        }
    }

    /// How many attempts failed, by scope and kind.
    pub(super) fn failed(&self) -> Vec<(Scope, ErrorKind, u64)> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.iter();
        let mut failed: Vec<_> = failed
            .map(|((s, kind), n)| (s.clone(), *kind, *n))
            .collect();
        failed.sort();
        failed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Scope, Category), Health>> {
        // every change is made whole: still right after a panic elsewhere
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const KIND: Category = Category::Management;

    fn scope() -> Scope {
        Scope::new("111122223333", "us-east-1")
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "Code", "arn:aws:iam::111122223333:user/secret")
    }

    #[tokio::test(start_paused = true)]
    async fn denials_double_up_to_an_hour_and_a_page_forgives_all() {
        let healths = Healths::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(healths.admit(&scope(), KIND), Ok(()));
            let sent = Instant::now();
            advance(Duration::from_millis(100)).await;
            let denied = error(ErrorKind::Denied);
            healths.note(&scope(), KIND, sent, Some(&denied));
            // one that was under way beside it
            healths.note(&scope(), KIND, sent, Some(&denied));
            let remembered = healths.admit(&scope(), KIND).unwrap_err();
            assert_eq!(
                (remembered.kind, remembered.code),
                (denied.kind, denied.code)
            );
            assert!(!remembered.message.contains("secret"));
            let until = healths.of(&scope()).barred_until.unwrap();
            pauses.push((until - Instant::now()).as_secs());
            advance(until - Instant::now()).await;
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        healths.note(&scope(), KIND, Instant::now(), None);
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        let health = healths.of(&scope());
        assert_eq!(
            (health.last_success, health.denials),
            (Some(Instant::now()), 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_tried_again_soon_by_one_at_a_time() {
        let healths = Healths::default();
        let refused = error(ErrorKind::Credentials);
        healths.note(&scope(), KIND, Instant::now(), Some(&refused));
        assert!(healths.remembered(&scope(), KIND).is_some());
        advance(CREDENTIALS).await;
        assert_eq!(healths.remembered(&scope(), KIND), None);
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        assert!(healths.admit(&scope(), KIND).is_err(), "one goes first");
        healths.note(&scope(), KIND, Instant::now(), None);
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_bars_nobody() {
        let healths = Healths::default();
        for kind in [
            ErrorKind::Throttled,
            ErrorKind::Transient,
            ErrorKind::Gone,
            ErrorKind::Invalid,
            ErrorKind::InvalidToken,
        ] {
            healths.note(&scope(), KIND, Instant::now(), Some(&error(kind)));
            assert_eq!(healths.admit(&scope(), KIND), Ok(()));
            assert_eq!(healths.of(&scope()).last_error.unwrap().kind, kind);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_tells_nothing_makes_room_for_another() {
        let healths = Healths::default();
        let now = Instant::now();
        healths.note(&scope(), KIND, now, Some(&error(ErrorKind::Denied)));
        advance(DENIED).await;
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        // one that was sent before says nothing of the probe
        let passing = error(ErrorKind::Transient);
        healths.note(&scope(), KIND, now, Some(&passing));
        assert!(healths.admit(&scope(), KIND).is_err());
        healths.note(&scope(), KIND, Instant::now(), Some(&passing));
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        assert!(healths.admit(&scope(), KIND).is_err(), "alone again");
        let last = healths.of(&scope()).last_error.unwrap();
        assert_eq!(last.kind, ErrorKind::Denied);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_of_events_bars_no_other() {
        let healths = Healths::default();
        let denied = error(ErrorKind::Denied);
        healths.note(&scope(), Category::Insight, Instant::now(), Some(&denied));
        assert!(healths.admit(&scope(), Category::Insight).is_err());
        assert_eq!(healths.admit(&scope(), KIND), Ok(()));
        healths.note(&scope(), KIND, Instant::now(), None);
        assert!(healths.remembered(&scope(), Category::Insight).is_some());
        let health = healths.of(&scope());
        assert!(!health.is_barred(Instant::now()));
        assert_eq!(health.last_error.unwrap().kind, ErrorKind::Denied);
    }
}
