//! What to ask AWS by, where nothing is held: everything, one attribute, or
//! several one by one; whichever is expected to take the fewest requests.

use super::{
    density::{Densities, float, usual_share},
    past::PastTerms,
    walk::Walks,
};
use crate::{
    coverage::{Coverage, Freshness, Key},
    event::{Attribute, Category, Event, Origin, Scope, TimeRange},
    filter::Filter,
    upstream::PAGE_EVENTS,
};

/// The most walks that one question begins in a scope at a time. A list of more
/// values than this is a request each at least, and whole pages are rarely so
/// many.
const MAX_WALKS: usize = 32;
/// The most events that are looked at to learn what a scope's events are like.
const SAMPLE: usize = 500;
/// Fewer events than this say too little; a page of AWS says enough.
const ENOUGH: usize = PAGE_EVENTS / 2;
/// What a request that another question has under way counts: it is free, but
/// what comes behind it may not be.
const UNDER_WAY: f64 = 0.5;

/// The attributes that a question may be asked by.
#[derive(Clone, Debug, Default)]
pub(super) struct Pushdowns {
    /// All matching events have each of them; the most selective first.
    common: Vec<Attribute>,
    /// For each alternative, sets of which every matching event has one. Empty:
    /// `common` says it all.
    sets: Vec<Vec<Vec<Attribute>>>,
}

impl Pushdowns {
    pub(super) fn of(filter: &Filter, category: Category) -> Self {
        let mut sets = filter.pushdown_sets(category);
        // a single attribute of a single alternative is common to all
        let is_alone = sets.len() == 1;
        for choices in &mut sets {
            choices.retain(|set| set.len() <= MAX_WALKS && !(is_alone && set.len() == 1));
        }
        if sets.iter().any(Vec::is_empty) {
            sets.clear();
        }
        Self {
            common: filter.pushdowns(category),
            sets,
        }
    }

    /// The same as keys of coverage.
    pub(super) fn keys(&self, scope: &Scope, category: Category) -> Keys {
        let key = |pushdown: Option<&Attribute>| Key {
            scope: scope.clone(),
            category,
            pushdown: pushdown.cloned(),
            origin: Origin::LookupEvents,
        };
        let common = self.common.iter().map(Some);
        let whole = common.chain([None]).map(key).collect();
        let set = |set: &Vec<Attribute>| set.iter().map(|one| key(Some(one))).collect();
        let choices = |choices: &Vec<Vec<_>>| choices.iter().map(set).collect();
        Keys {
            whole,
            sets: self.sets.iter().map(choices).collect(),
        }
    }
}

/// Whose coverage of a scope can answer a question.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Any of these alone: those of attributes that all matching events have,
    /// then the unfiltered.
    pub(super) whole: Vec<Key>,
    /// For each alternative, sets of keys that answer it together.
    pub(super) sets: Vec<Vec<Vec<Key>>>,
}

impl Keys {
    /// Whatever can answer in part where `key` is missing.
    pub(super) fn beside(&self, key: &Key) -> Vec<Key> {
        let mut keys = self.whole.clone();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        keys
    }

    /// All of them, each once.
    pub(super) fn all(&self) -> Vec<&Key> {
        let mut all: Vec<&Key> = self.whole.iter().collect();
        for key in self.sets.iter().flatten().flatten() {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        all
    }
}

/// What is known to plan by.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) coverage: &'a Coverage,
    pub(super) walks: &'a Walks,
    pub(super) densities: &'a Densities,
    pub(super) filter: &'a Filter,
    pub(super) keys: &'a Keys,
    pub(super) need: Freshness,
    pub(super) past: Option<&'a PastTerms>,
}

/// How to get what is missing.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// A walk by each of these.
    pub(super) keys: Vec<Key>,
    /// The requests that this is expected to take; 0: all is held.
    pub(super) calls: f64,
    /// How many matching events a second are expected.
    pub(super) matching: f64,
}

