use proptest::prelude::*;
use tokio::time::sleep;

use super::*;

mod turns;

fn me() -> Caller {
    Caller::named("me")
}

/// AWS's meter, as the simulator has it: a token bucket in whole nanoseconds.
struct Meter {
    rate: u128,
    nanos: u128,
    at: Instant,
}

impl Meter {
    const UNIT: u128 = 1_000_000_000_000;

    fn new(rate_milli: u128) -> Self {
        let depth = Self::depth(rate_milli);
        Self {
            rate: rate_milli,
            nanos: depth,
            at: Instant::now(),
        }
    }

    fn depth(rate_milli: u128) -> u128 {
        rate_milli.max(1000) * Self::UNIT / 1000
    }

    fn allows(&mut self) -> bool {
        let now = Instant::now();
        let passed = (now - self.at).as_nanos();
        self.nanos = (self.nanos + passed * self.rate).min(Self::depth(self.rate));
        self.at = now;
        if self.nanos < Self::UNIT {
            return false;
        }
        self.nanos -= Self::UNIT;
        true
    }
}

#[tokio::test(start_paused = true)]
async fn two_at_once_then_two_a_second() {
    let budget = Arc::new(Budget::new(2.0));
    let start = Instant::now();
    let mut sent = Vec::new();
    for _ in 0..6 {
        drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
        sent.push(start.elapsed().as_millis());
    }
    assert_eq!(sent[..2], [0, 0]);
    for (i, at) in sent.iter().enumerate().skip(2) {
        let exact = 500 * (i as u128 - 1);
        assert!((exact..exact + 10).contains(at), "{sent:?}");
    }
    assert_eq!(budget.stats().bought, 6);
}

#[tokio::test(start_paused = true)]
async fn servers_with_a_share_each_stay_below_the_rate_together() {
    let shares: Vec<_> = (0..4).map(|_| Arc::new(Budget::new(2.0 / 4.0))).collect();
    let start = Instant::now();
    // one was refused, and is back where it was, no further, by the end
    shares[0].throttled(start, None);
    let lasts = Duration::from_secs(400);
    let buy = |share: Arc<Budget>| async move {
        while start.elapsed() < lasts {
            drop(share.buy(Class::Interactive, &me(), None).await.unwrap());
        }
    };
    futures_util::future::join_all(shares.iter().cloned().map(buy)).await;
    let bought: u64 = shares.iter().map(|share| share.stats().bought).sum();
    // beside the rate, one each after the rest, and one each at the end
    assert!((700..=800 + 8).contains(&bought), "{bought}");
    for share in &shares {
        assert_eq!(share.stats().rate, Some(0.5));
    }
}

