//! Moments on lanes: what came when, and of which kind.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    axis::{Time, share, told},
    frame::{EDGE, LINE, WIDTH, Words, counted, nothing, picture},
    text::{cut, number, places, places_in, shown, width},
};

/// The most lanes. Those that have least share one more.
pub const MAX_LANES: usize = 12;

/// Where lanes begin, in units: their names stand before them.
const LEFT: u64 = 240;
/// Where they end: how many there are stands behind them.
const RIGHT: u64 = 880;
/// The places of a lane. Each is as wide as a mark, 8 units: what is nearer cannot be
/// told apart, and shares one.
const PLACES: u64 = (RIGHT - LEFT) / 8;
/// The height of a lane, in units: two lines, for what went well and what failed.
const LANE: u64 = 30;
/// The texts that a mark tells of those that share it.
const TOLD: usize = 3;

/// What came at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in seconds since the Unix epoch.
    pub second: i64,
    /// Its lane.
    pub lane: String,
    /// It is drawn as a cross, and not as a dot.
    pub is_cross: bool,
    /// What it is.
    pub text: String,
}

/// Moments, over a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What the picture is.
    pub title: String,
    /// What is counted: `("event", "events")`.
    pub counts: Words,
    /// What dots are and what crosses are, where there are both.
    pub kinds: (&'static str, &'static str),
    /// The time that is shown, in seconds since the Unix epoch; more, where something
    /// came before or after.
    pub time: (i64, i64),
    /// Lanes that come first, in this order, whatever is on them. The others come by how
    /// much they have.
    pub first: Vec<&'static str>,
    /// All of them, in whatever order.
    pub moments: Vec<Moment>,
}

/// What shares a place.
#[derive(Default)]
struct Mark<'a> {
    count: u64,
    ends: Option<(i64, i64)>,
    texts: BTreeMap<&'a str, u64>,
}

/// A lane's marks, by place and whether they are crosses.
#[derive(Default)]
struct Lane<'a> {
    count: u64,
    marks: BTreeMap<(u64, bool), Mark<'a>>,
}

impl Timeline {
    /// The picture.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let seconds = self.moments.iter().map(|moment| moment.second);
        let (Some(first), Some(last)) = (seconds.clone().min(), seconds.max()) else {
            return nothing(&self.title);
        };
        let time = Time::new(first.min(self.time.0), last.max(self.time.1));
        let names = self.names();
        let (told_of, others) = names.split_at(names.len().min(MAX_LANES));
        let others_name = format!("{} others", others.len());
        let mut lanes: Vec<(&str, Lane<'_>)> = told_of
            .iter()
            .map(|name| (*name, Lane::default()))
            .collect();
        if !others.is_empty() {
            lanes.push((&others_name, Lane::default()));
        }
        let at: BTreeMap<&str, usize> = told_of
            .iter()
            .enumerate()
            .map(|(place, name)| (*name, place))
            .collect();
        for moment in &self.moments {
            let lane = at
                .get(moment.lane.as_str())
                .copied()
                .unwrap_or(told_of.len());
            if let Some((_, lane)) = lanes.get_mut(lane) {
                lane.add(time.at(moment.second, PLACES - 1), moment);
            }
        }

        let is_crossed = self.moments.iter().any(|moment| moment.is_cross);
        let top = EDGE + if is_crossed { LINE } else { 0 };
        let count = u64::try_from(lanes.len()).unwrap_or(0);
        let bottom = top + count * LANE;
        let rows = lanes.iter().scan(top, |next, (name, lane)| {
            let y = *next;
            *next += LANE;
            Some((y, *name, lane))
        });
        let marks = html! {
            @if is_crossed { (self.key()) }
            (time.drawn((LEFT, RIGHT - LEFT), (top, bottom), WIDTH))
            @for (y, name, lane) in rows {
                line class="lane" x1=(LEFT) y1=(y + LANE) x2=(RIGHT) y2=(y + LANE) {}
                text x=(LEFT - EDGE) y=(y + 19) text-anchor="end" {
                    title { (shown(name)) }
                    (cut(name, places_in(LEFT - 2 * EDGE)))
                }
                @for ((place, is_cross), mark) in &lane.marks { (self.mark(y, *place, *is_cross, mark)) }
                @let number = cut(&number(lane.count), places_in(WIDTH - EDGE - RIGHT - EDGE));
                text class="amount" x=(RIGHT + EDGE) y=(y + 19) { (number) }
            }
        };
        let all = u64::try_from(self.moments.len()).unwrap_or(u64::MAX);
        let failed = self.moments.iter().filter(|moment| moment.is_cross).count();
        let form = "%Y-%m-%d %H:%M:%S";
        let mut about = format!(
            "{} from {} to {} UTC",
            counted(all, self.counts),
            told(first, form),
            told(last, form)
        );
        if let Some((name, lane)) = lanes
            .iter()
            .max_by(|(a, one), (b, other)| one.count.cmp(&other.count).then_with(|| b.cmp(a)))
        {
            about = format!("{about}; most, {}, on the lane {name}", number(lane.count));
        }
        if failed > 0 {
            let failed = number(u64::try_from(failed).unwrap_or(u64::MAX));
            about = format!("{about}; {failed} {}", self.kinds.1);
        }
        if !others.is_empty() {
            about = format!("{about}. {others_name} share the last lane");
        }
        picture(
            &self.title,
            &format!("{about}."),
            bottom + LINE + EDGE,
            &marks,
        )
    }

