//! What was chosen of the files that were listed, and what left others out.

use std::collections::BTreeSet;

use super::choice::Step;

/// Which of these leaves files out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Their account is not among those named.
    Account,
    /// Their account is left out.
    WithoutAccount,
    /// Their Region is not among those named.
    Region,
    /// Their Region is left out.
    WithoutRegion,
    /// They were delivered before the first day.
    Since,
    /// They were delivered after the last day.
    Until,
}

/// What was chosen of the files that were listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Some were, whether they are loaded already or not.
    pub some: bool,
    /// Why others were not, of those whose keys tell.
    pub left_out: BTreeSet<Why>,
}

impl Chosen {
    /// Notes what was to be done about a key.
    pub(super) fn note(&mut self, step: &Step) {
        match step {
            Step::Load(_) => self.some = true,
            Step::Leap { why, .. } => self.left_out.extend(*why),
            Step::Pass => {}
        }
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: Self) {
        self.some |= other.some;
        self.left_out.extend(other.left_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_files_out_is_kept_once() {
        let leap = |why| Step::Leap {
            to: String::new(),
            within: None,
            why,
        };
        let mut chosen = Chosen::default();
        for step in [leap(Some(Why::Since)), leap(None), Step::Pass] {
            chosen.note(&step);
        }
        let mut other = Chosen::default();
        other.note(&leap(Some(Why::Region)));
        other.note(&leap(Some(Why::Since)));
        chosen.add(other.clone());
        assert_eq!(chosen.left_out, BTreeSet::from([Why::Region, Why::Since]));
        assert!(!chosen.some);
        other.note(&Step::Load(None));
        chosen.add(other);
        assert!(chosen.some);
    }
}
