//! The rows of several files in one order: that of events, or its reverse.

use std::{
    cmp::{Ordering, Reverse},
    collections::VecDeque,
    ops::Range,
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::{
    columns::MICROS,
    error::Error,
    rows::{self, Rows},
    snapshot::File,
    source::Source,
    store::Store,
};
use crate::event::{Event, TimeRange};

/// The most rows of a file that are held: a few megabytes.
const MOST_ROWS: usize = 1024;
/// The fewest, however many files are held.
const FEWEST_ROWS: usize = 8;

/// What is merged, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Which columns are read; `None`: all. Those that the order needs are among them.
    pub(super) columns: Option<&'static [&'static str]>,
    /// Rows of which stretch of time.
    pub(super) range: TimeRange,
    pub(super) newest_first: bool,
    /// Bytes that may be held.
    pub(super) memory: usize,
}

/// Rows of a file, with what they are ordered by.
pub(super) struct Slice {
    pub(super) batch: RecordBatch,
    pub(super) file: Arc<File>,
    times: TimestampMicrosecondArray,
    ids: StringArray,
    accounts: StringArray,
    regions: StringArray,
    records: StringArray,
}

/// A row, and the rows among which it stands.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) slice: Arc<Slice>,
    pub(super) at: usize,
}

impl Row {
    /// Its time in microseconds.
    fn time(&self) -> i64 {
        self.slice.times.value(self.at)
    }

    /// Bytes of its record, that is of half of it.
    pub(super) fn bytes(&self) -> usize {
        let length = self.slice.records.value_length(self.at);
        usize::try_from(length).unwrap_or(0)
    }

    /// Its event.
    pub(super) fn event(&self) -> Result<Event, Error> {
        let file = &self.slice.file;
        let rows = Rows::of(&self.slice.batch, &file.partition.scope);
        let event = rows.and_then(|rows| rows.event(self.at));
        event.map_err(|what| Error::columns(&file.path, &what))
    }

    /// What events of a second are ordered by, if the columns say it.
    fn place(&self) -> Option<(&str, &str, &str)> {
        let columns = [&self.slice.accounts, &self.slice.regions, &self.slice.ids];
        let [account, region, id] = columns.map(|column| {
            let text = column.is_valid(self.at).then(|| column.value(self.at))?;
            // what is no text in the record stands there as JSON
            (!text.starts_with(['[', '{'])).then_some(text)
        });
        Some((account?, region?, id?))
    }

    /// Compares as events are.
    fn compare(&self, other: &Self) -> Result<Ordering, Error> {
        let by_time = self.time().cmp(&other.time());
        if by_time.is_ne() {
            return Ok(by_time);
        }
        if let (Some(one), Some(other)) = (self.place(), other.place())
            && one != other
        {
            return Ok(one.cmp(&other));
        }
        Ok(self.event()?.cmp_position(&other.event()?))
    }
}

/// A file that is being read.
struct Cursor {
    source: Source,
    /// What is still to be read: row groups and rows of them.
    slices: VecDeque<(usize, Range<usize>)>,
    row: Row,
    /// The row after the last in the slice; of the reverse order the slice's first.
    end: usize,
}

/// See the module.
pub(super) struct Merge {
    store: Store,
    how: How,
    /// Files that are not read yet, in the order of their first rows.
    waiting: VecDeque<Arc<File>>,
    /// The one whose row is next comes last.
    open: Vec<Cursor>,
    /// Bytes that a file may take.
    share: usize,
}

