//! The scopes that are served, which may change meanwhile: an organisation
//! gets accounts and loses them, accounts enable Regions.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::watch;

use crate::event::Scope;

/// Lists that are kept after they were replaced, for chains of pages that were
/// begun with them. Lists change some times a day at most, and chains take
/// minutes.
const KEPT: usize = 4;

#[derive(Clone, Debug, Default)]
struct Lists {
    now: Arc<[Scope]>,
    /// The newest first; at most [`KEPT`].
    before: Vec<Arc<[Scope]>>,
}

/// The scopes that are served. Cheap to clone; all clones see the same.
#[derive(Clone, Debug)]
pub struct Scopes(watch::Receiver<Lists>);

/// Changes the scopes that are served.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Lists>);

/// What a publication changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Scopes that are new.
    pub came: Vec<Scope>,
    /// Scopes that are served no more.
    pub gone: Vec<Scope>,
}

impl Scopes {
    /// Scopes that `Publisher` may change.
    #[must_use]
    pub fn new(scopes: Vec<Scope>) -> (Publisher, Self) {
        let lists = Lists {
            now: sorted(scopes),
            before: Vec::new(),
        };
        let (publisher, scopes) = watch::channel(lists);
        (Publisher(publisher), Self(scopes))
    }

    /// The scopes of this moment, sorted.
    #[must_use]
    pub fn now(&self) -> Arc<[Scope]> {
        Arc::clone(&self.0.borrow().now)
    }

    /// Lists as they were before, the newest first: a handful.
    #[must_use]
    pub fn before(&self) -> Vec<Arc<[Scope]>> {
        self.0.borrow().before.clone()
    }
}

impl From<Vec<Scope>> for Scopes {
    /// Scopes that never change.
    fn from(scopes: Vec<Scope>) -> Self {
        Self::new(scopes).1
    }
}

impl Publisher {
    /// Serves these scopes from now on.
    pub fn publish(&self, scopes: Vec<Scope>) -> Change {
        let scopes = sorted(scopes);
        let mut change = Change::default();
        self.0.send_if_modified(|lists| {
            let missing = |from: &[Scope], of: &[Scope]| -> Vec<Scope> {
                let is_missing = |scope: &&Scope| from.binary_search(scope).is_err();
                of.iter().filter(is_missing).cloned().collect()
            };
            change = Change {
                came: missing(&lists.now, &scopes),
                gone: missing(&scopes, &lists.now),
            };
            if *lists.now == *scopes {
                return false;
            }
            let replaced = std::mem::replace(&mut lists.now, scopes);
            lists.before.retain(|list| *list != replaced);
            lists.before.insert(0, replaced);
            lists.before.truncate(KEPT);
            true
        });
        change
    }

    /// The scopes that anyone may still ask about: those of now and of the
    /// lists that are kept.
    #[must_use]
    pub fn known(&self) -> HashSet<Scope> {
        let lists = self.0.borrow();
        let all = std::iter::once(&lists.now).chain(&lists.before);
        all.flat_map(|list| list.iter().cloned()).collect()
    }
}

fn sorted(mut scopes: Vec<Scope>) -> Arc<[Scope]> {
    scopes.sort();
    scopes.dedup();
    scopes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(regions: &[&str]) -> Vec<Scope> {
        regions.iter().map(|r| Scope::new("1", r)).collect()
    }

    #[test]
    fn changes_are_told_and_the_last_lists_kept() {
        let (publisher, served) = Scopes::new(scopes(&["b", "a", "b"]));
        assert_eq!(*served.now(), *scopes(&["a", "b"]));
        assert_eq!(
            publisher.publish(scopes(&["b", "a"])),
            Change::default(),
            "the same"
        );
        assert!(served.before().is_empty());
        let change = publisher.publish(scopes(&["c", "b"]));
        assert_eq!((change.came, change.gone), (scopes(&["c"]), scopes(&["a"])));
        assert_eq!(*served.clone().now(), *scopes(&["b", "c"]));
        assert_eq!(served.before(), [scopes(&["a", "b"]).into()]);
        assert!(publisher.known().contains(&Scope::new("1", "a")));
        for n in 0..10 {
            publisher.publish(scopes(&[&n.to_string()]));
        }
        assert_eq!(served.before().len(), KEPT);
        assert_eq!(*served.before()[0], *scopes(&["8"]));
        assert!(!publisher.known().contains(&Scope::new("1", "a")));
    }

    #[test]
    fn going_back_and_forth_keeps_each_list_once() {
        let (publisher, served) = Scopes::new(scopes(&["a"]));
        for list in [["b"], ["a"], ["b"], ["a"]] {
            publisher.publish(scopes(&list));
        }
        assert_eq!(
            served.before(),
            [scopes(&["b"]).into(), scopes(&["a"]).into()]
        );
    }
}
