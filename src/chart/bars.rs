//! Bars that lie, the longest first: how much of each.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    axis::{share, upright},
    frame::{
        EDGE, LINE, MAX_PARTS, Part, Parts, WIDTH, Words, counted, legend, nothing, picture, piece,
    },
    text::{cut, number, places, places_in, shown, width},
};

/// The most bars: two screens of them. Who wants more reads the rows.
pub const MAX_BARS: usize = 30;

/// Where bars begin, in units: their names stand before them.
const LEFT: u64 = 330;
/// Where the longest ends: numbers stand behind them.
const RIGHT: u64 = 820;
/// The least of a piece, in units: what is there is seen.
const LEAST: u64 = 2;
/// The height of a bar, in units.
const THICK: u64 = 14;

/// A bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// What it is of; bars of one name in one group are one.
    pub name: String,
    /// What it stands under; empty where bars are not grouped.
    pub group: String,
    /// How much, by parts; a part may come more than once.
    pub pieces: Vec<(Part, u64)>,
    /// What is said instead of an amount, where there is none.
    pub note: &'static str,
}

impl Bar {
    fn amount(&self) -> u64 {
        let amounts = self.pieces.iter().map(|(_, amount)| *amount);
        amounts.fold(0, u64::saturating_add)
    }
}

/// Bars, in whatever order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bars {
    /// What the picture is.
    pub title: String,
    /// What a bar is of: `("key", "keys")`.
    pub of: Words,
    /// What is counted: `("call", "calls")`.
    pub counts: Words,
    /// All of them.
    pub bars: Vec<Bar>,
}

impl Bars {
    /// The picture: the longest bars, those of one group together, the group that has
    /// most first. The others are counted below.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let bars = self.joined();
        let mut all: Vec<(u64, &Bar)> = bars.iter().map(|bar| (bar.amount(), bar)).collect();
        all.sort_by(|(a, one), (b, other)| {
            // those without an amount are said, not measured
            let of = |bar: &Bar| (bar.note.is_empty(), bar.name.clone(), bar.group.clone());
            b.cmp(a).then_with(|| of(one).cmp(&of(other)))
        });
        let rest = all.split_off(all.len().min(MAX_BARS));
        let Some((most, longest)) = all.first().copied() else {
            return nothing(&self.title);
        };
        let mut by_group: BTreeMap<&str, u64> = BTreeMap::new();
        for (amount, bar) in &all {
            let sum = by_group.entry(&bar.group).or_default();
            *sum = sum.saturating_add(*amount);
        }
        let of_group = |bar: &Bar| by_group.get(bar.group.as_str()).copied().unwrap_or(0);
        // a sort that is stable: within a group the longest stays first
        all.sort_by(|(_, a), (_, b)| {
            of_group(b)
                .cmp(&of_group(a))
                .then_with(|| a.group.cmp(&b.group))
        });

