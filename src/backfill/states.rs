//! How far parts are, and the notes of that.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    done::{Done, Unusable, name_of},
    list::load,
    patience::Patience,
    read::Fault,
    target::{Target, TargetError},
    walk::{Next, Part},
};
use crate::collect::queue::ObjectsError;

/// How often it is noted what is loaded.
const NOTE: Duration = Duration::from_secs(5);
/// How old a file must be for nothing to come before it any more, in seconds: what is
/// younger is looked at another time again. CloudTrail delivers within minutes; a file
/// has the minute of its delivery in its name.
const SETTLED: i64 = 86_400;
/// Files that are denied, none having been read before, until no more of their part
/// are asked for.
pub(super) const DENIED: u32 = 100;

/// How far all parts are.
pub(super) struct States {
    parts: Arc<[Part]>,
    /// One for each.
    states: Vec<State>,
    noted: Instant,
}

/// How far a part is.
#[derive(Default)]
struct State {
    done: Done,
    is_noted: bool,
    /// A file that could not be read is not among those noted, or a directory could not
    /// be listed: nothing behind it is loaded, as far as notes go.
    is_blocked: bool,
    is_broken: bool,
    /// Files that were denied, none having been read; `None`: one was.
    denied: Option<u32>,
}

impl States {
    pub(super) fn new(parts: Arc<[Part]>) -> Self {
        Self {
            states: parts.iter().map(|_| State::default()).collect(),
            parts,
            noted: Instant::now(),
        }
    }

    /// A part begins, of which so much is loaded.
    pub(super) fn begin(&mut self, part: usize, done: Done) {
        if let Some(state) = self.states.get_mut(part) {
            *state = State {
                done,
                is_noted: true,
                denied: Some(0),
                ..State::default()
            };
        }
    }

    /// Something of a part was not gone through.
    pub(super) fn break_off(&mut self, part: usize) {
        if let (Some(state), Some(of)) = (self.states.get_mut(part), self.parts.get(part)) {
            state.is_broken = true;
            // of a directory what stands behind it still comes
            state.is_blocked |= !of.source.is_fixed();
        }
    }

    /// What was read of a file is in the archive, and so is all before it. `now` in
    /// seconds since the Unix epoch. Whether the part was just found to deny all.
    pub(super) fn file(
        &mut self,
        part: usize,
        next: &Next,
        fault: Option<&Fault>,
        now: i64,
    ) -> bool {
        let (Some(state), Some(of)) = (self.states.get_mut(part), self.parts.get(part)) else {
            return false;
        };
        state.is_noted = false;
        match fault {
            Some(fault) if fault.may_pass() => state.is_blocked |= !state.done.fail(&next.key),
            _ => state.done.mend(&next.key),
        }
        if !state.is_blocked && !next.is_another_try {
            match (&next.span, &next.place) {
                (Some((prefix, from)), Some(place)) => {
                    let is_settled = place.time < now.saturating_sub(SETTLED);
                    if is_settled || !of.source.is_fixed() {
                        state.done.add(prefix, from, &next.key);
                    }
                }
                (_, None) => state.done.reach(&next.key),
                (None, Some(_)) => {}
            }
        }
        match (fault, &mut state.denied) {
            (None, denied) => *denied = None,
            (Some(Fault::Object(ObjectsError::Denied(_))), Some(denied)) => {
                *denied += 1;
                return *denied == DENIED;
            }
            _ => {}
        }
        false
    }

    /// A part was gone through.
    pub(super) fn end(&mut self, part: usize) {
        let (Some(state), Some(of)) = (self.states.get_mut(part), self.parts.get(part)) else {
            return;
        };
        if !state.is_broken && !state.is_blocked {
            state.done.end(of.source.is_fixed());
            state.is_noted = false;
        }
    }

    /// Whether it is time for a note.
    pub(super) fn are_due(&self) -> bool {
        self.noted.elapsed() >= NOTE
    }

    /// Notes of each part what is loaded, if that is not noted.
    ///
    /// # Errors
    /// If the archive does not take it.
    pub(super) async fn note(&mut self, target: &dyn Target) -> Result<(), TargetError> {
        for (state, part) in self.states.iter_mut().zip(self.parts.iter()) {
            if state.is_noted {
                continue;
            }
            let name = name_of(&part.name);
            let noted = load(target, &name).await?;
            match noted.as_deref().map(Done::read) {
                // another backfill of the same may be under way; what lies in a directory
                // is not loaded for good
                Some(Ok(other)) if part.source.is_fixed() => state.done.merge(&other),
                // this trailgate has no right to write over it
                Some(Err(Unusable::Newer(_))) => continue,
                None if state.done == Done::default() => {
                    state.is_noted = true;
                    continue;
                }
                _ => {}
            }
            save(target, &name, &state.done, part).await?;
            state.is_noted = true;
        }
        self.noted = Instant::now();
        Ok(())
    }
}

async fn save(
    target: &dyn Target,
    name: &str,
    done: &Done,
    part: &Part,
) -> Result<(), TargetError> {
    let bytes = done.write(&part.name);
    let mut patience = Patience::default();
    loop {
        match target.save(name, bytes.clone()).await {
            Err(error) if error.may_pass && patience.wait().await => {}
            saved => return saved,
        }
    }
}
