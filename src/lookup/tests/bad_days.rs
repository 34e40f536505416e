//! Credentials that come and go, and questions that are too large.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;
use crate::upstream::{PageFuture, PageRequest};

/// A simulator whose keys are refused now and then.
struct Keys {
    simulator: Arc<Simulator>,
    are_expired: AtomicBool,
}

impl upstream::CloudTrail for Keys {
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        if self.are_expired.load(Relaxed) {
            let kind = upstream::ErrorKind::Credentials;
            let error = upstream::Error::new(kind, "ExpiredTokenException", "expired");
            return Box::pin(async { Err(error) });
        }
        self.simulator.lookup_events(scope, request)
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_and_come_back_cost_a_moment_and_nothing_twice() {
    let world = World::new();
    for i in 0..400 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let keys = Arc::new(Keys {
        simulator: Arc::clone(&world.simulator),
        are_expired: AtomicBool::new(false),
    });
    let cloudtrail: Arc<Keys> = Arc::clone(&keys);
    let upstream = Upstream::new(cloudtrail, Arc::new(Budgets::new(2.0)), Retry::default());
    let coverage = Arc::new(Coverage::new(coverage::Options::default()));
    let lookup = Lookup::new(world.clock.clone(), coverage, Arc::new(upstream), None);
    let mut question = Question {
        page_events: 120,
        ..world.question()
    };
    let first = lookup.ask(&question).await.unwrap();
    assert_eq!(first.events.len(), 120);
    let mut seen = numbers(&first.events);
    question.follow(&first);
    keys.are_expired.store(true, Relaxed);
    // what was read is told, and then why there is no more
    let second = lookup.ask(&question).await.unwrap();
    seen.extend(numbers(&second.events));
    let ScopeState::Partial(Reason::Upstream(Error::Credentials { code, .. })) =
        &second.scopes[0].state
    else {
        panic!("{:?}", second.scopes[0].state)
    };
    assert_eq!(code, "ExpiredTokenException");
    question.follow(&second);
    for _ in 0..3 {
        let refused = lookup.ask(&question).await;
        assert!(
            matches!(refused, Err(Error::Credentials { .. })),
            "{refused:?}"
        );
    }
    // remembered for some seconds: not each of them was asked for
    assert_eq!(lookup.upstream.budget(&scope()).stats().bought, 4);
    keys.are_expired.store(false, Relaxed);
    sleep(Duration::from_secs(4)).await;
    loop {
        question.deadline = Clock::deadline(Duration::from_secs(3_600));
        let answer = lookup.ask(&question).await.unwrap();
        seen.extend(numbers(&answer.events));
        if answer.next.is_none() {
            break;
        }
        question.follow(&answer);
    }
    assert_eq!(seen, Vec::from_iter(0..400));
    assert_eq!(world.asked(), 8, "eight pages of fifty, each once");
}

/// Two million events, one in three seconds and a bit more, made when they are
/// asked for.
struct Busy {
    now: i64,
    asked: AtomicU64,
}

const MANY: i64 = 2_000_000;

impl Busy {
    fn time(&self, number: i64) -> i64 {
        self.now - number * 90 * DAY / MANY
    }

    fn page(&self, request: &PageRequest) -> upstream::Page {
        let range = request.range;
        let first = match &request.token {
            Some(token) => token.parse().unwrap(),
            None => ((self.now + 1 - range.to) * MANY / (90 * DAY)).max(0),
        };
        let numbers = (first..MANY).filter(|number| range.contains(self.time(*number)));
        let mut numbers = numbers.take(51).collect::<Vec<_>>();
        let next = (numbers.len() > 50).then(|| numbers.pop()).flatten();
        let event = |number: &i64| LookupEvent {
            event_id: Some(format!("00000000-0000-4000-8000-{number:012}")),
            event_name: Some("A".into()),
            event_time: Some(self.time(*number)),
            record: Some("{\"eventName\":\"A\"}".into()),
            ..LookupEvent::default()
        };
        upstream::Page {
            events: numbers.iter().map(event).collect(),
            next_token: next.map(|number| number.to_string()),
        }
    }
}

impl upstream::CloudTrail for Busy {
    fn lookup_events<'a>(&'a self, _: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        self.asked.fetch_add(1, Relaxed);
        let page = self.page(request);
        Box::pin(async {
            sleep(Duration::from_millis(200)).await;
            Ok(page)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn two_million_events_and_a_second_are_what_a_second_brings_and_a_way_on() {
    let world = World::new();
    let busy = Arc::new(Busy {
        now: world.now,
        asked: AtomicU64::new(0),
    });
    // a gateway that holds nothing yet
    let anew = || {
        let cloudtrail: Arc<Busy> = Arc::clone(&busy);
        let upstream = Upstream::new(cloudtrail, Arc::new(Budgets::new(2.0)), Retry::default());
        let coverage = Arc::new(Coverage::new(coverage::Options::default()));
        let history = Some(Duration::from_secs(90 * 86_400));
        Lookup::new(world.clock.clone(), coverage, Arc::new(upstream), history)
    };
    let by_path = Match {
        field: "requestParameters.noSuchThing".into(),
        operator: crate::filter::Operator::Exists,
        ..Match::default()
    };
    let filters = [EventFilter {
        matches: vec![by_path],
    }];
    let nothing = Arc::new(Filter::compile(&filters, &()).unwrap());
    for (order, filter) in [
        (Order::NewestFirst, Arc::default()),
        (Order::OldestFirst, Arc::default()),
        (Order::NewestFirst, nothing),
    ] {
        let lookup = anew();
        let (start, before) = (Instant::now(), busy.asked.load(Relaxed));
        let question = Question {
            filter,
            order,
            page_events: 1_000,
            deadline: Clock::deadline(Duration::from_secs(1)),
            ..world.question()
        };
        let answer = lookup.ask(&question).await.unwrap();
        assert!(start.elapsed() <= Duration::from_secs(1), "{order:?}");
        let asked = busy.asked.load(Relaxed) - before;
        assert!((1..=3).contains(&asked), "{order:?}: {asked}");
        assert_eq!(answer.stats.upstream_calls, asked);
        let status = &answer.scopes[0];
        assert_eq!(status.state, ScopeState::Partial(Reason::Deadline));
        assert!(answer.next.is_some());
        assert!(answer.events.len() <= 150);
        // nothing was bought for it afterwards
        sleep(Duration::from_secs(60)).await;
        assert_eq!(busy.asked.load(Relaxed) - before, asked);
    }
    let lookup = anew();
    let question = Question {
        page_events: 10_000,
        page_bytes: 32 << 20,
        deadline: Clock::deadline(Duration::from_secs(1)),
        ..world.question()
    };
    let of = SummaryOf {
        width: 3_600,
        fields: crate::filter::Fields::default(),
        top_values: 10,
    };
    let summary = lookup.summarize(question, &of).await.unwrap();
    assert!(summary.events > 0 && summary.events <= 150);
    assert!(summary.buckets.iter().any(|bucket| bucket.is_partial));
    let state = &summary.scopes[0].state;
    assert_eq!(*state, ScopeState::Partial(Reason::Deadline));
}
