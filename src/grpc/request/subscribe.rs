//! What is subscribed to.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tonic::Status;

use super::{
    super::{status::Invalid, view::View},
    Context, Same, named,
    values::{PAGE_BYTES, second, show},
};
use crate::{
    event::Scope,
    feed::{Feed, ResumeToken, Selection, Settings, Start},
    filter::{Filter, KnownFields},
    proto::{
        self,
        v1::{self, subscribe_events_request::Start as Asked},
    },
};

/// Events in a batch where the request does not say: some 100 KB.
const DEFAULT_BATCH: i32 = 64;
/// The most events in a batch.
const MAX_BATCH: i32 = 1000;
/// The longest that a batch may be held back.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How often progress is told where the request does not say.
const DEFAULT_PROGRESS: Duration = Duration::from_secs(10);
/// How often it may be told.
const PROGRESS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// A checked `SubscribeEvents` request.
#[derive(Debug)]
pub(in super::super) struct Subscribing {
    pub(in super::super) settings: Settings,
    pub(in super::super) start: Start,
    pub(in super::super) view: View,
}

/// Whoever had a field accepted before need not have it seen in a record once
/// more.
struct All;

impl KnownFields for All {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn for_each(&self, _: &mut dyn FnMut(&str)) {}
}

impl Context<'_> {
    /// Checks a `SubscribeEvents` request.
    pub(in super::super) fn subscription(
        &self,
        request: v1::SubscribeEventsRequest,
        feed: &Feed,
    ) -> Result<Subscribing, Status> {
        let max_events = batch(request.max_batch_events)?;
        let max_wait = match request.max_batch_wait {
            None => Duration::ZERO,
            Some(span) => within(
                "max_batch_wait",
                &span,
                (Duration::ZERO, MAX_WAIT),
                "0 to 60 s",
            )?,
        };
        let progress_interval = match request.progress_interval {
            None => DEFAULT_PROGRESS,
            Some(span) => within("progress_interval", &span, PROGRESS, "0.1 s to 1 h")?,
        };
        let with_record = self.with_record(request.view)?;
        let selection = Selection::new(&request.account_ids, &request.regions)
            .within(self.asker.rights.accounts(), self.asker.rights.regions());
        let resumes = matches!(request.start, Some(Asked::ResumeToken(_)));
        let known = self.known();
        let known: &dyn KnownFields = if resumes { &All } else { &known };
        let filter = self.compile(request.filters, known)?;
        // a token has no rights: those of its bearer may change
        let digest = self::digest(b"subscription", &filter.asked, selection.canonical());
        let filter = filter.seen.unwrap_or(filter.asked);
        // a shared batch has the token of whoever made it
        let told_digest = self::digest(&digest, &filter, selection.bounds());
        let start = match request.start {
            Some(Asked::ResumeToken(token)) => {
                let token = ResumeToken::decode(&token, &digest).map_err(|error| {
                    Invalid::new("INVALID_RESUME_TOKEN", "resume_token", error.to_string())
                })?;
                Start::Token(Box::new(self.view(with_record).resume_token(token)))
            }
            start => {
                self.check_known(&request.account_ids, &request.regions, feed)?;
                match start {
                    Some(Asked::StartTime(time)) => Start::Time(self.past(&time)?),
                    _ => Start::Now,
                }
            }
        };
        Ok(Subscribing {
            settings: Settings {
                caller: self.asker.caller.clone(),
                filter: Arc::new(filter),
                selection,
                digest,
                told_digest,
                max_events,
                max_bytes: self.room(PAGE_BYTES),
                with_record,
                size: match with_record {
                    true => proto::full_size,
                    false => proto::basic_size,
                },
                max_wait,
                progress_interval,
            },
            start,
            view: self.view(with_record),
        })
    }

    /// Accounts and Regions must be configured, or ones that a queue brings.
    fn check_known(
        &self,
        accounts: &[String],
        regions: &[String],
        feed: &Feed,
    ) -> Result<(), Invalid> {
        if accounts.is_empty() && regions.is_empty() {
            return Ok(());
        }
        let mut collected = feed.scopes();
        collected.retain(|scope| self.asker.rights.sees(scope));
        let known = |part: fn(&Scope) -> &str| -> BTreeSet<&str> {
            self.scopes.iter().chain(&collected).map(part).collect()
        };
        named("account_ids", accounts, &known(|scope| &scope.account))?;
        named("regions", regions, &known(|scope| &scope.region))
    }

    fn past(&self, time: &prost_types::Timestamp) -> Result<i64, Invalid> {
        let start = second("start_time", Some(time))?.unwrap_or_default();
        let now = self.lookup.clock().now_secs();
        if start > now {
            let message = format!(
                "{} is in the future; leave it out to begin now, or give a time before {}",
                show(start),
                show(now)
            );
            return Err(Invalid::new("INVALID_START_TIME", "start_time", message));
        }
        Ok(start)
    }
}

fn batch(events: i32) -> Result<usize, Invalid> {
    let events = if events == 0 { DEFAULT_BATCH } else { events };
    match usize::try_from(events) {
        Ok(most) if events <= MAX_BATCH => Ok(most),
        _ => {
            let message = format!("{events} is not within 1 to {MAX_BATCH}; 0 is {DEFAULT_BATCH}");
            let field = "max_batch_events";
            Err(Invalid::new("INVALID_BATCH_SIZE", field, message))
        }
    }
}

fn within(
    field: &'static str,
    span: &prost_types::Duration,
    (least, most): (Duration, Duration),
    range: &str,
) -> Result<Duration, Invalid> {
    let read = Duration::try_from(*span).ok();
    read.filter(|span| (least..=most).contains(span))
        .ok_or_else(|| {
            let (seconds, nanos) = (span.seconds, span.nanos);
            let message = format!("{seconds} s {nanos} ns is not within {range}");
            Invalid::new("INVALID_DURATION", field, message)
        })
}

/// What must stay the same for a resume token to be used, or a batch to be shared.
fn digest<'a>(of: &[u8], filter: &Filter, names: impl Iterator<Item = &'a str>) -> [u8; 16] {
    let mut same = Same::new();
    same.add(of);
    same.add(filter.canonical());
    for name in names {
        same.add(name.as_bytes());
    }
    same.digest()
}