        let pieces = bars.iter().flat_map(|bar| &bar.pieces);
        let parts = Parts::of(pieces.map(|(part, amount)| (part, *amount)));
        let (key, below) = legend(&parts.legend(), EDGE);
        let top = EDGE + below + LINE;
        let (lines, bottom) = lay(&all, top);
        let sum = rest
            .iter()
            .fold(0, |sum: u64, (amount, _)| sum.saturating_add(*amount));
        let others = (!rest.is_empty()).then(|| {
            let count = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            format!(
                "{} more, not drawn: {} together",
                counted(count, self.of),
                counted(sum, self.counts)
            )
        });
        let height = bottom + EDGE + if others.is_some() { LINE } else { 0 };
        let marks = html! {
            (key)
            (upright(most, (LEFT, units()), (top, bottom)))
            @for line in &lines {
                @match line {
                    Line::Group(y, name) => text class="group" x=(EDGE) y=(y + 14) { (cut(name, places_in(LEFT - 2 * EDGE))) },
                    Line::Bar(y, amount, bar) => (self.bar(*y, (*amount, most), bar, &parts)),
                }
            }
            @if let Some(others) = &others {
                text class="others" x=(EDGE) y=(bottom + 14) { (others) }
            }
        };
        let count = u64::try_from(bars.len()).unwrap_or(u64::MAX);
        let mut about = format!(
            "{}; the longest bar is that of {}, {}.",
            counted(count, self.of),
            longest.name,
            said(longest, most, self.counts)
        );
        if let Some(others) = &others {
            about = format!("{about} {others}.");
        }
        picture(&self.title, &about, height, &marks)
    }

    /// Bars of one name in one group as one.
    fn joined(&self) -> Vec<Bar> {
        let mut all: BTreeMap<(&str, &str, &str), Bar> = BTreeMap::new();
        for bar in &self.bars {
            let same = (bar.group.as_str(), bar.name.as_str(), bar.note);
            let joined = all.entry(same).or_insert_with(|| Bar {
                pieces: Vec::new(),
                ..bar.clone()
            });
            joined.pieces.extend(bar.pieces.iter().cloned());
        }
        all.into_values().collect()
    }

    fn bar(&self, y: u64, (amount, most): (u64, u64), bar: &Bar, parts: &Parts<'_>) -> Markup {
        let mut by_part: BTreeMap<usize, u64> = BTreeMap::new();
        for (part, amount) in &bar.pieces {
            let sum = by_part.entry(parts.place(part)).or_default();
            *sum = sum.saturating_add(*amount);
        }
        let mut x = LEFT;
        let pieces = by_part.into_iter().filter(|(_, amount)| *amount > 0);
        let pieces: Vec<_> = pieces
            .map(|(place, amount)| {
                let at = x;
                let wide = share(amount, most, units()).max(LEAST);
                x += wide;
                (at, wide, amount, parts.at(place))
            })
            .collect();
        let number = match bar.note {
            "" => number(amount),
            note => note.to_owned(),
        };
        html! {
            g {
                title { (shown(&bar.name)) ": " (said(bar, amount, self.counts)) }
                text x=(LEFT - EDGE) y=(y + 14) text-anchor="end" { (cut(&bar.name, places_in(LEFT - 2 * EDGE))) }
                @for (at, wide, amount, (class, is_marked, name)) in pieces {
                    g {
                        @if !name.is_empty() { title { (shown(&bar.name)) ", " (shown(&name)) ": " (counted(amount, self.counts)) } }
                        (piece(&class, is_marked, (at, y + (LINE - THICK) / 2), (wide, THICK)))
                    }
                }
                @let number = cut(&number, places_in(WIDTH - EDGE - x - EDGE));
                text class="amount" x=((x + 6).min(WIDTH - EDGE - width(places(&number)))) y=(y + 14) { (number) }
            }
        }
    }
}

/// Units that the longest bar may have beside the least of each of its pieces.
fn units() -> u64 {
    let pieces = u64::try_from(MAX_PARTS + 2).unwrap_or(0);
    RIGHT - LEFT - LEAST * pieces
}

fn said(bar: &Bar, amount: u64, of: Words) -> String {
    match bar.note {
        "" => counted(amount, of),
        note => note.to_owned(),
    }
}

/// A line of the picture, and where it is.
enum Line<'a> {
    Group(u64, &'a str),
    Bar(u64, u64, &'a Bar),
}

/// The lines from `top` on, and where they end.
fn lay<'a>(bars: &[(u64, &'a Bar)], top: u64) -> (Vec<Line<'a>>, u64) {
    let (mut lines, mut y, mut group) = (Vec::new(), top, "");
    for (amount, bar) in bars {
        if bar.group != group {
            group = &bar.group;
            lines.push(Line::Group(y, group));
            y += LINE;
        }
        lines.push(Line::Bar(y, *amount, bar));
        y += LINE;
    }
    (lines, y)
}
