//! What an account has: names that records mention, made from its number, and
//! one choice of each for an event.

use super::super::chance::hash;

/// The characters of AWS's unique ids.
const BASE32: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const BUCKETS: [&str; 8] = [
    "access-logs",
    "artifacts",
    "backups",
    "exports",
    "invoices",
    "media",
    "models",
    "website",
];
const SECRETS: [&str; 6] = [
    "billing/api",
    "mail/smtp",
    "orders/db",
    "search/admin",
    "shop/db",
    "warehouse/sftp",
];
const PARAMETERS: [&str; 8] = [
    "/billing/url",
    "/mail/sender",
    "/orders/db/host",
    "/orders/db/user",
    "/orders/limits",
    "/search/index",
    "/shop/features",
    "/warehouse/queue",
];
const DATABASES: [&str; 4] = ["billing", "orders", "shop", "warehouse"];
const FUNCTIONS: [&str; 6] = [
    "invoice-pdf",
    "mailer",
    "order-intake",
    "reindex",
    "resize",
    "stock-sync",
];

/// IAM users: people, and programs that never got a role.
pub(super) const USERS: [&str; 10] = [
    "amara",
    "bjoern",
    "carla",
    "deniz",
    "emil",
    "fatma",
    "giulia",
    "henrik",
    "backup-agent",
    "legacy-ci",
];

/// Roles that programs, AWS's services and people take.
pub(super) const ROLES: [&str; 8] = [
    "orders-app",
    "shop-app",
    "deploy",
    "audit-read-only",
    "lambda-basic",
    "eks-node",
    "nightly-backup",
    "config-recorder",
];

/// `len` characters of an AWS unique id.
pub(super) fn unique_id(prefix: &str, len: usize, of: impl std::hash::Hash) -> String {
    let (low, high) = (hash((&of, 0)), hash((&of, 1)));
    let mut bits = u128::from(high) << 64 | u128::from(low);
    let mut id = String::with_capacity(prefix.len() + len);
    id.push_str(prefix);
    for _ in 0..len {
        let digit = usize::try_from(bits & 31).unwrap_or_default();
        id.push(BASE32.get(digit).copied().map_or('A', char::from));
        bits >>= 5;
    }
    id
}

/// A UUID that looks random.
pub(super) fn uuid(of: impl std::hash::Hash) -> String {
    let (a, b) = (hash((&of, 0)), hash((&of, 1)));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        8 + (b >> 62),
        b >> 48 & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

/// The things that one event mentions. The same word is the same thing
/// throughout an event.
#[derive(Debug)]
pub(super) struct Things<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    /// The session that does it, or is begun.
    pub(super) session: &'a str,
    /// What all choices of this event are drawn from.
    pub(super) draw: u64,
    /// Seconds since the Unix epoch.
    pub(super) time: i64,
}

impl Things<'_> {
    /// The template with every `$word` replaced.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut parts = template.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(part.len());
            let (word, rest) = part.split_at_checked(end).unwrap_or((part, ""));
            self.push(&mut text, word);
            text.push_str(rest);
        }
        text
    }

    fn push(&self, text: &mut String, word: &str) {
        let Self {
            account,
            region,
            draw,
            ..
        } = self;
        let one_of = |names: &[&'static str]| self.one_of(word, names);
        let id = |prefix: &str, kinds: u64| {
            let which = hash((draw, word)) % kinds;
            format!("{prefix}0{:016x}", hash((account, region, word, which)))
        };
        match word {
            "account" => text.push_str(account),
            "region" => text.push_str(region),
            "session" => text.push_str(self.session),
            "bucket" => {
                text.push_str("example-");
                text.push_str(one_of(&BUCKETS));
                text.push('-');
                text.push_str(account.get(..4).unwrap_or(account));
            }
            "secret" => {
                let secret = one_of(&SECRETS);
                text.push_str(secret);
                text.push('-');
                text.push_str(&unique_id("", 6, (account, secret)));
            }
            "parameter" => text.push_str(one_of(&PARAMETERS)),
            "database" => text.push_str(one_of(&DATABASES)),
            "function" => text.push_str(one_of(&FUNCTIONS)),
            "user" => text.push_str(one_of(&USERS)),
            "role" => text.push_str(one_of(&ROLES)),
            "roleid" => text.push_str(&unique_id(
                "AROA",
                17,
                (account, self.one_of("role", &ROLES)),
            )),
            "key" => text.push_str(&uuid((account, region, hash((draw, word)) % 5))),
            "instance" => text.push_str(&id("i-", 60)),
            "vpc" => text.push_str(&id("vpc-", 3)),
            "subnet" => text.push_str(&id("subnet-", 9)),
            "group" => text.push_str(&id("sg-", 25)),
            "image" => text.push_str(&id("ami-", 6)),
            "uuid" => text.push_str(&uuid((draw, word))),
            "temporary" => text.push_str(&unique_id("ASIA", 16, (draw, word))),
            "longlived" => text.push_str(&unique_id("AKIA", 16, (draw, word))),
            "later" => {
                let later = jiff::Timestamp::from_second(self.time.saturating_add(3600));
                text.push_str(&later.unwrap_or_default().to_string());
            }
            // a dollar that means itself
            _ => {
                text.push('$');
                text.push_str(word);
            }
        }
    }

    fn one_of(&self, word: &str, names: &[&'static str]) -> &'static str {
        // min of two draws: some things are used more than others
        let draw = |nth: u8| {
            let n = u64::try_from(names.len()).unwrap_or(1).max(1);
            usize::try_from(hash((self.draw, word, nth)) % n).unwrap_or_default()
        };
        names.get(draw(0).min(draw(1))).copied().unwrap_or_default()
    }
}