#[tokio::test(start_paused = true)]
async fn slow_answers_do_not_hold_the_meter_up() {
    let budget = Arc::new(Budget::new(2.0));
    let start = Instant::now();
    let mut permits = Vec::new();
    for _ in 0..12 {
        permits.push(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    }
    // the first pair counts one second after it was sent, then two a second
    assert!(
        start.elapsed() < Duration::from_millis(6_100),
        "{:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() >= Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_after_the_deadline_is_refused_at_once_with_the_wait() {
    let budget = Arc::new(Budget::new(2.0));
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    }
    let mut queue = Vec::new();
    for _ in 0..4 {
        let budget = Arc::clone(&budget);
        queue.push(tokio::spawn(async move {
            drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
        }));
    }
    tokio::task::yield_now().await;
    assert_eq!(budget.stats().all_waiting(), 4);
    let start = Instant::now();
    let soon = Some(start + Duration::from_secs(1));
    let Err(Error::TooLate { wait }) = budget.buy(Class::Interactive, &me(), soon).await else {
        panic!("bought")
    };
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(wait, Duration::from_millis(2_505));
    let asked = budget.buy(Class::Backfill, &me(), soon).await;
    assert!(matches!(asked, Err(Error::TooLate { .. })));
    let late = Some(start + Duration::from_secs(3));
    assert!(budget.buy(Class::Interactive, &me(), late).await.is_ok());
    assert!(
        start.elapsed() <= wait + Duration::from_millis(10),
        "{:?}",
        start.elapsed()
    );
    let of = budget.stats().by_class;
    assert_eq!(of.map(|class| class.refused), [1, 0, 1]);
    assert_eq!(of.map(|class| class.bought), [budget.stats().bought, 0, 0]);
    assert!(of[0].waited >= Duration::from_secs(2) && of[2].waited.is_zero());
    for waiter in queue {
        waiter.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_the_queue_and_buys_nothing() {
    let budget = Arc::new(Budget::new(1.0));
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    let quitter = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { drop(budget.buy(Class::Interactive, &me(), None).await) }
    });
    tokio::task::yield_now().await;
    assert_eq!(budget.stats().all_waiting(), 1);
    quitter.abort();
    assert!(quitter.await.is_err());
    let Stats {
        bought, waiting, ..
    } = budget.stats();
    assert_eq!((bought, waiting), (1, [0; 3]));
    let start = Instant::now();
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    assert!(start.elapsed() < Duration::from_millis(1_010));
}

#[tokio::test(start_paused = true)]
async fn throttling_empties_the_meter_and_honours_the_hint() {
    let budget = Arc::new(Budget::new(2.0));
    budget.throttled(Instant::now(), None);
    let wait = budget.estimated_wait(Class::Interactive, &me());
    let expected = "at seven tenths of the rate one more takes 5/7 s";
    assert_eq!(wait.as_millis(), 715, "{expected}");
    budget.throttled(Instant::now(), Some(Duration::from_secs(3)));
    let start = Instant::now();
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(budget.stats().throttled, 2);
}

#[tokio::test(start_paused = true)]
async fn unmetered_never_waits() {
    let budget = Arc::new(Budget::new(0.0));
    let start = Instant::now();
    for _ in 0..1000 {
        drop(
            budget
                .buy(Class::Interactive, &me(), Some(start))
                .await
                .unwrap(),
        );
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_queue_counts_from_the_moment_it_is_joined() {
    let budget = Arc::new(Budget::new(2.0));
    let soon = Some(Instant::now() + Duration::from_secs(2));
    let queued: Vec<_> = (0..40)
        .map_while(|_| budget.queue(Class::Interactive, &me(), soon).ok())
        .collect();
    let most = "two at once, then two a second for less than two seconds";
    assert_eq!(queued.len(), 5, "{most}");
    drop(queued);
    assert_eq!(budget.stats().all_waiting(), 0);
    assert!(budget.queue(Class::Interactive, &me(), soon).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_queue_behind_a_pause_is_told_its_wait() {
    let budget = Arc::new(Budget::new(2.0));
    budget.throttled(Instant::now(), Some(Duration::from_secs(5)));
    let start = Instant::now();
    let wait = |budget: &Arc<Budget>| budget.estimated_wait(Class::Interactive, &me());
    let mut tickets = Vec::new();
    for _ in 0..9 {
        tickets.push(budget.queue(Class::Interactive, &me(), None).unwrap());
    }
    let expected = wait(&budget);
    tickets.push(budget.queue(Class::Interactive, &me(), None).unwrap());
    for (mut ticket, _claim) in tickets {
        drop(ticket.ready().await);
    }
    // at the rate as it was: meanwhile it comes back, slowly
    let (least, took) = (expected.mul_f64(0.9), start.elapsed());
    assert!(
        (least..=expected).contains(&took),
        "{expected:?} and {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_not_counted() {
    let budget = Arc::new(Budget::new(1.0));
    let start = Instant::now();
    budget
        .buy(Class::Interactive, &me(), None)
        .await
        .unwrap()
        .give_back();
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    assert_eq!(
        (budget.stats().bought, start.elapsed()),
        (1, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_never_comes_round_is_no_panic() {
    let budget = Arc::new(Budget::new(1e-20));
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    let soon = Instant::now() + Duration::from_secs(1);
    assert!(
        budget
            .buy(Class::Interactive, &me(), Some(soon))
            .await
            .is_err()
    );
}

proptest! {


    /// Whatever the pace, the travel times and the moment at which AWS counts
    /// within them, nothing that was bought is refused.
    #[test]
    fn never_ahead_of_the_meter_there(
        rate_milli in 300_u32..8_000,
        calls in prop::collection::vec((0_u64..500, 0_u64..1_500, 0_u64..3_000), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let budget = Arc::new(Budget::new(f64::from(rate_milli) / 1000.0));
            let meter = Arc::new(Mutex::new(Meter::new(rate_milli.into())));
            let mut tasks = Vec::new();
            for (there, back, pause) in calls {
                let (budget, meter) = (Arc::clone(&budget), Arc::clone(&meter));
                tasks.push(tokio::spawn(async move {
                    let permit = budget.buy(Class::Interactive, &me(), None).await.unwrap();
                    sleep(Duration::from_millis(there)).await;
                    assert!(meter.lock().unwrap().allows(), "refused");
                    sleep(Duration::from_millis(back)).await;
                    drop(permit);
                }));
                if pause > 2_000 {
                    sleep(Duration::from_millis(pause - 2_000)).await;
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}
