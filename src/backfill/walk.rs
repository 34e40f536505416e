//! One way through a part's files, in the order of their keys, past what was not
//! chosen and what is loaded.
//!
//! A trail's keys stand by account, kind, Region and day, so that what is not wanted
//! stands together: the listing leaps over it, and asks for the next page behind it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::time::timeout;

use super::{
    choice::{Choice, Found, Step},
    chosen::Chosen,
    done::Done,
    patience::Patience,
    source::{Listed, Listing, Source},
};
use crate::collect::{
    object_key::{Kind, ObjectKey, Place},
    queue::ObjectsError,
};

/// How long a listing may say nothing.
const STALL: Duration = Duration::from_secs(60);
/// Keys of a page of S3's: those that were fetched cost nothing to pass.
const PAGE: usize = 1000;

/// What is gone through.
#[derive(Clone)]
pub(super) struct Part {
    /// Its name, for people and for what is noted of it.
    pub(super) name: String,
    pub(super) source: Arc<dyn Source>,
    /// What its keys begin with.
    pub(super) prefix: String,
}

/// A file to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) key: String,
    /// Its bytes.
    pub(super) size: u64,
    /// Whose records it has, where its key says so.
    pub(super) place: Option<Place>,
    /// Where its key says so: the prefix of its scope and kind, and the key behind
    /// which nothing is left out up to this one.
    pub(super) span: Option<(Arc<str>, Arc<str>)>,
    /// It could not be read before: nothing is said of what comes before it.
    pub(super) is_another_try: bool,
}

pub(super) struct Walk {
    part: Part,
    choice: Arc<Choice>,
    chosen: Chosen,
    done: Done,
    /// When the pass began: what was changed since is not what was loaded.
    began: i64,
    listing: Option<Listing>,
    /// Keys of the listing that came.
    came: usize,
    last: Option<String>,
    /// No key up to this one is of use.
    leap: Option<String>,
    /// The scope and kind that the walk is in, and the key behind which it leaves
    /// nothing out there.
    within: Option<(Arc<str>, Arc<str>)>,
    patience: Patience,
}

impl Walk {
    /// A way through a part, of which `done` is loaded. `began`: when the pass did, in
    /// seconds since the Unix epoch.
    pub(super) fn new(part: Part, choice: Arc<Choice>, done: Done, began: i64) -> Self {
        let listing = part.source.list(&part.prefix, None);
        Self {
            part,
            choice,
            chosen: Chosen::default(),
            done,
            began,
            listing: Some(listing),
            came: 0,
            last: None,
            leap: None,
            within: None,
            patience: Patience::default(),
        }
    }

    /// The next file; `None`: there is no other.
    ///
    /// # Errors
    /// If something cannot be listed, at last. What is behind it may still come.
    pub(super) async fn next(&mut self) -> Result<Option<Next>, ObjectsError> {
        loop {
            let Some(listing) = &mut self.listing else {
                return Ok(None);
            };
            let came = timeout(STALL, listing.next()).await;
            let listed = match came {
                Ok(None) => {
                    self.listing = None;
                    return Ok(None);
                }
                Ok(Some(Ok(listed))) => listed,
                Ok(Some(Err(error))) => match self.again(error).await {
                    None => continue,
                    Some(error) => return Err(error),
                },
                Err(_late) => {
                    let error = ObjectsError::Failed(format!("nothing was listed for {STALL:?}"));
                    match self.again(error).await {
                        None => continue,
                        Some(error) => return Err(error),
                    }
                }
            };
            self.patience.renew();
            self.came += 1;
            if let Some(next) = self.look(listed) {
                return Ok(Some(next));
            }
            let is_page_over = self.came.is_multiple_of(PAGE);
            if is_page_over && self.part.source.is_fixed() && self.leap.is_some() {
                self.list();
            }
        }
    }

    /// What was chosen of the files that it came by.
    pub(super) fn chosen(self) -> Chosen {
        self.chosen
    }

    /// After a failure: lists anew behind what came, or says that there is no sense
    /// in that.
    async fn again(&mut self, error: ObjectsError) -> Option<ObjectsError> {
        if !self.part.source.is_fixed() {
            // a directory of many: the others are still there
            return Some(error);
        }
        if matches!(error, ObjectsError::Failed(_)) && self.patience.wait().await {
            self.list();
            return None;
        }
        self.listing = None;
        Some(error)
    }

    fn list(&mut self) {
        let after = self.leap.as_deref().max(self.last.as_deref());
        self.listing = Some(self.part.source.list(&self.part.prefix, after));
        self.came = 0;
    }

    /// Whether a key that was listed is of a file to load.
    fn look(&mut self, listed: Listed) -> Option<Next> {
        let Listed { key, size, changed } = listed;
        if self.leap.as_deref().is_some_and(|to| key.as_str() <= to) {
            self.last = Some(key);
            return None;
        }
        self.leap = None;
        let step = self.choice.step(&key);
        self.chosen.note(&step);
        let next = match step {
            Step::Pass => None,
            Step::Leap { to, within, .. } => {
                if let Some(prefix) = within {
                    self.within = Some((prefix.into(), to.as_str().into()));
                }
                self.leap = Some(to);
                None
            }
            Step::Load(None) => self.is_new(&key, changed).then(|| Next {
                key: key.clone(),
                size,
                place: None,
                span: None,
                is_another_try: false,
            }),
            Step::Load(Some(found)) => self.of_trail(&key, size, changed, found),
        };
        self.last = Some(key);
        next
    }

    /// Of a file whose key says nothing: whether the pass has not loaded it.
    fn is_new(&self, key: &str, changed: Option<i64>) -> bool {
        self.done.at().is_none_or(|at| at < key) || self.has_changed(changed)
    }

    /// Whether it may not be what was loaded.
    fn has_changed(&self, changed: Option<i64>) -> bool {
        changed.is_some_and(|changed| changed >= self.began)
    }

    fn of_trail(
        &mut self,
        key: &str,
        size: u64,
        changed: Option<i64>,
        found: Found,
    ) -> Option<Next> {
        let Found { place, prefix } = found;
        let prefix: Arc<str> = match &self.within {
            Some((within, _)) if **within == *prefix => Arc::clone(within),
            _ => {
                let kind = ObjectKey::parse(key).kind;
                self.enter(prefix.into(), kind, &place)
            }
        };
        if let Some(end) = self.done.end_of(&prefix, key)
            && !self.has_changed(changed)
        {
            self.within = Some((prefix, end.as_str().into()));
            if self.part.source.is_fixed() {
                self.leap = Some(end);
            }
            return None;
        }
        let from = match &self.within {
            Some((_, from)) => Arc::clone(from),
            None => Arc::clone(&prefix),
        };
        Some(Next {
            key: key.to_owned(),
            size,
            place: Some(place),
            span: Some((prefix, from)),
            is_another_try: false,
        })
    }

    /// The walk comes to a scope.
    fn enter(&mut self, prefix: Arc<str>, kind: Kind, place: &Place) -> Arc<str> {
        let from = self.choice.start_of(kind, place);
        let from = from.map_or_else(|| Arc::clone(&prefix), Arc::from);
        self.within = Some((Arc::clone(&prefix), from));
        prefix
    }
}

#[cfg(test)]
pub(in crate::backfill) mod tests;
