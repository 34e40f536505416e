use super::*;

fn token(marks: Vec<Mark>) -> ResumeToken {
    ResumeToken {
        digest: [7; 16],
        log: 42,
        position: 1_000_000,
        begun: 7,
        issued: 1_767_323_045,
        since: Some(1_767_000_000),
        known_since: Some(5),
        told_until: Some(6),
        repeats_to: None,
        settled: marks.iter().map(|mark| mark.settled).min().unwrap_or(3),
        marks,
        reading: Some(Reading {
            from: 1,
            to: 9,
            is_behind: true,
            after: Position {
                id: "00000000-0000-4000-8000-000000000001".into(),
                ..Position::start_of(1_767_320_000)
            },
        }),
        held_to: Some(31),
        missed: Some(Missed {
            others_from: Some(1_767_300_000),
            until: 1_767_323_000,
            before: 17,
            told_to: 23,
            first: Some((
                Scope::new("111122223333", "us-east-1"),
                FilePlace {
                    bucket: "b".to_owned(),
                    key: "k".repeat(1024),
                    records: 12,
                },
            )),
        }),
    }
}

fn marks(accounts: u32, regions: u32) -> Vec<Mark> {
    let mut marks = Vec::new();
    for account in 0..accounts {
        for region in 0..regions {
            let n = i64::from(account * 7919 + region * 104_729);
            marks.push(Mark {
                scope: Scope::new(
                    &format!(
                        "{:012}",
                        100_000_000_000_u64 + u64::from(account) * 987_654_321
                    ),
                    &format!("eu-somewhere-{region}"),
                ),
                settled: 1_767_320_000 - n % 3000,
                way: if n % 5 == 0 {
                    Way::History(n)
                } else {
                    Way::Live
                },
                is_missed: n % 3 == 0,
            });
        }
    }
    marks
}

#[test]
fn a_token_says_what_it_was_made_of() {
    let before = token(marks(3, 4));
    let text = before.encode();
    assert_eq!(ResumeToken::decode(&text, &[7; 16]), Ok(before));
    assert_eq!(ResumeToken::decode(&text, &[8; 16]), Err(TokenError::Other));
    let mut broken = text.into_bytes();
    broken[40] ^= 1;
    let broken = String::from_utf8(broken).unwrap();
    for garbage in ["", "x", &broken, &"A".repeat(20_000)] {
        let decoded = ResumeToken::decode(garbage, &[7; 16]);
        assert_eq!(decoded, Err(TokenError::Garbage));
    }
}

#[test]
fn no_second_that_a_hand_wrote_puts_a_scope_ahead() {
    let mut marks = marks(2, 1);
    for (oldest, is_named) in [(-1_i64 << 40, true), (i64::MIN, false)] {
        marks[0].settled = oldest;
        let before = token(marks.clone());
        let after = ResumeToken::decode(&before.encode(), &[7; 16]).unwrap();
        assert_eq!(after.settled, oldest);
        assert_eq!(!after.marks.is_empty(), is_named);
        let mut pairs = before.marks.iter().zip(&after.marks);
        assert!(pairs.all(|(before, after)| after.settled <= before.settled));
    }
}

#[test]
fn a_name_is_held_once_however_many_scopes_have_it() {
    let text = token(marks(300, 1)).encode();
    let told = ResumeToken::decode(&text, &[7; 16]).unwrap();
    let mut scopes = told.marks.iter().map(|mark| &mark.scope);
    let first = &scopes.next().unwrap().region;
    assert!(scopes.all(|scope| Arc::ptr_eq(&scope.region, first)));
}

#[test]
fn however_many_scopes_it_stays_short_and_never_ahead() {
    for (accounts, regions) in [(1, 1), (30, 17), (120, 17), (1000, 5), (5000, 1)] {
        let before = token(marks(accounts, regions));
        let text = before.encode();
        assert!(text.len() <= MAX_LEN, "{accounts}: {}", text.len());
        let after = ResumeToken::decode(&text, &[7; 16]).unwrap();
        assert_eq!(after.settled, before.settled);
        let is_named = !after.marks.is_empty();
        assert_eq!(is_named, accounts < 1000, "{accounts}");
        let standing = before.marks.iter().map(|mark| Standing {
            scope: mark.scope.clone(),
            settled: mark.settled,
            is_replayed: false,
        });
        let mut standing: Vec<_> = standing.collect();
        before.round(&mut standing);
        let rounded: Vec<_> = standing.iter().map(|one| one.settled).collect();
        if is_named {
            let told: Vec<_> = after.marks.iter().map(|mark| mark.settled).collect();
            assert_eq!(rounded, told);
        } else {
            assert!(rounded.iter().all(|told| *told == before.settled));
        }
        for (before, after) in before.marks.iter().zip(&after.marks) {
            assert_eq!((&before.scope, before.way), (&after.scope, after.way));
            assert_eq!(before.is_missed, after.is_missed);
            assert!(after.settled <= before.settled);
            assert!(before.settled - after.settled <= 240);
        }
    }
}

#[test]
fn of_scopes_that_may_not_be_seen_nothing_is_left() {
    let token = token(marks(2, 3));
    let seen = token.marks[1].scope.clone();
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let all = Selection::default();
    assert_eq!(token.clone().within(&all).marks, token.marks);
    let accounts = names(&[&seen.account]);
    let left = token
        .clone()
        .within(&all.clone().within(Some(&accounts), None));
    assert_eq!(left.marks, token.marks[..3]);
    let regions = names(&[&seen.region]);
    let left = token
        .clone()
        .within(&all.clone().within(Some(&accounts), Some(&regions)));
    assert_eq!(left.marks, token.marks[1..2]);
    let none = token
        .clone()
        .within(&all.within(Some(&names(&["1"])), None));
    assert!(none.marks.is_empty() && none.settled == token.settled);
}
