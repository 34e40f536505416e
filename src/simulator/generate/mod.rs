//! Made-up events: believable accounts, the same ones for the same seed.
//!
//! An event is a function of the seed, its number and its time, so that none
//! is held: a history keeps the number and makes the record again when it is
//! asked for.

mod actors;
mod catalog;
mod record;
mod things;

#[cfg(test)]
mod tests;

use jiff::{Timestamp, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::{
    actors::{Actor, Kind},
    catalog::{ACTIONS, Action, ROOT_ACTIONS, denied, is_global},
    things::{Things, uuid},
};
use super::chance::{hash, mix};
use crate::event::{LookupEvent, Resource, Scope};

/// Where made-up events happen if no Regions are named, busiest first.
pub(super) const DEFAULT_REGIONS: [&str; 4] =
    ["us-east-1", "eu-west-1", "us-west-2", "eu-central-1"];

/// Events come in blocks of this many; some blocks are bursts, in which one
/// caller does one thing within seconds.
const BLOCK: u64 = 128;

/// One block in so many is a burst.
const BURST_EVERY: u64 = 8;

/// The seconds that a burst takes.
const BURST_SECS: i64 = 3;

/// Where global services are recorded.
const GLOBAL_REGION: &str = "us-east-1";

/// Makes events up.
#[derive(Debug)]
pub(super) struct Generator {
    seed: u64,
    /// Each of the accounts in each of the Regions, account by account.
    scopes: Vec<Vec<Scope>>,
}

/// An event before it is written down.
struct Draft<'a> {
    actor: &'a Actor,
    action: &'static Action,
    things: Things<'a>,
    access_key: Option<String>,
    error: Option<(&'static str, &'static str)>,
    id: String,
}

/// The choices that a whole burst shares.
struct Choice<'a> {
    scope: &'a Scope,
    actor: Actor,
    action: &'static Action,
}

impl Generator {
    /// A generator of events in these accounts and Regions, of which the first
    /// are the busiest.
    pub(super) fn new(seed: u64, accounts: &[String], regions: &[String]) -> Self {
        let of_account = |account: &String| -> Vec<Scope> {
            regions
                .iter()
                .map(|region| Scope::new(account, region))
                .collect()
        };
        Self {
            seed,
            scopes: accounts
                .iter()
                .map(of_account)
                .filter(|scopes| !scopes.is_empty())
                .collect(),
        }
    }

