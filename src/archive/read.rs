//! Reading events back, in order.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};
use jiff::civil::Date;

use super::{
    Archive, Inner,
    error::{Error, Kind},
    merge::{How, Merge},
    rows::NEEDED,
    snapshot::{File, Snapshot},
};
use crate::event::{Event, Scope, TimeRange};

/// Events that are told at once,
const EVENTS: usize = 512;
/// and bytes of their records.
const BYTES: usize = 1024 * 1024;

impl Archive {
    /// The events of a scope of a stretch of time, as of the newest version that is known,
    /// in the order of [`Event::cmp_position`] or its reverse, some at a time. Ends after
    /// an error. A file that was vacuumed meanwhile has the rest be read of the newest
    /// version there is.
    pub fn read(
        &self,
        scope: &Scope,
        range: TimeRange,
        newest_first: bool,
    ) -> impl Stream<Item = Result<Vec<Event>, Error>> + Send + use<> {
        let mut reading = Reading {
            archive: self.0.clone(),
            scope: scope.clone(),
            range,
            newest_first,
            days: VecDeque::new(),
            day: None,
            last: None,
            may_look_again: true,
        };
        reading.begin(&self.snapshot(), None);
        stream::try_unfold(reading, async |mut reading| {
            let events = reading.next().await?;
            Ok((!events.is_empty()).then_some((events, reading)))
        })
    }
}

/// A scope that is being read.
struct Reading {
    archive: Arc<Inner>,
    scope: Scope,
    range: TimeRange,
    newest_first: bool,
    /// Days to come, with their files.
    days: VecDeque<(Date, Vec<Arc<File>>)>,
    /// The day that is being read.
    day: Option<(Date, Merge)>,
    /// The event that was told last.
    last: Option<Event>,
    /// Whether a file that is gone has the newest version be looked for: once for each time
    /// that it helped.
    may_look_again: bool,
}

impl Reading {
    /// Has the days of a version be read, from a day on.
    fn begin(&mut self, snapshot: &Snapshot, from: Option<Date>) {
        let found = snapshot.find(&self.scope, self.range);
        let is_to_come = |(date, _): &(Date, _)| match (from, self.newest_first) {
            (None, _) => true,
            (Some(from), true) => *date <= from,
            (Some(from), false) => *date >= from,
        };
        self.days = match self.newest_first {
            true => found.rev().filter(is_to_come).collect(),
            false => found.filter(is_to_come).collect(),
        };
        self.day = None;
    }

    /// The next events; none: that was all.
    async fn next(&mut self) -> Result<Vec<Event>, Error> {
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        while events.len() < EVENTS && bytes < BYTES {
            match self.one().await {
                Ok(Some(event)) => {
                    bytes += event.record().len();
                    events.push(event);
                }
                Ok(None) => break,
                Err(error) => {
                    if let Some(last) = events.pop() {
                        self.last = Some(last.clone());
                        events.push(last);
                    }
                    self.look_again(error).await?;
                }
            }
        }
        if let Some(last) = events.last() {
            self.last = Some(last.clone());
            self.may_look_again = true;
        }
        Ok(events)
    }

    async fn one(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let Some((_, merge)) = &mut self.day else {
                let Some((date, files)) = self.days.pop_front() else {
                    return Ok(None);
                };
                let how = How {
                    columns: Some(&NEEDED),
                    range: self.range,
                    newest_first: self.newest_first,
                    memory: self.archive.options.memory(4),
                };
                self.day = Some((date, Merge::new(&self.archive.store, files, how)));
                continue;
            };
            let Some(row) = merge.next().await? else {
                self.day = None;
                continue;
            };
            let event = row.event()?;
            if !self.was_told(&event) {
                return Ok(Some(event));
            }
        }
    }

    /// Whether an event comes before what was told, or is that.
    fn was_told(&self, event: &Event) -> bool {
        let Some(last) = &self.last else {
            return false;
        };
        let order = event.cmp_position(last);
        match self.newest_first {
            true => order.is_ge(),
            false => order.is_le(),
        }
    }

    /// Goes on with the newest version where a file is gone.
    async fn look_again(&mut self, error: Error) -> Result<(), Error> {
        if error.kind() != Some(Kind::NotFound) || !self.may_look_again {
            return Err(error);
        }
        self.may_look_again = false;
        let snapshot = {
            let mut table = self.archive.table.lock().await;
            self.archive.follow(&mut table).await?;
            table.snapshot.clone()
        };
        let day = self.day.as_ref().map(|(date, _)| *date);
        self.begin(&snapshot, day);
        Ok(())
    }
}
