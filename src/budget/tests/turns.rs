//! Who is served when, and that nothing is lost on the way.

use proptest::test_runner::TestCaseError;

use super::*;

fn caller(number: usize) -> Caller {
    Caller::named(&format!("caller{number}"))
}

/// A budget whose first pair is spent.
async fn spent(rate: f64) -> Arc<Budget> {
    let budget = Arc::new(Budget::new(rate));
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    }
    budget
}

/// Queues these at once, and tells in what order they are served.
async fn order(wanted: &[(Class, usize)]) -> Vec<(Class, usize)> {
    weighted_order(wanted, |_| 1).await
}

/// The same, where callers have so many turns in a row.
async fn weighted_order(
    wanted: &[(Class, usize)],
    weight: impl Fn(usize) -> u8,
) -> Vec<(Class, usize)> {
    let budget = spent(2.0).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for &(class, number) in wanted {
        let caller = caller(number).on(Terms {
            weight: weight(number),
            daily: None,
        });
        let (mut ticket, claim) = budget.queue(class, &caller, None).unwrap();
        let served = Arc::clone(&served);
        tasks.push(tokio::spawn(async move {
            let _claim = claim;
            drop(ticket.ready().await);
            served.lock().unwrap().push((class, number));
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(budget.lock().queue.is_empty());
    Mutex::into_inner(Arc::into_inner(served).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_urgent_come_first_and_none_is_starved() {
    let [interactive, subscription, backfill] = Class::ALL;
    let mut wanted = Vec::new();
    for class in [backfill, subscription, interactive] {
        wanted.extend([(class, 0); 40]);
    }
    let classes: Vec<Class> = order(&wanted).await.into_iter().map(|(it, _)| it).collect();
    for twelve in classes.chunks(12).take(4) {
        let count = |class| twelve.iter().filter(|it| **it == class).count();
        let counts = Class::ALL.map(count);
        assert_eq!(counts, [8, 3, 1], "{twelve:?}");
    }
    assert_eq!(classes[..3], [interactive, interactive, subscription]);
}

#[tokio::test(start_paused = true)]
async fn callers_take_turns_however_much_each_wants() {
    let class = Class::Interactive;
    let mut wanted = vec![(class, 0); 20];
    wanted.extend([(class, 1); 3]);
    wanted.push((class, 2));
    let callers: Vec<usize> = order(&wanted).await.into_iter().map(|(_, it)| it).collect();
    assert_eq!(callers[..8], [0, 1, 2, 0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_weighs_more_has_more_turns_and_starves_nobody() {
    let class = Class::Interactive;
    let mut wanted = Vec::new();
    for number in [0, 1, 2] {
        wanted.extend([(class, number); 12]);
    }
    let served = weighted_order(&wanted, |number| [1, 3, 0][number]).await;
    let callers: Vec<usize> = served.into_iter().map(|(_, it)| it).collect();
    // nothing is less than one
    assert_eq!(callers[..10], [0, 1, 1, 1, 2, 0, 1, 1, 1, 2]);
    // who has no more to ask has saved nothing up
    assert_eq!(callers[20..26], [0, 2, 0, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_bought_at_the_first_turn_of_any_who_wait() {
    let budget = spent(2.0).await;
    let start = Instant::now();
    let mut line = Vec::new();
    for _ in 0..50 {
        line.push(budget.queue(Class::Backfill, &caller(0), None).unwrap());
    }
    let (mut last, claim) = line.pop().unwrap();
    for (mut ticket, claim) in line {
        tokio::spawn(async move {
            let _claim = claim;
            drop(ticket.ready().await);
        });
    }
    let place = last.place();
    let soon = start + Duration::from_secs(2);
    // to stand in the same line does not help
    let refused = place.claim(Class::Backfill, &caller(0), Some(soon));
    let Err(Error::TooLate { wait }) = refused else {
        panic!("{refused:?}")
    };
    assert!(wait > Duration::from_secs(24), "{wait:?}");
    let joined = place.claim(Class::Interactive, &caller(1), Some(soon));
    let joined = joined.unwrap();
    // who began it may leave: it is the joiner's by now
    drop(claim);
    drop(last.ready().await);
    assert!(
        start.elapsed() < Duration::from_millis(600),
        "{:?}",
        start.elapsed()
    );
    // another attempt has the claims of those who wait then
    let quick = Instant::now();
    drop(last.ready().await);
    assert!(quick.elapsed() < Duration::from_millis(1_100));
    drop(joined);
    let nobody = tokio::time::timeout(Duration::from_secs(600), last.ready()).await;
    assert!(nobody.is_err(), "nothing is bought for nobody");
    drop(last);
    assert!(budget.lock().queue.is_empty());
    assert_eq!(budget.stats().bought, 2 + 49 + 2);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let budget = spent(2.0).await;
    let (_ticket, claim) = budget.queue(Class::Interactive, &me(), None).unwrap();
    let place = _ticket.place();
    let claims: Vec<_> = (1..queue::MAX_CLAIMS)
        .map(|number| {
            place
                .claim(Class::Interactive, &caller(number % 7), None)
                .unwrap()
        })
        .collect();
    let more = place.claim(Class::Interactive, &me(), None);
    assert!(matches!(more, Err(Error::TooLate { .. })));
    let more = budget.queue(Class::Interactive, &me(), None);
    assert!(matches!(more, Err(Error::TooLate { .. })));
    // however many share it, it is one request that waits
    assert_eq!(budget.stats().all_waiting(), 1);
    assert!(budget.estimated_wait(Class::Interactive, &caller(1)) < Duration::from_secs(2));
    drop((claims, claim, _ticket));
    assert!(budget.lock().queue.is_empty());
}

/// A request that is cut off in the middle was sent, for all that is known.
#[tokio::test(start_paused = true)]
async fn a_panic_leaks_nothing() {
    let budget = Arc::new(Budget::new(1.0));
    let cut_off = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move {
            let (mut ticket, _claim) = budget.queue(Class::Interactive, &me(), None).unwrap();
            let _permit = ticket.ready().await;
            panic!("on purpose");
        }
    });
    assert!(cut_off.await.is_err());
    assert!(budget.lock().queue.is_empty());
    let start = Instant::now();
    drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    assert!((999..1_010).contains(&start.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_refusals_counts_once_and_bursts_shrink() {
    let budget = Arc::new(Budget::new(10.0));
    let mut burst = Vec::new();
    for _ in 0..10 {
        burst.push(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    }
    for permit in burst {
        permit.throttled(None);
    }
    let rate = budget.stats().rate.unwrap();
    assert!((rate - 7.0).abs() < 0.01, "{rate}");
    for _ in 0..30 {
        let permit = budget.buy(Class::Interactive, &me(), None).await.unwrap();
        permit.throttled(None);
    }
    let rate = budget.stats().rate.unwrap();
    assert!((0.5..0.7).contains(&rate), "a floor: {rate}");
    sleep(Duration::from_secs(20)).await;
    let start = Instant::now();
    for _ in 0..3 {
        drop(budget.buy(Class::Interactive, &me(), None).await.unwrap());
    }
    assert!(start.elapsed() > Duration::from_secs(1), "no burst of ten");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(budget.stats().rate, Some(10.0));
}

/// One who comes: how much later than the one before, for what, with how much
/// patience, and when they hang up.
#[derive(Clone, Debug)]
struct Arrival {
    after: u64,
    class: Class,
    caller: usize,
    /// Joins the page of the one before.
    joins: bool,
    patience: Option<u64>,
    hangs_up: Option<u64>,
    /// When the task of a page that begins with them is cut off.
    cut_off: Option<u64>,
    there: u64,
    back: u64,
    /// So many attempts are refused: others use the quota.
    refused: usize,
}

fn arrivals(is_refused: bool) -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (
        (
            0_u64..900,
            prop::sample::select(&Class::ALL[..]),
            0_usize..4,
        ),
        any::<bool>(),
        prop::option::weighted(0.3, 0_u64..20_000),
        prop::option::weighted(0.3, 0_u64..4_000),
        prop::option::weighted(0.1, 0_u64..4_000),
        (0_u64..500, 0_u64..900, 0_usize..6),
    );
    let arrival = arrival.prop_map(
        move |(
            (after, class, caller),
            joins,
            patience,
            hangs_up,
            cut_off,
            (there, back, refused),
        )| {
            Arrival {
                after,
                class,
                caller,
                joins,
                patience,
                hangs_up,
                cut_off,
                there,
                back,
                refused: if is_refused {
                    refused.saturating_sub(3)
                } else {
                    0
                },
            }
        },
    );
    prop::collection::vec(arrival, 1..50)
}

/// Waits for the turn, and sends; the meter there must not refuse. Says whether
/// an answer came.
async fn send(mut ticket: Ticket, arrival: Arrival, meter: Arc<Mutex<Meter>>) {
    for _ in 0..arrival.refused {
        let permit = ticket.ready().await;
        sleep(Duration::from_millis(arrival.there)).await;
        permit.throttled(None);
    }
    let permit = ticket.ready().await;
    sleep(Duration::from_millis(arrival.there)).await;
    assert!(meter.lock().unwrap().allows(), "refused");
    sleep(Duration::from_millis(arrival.back)).await;
    drop(permit);
}

/// Lets them all come, and checks that each who stays is served.
async fn all_come(arrivals: Vec<Arrival>) -> Result<(), TestCaseError> {
    let budget = Arc::new(Budget::new(2.0));
    let meter = Arc::new(Mutex::new(Meter::new(2_000)));
    // each page: its place, its task, and whether somebody stays to the end
    let mut pages: Vec<(Place, tokio::task::JoinHandle<()>, bool)> = Vec::new();
    let mut claims = Vec::new();
    for arrival in arrivals {
        sleep(Duration::from_millis(arrival.after)).await;
        let (class, caller) = (arrival.class, caller(arrival.caller));
        let patience = arrival.patience.map(Duration::from_millis);
        let deadline = patience.map(|patience| Instant::now() + patience);
        let stays = arrival.hangs_up.is_none();
        let joined = pages
            .last_mut()
            .filter(|(_, task, _)| arrival.joins && !task.is_finished());
        let claim = if let Some((place, _, is_wanted)) = joined {
            let Ok(claim) = place.claim(class, &caller, deadline) else {
                prop_assert!(deadline.is_some());
                continue;
            };
            *is_wanted |= stays;
            claim
        } else {
            let Ok((ticket, claim)) = budget.queue(class, &caller, deadline) else {
                prop_assert!(deadline.is_some());
                continue;
            };
            let place = ticket.place();
            let task = tokio::spawn(send(ticket, arrival.clone(), Arc::clone(&meter)));
            if let Some(after) = arrival.cut_off {
                let task = task.abort_handle();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(after)).await;
                    task.abort();
                });
            }
            pages.push((place, task, stays));
            claim
        };
        match arrival.hangs_up {
            None => claims.push(claim),
            Some(after) => {
                tokio::spawn(async move {
                    let _claim = claim;
                    sleep(Duration::from_millis(after)).await;
                });
            }
        }
    }
    sleep(Duration::from_secs(600)).await;
    for (_, task, is_wanted) in pages {
        prop_assert!(
            task.is_finished() || !is_wanted,
            "one who stays is not served"
        );
        task.abort();
        if let Err(error) = task.await {
            prop_assert!(error.is_cancelled(), "{error}");
        }
    }
    drop(claims);
    sleep(Duration::from_secs(1)).await;
    let mut state = budget.lock();
    prop_assert!(state.queue.is_empty());
    state.settle(Instant::now());
    // as if it had never been used
    let metered = state.metered.as_ref().unwrap();
    prop_assert_eq!(metered.meter.wait(2.0, Duration::ZERO), Duration::ZERO);
    prop_assert_eq!(metered.pace.rate(), 2.0);
    Ok(())
}

/// Queues these at once: each is served when it was expected, or a little before.
async fn all_wait(wanted: Vec<(usize, usize, bool)>, travel: u64) -> Result<(), TestCaseError> {
    let budget = spent(2.0).await;
    let start = Instant::now();
    let mut tasks = Vec::new();
    let mut kept = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for (class, number, joins) in wanted {
        let (class, caller) = (Class::ALL[class], caller(number));
        if let Some(place) = places.last().filter(|_| joins) {
            kept.push(place.claim(class, &caller, None).unwrap());
            continue;
        }
        let (mut ticket, claim) = budget.queue(class, &caller, None).unwrap();
        kept.push(claim);
        places.push(ticket.place());
        tasks.push(tokio::spawn(async move {
            let permit = ticket.ready().await;
            let served = Instant::now();
            sleep(Duration::from_millis(travel)).await;
            drop(permit);
            served
        }));
    }
    let expected: Vec<Duration> = {
        let mut state = budget.lock();
        let waits = places.iter().map(|place| state.wait_of(place.id(), start));
        waits.collect()
    };
    for (task, expected) in tasks.into_iter().zip(expected) {
        let took = task.await.unwrap() - start;
        // the reserve, for or against, and what is under way at the end
        let off = Duration::from_millis(300 + travel);
        prop_assert!(took.abs_diff(expected) <= off, "{took:?}, not {expected:?}");
    }
    Ok(())
}

fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

proptest! {
    /// Whoever comes, joins, hangs up and is refused: all who stay are served,
    /// nothing that was bought is refused but by others' doing, and nothing is
    /// left over.
    #[test]
    fn nothing_leaks(arrivals in any::<bool>().prop_flat_map(arrivals)) {
        paused(all_come(arrivals))?;
    }

    /// What is estimated is what happens, if nobody else comes.
    #[test]
    fn waits_are_as_estimated(
        wanted in prop::collection::vec((0_usize..3, 0_usize..5, any::<bool>()), 1..40),
        travel in 0_u64..400,
    ) {
        paused(all_wait(wanted, travel))?;
    }
}
