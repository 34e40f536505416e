//! What pictures have in common: their frame, what they say of themselves, what their
//! colours mean, and the classes that a style sheet colours them by.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::text::{cut, number, places, shown, width};

/// The width of a picture, in units.
pub(super) const WIDTH: u64 = 960;
/// The height of a line, in units.
pub(super) const LINE: u64 = 20;
/// What is left free at the edges, in units.
pub(super) const EDGE: u64 = 8;

/// Parts that have a colour: as many as can be told apart at a glance. All others share
/// one.
pub const MAX_PARTS: usize = 6;
/// The places of a part's name among what colours mean.
const NAME: u64 = 40;
/// The pattern of what is marked.
const HATCH: &str = "chart-hatch";

/// A thing in words: `("call", "calls")`.
pub type Words = (&'static str, &'static str);

/// So many of them.
pub(super) fn counted(amount: u64, (one, many): Words) -> String {
    format!(
        "{} {}",
        number(amount),
        if amount == 1 { one } else { many }
    )
}

/// What something is part of, and whether it is marked beside its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Hatched: it has to be told apart without colours as well.
    pub is_marked: bool,
}

/// Parts, and which colour each has.
pub(super) struct Parts<'a> {
    /// The largest, in order; their places are their colours.
    told: Vec<(&'a Part, u64)>,
    /// How many others there are, marked ones apart, and how much they have.
    others: [(usize, u64); 2],
}

impl<'a> Parts<'a> {
    pub(super) fn of(amounts: impl Iterator<Item = (&'a Part, u64)>) -> Self {
        let mut all: BTreeMap<&Part, u64> = BTreeMap::new();
        for (part, amount) in amounts {
            let sum = all.entry(part).or_default();
            *sum = sum.saturating_add(amount);
        }
        let mut told: Vec<_> = all.into_iter().collect();
        told.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        let rest = told.split_off(told.len().min(MAX_PARTS));
        let others = [false, true].map(|is_marked| {
            let these = rest.iter().filter(|(part, _)| part.is_marked == is_marked);
            these.fold((0, 0_u64), |(count, sum), (_, amount)| {
                (count + 1, sum.saturating_add(*amount))
            })
        });
        Self { told, others }
    }

    /// The place of a part's colour; those behind the told ones are the others'.
    pub(super) fn place(&self, part: &Part) -> usize {
        let told = self.told.iter().position(|(one, _)| *one == part);
        told.unwrap_or(self.told.len() + usize::from(part.is_marked))
    }

    /// The class of a place, whether it is marked, and its name.
    pub(super) fn at(&self, place: usize) -> (String, bool, String) {
        match self.told.get(place) {
            Some((part, _)) => (format!("part p{place}"), part.is_marked, part.name.clone()),
            None => {
                let is_marked = place > self.told.len();
                let [plain, marked] = self.others;
                let (count, _) = if is_marked { marked } else { plain };
                let count = number(u64::try_from(count).unwrap_or(u64::MAX));
                ("part rest".to_owned(), is_marked, format!("{count} others"))
            }
        }
    }

    /// What colours mean; nothing where there is one alone.
    pub(super) fn legend(&self) -> Vec<(String, bool, String)> {
        let [plain, marked] = self.others;
        let mut places: Vec<usize> = (0..self.told.len()).collect();
        places.extend((plain.0 > 0).then_some(self.told.len()));
        places.extend((marked.0 > 0).then_some(self.told.len() + 1));
        let is_one = places.len() == 1 && self.told.iter().all(|(part, _)| !part.is_marked);
        if is_one {
            return Vec::new();
        }
        places.into_iter().map(|place| self.at(place)).collect()
    }
}

/// Lines of what colours mean, from `y` on, and how high they are.
pub(super) fn legend(parts: &[(String, bool, String)], y: u64) -> (Markup, u64) {
    let mut at = (EDGE, y);
    let placed: Vec<_> = parts
        .iter()
        .map(|(class, is_marked, name)| {
            let name = cut(name, NAME);
            let takes = 20 + width(places(&name)) + 16;
            if at.0 > EDGE && at.0 + takes > WIDTH - EDGE {
                at = (EDGE, at.1 + LINE);
            }
            let (x, y) = at;
            at.0 += takes;
            (x, y, class, *is_marked, name)
        })
        .collect();
    let height = if parts.is_empty() { 0 } else { at.1 - y + LINE };
    let markup = html! {
        @for (x, y, class, is_marked, name) in placed {
            rect class=(class) x=(x) y=(y + 4) width="12" height="12" {}
            @if is_marked { rect fill=(format!("url(#{HATCH})")) x=(x) y=(y + 4) width="12" height="12" {} }
            text x=(x + 18) y=(y + 14) { (name) }
        }
    };
    (markup, height)
}

/// A bar's piece, hatched if it is marked.
pub(super) fn piece(
    class: &str,
    is_marked: bool,
    (x, y): (u64, u64),
    (width, height): (u64, u64),
) -> Markup {
    html! {
        rect class=(class) x=(x) y=(y) width=(width) height=(height) {}
        @if is_marked { rect fill=(format!("url(#{HATCH})")) x=(x) y=(y) width=(width) height=(height) {} }
    }
}

/// A picture: what it is, what it shows in a sentence or two, and its marks.
pub(super) fn picture(title: &str, about: &str, height: u64, marks: &Markup) -> Markup {
    html! {
        svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
            width=(WIDTH) height=(height) role="img" aria-labelledby="chart-title chart-desc" {
            title id="chart-title" { (shown(title)) }
            desc id="chart-desc" { (shown(about)) }
            defs {
                pattern id=(HATCH) width="6" height="6" patternUnits="userSpaceOnUse" {
                    path class="hatch" d="M0 6 L6 0" {}
                }
            }
            (marks)
        }
    }
}

/// A picture of nothing.
pub(super) fn nothing(title: &str) -> Markup {
    let marks = html! {
        text x=(WIDTH / 2) y="36" text-anchor="middle" { "nothing to show" }
    };
    picture(title, "Nothing to show.", 60, &marks)
}
