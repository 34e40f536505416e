//! Counts over time, drawn with characters.

use super::view::shown;

/// Eighths of a block, from one to eight.
const BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// The longest run of empty buckets that is drawn bucket by bucket: a gap in a
/// working day still looks like one.
const SHOWN_EMPTY: i64 = 3;
/// Between columns.
const GAP: &str = "  ";
/// The shortest bar that the highest bucket gets, in characters, however
/// narrow the terminal.
const MIN_BAR: usize = 8;
const DAY: i64 = 86_400;

/// Events in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// The second since the Unix epoch that it starts at.
    pub(super) start: i64,
    pub(super) count: i64,
    /// Whether there may be more.
    pub(super) is_partial: bool,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing {
    /// The longest line, in characters.
    pub(super) width: usize,
    /// No characters but ASCII.
    pub(super) ascii: bool,
}

/// A line of the histogram.
#[derive(Debug, PartialEq, Eq)]
enum Row {
    Bucket(Bucket),
    /// So many empty buckets, all of them partial or none.
    Empty(i64, bool),
}

/// The buckets, oldest first, a line each; long runs of empty ones in a line.
/// `span`: a bucket's width in seconds; what is not there between two buckets
/// is empty. 0: not known, and then nothing is.
pub(super) fn lines(buckets: &[Bucket], span: i64, drawing: Drawing) -> Vec<String> {
    let rows = rows(buckets, span);
    let label = label(buckets);
    let labels: Vec<String> = rows.iter().map(|row| text(row, &label)).collect();
    let mut counts: Vec<String> = rows.iter().map(count).collect();
    // room for the sign of a partial one only where there is one
    if !buckets.iter().any(|bucket| bucket.is_partial) {
        for count in &mut counts {
            count.truncate(count.trim_end().len());
        }
    }
    let longest = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max();
    let label_width = longest(&labels).unwrap_or_default();
    let count_width = longest(&counts).unwrap_or_default();
    let used = label_width + count_width + 2 * GAP.len();
    let room = drawing.width.saturating_sub(used).max(MIN_BAR);
    let highest = buckets.iter().map(|bucket| bucket.count).max();
    let scale = Scale {
        highest: highest.unwrap_or_default().max(1),
        room,
        ascii: drawing.ascii,
    };
    let line = |((row, label), count): ((&Row, &String), &String)| {
        let bar = match row {
            Row::Bucket(bucket) => scale.bar(bucket.count),
            Row::Empty(..) => String::new(),
        };
        let line = format!("{label:<label_width$}{GAP}{count:>count_width$}{GAP}{bar}");
        line.trim_end().to_owned()
    };
    rows.iter().zip(&labels).zip(&counts).map(line).collect()
}

fn rows(buckets: &[Bucket], span: i64) -> Vec<Row> {
    let mut buckets = buckets.to_vec();
    buckets.sort_unstable_by_key(|bucket| bucket.start);
    let mut rows = Vec::new();
    // where the run of empty buckets starts that is not written yet
    let mut empty: Option<Run> = None;
    let mut before: Option<Bucket> = None;
    for bucket in buckets {
        let missing = before.map_or(0, |before| {
            let apart = bucket.start.saturating_sub(before.start);
            apart
                .checked_div(span)
                .map_or(0, |spans| (spans - 1).max(0))
        });
        if missing > 0
            && let Some(before) = before
        {
            let start = before.start.saturating_add(span);
            grow(&mut rows, &mut empty, span, Run::new(start, missing, false));
        }
        if bucket.count == 0 {
            let one = Run::new(bucket.start, 1, bucket.is_partial);
            grow(&mut rows, &mut empty, span, one);
        } else {
            flush(&mut rows, empty.take(), span);
            rows.push(Row::Bucket(bucket));
        }
        before = Some(bucket);
    }
    flush(&mut rows, empty, span);
    rows
}

/// Empty buckets, one behind the other.
#[derive(Clone, Copy)]
struct Run {
    start: i64,
    count: i64,
    is_partial: bool,
}

impl Run {
    fn new(start: i64, count: i64, is_partial: bool) -> Self {
        Self {
            start,
            count,
            is_partial,
        }
    }
}

/// Joins a run with the one before if they are of a kind, else writes that.
fn grow(rows: &mut Vec<Row>, empty: &mut Option<Run>, span: i64, next: Run) {
    match empty {
        Some(run) if run.is_partial == next.is_partial => {
            run.count = run.count.saturating_add(next.count);
        }
        _ => flush(rows, empty.replace(next), span),
    }
}

fn flush(rows: &mut Vec<Row>, empty: Option<Run>, span: i64) {
    let Some(run) = empty else {
        return;
    };
    if run.count > SHOWN_EMPTY || span == 0 {
        rows.push(Row::Empty(run.count, run.is_partial));
        return;
    }
    rows.extend((0..run.count).map(|place| {
        Row::Bucket(Bucket {
            start: run.start.saturating_add(place.saturating_mul(span)),
            count: 0,
            is_partial: run.is_partial,
        })
    }));
}

