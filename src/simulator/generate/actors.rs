//! Who calls: people and programs with roles, IAM users, AWS's services, root.

use rand::{Rng, RngExt};

use super::{
    catalog::{AWS, PEOPLE, PROGRAMS},
    things::{ROLES, USERS, unique_id},
};
use crate::simulator::chance::hash;

/// The services of AWS that call by themselves.
const SERVICES: [&str; 8] = [
    "ec2",
    "lambda",
    "autoscaling",
    "config",
    "rds",
    "ecs-tasks",
    "cloudtrail",
    "elasticloadbalancing",
];

/// People who sign in through single sign-on.
const PEOPLE_NAMES: [&str; 12] = [
    "amara", "bjoern", "carla", "deniz", "emil", "fatma", "giulia", "henrik", "ines", "jonas",
    "kaya", "luca",
];

const AGENTS_OF_PEOPLE: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "aws-cli/2.27.0 md/awscrt#0.26.1 ua/2.1 os/macos#24.5.0 lang/python#3.13.3 cfg/retry-mode#standard",
    "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 aws-sdk-go-v2/1.36.3",
];
const AGENTS_OF_PROGRAMS: [&str; 3] = [
    "Boto3/1.38.23 md/Botocore#1.38.23 ua/2.1 os/linux#6.1.0 lang/python#3.13.3",
    "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.3",
    "aws-sdk-java/2.31.50 Linux/6.1.0 OpenJDK_64-Bit_Server_VM/21.0.7",
];

/// The kinds, as `userIdentity.type` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    IamUser,
    /// A person with a role, from single sign-on.
    Person,
    /// A program with a role.
    Program,
    Service,
    Root,
}

/// Who calls.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) kind: Kind,
    /// The user's, role's or service's name.
    pub(super) name: String,
    /// The session's name, for roles.
    pub(super) session: String,
    pub(super) agent: &'static str,
    pub(super) address: String,
    /// What its ids are made from.
    nth: u64,
}

/// Draws who calls. The collected histories at hand are nine tenths IAM users,
/// since they come from laboratories; accounts in use are run by roles and by
/// AWS itself, so those have the greater part here.
pub(super) fn draw(rng: &mut impl Rng, account: &str) -> Actor {
    let of_people = |rng: &mut _| one(rng, &AGENTS_OF_PEOPLE);
    match rng.random_range(0..1000_u32) {
        0..4 => Actor {
            kind: Kind::Root,
            name: "root".to_owned(),
            session: String::new(),
            agent: AGENTS_OF_PEOPLE[0],
            address: "198.51.100.10".to_owned(),
            nth: 0,
        },
        4..190 => {
            let name = one(rng, &USERS);
            let program = name.contains('-');
            Actor {
                kind: Kind::IamUser,
                name: name.to_owned(),
                session: String::new(),
                agent: if program {
                    one(rng, &AGENTS_OF_PROGRAMS)
                } else {
                    of_people(rng)
                },
                address: if program {
                    format!("192.0.2.{}", 10 + hash(name) % 4)
                } else {
                    office(rng, name)
                },
                nth: 0,
            }
        }
        190..380 => {
            let name = one(rng, &PEOPLE_NAMES);
            let set = if hash(name).is_multiple_of(3) {
                "AdministratorAccess"
            } else {
                "ReadOnlyAccess"
            };
            let id = hash((account, set));
            Actor {
                kind: Kind::Person,
                name: format!("AWSReservedSSO_{set}_{id:016x}"),
                session: format!("{name}@example.com"),
                agent: of_people(rng),
                address: office(rng, name),
                nth: 0,
            }
        }
        380..820 => {
            let name = one(rng, &ROLES);
            // instances and runs: some live long, some are new every time
            let nth = rng.random_range(0..24_u64);
            let session = match name {
                "deploy" | "nightly-backup" => format!("run-{}", 1000 + nth * 37),
                "lambda-basic" => "order-intake".to_owned(),
                _ => format!("i-0{:016x}", hash((account, name, nth))),
            };
            Actor {
                kind: Kind::Program,
                name: name.to_owned(),
                session,
                agent: one(rng, &AGENTS_OF_PROGRAMS),
                address: format!("10.{}.{}.{}", hash(account) % 64, nth, 4 + hash(name) % 250),
                nth,
            }
        }
        _ => {
            let name = one(rng, &SERVICES);
            Actor {
                kind: Kind::Service,
                name: format!("{name}.amazonaws.com"),
                session: format!("{name}-{:08x}", rng.random_range(0..4096_u32)),
                agent: "",
                address: String::new(),
                nth: 0,
            }
        }
    }
}

fn one(rng: &mut impl Rng, names: &[&'static str]) -> &'static str {
    // the lesser of two: some are busier than others
    let draw = |rng: &mut _| RngExt::random_range(rng, 0..names.len().max(1));
    let (a, b) = (draw(rng), draw(rng));
    names.get(a.min(b)).copied().unwrap_or_default()
}

/// Mostly the office, at times from home.
fn office(rng: &mut impl Rng, name: &str) -> String {
    if rng.random_range(0..5_u8) == 0 {
        format!("203.0.113.{}", 1 + hash(name) % 250)
    } else {
        "198.51.100.10".to_owned()
    }
}

impl Actor {
    /// Which actions it may take; see [`super::catalog`].
    pub(super) fn who(&self) -> u8 {
        match self.kind {
            Kind::Person | Kind::Root => PEOPLE,
            Kind::IamUser if self.name.contains('-') => PROGRAMS,
            Kind::IamUser => PEOPLE,
            Kind::Program => PROGRAMS,
            Kind::Service => AWS,
        }
    }

    /// Whether it keeps working hours.
    pub(super) fn sleeps(&self) -> bool {
        self.who() & PEOPLE != 0
    }

    /// `Username` as AWS derives it.
    pub(super) fn username(&self) -> Option<String> {
        match self.kind {
            Kind::IamUser | Kind::Root => Some(self.name.clone()),
            Kind::Person | Kind::Program => Some(self.session.clone()),
            Kind::Service => None,
        }
    }

    /// When the session began that is under way at `time`: sessions last up
    /// to an hour, people's up to eight.
    pub(super) fn session_start(&self, time: i64) -> i64 {
        let span = if self.sleeps() { 8 * 3600 } else { 3600 };
        let offset = i64::try_from(hash((&self.session, self.nth)) % 3600).unwrap_or_default();
        (time - offset).div_euclid(span) * span + offset
    }

    /// The access key that signs: an IAM user's own, or the session's.
    pub(super) fn access_key(&self, account: &str, time: i64) -> Option<String> {
        match self.kind {
            Kind::IamUser => Some(unique_id("AKIA", 16, (account, &self.name))),
            Kind::Person | Kind::Program => {
                let began = self.session_start(time);
                Some(unique_id(
                    "ASIA",
                    16,
                    (account, &self.name, &self.session, began),
                ))
            }
            Kind::Root => Some(unique_id("ASIA", 16, (account, self.session_start(time)))),
            Kind::Service => None,
        }
    }
}