    /// The lanes that there are, in their order.
    fn names(&self) -> Vec<&str> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for moment in &self.moments {
            *counts.entry(&moment.lane).or_default() += 1;
        }
        let mut names: Vec<_> = counts.into_iter().collect();
        let place = |name: &str| {
            let place = self.first.iter().position(|first| *first == name);
            place.unwrap_or(self.first.len())
        };
        names.sort_by(|(a, of_a), (b, of_b)| {
            let of = (place(a), of_b).cmp(&(place(b), of_a));
            of.then_with(|| a.cmp(b))
        });
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// What dots and crosses are.
    fn key(&self) -> Markup {
        let (well, failed) = self.kinds;
        let second = LEFT + 20 + width(places(well)) + 16;
        html! {
            (dot(LEFT + 4, EDGE + 6, 4))
            text x=(LEFT + 14) y=(EDGE + 10) { (well) }
            (cross(second + 4, EDGE + 6, 4))
            text x=(second + 14) y=(EDGE + 10) { (failed) }
        }
    }

    fn mark(&self, y: u64, place: u64, is_cross: bool, mark: &Mark<'_>) -> Markup {
        let x = LEFT + share(place, PLACES, RIGHT - LEFT) + 4;
        // more is larger, up to what a place has
        let size = match mark.count {
            1 => 2,
            2..10 => 3,
            _ => 4,
        };
        html! {
            g {
                title { (mark.told(self.counts)) }
                @if is_cross { (cross(x, y + 22, size)) } @else { (dot(x, y + 9, size)) }
            }
        }
    }
}

impl<'a> Lane<'a> {
    fn add(&mut self, place: u64, moment: &'a Moment) {
        self.count += 1;
        let mark = self.marks.entry((place, moment.is_cross)).or_default();
        mark.count += 1;
        let (first, last) = mark.ends.unwrap_or((moment.second, moment.second));
        mark.ends = Some((first.min(moment.second), last.max(moment.second)));
        *mark.texts.entry(&moment.text).or_default() += 1;
    }
}

impl Mark<'_> {
    /// In words: when, how many, and what most of them are.
    fn told(&self, of: Words) -> String {
        let form = "%Y-%m-%d %H:%M:%S";
        let (first, last) = self.ends.unwrap_or_default();
        let when = match first == last {
            true => told(first, form),
            false => format!("{} to {}", told(first, form), told(last, form)),
        };
        let mut texts: Vec<_> = self.texts.iter().collect();
        texts.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        let more = texts.len().saturating_sub(TOLD);
        let texts = texts.into_iter().take(TOLD).map(|(text, _)| cut(text, 80));
        let mut texts = texts.collect::<Vec<_>>().join(", ");
        if more > 0 {
            texts = format!("{texts} and {more} more");
        }
        match self.count {
            1 => format!("{when}: {texts}"),
            count => format!("{when}: {}: {texts}", counted(count, of)),
        }
    }
}

fn dot(x: u64, y: u64, size: u64) -> Markup {
    html! { circle class="dot" cx=(x) cy=(y) r=(size) {} }
}

fn cross(x: u64, y: u64, size: u64) -> Markup {
    let (left, right, top, bottom) = (x - size, x + size, y - size, y + size);
    html! { path class="cross" d=(format!("M{left} {top} L{right} {bottom} M{left} {bottom} L{right} {top}")) {} }
}