impl Merge {
    /// The rows of these files.
    pub(super) fn new(store: &Store, mut files: Vec<Arc<File>>, how: How) -> Self {
        files.retain(|file| file.overlaps(how.range));
        if how.newest_first {
            files.sort_by_key(|file| Reverse(file.times.map_or(i64::MAX, |times| times.to)));
        } else {
            files.sort_by_key(|file| file.times.map_or(i64::MIN, |times| times.from));
        }
        let share = how.memory / most_at_once(&files).max(1);
        Self {
            store: store.clone(),
            how,
            waiting: files.into(),
            open: Vec::new(),
            share,
        }
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, Error> {
        while self.is_due() {
            if let Some(file) = self.waiting.pop_front() {
                self.begin(&file).await?;
            }
        }
        let Some(mut cursor) = self.open.pop() else {
            return Ok(None);
        };
        let row = cursor.row.clone();
        let step = if self.how.newest_first {
            (row.at > cursor.end).then(|| row.at - 1)
        } else {
            (row.at + 1 < cursor.end).then_some(row.at + 1)
        };
        match step {
            Some(at) => {
                cursor.row.at = at;
                self.put(cursor)?;
            }
            None => {
                let last = cursor.row.time();
                if let Some((row, end)) = self
                    .load(&cursor.source, &mut cursor.slices, Some(last))
                    .await?
                {
                    cursor.row = row;
                    cursor.end = end;
                    self.put(cursor)?;
                }
            }
        }
        Ok(Some(row))
    }

    /// Whether the next row may be one of a file that is not read yet.
    fn is_due(&self) -> bool {
        let Some(times) = self.waiting.front().map(|file| file.times) else {
            return false;
        };
        let (Some(next), Some(times)) = (self.open.last(), times) else {
            return true;
        };
        let time = next.row.time().div_euclid(MICROS);
        if self.how.newest_first {
            times.to > time
        } else {
            times.from <= time
        }
    }

    async fn begin(&mut self, file: &Arc<File>) -> Result<(), Error> {
        let whole = u64::try_from(self.share / 4).unwrap_or(u64::MAX);
        let source = Source::open(&self.store, file, whole).await?;
        let most = (self.share / source.row_bytes()).clamp(FEWEST_ROWS, MOST_ROWS);
        let mut slices = VecDeque::new();
        for group in 0..source.groups().len() {
            let Range { mut start, end } = source.rows_of(group, self.how.range);
            while start < end {
                let next = (start + most).min(end);
                slices.push_back((group, start..next));
                start = next;
            }
        }
        if let Some((row, end)) = self.load(&source, &mut slices, None).await? {
            self.put(Cursor {
                source,
                slices,
                row,
                end,
            })?;
        }
        Ok(())
    }

    /// Reads the next rows of a file that are of the stretch of time; the last one before
    /// had the time `last`.
    async fn load(
        &self,
        source: &Source,
        slices: &mut VecDeque<(usize, Range<usize>)>,
        mut last: Option<i64>,
    ) -> Result<Option<(Row, usize)>, Error> {
        let file = source.file();
        let mask = source.mask(self.how.columns);
        loop {
            let next = match self.how.newest_first {
                true => slices.pop_back(),
                false => slices.pop_front(),
            };
            let Some((group, rows)) = next else {
                return Ok(None);
            };
            let batch = source.rows(group, rows, &mask).await?;
            let slice = Slice::of(batch, file).map_err(|what| Error::columns(&file.path, &what))?;
            let times = slice.times.values();
            let first_and_last = match self.how.newest_first {
                true => (times.last(), times.first()),
                false => (times.first(), times.last()),
            };
            let (Some(first), Some(end)) = first_and_last else {
                continue;
            };
            let is_on = last.is_none_or(|last| match self.how.newest_first {
                true => *first <= last,
                false => last <= *first,
            });
            if !times.is_sorted() || !is_on {
                let what = "its rows are not in the order of their times: another program \
                            wrote it, or wrote it anew";
                return Err(Error::columns(&file.path, &what));
            }
            last = Some(*end);
            let micros = |second: i64| second.saturating_mul(MICROS);
            let from = times.partition_point(|time| *time < micros(self.how.range.from));
            let to = times.partition_point(|time| *time < micros(self.how.range.to));
            if from >= to {
                continue;
            }
            let (at, end) = match self.how.newest_first {
                true => (to - 1, from),
                false => (from, to),
            };
            let slice = Arc::new(slice);
            return Ok(Some((Row { slice, at }, end)));
        }
    }

    /// Puts a file where its next row belongs.
    fn put(&mut self, cursor: Cursor) -> Result<(), Error> {
        // mostly the file goes on being the next
        let (mut from, mut to) = (0, self.open.len());
        let mut middle = to.saturating_sub(1);
        while from < to {
            let Some(there) = self.open.get(middle) else {
                break;
            };
            let mut order = there.row.compare(&cursor.row)?;
            if self.how.newest_first {
                order = order.reverse();
            }
            if order.is_gt() {
                from = middle + 1;
            } else {
                to = middle;
            }
            middle = from.midpoint(to);
        }
        self.open.insert(from, cursor);
        Ok(())
    }
}

/// The most of these files whose times overlap.
fn most_at_once(files: &[Arc<File>]) -> usize {
    let mut steps = Vec::with_capacity(2 * files.len());
    for file in files {
        let times = file.times.unwrap_or(TimeRange::new(i64::MIN, i64::MAX));
        // at one second, who ends goes first
        steps.extend([(times.from, 1_i8), (times.to, -1)]);
    }
    steps.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, step) in steps {
        now = match step {
            1 => now + 1,
            _ => now.saturating_sub(1),
        };
        most = most.max(now);
    }
    most
}

impl Slice {
    fn of(batch: RecordBatch, file: &Arc<File>) -> Result<Self, String> {
        Ok(Self {
            times: rows::times(&batch)?.clone(),
            ids: rows::strings(&batch, "eventID")?.clone(),
            accounts: rows::strings(&batch, "recipientAccountId")?.clone(),
            regions: rows::strings(&batch, "awsRegion")?.clone(),
            records: rows::strings(&batch, "record")?.clone(),
            file: file.clone(),
            batch,
        })
    }
}
