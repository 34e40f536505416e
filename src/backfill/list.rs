//! What is to be loaded, part by part: listed ahead of those who read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::task::AbortOnDropHandle;

use super::{
    choice::{Choice, Step},
    chosen::Chosen,
    done::{Done, Unusable, name_of},
    patience::Patience,
    seen::Seen,
    target::{Target, TargetError},
    walk::{Next, Part, Walk},
};
use crate::clock::Clock;

/// Files that are listed ahead of a part: a page.
const AHEAD: usize = 1000;
/// Parts that are listed ahead, so that nobody waits for a small one.
const PARTS_AHEAD: usize = 4;

/// What is found of a part, by its number. Each begins and ends, one after the other.
pub(super) enum Item {
    /// It begins, and this of it is loaded.
    Begin(usize, Box<Done>),
    /// A file of it is to be loaded.
    File(usize, Next),
    /// Something of it cannot be listed: why.
    Broken(usize, String),
    /// There is no more of it, and so much was chosen.
    End(usize, Chosen),
}

/// What parts are listed with.
#[derive(Clone)]
pub(super) struct Lists {
    pub(super) choice: Arc<Choice>,
    pub(super) target: Arc<dyn Target>,
    pub(super) clock: Clock,
    pub(super) seen: Arc<Seen>,
    /// What was noted before as loaded does not count.
    pub(super) again: bool,
}

impl Lists {
    /// All of all parts. `given_up`: one for each, true if no more of it is wanted.
    pub(super) fn items(
        &self,
        parts: Arc<[Part]>,
        given_up: Arc<[AtomicBool]>,
    ) -> impl Stream<Item = Item> + Send + use<> {
        let this = self.clone();
        let listed = stream::iter(0..parts.len()).map(move |number| {
            let (to, from) = mpsc::channel(AHEAD);
            let (this, parts, given_up) = (this.clone(), Arc::clone(&parts), Arc::clone(&given_up));
            let task = tokio::spawn(async move {
                if let (Some(part), Some(given_up)) = (parts.get(number), given_up.get(number)) {
                    // who does not read any more has stopped
                    let _ = this.list(number, part, given_up, &to).await;
                }
            });
            std::future::ready((from, AbortOnDropHandle::new(task)))
        });
        listed.buffered(PARTS_AHEAD).flat_map(|(from, task)| {
            stream::unfold(
                (from, task),
                |(mut from, task): (Receiver<Item>, _)| async {
                    let item = from.recv().await?;
                    Some((item, (from, task)))
                },
            )
        })
    }

    async fn list(
        &self,
        number: usize,
        part: &Part,
        given_up: &AtomicBool,
        to: &Sender<Item>,
    ) -> Result<(), mpsc::error::SendError<Item>> {
        let mut done = match self.noted(part).await {
            Ok(done) => done,
            Err(error) => {
                to.send(Item::Begin(number, Box::default())).await?;
                to.send(Item::Broken(number, error)).await?;
                let none = Chosen::default();
                return to.send(Item::End(number, none)).await;
            }
        };
        let began = done.begin(&self.choice.word(), self.clock.now_secs());
        to.send(Item::Begin(number, Box::new(done.clone()))).await?;
        let mut failed = done.failed().clone();
        let mut walk = Walk::new(part.clone(), Arc::clone(&self.choice), done, began);
        while !given_up.load(Relaxed) {
            match walk.next().await {
                Ok(None) => break,
                Ok(Some(next)) => {
                    failed.remove(&next.key);
                    to.send(Item::File(number, next)).await?;
                }
                Err(error) => to.send(Item::Broken(number, error.to_string())).await?,
            }
        }
        // those that are among what is loaded: the walk came by all others
        for key in failed {
            if let Some(file) = self.another_try(&key) {
                to.send(Item::File(number, file)).await?;
            }
        }
        to.send(Item::End(number, walk.chosen())).await
    }

    /// A file that could not be read before, if it is chosen.
    fn another_try(&self, key: &str) -> Option<Next> {
        let Step::Load(found) = self.choice.step(key) else {
            return None;
        };
        Some(Next {
            key: key.to_owned(),
            size: 0,
            place: found.map(|found| found.place),
            span: None,
            is_another_try: true,
        })
    }

    /// What is noted of a part.
    pub(super) async fn noted(&self, part: &Part) -> Result<Done, String> {
        let noted = load(&*self.target, &name_of(&part.name)).await;
        match noted.map_err(|error| error.message)? {
            None => Ok(Done::default()),
            Some(bytes) => match Done::read(&bytes) {
                Ok(done) if self.again => Ok(done.again()),
                Ok(done) => Ok(done),
                Err(_) if self.again => Ok(Done::default()),
                Err(error @ Unusable::Newer(_)) => Err(error.to_string()),
                Err(error) => {
                    self.seen.say(format!("{}: {error}", part.name));
                    Ok(Done::default())
                }
            },
        }
    }

    /// Counts what is to be loaded of a part: files, and their bytes.
    ///
    /// # Errors
    /// Why not all was counted.
    pub(super) async fn count(
        &self,
        part: &Part,
        mut each: impl FnMut(&Next),
    ) -> Result<(), String> {
        let mut done = self.noted(part).await?;
        let began = done.begin(&self.choice.word(), self.clock.now_secs());
        let mut walk = Walk::new(part.clone(), Arc::clone(&self.choice), done, began);
        let mut broken = Ok(());
        loop {
            match walk.next().await {
                Ok(None) => return broken,
                Ok(Some(next)) => each(&next),
                Err(error) => broken = Err(error.to_string()),
            }
        }
    }

    /// Counts all parts, for whoever shows how far it is.
    pub(super) async fn count_all(self, parts: Arc<[Part]>) {
        let seen = &self.seen;
        stream::iter(parts.iter())
            .for_each_concurrent(PARTS_AHEAD, async |part| {
                // those who load it say what is wrong
                let _ = self.count(part, |next| seen.count(next.size)).await;
            })
            .await;
        seen.all_counted();
    }
}

/// Loads what is kept under a name; tries again what may pass.
///
/// # Errors
/// The last one.
pub(super) async fn load(
    target: &dyn Target,
    name: &str,
) -> Result<Option<bytes::Bytes>, TargetError> {
    let mut patience = Patience::default();
    loop {
        match target.load(name).await {
            Err(error) if error.may_pass && patience.wait().await => {}
            loaded => return loaded,
        }
    }
}