impl Plan {
    /// The cheapest way to `wanted` matching events from the end of `range`
    /// downward; `None`: to all that it has.
    pub(super) fn make(known: Known<'_>, range: TimeRange, wanted: Option<usize>) -> Self {
        let rates = Rates::learn(known, range.to);
        let depth = wanted.map_or(f64::INFINITY, |wanted| {
            float(wanted) / rates.matching.max(f64::MIN_POSITIVE)
        });
        let reach = TimeRange::new(
            range.to.saturating_sub(whole(depth)).max(range.from),
            range.to,
        );
        let cost =
            |keys: &[Key]| -> f64 { keys.iter().map(|key| rates.cost(known, key, reach)).sum() };
        let planned = |keys: Vec<Key>| Self {
            calls: cost(&keys),
            keys,
            matching: rates.matching,
        };
        let single = known
            .keys
            .whole
            .iter()
            .map(|key| planned(vec![key.clone()]));
        let several = several(known.keys, &cost).map(planned);
        // of equals the first: what is most selective is surest
        let best = single
            .chain(several)
            .reduce(|best, next| if next.calls < best.calls { next } else { best });
        best.unwrap_or(Self {
            keys: Vec::new(),
            calls: 0.0,
            matching: 0.0,
        })
    }
}

/// The cheapest set of each alternative, together.
fn several(keys: &Keys, cost: &impl Fn(&[Key]) -> f64) -> Option<Vec<Key>> {
    let mut all: Vec<Key> = Vec::new();
    for choices in &keys.sets {
        let dear = |set: &&Vec<Key>| cost(set);
        let best = choices.iter().min_by(|a, b| dear(a).total_cmp(&dear(b)))?;
        for key in best {
            if !all.contains(key) {
                all.push(key.clone());
            }
        }
    }
    (!all.is_empty() && all.len() <= MAX_WALKS).then_some(all)
}

/// Events a second, as far as can be told.
struct Rates {
    scope: f64,
    matching: f64,
    sample: Vec<std::sync::Arc<Event>>,
}

impl Rates {
    fn learn(known: Known<'_>, second: i64) -> Self {
        let Some(unfiltered) = known.keys.whole.last() else {
            return Self {
                scope: 0.0,
                matching: 0.0,
                sample: Vec::new(),
            };
        };
        let mut rates = Self {
            scope: known.densities.of_scope(unfiltered),
            matching: 0.0,
            sample: known.coverage.sample(unfiltered, second, SAMPLE),
        };
        // no more events match than have the attributes that they must have
        let single = known.keys.whole.iter().map(|key| rates.of(known, key));
        let sum = |keys: Vec<Key>| keys.iter().map(|key| rates.of(known, key)).sum();
        let together = several(known.keys, &|keys| {
            keys.iter().map(|key| rates.of(known, key)).sum()
        });
        let most = single
            .chain(together.map(sum))
            .fold(f64::INFINITY, f64::min);
        let seen = rates.share(|event| known.filter.matches(event));
        rates.matching = seen.map_or(most, |share| most.min(share * rates.scope));
        rates
    }

    /// Events a second that a walk by `key` finds.
    fn of(&self, known: Known<'_>, key: &Key) -> f64 {
        let Some(attribute) = &key.pushdown else {
            return self.scope;
        };
        if let Some(rate) = known.densities.known(key) {
            return rate;
        }
        let by = Filter::by(attribute);
        let share = self.share(|event| by.matches(event));
        self.scope * share.unwrap_or_else(|| usual_share(attribute))
    }

    /// The share of the sampled events that are so, if there are enough of
    /// them; never none at all.
    fn share(&self, is_so: impl Fn(&Event) -> bool) -> Option<f64> {
        let all = self.sample.len();
        let found = self.sample.iter().filter(|event| is_so(event)).count();
        (all >= ENOUGH).then(|| (float(found) + 0.5) / (float(all) + 1.0))
    }

    /// The requests that a walk by `key` takes for what is missing in `range`.
    fn cost(&self, known: Known<'_>, key: &Key, range: TimeRange) -> f64 {
        let gaps = known
            .coverage
            .gaps(&known.keys.beside(key), range, known.need);
        let missing = |gap: &TimeRange| match known.past {
            Some(past) => past.missing(*gap),
            None => gap.seconds(),
        };
        let missing: i64 = gaps.iter().map(missing).sum();
        if missing == 0 {
            return 0.0;
        }
        let events = self.of(known, key) * float(missing);
        let calls = (events / float(PAGE_EVENTS)).ceil().max(1.0);
        if known.walks.is_fetching(key, range.to) {
            calls * UNDER_WAY
        } else {
            calls
        }
    }
}

/// Whole seconds, upward.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(super) fn whole(seconds: f64) -> i64 {
    seconds.ceil() as i64
}
