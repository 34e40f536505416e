//! Files on their way into the archive, in the order in which they were listed.
//!
//! They are read side by side, their events go into commits together, and a large
//! file takes several. What is noted as loaded is what has nothing before it that is
//! not.

use std::collections::{BTreeSet, VecDeque};

/// Files under way, by consecutive numbers, and the commits that they wait for, which
/// have consecutive numbers too.
#[derive(Debug)]
pub(super) struct Ledger<T> {
    files: VecDeque<File<T>>,
    /// The number of the first.
    first: u64,
    /// All commits below are done.
    done_below: u64,
    /// Others that are.
    done: BTreeSet<u64>,
}

#[derive(Debug)]
struct File<T> {
    what: T,
    /// The first and the last commit that have events of it.
    commits: Option<(u64, u64)>,
    has_ended: bool,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            files: VecDeque::new(),
            first: 0,
            done_below: 0,
            done: BTreeSet::new(),
        }
    }
}

impl<T> Ledger<T> {
    /// Adds the next file; its number.
    pub(super) fn add(&mut self, what: T) -> u64 {
        self.files.push_back(File {
            what,
            commits: None,
            has_ended: false,
        });
        self.first + u64::try_from(self.files.len()).unwrap_or(u64::MAX) - 1
    }

    /// How many files are under way.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    fn file(&mut self, number: u64) -> Option<&mut File<T>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.files.get_mut(at)
    }

    /// Events of a file go into a commit.
    pub(super) fn join(&mut self, number: u64, commit: u64) {
        if let Some(file) = self.file(number) {
            let (first, _) = *file.commits.get_or_insert((commit, commit));
            file.commits = Some((first, commit));
        }
    }

    /// A file has no more events.
    pub(super) fn end(&mut self, number: u64) -> Option<&mut T> {
        let file = self.file(number)?;
        file.has_ended = true;
        Some(&mut file.what)
    }

    /// A commit is done.
    pub(super) fn commit(&mut self, commit: u64) {
        self.done.insert(commit);
        while self.done.remove(&self.done_below) {
            self.done_below += 1;
        }
    }

    /// Takes the first file out, if all of it is in the archive.
    pub(super) fn settle(&mut self) -> Option<T> {
        let file = self.files.front()?;
        let is_done = |commit| commit < self.done_below || self.done.contains(&commit);
        let are_done = |(first, last): (u64, u64)| (first..=last).all(is_done);
        if !file.has_ended || !file.commits.is_none_or(are_done) {
            return None;
        }
        self.first += 1;
        self.files.pop_front().map(|file| file.what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_done_after_its_last_commit_and_those_before_it() {
        let mut ledger = Ledger::default();
        let (a, b, c) = (ledger.add("a"), ledger.add("b"), ledger.add("c"));
        assert_eq!((a, b, c), (0, 1, 2));
        ledger.join(b, 0);
        ledger.join(a, 0);
        ledger.join(a, 1);
        ledger.end(b);
        ledger.end(c);
        ledger.commit(0);
        assert_eq!(ledger.settle(), None, "the first has not ended");
        ledger.end(a);
        assert_eq!(ledger.settle(), None, "nor is it committed");
        ledger.commit(1);
        let settled: Vec<_> = std::iter::from_fn(|| ledger.settle()).collect();
        assert_eq!(settled, ["a", "b", "c"]);
        assert_eq!(ledger.add("d"), 3);
        assert_eq!(ledger.end(3), Some(&mut "d"));
        assert_eq!(ledger.end(2), None);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Join(usize),
        End(usize),
        Commit(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..5_usize).prop_map(Act::Join),
            (0..5_usize).prop_map(Act::End),
            (0..8_usize).prop_map(Act::Commit),
        ]
    }

    proptest! {
        #[test]
        fn what_is_settled_is_committed_whatever_the_order(
            acts in proptest::collection::vec(act(), 0..40),
        ) {
            let mut ledger = Ledger::default();
            for n in 0..5_usize {
                ledger.add(n);
            }
            let mut commit = 0_u64;
            let mut needs = vec![BTreeSet::new(); 5];
            let mut ended = [false; 5];
            let mut done = BTreeSet::new();
            let mut settled = 0;
            for act in acts {
                match act {
                    Act::Join(file) if !ended[file] => {
                        ledger.join(file as u64, commit);
                        needs[file].insert(commit);
                        commit += u64::from(file.is_multiple_of(2));
                    }
                    Act::End(file) => {
                        ended[file] = true;
                        ledger.end(file as u64);
                    }
                    // one that is still gathered is not made
                    Act::Commit(one) if (one as u64) < commit => {
                        done.insert(one as u64);
                        ledger.commit(one as u64);
                    }
                    _ => {}
                }
                while let Some(file) = ledger.settle() {
                    prop_assert_eq!(file, settled);
                    prop_assert!(ended[file] && needs[file].is_subset(&done));
                    settled += 1;
                }
                if settled < 5 {
                    // it waits also for commits between its own, which costs nothing
                    let (first, last) = (needs[settled].first(), needs[settled].last());
                    let is_done = first.zip(last).is_none_or(|(first, last)| {
                        (*first..=*last).all(|commit| done.contains(&commit))
                    });
                    prop_assert!(!ended[settled] || !is_done);
                }
            }
        }
    }
}
