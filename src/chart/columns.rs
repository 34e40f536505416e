//! Bars that stand, one for each day, or for so many days: how much when.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    axis::{DAY, Time, rounds, share, told},
    frame::{EDGE, LINE, Part, Parts, WIDTH, Words, counted, legend, nothing, picture, piece},
    text::{number, short},
};

/// The most bars: each is as wide as it takes to be seen and pointed at.
pub const MAX_COLUMNS: i64 = 100;

/// Where the first begins, in units: numbers stand before it.
const LEFT: u64 = 80;
/// How high the highest is, in units.
const TALL: u64 = 200;
/// The least of a piece, in units.
const LEAST: u64 = 2;
/// What is left free above the highest, for the least of its pieces.
const ROOM: u64 = 16;

/// So much at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When, in seconds since the Unix epoch.
    pub second: i64,
    /// What it is part of.
    pub part: Part,
    /// How much.
    pub amount: u64,
}

/// Amounts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// What the picture is.
    pub title: String,
    /// What is counted: `("event", "events")`.
    pub counts: Words,
    /// The time that is shown, in seconds since the Unix epoch; more, where something
    /// was counted before or after.
    pub time: (i64, i64),
    /// All of them, in whatever order.
    pub all: Vec<Counted>,
}

impl Columns {
    /// The picture: a bar for each day (UTC), or for as many days as leave
    /// [`MAX_COLUMNS`] of them.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let seconds = self.all.iter().map(|one| one.second);
        let (Some(first), Some(last)) = (seconds.clone().min(), seconds.max()) else {
            return nothing(&self.title);
        };
        let first = first.min(self.time.0).div_euclid(DAY);
        let last = last.max(self.time.1.saturating_sub(1)).div_euclid(DAY);
        let days = last.saturating_sub(first).saturating_add(1);
        let each = days / MAX_COLUMNS + i64::from(days % MAX_COLUMNS > 0);
        let columns = days / each + i64::from(days % each > 0);

        let parts = Parts::of(self.all.iter().map(|one| (&one.part, one.amount)));
        let mut by_column: BTreeMap<i64, BTreeMap<usize, u64>> = BTreeMap::new();
        for one in &self.all {
            let column = (one.second.div_euclid(DAY) - first) / each;
            let of = by_column.entry(column).or_default();
            let sum = of.entry(parts.place(&one.part)).or_default();
            *sum = sum.saturating_add(one.amount);
        }
        let sum = |of: &BTreeMap<usize, u64>| of.values().copied().fold(0, u64::saturating_add);
        let most = by_column.values().map(sum).max().unwrap_or(0);
        let all = self
            .all
            .iter()
            .fold(0, |all: u64, one| all.saturating_add(one.amount));

        let (key, below) = legend(&parts.legend(), EDGE);
        let top = EDGE + below + LINE / 2;
        let bottom = top + TALL;
        let units = WIDTH - LEFT - EDGE;
        let x = |column: i64| LEFT + share(column.unsigned_abs(), columns.unsigned_abs(), units);
        let day = |column: i64| first.saturating_add(column.saturating_mul(each));
        let named = |column: i64| match each {
            1 => told(day(column).saturating_mul(DAY), "%Y-%m-%d"),
            _ => format!(
                "{} to {}",
                told(day(column).saturating_mul(DAY), "%Y-%m-%d"),
                told((day(column + 1) - 1).saturating_mul(DAY), "%Y-%m-%d")
            ),
        };
        let time = Time::new(first.saturating_mul(DAY), day(columns).saturating_mul(DAY));
        let marks = html! {
            (key)
            @for round in rounds(most) {
                @let y = bottom - share(round, most, TALL - ROOM);
                line class="grid" x1=(LEFT) y1=(y) x2=(WIDTH - EDGE) y2=(y) {}
                text class="tick" x=(LEFT - 6) y=(y + 4) text-anchor="end" { (short(round)) }
            }
            (time.drawn((LEFT, units), (bottom, bottom + 4), WIDTH))
            @for (column, of) in &by_column {
                @let wide = (x(column + 1) - x(*column)).saturating_sub(1).max(1);
                g {
                    title { (named(*column)) ": " (counted(sum(of), self.counts)) }
                    (column_of(of, &parts, most, (x(*column), wide), bottom))
                }
            }
        };
        let mut about = format!(
            "{} from {} to {}",
            counted(all, self.counts),
            told(time.from(), "%Y-%m-%d"),
            told(time.to().saturating_sub(1), "%Y-%m-%d")
        );
        let highest = by_column.iter().rev().max_by_key(|(_, of)| sum(of));
        if let Some((column, of)) = highest {
            about = format!("{about}; most, {}, on {}", number(sum(of)), named(*column));
        }
        if each > 1 {
            about = format!("{about}. Each bar is of {each} days");
        }
        picture(
            &self.title,
            &format!("{about}."),
            bottom + LINE + EDGE,
            &marks,
        )
    }
}

/// The pieces of a bar on each other.
fn column_of(
    of: &BTreeMap<usize, u64>,
    parts: &Parts<'_>,
    most: u64,
    (x, wide): (u64, u64),
    bottom: u64,
) -> Markup {
    let mut y = bottom;
    let pieces = of.iter().filter(|(_, amount)| **amount > 0);
    let pieces: Vec<_> = pieces
        .map(|(place, amount)| {
            // what is there is seen, however little it is
            let tall = share(*amount, most, TALL - ROOM).max(LEAST);
            y = y.saturating_sub(tall);
            (y, tall, parts.at(*place))
        })
        .collect();
    html! {
        @for (y, tall, (class, is_marked, _)) in pieces {
            (piece(&class, is_marked, (x, y), (wide, tall)))
        }
    }
}