/// What a bucket's start needs to be told as.
#[derive(Clone, Copy)]
enum Label {
    Day,
    Minute,
    Second,
}

fn label(buckets: &[Bucket]) -> Label {
    let all = |unit| buckets.iter().all(|bucket| bucket.start % unit == 0);
    match (all(DAY), all(60)) {
        (true, _) => Label::Day,
        (false, true) => Label::Minute,
        (false, false) => Label::Second,
    }
}

fn text(row: &Row, label: &Label) -> String {
    let bucket = match row {
        Row::Empty(run, false) => return format!("({run} empty)"),
        Row::Empty(run, true) => return format!("({run} empty, not all searched)"),
        Row::Bucket(bucket) => bucket,
    };
    let time = shown(bucket.start).replace('T', " ");
    let tail = match label {
        Label::Day => " 00:00:00Z",
        Label::Minute => ":00Z",
        Label::Second => "Z",
    };
    time.strip_suffix(tail).unwrap_or(&time).to_owned()
}

fn count(row: &Row) -> String {
    match row {
        Row::Bucket(bucket) if bucket.is_partial => format!("{}+", bucket.count),
        Row::Bucket(bucket) => format!("{} ", bucket.count),
        Row::Empty(..) => String::new(),
    }
}

struct Scale {
    highest: i64,
    /// Characters for the highest.
    room: usize,
    ascii: bool,
}

impl Scale {
    /// A bar; none for nothing, and the least there is for the least.
    fn bar(&self, count: i64) -> String {
        let parts = match self.ascii {
            true => 1,
            false => BLOCKS.len(),
        };
        let of = |number: i64| usize::try_from(number).unwrap_or_default();
        if count <= 0 {
            return String::new();
        }
        let whole = self.room.saturating_mul(parts);
        let drawn = of(count).saturating_mul(whole) / of(self.highest).max(1);
        let drawn = drawn.clamp(1, whole);
        let full = match self.ascii {
            true => "#",
            false => "█",
        };
        let rest = (drawn % parts).checked_sub(1).and_then(|at| BLOCKS.get(at));
        let mut bar = full.repeat(drawn / parts);
        bar.extend(rest);
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const START: i64 = 1_714_953_600;

    fn at(hours: i64, count: i64) -> Bucket {
        Bucket {
            start: START + hours * HOUR,
            count,
            is_partial: false,
        }
    }

    #[test]
    fn bars_are_in_proportion_and_long_runs_of_nothing_are_folded() {
        let buckets = [at(0, 80), at(1, 1), at(3, 45), at(4, 0), at(10, 40)];
        let drawing = Drawing {
            width: 34,
            ascii: false,
        };
        assert_eq!(
            lines(&buckets, HOUR, drawing),
            [
                "2024-05-06 00:00  80  ████████████",
                "2024-05-06 01:00   1  ▏",
                "2024-05-06 02:00   0",
                "2024-05-06 03:00  45  ██████▊",
                "(6 empty)",
                "2024-05-06 10:00  40  ██████",
            ]
        );
        let ascii = Drawing {
            width: 30,
            ascii: true,
        };
        assert_eq!(
            lines(&buckets[..2], HOUR, ascii),
            ["2024-05-06 00:00  80  ########", "2024-05-06 01:00   1  #"]
        );
        assert!(lines(&buckets, HOUR, ascii).concat().is_ascii());
    }

    #[test]
    fn a_bucket_with_more_to_come_says_so() {
        let drawing = Drawing {
            width: 40,
            ascii: true,
        };
        let open = |hours, count| Bucket {
            is_partial: true,
            ..at(hours, count)
        };
        assert_eq!(
            lines(&[open(0, 0), at(1, 10), open(2, 5)], HOUR, drawing),
            [
                "2024-05-06 00:00   0+",
                "2024-05-06 01:00  10   #################",
                "2024-05-06 02:00   5+  ########",
            ]
        );
    }

    #[test]
    fn days_are_told_as_days_and_order_does_not_matter() {
        let drawing = Drawing {
            width: 20,
            ascii: true,
        };
        assert_eq!(
            lines(&[at(24, 2), at(0, 1)], DAY, drawing),
            ["2024-05-06  1  ####", "2024-05-07  2  ########"]
        );
        let odd = Bucket {
            start: START + 7,
            count: 1,
            is_partial: false,
        };
        assert!(lines(&[odd], 10, drawing)[0].starts_with("2024-05-06 00:00:07  1"));
        assert!(lines(&[], DAY, drawing).is_empty());
        // of buckets without a known width nothing is made up
        assert_eq!(lines(&[at(0, 1), at(9, 1)], 0, drawing).len(), 2);
        assert_eq!(rows(&[at(0, 0), at(1, 0)], HOUR).len(), 2);
        assert_eq!(
            rows(&[at(0, 1), at(i64::MAX / HOUR - START, 1)], 1).len(),
            3
        );
    }
}