    /// The scopes in which events happen.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().flatten()
    }

    /// When the event of this number happens, within `from..=to`.
    pub(super) fn time(&self, number: u64, from: i64, to: i64) -> i64 {
        let Some(choice) = self.choose(number) else {
            return to;
        };
        let burst = self.is_burst(number);
        let mut rng = self.rng("time", if burst { number / BLOCK } else { number });
        let people = choice.actor.sleeps();
        let mut time = rng.random_range(from..=to.max(from));
        // a few tries at a likely hour: nights and weekends stay thin, not empty
        for _ in 0..4 {
            let likely = rng.random_range(0..100_u32) < liveliness(time, people);
            if likely {
                break;
            }
            time = rng.random_range(from..=to.max(from));
        }
        if burst {
            let mut rng = self.rng("burst", number);
            time = time.saturating_add(rng.random_range(0..BURST_SECS)).min(to);
        }
        time
    }

    /// The event of this number at this time and its scope; with its record
    /// only if that is wanted, since it is the greater part of the work.
    pub(super) fn event(
        &self,
        number: u64,
        time: i64,
        with_record: bool,
    ) -> Option<(&Scope, LookupEvent)> {
        let Choice {
            scope,
            actor,
            action,
        } = self.choose(number)?;
        let mut rng = self.rng("event", number);
        let login = action.service == "signin";
        let access_key = actor.access_key(&scope.account, time).filter(|_| !login);
        let draft = Draft {
            action,
            access_key,
            error: error(&mut rng, &actor, action),
            things: Things {
                account: &scope.account,
                region: &scope.region,
                session: if actor.session.is_empty() {
                    &actor.name
                } else {
                    &actor.session
                },
                draw: rng.random(),
                time,
            },
            id: uuid((self.seed, "id", number)),
            actor: &actor,
        };
        let resource = action.resource.map(|(kind, name)| Resource {
            kind: Some(kind.to_owned()),
            name: Some(draft.things.fill(name)),
        });
        let record = with_record.then(|| record::record(&draft));
        let event = LookupEvent {
            event_name: Some(action.name.to_owned()),
            event_source: Some(format!("{}.amazonaws.com", action.service)),
            event_time: Some(time),
            read_only: Some(action.read_only.to_string()),
            username: actor.username(),
            resources: resource.into_iter().collect(),
            access_key_id: draft.access_key,
            event_id: Some(draft.id),
            record,
        };
        Some((scope, event))
    }

    fn is_burst(&self, number: u64) -> bool {
        let block = number / BLOCK;
        // the first is none, so that a handful of events is no burst
        block > 0 && hash((self.seed, "bursts", block)).is_multiple_of(BURST_EVERY)
    }

    fn rng(&self, what: &str, number: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(hash((mix(self.seed), what, number)))
    }

    /// Who does what where.
    fn choose(&self, number: u64) -> Option<Choice<'_>> {
        let mut rng = if self.is_burst(number) {
            self.rng("block", number / BLOCK)
        } else {
            self.rng("choice", number)
        };
        let scopes = self.scopes.get(front_heavy(&mut rng, self.scopes.len()))?;
        let account = &scopes.first()?.account;
        let actor = actors::draw(&mut rng, account);
        let global = scopes.iter().find(|scope| *scope.region == *GLOBAL_REGION);
        let actions = if actor.kind == Kind::Root {
            ROOT_ACTIONS
        } else {
            ACTIONS
        };
        // without us-east-1 there is nowhere for a global service's events
        let fits = |action: &Action| {
            action.who & actor.who() != 0
                && (global.is_some() || actor.kind == Kind::Root || !is_global(action.service))
                && (action.service != "signin" || matches!(actor.kind, Kind::IamUser | Kind::Root))
        };
        let action = weighted(&mut rng, actions, fits)?;
        let nearby = scopes.get(front_heavy(&mut rng, scopes.len()))?;
        let scope = global
            .filter(|_| is_global(action.service))
            .unwrap_or(nearby);
        Some(Choice {
            scope,
            actor,
            action,
        })
    }
}

/// A place in a list of `len`: the first ones more often.
fn front_heavy(rng: &mut ChaCha8Rng, len: usize) -> usize {
    let len = len.max(1);
    rng.random_range(0..len).min(rng.random_range(0..len))
}

fn weighted(
    rng: &mut ChaCha8Rng,
    actions: &'static [Action],
    fits: impl Fn(&Action) -> bool,
) -> Option<&'static Action> {
    let total: u32 = actions.iter().filter(|a| fits(a)).map(|a| a.weight).sum();
    let mut draw = rng.random_range(0..total.max(1));
    actions.iter().filter(|a| fits(a)).find(|action| {
        let here = draw < action.weight;
        draw = draw.saturating_sub(action.weight);
        here
    })
}

/// About one call in nine fails; AWS's own calls hardly ever.
fn error(
    rng: &mut ChaCha8Rng,
    actor: &Actor,
    action: &Action,
) -> Option<(&'static str, &'static str)> {
    let draw = rng.random_range(0..1000_u32);
    if actor.kind == Kind::Service {
        return (draw < 5).then(|| denied(action.service));
    }
    if action.service == "signin" {
        return (draw < 80).then_some(("", "Failed authentication"));
    }
    match (draw, action.error) {
        (0..170, Some(own)) => Some(own),
        (170..215, _) | (0..45, None) => Some(denied(action.service)),
        _ => None,
    }
}

/// How likely it is, of a hundred, that something happens at this time.
/// People work on weekdays from 7 to 18 o'clock UTC; programs follow them a
/// little.
fn liveliness(time: i64, people: bool) -> u32 {
    let at = Timestamp::from_second(time)
        .unwrap_or_default()
        .to_zoned(TimeZone::UTC);
    let weekend = at.weekday().to_monday_zero_offset() >= 5;
    let working = !weekend && (7..18).contains(&at.hour());
    match (people, working, weekend) {
        (_, true, _) => 100,
        (true, false, false) => 12,
        (true, false, true) => 4,
        (false, false, _) => 70,
    }
}
