//! Made-up events: believable accounts, the same ones for the same seed.
//!
//! An event is a function of the seed, its number and its time, so that none
//! is held: a history keeps the number and makes the record again when it is
//! asked for.

mod actors;
mod catalog;
mod record;
mod things;

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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::simulator::Record;

    const TO: i64 = 1_780_000_000;
    const FROM: i64 = TO - 90 * 86_400;

    fn generator(seed: u64, accounts: &[&str], regions: &[&str]) -> Generator {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Generator::new(seed, &own(accounts), &own(regions))
    }

    fn events(generator: &Generator, n: u64) -> Vec<(Scope, LookupEvent)> {
        (0..n)
            .map(|number| {
                let time = generator.time(number, FROM, TO);
                assert!((FROM..=TO).contains(&time));
                let (scope, event) = generator.event(number, time, true).unwrap();
                (scope.clone(), event)
            })
            .collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_events() {
        let of_seed = |seed| {
            let generator = generator(seed, &["111122223333", "444455556666"], &DEFAULT_REGIONS);
            events(&generator, 600)
        };
        assert_eq!(of_seed(5), of_seed(5));
        assert_ne!(of_seed(5), of_seed(6));
    }

    #[test]
    fn without_its_record_an_event_is_otherwise_the_same() {
        let generator = generator(1, &["111122223333"], &["eu-west-1"]);
        for number in 0..300 {
            let (_, full) = generator.event(number, TO, true).unwrap();
            let (_, bare) = generator.event(number, TO, false).unwrap();
            assert_eq!(
                bare,
                LookupEvent {
                    record: None,
                    ..full
                }
            );
        }
    }

    #[test]
    fn an_event_says_what_its_record_says() {
        let generator = generator(2, &["111122223333", "444455556666"], &DEFAULT_REGIONS);
        for (scope, event) in events(&generator, 3000) {
            let text = event.record.clone().unwrap();
            let read = Record::from_text(&text, None).expect(&text);
            assert_eq!(read.scope, scope);
            // those that AWS derives are not in every record
            let resources = match read.event.resources.as_slice() {
                [] => event.resources.clone(),
                named => named.to_vec(),
            };
            assert_eq!(
                LookupEvent {
                    resources,
                    ..read.event
                },
                event
            );
            serde_json::from_str::<serde_json::Value>(&text).expect(&text);
            assert!(!text.contains('$'), "{text}");
        }
    }

    #[test]
    fn histories_are_believable() {
        let generator = generator(3, &["111122223333"], &DEFAULT_REGIONS);
        let events = events(&generator, 20_000);
        let ids: HashSet<_> = events.iter().map(|(_, e)| e.event_id.clone()).collect();
        assert_eq!(ids.len(), events.len());
        let records: Vec<&str> = events
            .iter()
            .map(|(_, e)| e.record.as_deref().unwrap())
            .collect();
        let share = |what: &str| {
            let n = records
                .iter()
                .filter(|record| record.contains(what))
                .count();
            n * 1000 / records.len()
        };
        for (what, least, most) in [
            ("\"type\":\"AssumedRole\"", 550, 700),
            ("\"type\":\"AWSService\"", 130, 260),
            ("\"type\":\"IAMUser\"", 120, 250),
            ("\"type\":\"Root\"", 1, 20),
            ("\"errorMessage\"", 80, 150),
            ("\"readOnly\":false", 90, 300),
            ("\"awsRegion\":\"us-east-1\"", 400, 650),
            ("ec2.amazonaws.com", 150, 400),
        ] {
            let share = share(what);
            assert!(
                (least..=most).contains(&share),
                "{what}: {share} in a thousand"
            );
        }
        let mut seconds: HashMap<i64, u32> = HashMap::new();
        for (_, event) in &events {
            *seconds.entry(event.event_time.unwrap()).or_default() += 1;
        }
        assert!(seconds.values().max().unwrap() > &20, "bursts");
        for (scope, event) in &events {
            let global = matches!(event.event_source.as_deref(), Some("iam.amazonaws.com"));
            assert!(!global || &*scope.region == GLOBAL_REGION);
        }
    }

    #[test]
    fn addresses_are_nobodys() {
        let generator = generator(4, &["111122223333"], &DEFAULT_REGIONS);
        for (_, event) in events(&generator, 2000) {
            let record: serde_json::Value = serde_json::from_str(&event.record.unwrap()).unwrap();
            let address = record["sourceIPAddress"].as_str().unwrap();
            assert!(
                ["192.0.2.", "198.51.100.", "203.0.113.", "10."]
                    .iter()
                    .any(|net| address.starts_with(net))
                    || address.ends_with(".amazonaws.com"),
                "{address}"
            );
        }
    }

    #[test]
    fn without_us_east_1_there_are_no_global_events() {
        let generator = generator(5, &["111122223333"], &["eu-west-1"]);
        for (scope, event) in events(&generator, 2000) {
            assert_eq!(&*scope.region, "eu-west-1");
            let root = event.username.as_deref() == Some("root");
            assert!(root || event.event_source.as_deref() != Some("iam.amazonaws.com"));
        }
    }
}
