//! `LookupEvents`, from the quota to the page.

use super::{
    FaultKind, HISTORY_SECS, Refusal, Simulator,
    chance::hash,
    history::{Body, Place, Question, attribute_hash, has},
    token::Token,
};
use crate::{
    awsjson::{Code, Error, LOOKUP_EVENTS, LookupRequest},
    event::{LookupEvent, Scope},
};

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) events: Vec<LookupEvent>,
    pub(crate) next_token: Option<String>,
}

impl Simulator {
    /// Answers one `LookupEvents` request. The order is that of AWS's front
    /// end: who asks, how often, with what right; only then is the request
    /// read.
    pub(crate) async fn lookup(
        &self,
        scope: &Scope,
        parse: impl FnOnce() -> Result<LookupRequest, Error>,
    ) -> Result<Answer, Refusal> {
        let answer = match self.admit(scope) {
            Ok(slow) => {
                if slow {
                    tokio::time::sleep(self.options.slow_by).await;
                }
                parse()
                    .and_then(|request| self.page(scope, &request))
                    .map_err(Refusal::Error)
            }
            Err(refusal) => Err(refusal),
        };
        let outcome = answer.as_ref().map(|answer| {
            // a page has at most fifty
            u64::try_from(answer.events.len()).unwrap_or(u64::MAX)
        });
        self.lock()
            .count_outcome(&self.options, scope, LOOKUP_EVENTS, outcome);
        answer
    }

    /// Counts a request and lets it in, or not; whether it is struck by the
    /// fault `slow`.
    fn admit(&self, scope: &Scope) -> Result<bool, Refusal> {
        let refuse = |code, message: String| Err(Refusal::Error(Error::new(code, message)));
        let mut state = self.lock();
        state.count_request(&self.options, scope, LOOKUP_EVENTS);
        let Some(state) = state.scope(&self.options, scope) else {
            return refuse(
                Code::UnrecognizedClient,
                "The security token included in the request is invalid.".to_owned(),
            );
        };
        state.lookups += 1;
        let nth = (state.lookups, &scope.account, &scope.region);
        let strikes = |kind| self.options.faults.strike(self.options.seed, kind, nth);
        if strikes(FaultKind::Throttle) || !state.bucket.take() {
            return refuse(Code::Throttling, "Rate exceeded".to_owned());
        }
        if strikes(FaultKind::Disconnect) {
            return Err(Refusal::Disconnect);
        }
        if strikes(FaultKind::ExpiredCredentials) {
            return refuse(
                Code::ExpiredToken,
                "The security token included in the request is expired".to_owned(),
            );
        }
        if self.options.faults.denies(self.options.seed, &scope.region) {
            let Scope { account, region } = scope;
            return refuse(
                Code::AccessDenied,
                format!(
                    "User: arn:aws:iam::{account}:user/simulator is not authorized to perform: \
                     cloudtrail:LookupEvents in {region} with an explicit deny in a service \
                     control policy"
                ),
            );
        }
        if strikes(FaultKind::ServerError) {
            let unavailable = state.lookups.is_multiple_of(2);
            return if unavailable {
                refuse(
                    Code::ServiceUnavailable,
                    "The service cannot answer now.".to_owned(),
                )
            } else {
                refuse(Code::InternalFailure, "Something failed within.".to_owned())
            };
        }
        Ok(strikes(FaultKind::Slow))
    }

    fn page(&self, scope: &Scope, request: &LookupRequest) -> Result<Answer, Error> {
        let now = self.clock.now();
        let token = request
            .token
            .as_deref()
            .map(|text| self.open(text, scope, request))
            .transpose()?;
        // the first page fixes where a walk begins: the 90 days move on meanwhile
        let from = token.map_or_else(|| self.first_second(request), |token| token.from);
        let question = Question {
            attribute: request
                .attribute
                .as_ref()
                .map(|a| attribute_hash(a.key, &a.value)),
            from,
            to: request.end_secs().unwrap_or(i64::MAX).min(now.as_second()),
            before: token.map(|token| token.after),
            now_ms: now.as_millisecond(),
            limit: request.max_results,
        };
        let (picked, next_token) = {
            let mut state = self.lock();
            let serial = state.tokens;
            let Some(part) = state.scope(&self.options, scope) else {
                return Ok(Answer::default());
            };
            let (mut picked, mut more) = part.history(request.category).page(&question);
            more |= self.shorten(&mut picked, serial);
            // an empty page's token asks for the same again
            let last = picked
                .last()
                .map(|(place, _)| *place)
                .or(question.before)
                .unwrap_or(Place {
                    time: i64::MAX,
                    tie: u64::MAX,
                });
            let next_token = more.then(|| {
                state.tokens += 1;
                let token = Token {
                    after: last,
                    from,
                    issued_ms: question.now_ms,
                    serial,
                };
                self.sealer.seal(&token, scope, request)
            });
            (picked, next_token)
        };
        let events = picked
            .into_iter()
            .filter_map(|(place, body)| self.event(place, &body))
            // hashes found it, values decide
            .filter(|event| request.attribute.as_ref().is_none_or(|a| has(event, a)))
            .collect();
        Ok(Answer { events, next_token })
    }

    /// The fault `short-page`: whether it cut the page.
    fn shorten(&self, picked: &mut Vec<(Place, Body)>, serial: u64) -> bool {
        let kind = FaultKind::ShortPage;
        let seed = self.options.seed;
        if picked.is_empty() || !self.options.faults.strike(seed, kind, serial) {
            return false;
        }
        let all = picked.len();
        let choices = u64::try_from(all).unwrap_or(u64::MAX).saturating_add(1);
        // all of it is a choice too, or a walk with one event a page never ends
        let kept = hash((seed, "short", serial)) % choices;
        picked.truncate(usize::try_from(kept).unwrap_or_default());
        picked.len() < all
    }

    fn event(&self, place: Place, body: &Body) -> Option<LookupEvent> {
        match body {
            Body::Held(event) => Some(LookupEvent::clone(event)),
            Body::Made(number) => {
                let made = self.generator.event(*number, place.time, true);
                made.map(|(_, event)| event)
            }
        }
    }

    /// The first second that a request reaches.
    fn first_second(&self, request: &LookupRequest) -> i64 {
        let asked = request.start_secs().unwrap_or(i64::MIN);
        if self.options.unlimited_history {
            return asked;
        }
        asked.max(self.clock.now_secs().saturating_sub(HISTORY_SECS))
    }

    fn open(&self, text: &str, scope: &Scope, request: &LookupRequest) -> Result<Token, Error> {
        let refuse = |why: &str| Err(Error::new(Code::InvalidNextToken, why));
        let Some(token) = self.sealer.open(text, scope, request) else {
            return refuse("The NextToken is not one of this request.");
        };
        let age_ms = self
            .clock
            .now()
            .as_millisecond()
            .saturating_sub(token.issued_ms);
        let expired = self
            .options
            .token_ttl
            .is_some_and(|ttl| u128::try_from(age_ms).is_ok_and(|age| age > ttl.as_millis()));
        let struck = FaultKind::ExpiredToken;
        if expired
            || self
                .options
                .faults
                .strike(self.options.seed, struck, token.serial)
        {
            return refuse("The NextToken has expired.");
        }
        Ok(token)
    }
}
