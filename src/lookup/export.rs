//! Every matching event of a question, a page at a time, for as long as
//! someone reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    pin, select,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use tracing::Instrument;

use super::{Chain, Error, Lookup, Outlook, PageToken, Question, Reason, ScopeAnswer, Stats};
use crate::event::Event;

/// How long a reader goes without news.
const NEWS: Duration = Duration::from_secs(3);
/// The shortest and the longest wait before what is stuck is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long an export waits for its reader to take a step: long enough for one
/// that loads what it got somewhere, and no longer, since it holds its place.
pub const UNREAD: Duration = Duration::from_secs(600);

/// An export under way. Dropping it ends it: nothing more is bought.
#[derive(Debug)]
pub struct Export {
    steps: mpsc::Receiver<Result<Step, Error>>,
    unread: Arc<AtomicBool>,
    is_over: bool,
}

/// What an export tells.
#[derive(Clone, Debug)]
pub struct Step {
    /// Matching events, behind those of the steps before.
    pub events: Vec<Arc<Event>>,
    /// How far each scope was searched.
    pub scopes: Vec<ScopeAnswer>,
    /// What it took so far.
    pub stats: Stats,
    /// Goes on behind this step; `None`: there is nothing more.
    pub next: Option<PageToken>,
    /// The export ends with this step.
    pub is_last: bool,
}

impl Export {
    /// Begins to answer `question` by pages of its size, all within its deadline
    /// and buying at most its `max_upstream_calls`. Its tokens are for a request
    /// with this digest. It holds `place` until the last step was taken and this was
    /// dropped, or until it ended unread.
    #[must_use]
    pub fn start(
        lookup: Arc<Lookup>,
        question: Question,
        digest: [u8; 16],
        place: impl Send + 'static,
    ) -> Self {
        // one page: the next is asked for when the reader has taken it
        let (sender, steps) = mpsc::channel(1);
        let unread = Arc::new(AtomicBool::new(false));
        let is_unread = Arc::clone(&unread);
        let run = async move {
            let chain = Chain::new(&lookup, question);
            let exporting = Exporting {
                scopes: chain.unsearched(),
                chain,
                digest,
                has_searched: false,
            };
            let ended = select! {
                biased;
                // nothing is bought for nobody
                () = sender.closed() => return,
                ended = exporting.run(&sender) => ended,
            };
            // what was told last is held until it is taken
            let is_taken = ended.is_ok() && timeout(UNREAD, sender.closed()).await.is_ok();
            is_unread.store(!is_taken, Relaxed);
            drop(place);
        };
        tokio::spawn(run.in_current_span());
        Self {
            steps,
            unread,
            is_over: false,
        }
    }

    /// The next step; `None` after the last, after an error, and where nobody
    /// asked for a step for [`UNREAD`].
    ///
    /// At most one step is made ready before it is asked for. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Step, Error>> {
        if self.is_over {
            return None;
        }
        let step = self.steps.recv().await;
        self.is_over = step
            .as_ref()
            .is_none_or(|step| step.as_ref().map_or(true, |step| step.is_last));
        step
    }

    /// Whether it ended because nobody took its steps.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
}

/// Nobody reads any more.
struct Unread;

type Sender = mpsc::Sender<Result<Step, Error>>;

/// Waits until the reader has taken what was told last.
async fn taken(sender: &Sender) -> Result<mpsc::Permit<'_, Result<Step, Error>>, Unread> {
    match timeout(UNREAD, sender.reserve()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Unread),
    }
}

/// What follows a page.
enum Then {
    /// The next one, not before this.
    Page(Instant),
    /// Nothing: it ends with what was told.
    End,
}

struct Exporting<'l> {
    chain: Chain<'l>,
    digest: [u8; 16],
    /// As of the last page.
    scopes: Vec<ScopeAnswer>,
    /// Whether any page came.
    has_searched: bool,
}

impl Exporting<'_> {
    async fn run(mut self, sender: &Sender) -> Result<(), Unread> {
        // at once: the window is fixed, and how to come back to it is known
        taken(sender).await?.send(Ok(self.step(Vec::new())));
        let mut not_before = Instant::now();
        loop {
            // not before the reader has taken what was told last
            let mut permit = taken(sender).await?;
            let mut news = self.step(Vec::new());
            let bought = news.stats.upstream_calls;
            let allowance = self.chain.allowance();
            let link = {
                let page = async {
                    sleep_until(not_before).await;
                    self.chain.next_within(&allowance).await
                };
                pin!(page);
                let mut told = Instant::now();
                loop {
                    select! {
                        biased;
                        link = &mut page => break link,
                        () = sleep_until(told + NEWS) => {}
                    }
                    news.stats.upstream_calls = bought + allowance.spent();
                    permit.send(Ok(news.clone()));
                    permit = taken(sender).await?;
                    told = Instant::now();
                }
            };
            let (events, then) = match link {
                None => return Ok(()),
                Some(Ok(link)) => {
                    self.has_searched = true;
                    self.scopes = link.answer.scopes;
                    (link.answer.events, self.after(&link.outlook))
                }
                Some(Err(error)) => match self.after_error(&error) {
                    Some(then) => (Vec::new(), then),
                    None => {
                        permit.send(Err(error));
                        return Ok(());
                    }
                },
            };
            let mut step = self.step(events);
            match then {
                Then::Page(at) => {
                    not_before = at;
                    permit.send(Ok(step));
                }
                Then::End => {
                    step.is_last = true;
                    if self.chain.is_over() {
                        step.next = None;
                    }
                    permit.send(Ok(step));
                    return Ok(());
                }
            }
        }
    }

    fn step(&self, events: Vec<Arc<Event>>) -> Step {
        Step {
            events,
            scopes: self.scopes.clone(),
            stats: self.chain.stats(),
            next: Some(self.chain.question().token(self.digest)),
            is_last: false,
        }
    }

    /// What follows a page that came.
    fn after(&mut self, outlook: &Outlook) -> Then {
        let now = Instant::now();
        match outlook {
            Outlook::End => Then::End,
            Outlook::More if now >= self.chain.deadline() => {
                self.close(&Reason::Deadline);
                Then::End
            }
            Outlook::More => Then::Page(now),
            Outlook::Stuck(
                reason @ (Reason::UpstreamCallLimit | Reason::DailyAllowance { .. }),
            ) => {
                self.close(reason);
                Then::End
            }
            Outlook::Stuck(reason @ Reason::Deadline) if self.chain.is_short_of_time() => {
                self.close(reason);
                Then::End
            }
            Outlook::Stuck(_) => Then::Page(now + PAUSE.0),
        }
    }

    /// What follows an error; `None`: that is the end.
    fn after_error(&mut self, error: &Error) -> Option<Then> {
        match error {
            // while someone listens it waits
            Error::Exhausted { wait, .. } => {
                let at = Instant::now() + (*wait).clamp(PAUSE.0, PAUSE.1);
                if at < self.chain.deadline() {
                    return Some(Then::Page(at));
                }
                self.close(&error.clone().into());
            }
            Error::DailyAllowance { .. } => self.close(&error.clone().into()),
            _ => return None,
        }
        self.has_searched.then_some(Then::End)
    }

    /// Says why those scopes that are open stay so.
    fn close(&mut self, why: &Reason) {
        self.chain.close(&mut self.scopes, why);
    }
}
