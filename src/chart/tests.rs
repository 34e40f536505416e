//! Pictures of nothing, of little, of much, and of what is meant to break them.

mod walker;

use proptest::prelude::*;

use super::*;

const CALLS: Words = ("call", "calls");
const DAY: i64 = 86_400;
/// 2024-05-06T12:00:00Z
const NOON: i64 = 1_714_996_800;

/// Texts that break what does not mind.
fn hostile() -> Vec<String> {
    [
        "<script>alert(1)</script>",
        "</text></svg><img src=x onerror=alert(1)>",
        "\"'&<>]]>",
        "moc\u{202e}gpj.exe\u{2066}\u{202c}",
        "\u{0}\u{1}\u{1b}[31m\r\n\t\u{fffe}",
        "",
        "世界世界世界世界世界世界世界世界世界世界世界世界世界世界",
        "%s{}{{0}}\\",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        "x".repeat(300),
        "🙂".repeat(300),
        "e\u{301}".repeat(150),
        "W".repeat(42),
    ])
    .collect()
}

fn part(name: &str) -> Part {
    Part {
        name: name.to_owned(),
        is_marked: name.contains("denied"),
    }
}

fn bar(name: &str, pieces: &[(&str, u64)]) -> Bar {
    Bar {
        name: name.to_owned(),
        pieces: pieces.iter().map(|(name, n)| (part(name), *n)).collect(),
        ..Bar::default()
    }
}

fn bars(bars: Vec<Bar>) -> Bars {
    Bars {
        title: "Calls".to_owned(),
        of: ("key", "keys"),
        counts: CALLS,
        bars,
    }
}

fn columns(all: Vec<Counted>) -> Columns {
    Columns {
        title: "Days".to_owned(),
        counts: CALLS,
        time: (NOON - 9 * DAY, NOON),
        all,
    }
}

fn counted(second: i64, name: &str, amount: u64) -> Counted {
    Counted {
        second,
        part: part(name),
        amount,
    }
}

fn timeline(moments: Vec<Moment>) -> Timeline {
    Timeline {
        title: "Moments".to_owned(),
        counts: ("event", "events"),
        kinds: ("went well", "failed"),
        time: (NOON - DAY, NOON),
        first: vec!["first"],
        moments,
    }
}

fn moment(second: i64, lane: &str, is_cross: bool) -> Moment {
    Moment {
        second,
        lane: lane.to_owned(),
        is_cross,
        text: format!("text of {lane}"),
    }
}

/// Holds a picture to what all keep to; its marks.
fn held(picture: &maud::Markup) -> walker::Seen {
    let seen = walker::walk(&picture.0);
    assert!(seen.marks <= 4_000, "{}", seen.marks);
    assert_eq!(seen.titles.first().map(String::is_empty), Some(false));
    assert_eq!(seen.descriptions.len(), 1);
    seen
}

#[test]
fn nothing_is_said_to_be_nothing() {
    for picture in [
        bars(Vec::new()).draw(),
        columns(Vec::new()).draw(),
        timeline(Vec::new()).draw(),
    ] {
        assert_eq!(held(&picture).texts, ["nothing to show"]);
    }
}

#[test]
fn one_of_each_is_drawn() {
    let seen = held(&bars(vec![bar("AKIA1", &[("192.0.2.1", 1)])]).draw());
    assert_eq!(
        seen.titles,
        ["Calls", "AKIA1: 1 call", "AKIA1, 192.0.2.1: 1 call"]
    );
    assert_eq!(
        seen.descriptions,
        ["1 key; the longest bar is that of AKIA1, 1 call."]
    );
    // one part needs no key
    assert_eq!(seen.texts, ["0", "1", "AKIA1", "1"]);

    let seen = held(&columns(vec![counted(NOON, "", 3)]).draw());
    assert_eq!(seen.titles, ["Days", "2024-05-06: 3 calls"]);
    assert_eq!(
        seen.descriptions,
        ["3 calls from 2024-04-27 to 2024-05-06; most, 3, on 2024-05-06."]
    );

    let seen = held(&timeline(vec![moment(NOON, "first", false)]).draw());
    assert_eq!(
        seen.titles,
        ["Moments", "first", "2024-05-06 12:00:00: text of first"]
    );
    assert_eq!(seen.shapes, [("circle".to_owned(), 1)].into());
}

#[test]
fn one_instant_is_a_time_too() {
    let one = timeline(vec![moment(NOON, "a", false), moment(NOON, "a", true)]);
    let one = Timeline {
        time: (NOON, NOON),
        ..one
    };
    let seen = held(&one.draw());
    // and what they are
    assert_eq!(seen.shapes["circle"], 2);
    assert_eq!(
        seen.texts.iter().filter(|text| *text == "failed").count(),
        1
    );
    let back = Timeline {
        time: (NOON + DAY, NOON - DAY),
        ..one
    };
    held(&back.draw());
    for ends in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0)] {
        let all = vec![moment(i64::MIN, "a", false), moment(i64::MAX, "b", true)];
        held(
            &Timeline {
                time: ends,
                ..timeline(all)
            }
            .draw(),
        );
        let all = vec![
            counted(i64::MIN, "a", u64::MAX),
            counted(i64::MAX, "b", u64::MAX),
        ];
        held(
            &Columns {
                time: ends,
                ..columns(all)
            }
            .draw(),
        );
    }
}

#[test]
fn much_is_folded_and_said_to_be() {
    let all: Vec<Bar> = (0..10_000_u64)
        .map(|n| {
            let pieces: Vec<(String, u64)> =
                (0..10).map(|p| (format!("part {p}"), n + p)).collect();
            let pieces: Vec<_> = pieces.iter().map(|(name, n)| (name.as_str(), *n)).collect();
            bar(&format!("key {n}"), &pieces)
        })
        .collect();
    let seen = held(&bars(all).draw());
    let drawn = seen
        .texts
        .iter()
        .filter(|text| text.starts_with("key "))
        .count();
    assert_eq!(drawn, MAX_BARS);
    assert!(seen.texts.contains(&"key 9999".to_owned()));
    // 10 n + 45 of each, without the last 30
    let rest: u64 = (0..9_970).map(|n| 10 * n + 45).sum();
    let rest = text::number(rest);
    let said = format!("9\u{202f}970 keys more, not drawn: {rest} calls together");
    assert!(seen.texts.contains(&said), "{:?}", seen.texts);
    assert!(seen.texts.contains(&"4 others".to_owned()));
    assert!(seen.descriptions[0].contains(&said));

    let all = (0..10_000)
        .map(|n| counted(NOON - n * DAY, "", 1))
        .collect();
    let seen = held(&columns(all).draw());
    assert_eq!(seen.titles.len(), 101);
    assert!(
        seen.titles[1].ends_with(": 100 calls"),
        "{:?}",
        seen.titles[1]
    );
    assert!(seen.descriptions[0].ends_with("Each bar is of 100 days."));

    let all = (0..10_000).map(|n| moment(NOON - n, &format!("lane {}", n % 40), n % 3 == 0));
    let seen = held(&timeline(all.collect()).draw());
    assert!(seen.texts.contains(&"28 others".to_owned()));
    assert!(seen.descriptions[0].contains("10\u{202f}000 events"));
}

#[test]
fn everything_is_counted() {
    let all = (0..500).map(|n| moment(NOON - n * 97, &format!("lane {}", n % 5), n % 7 == 0));
    let seen = held(&timeline(all.collect()).draw());
    let counts = seen
        .titles
        .iter()
        .filter(|title| title.starts_with("2024-"))
        .map(|title| {
            match title
                .split(": ")
                .nth(1)
                .and_then(|told| told.split_once(" events"))
            {
                Some((count, _)) => count.parse::<u64>().unwrap(),
                None => 1,
            }
        });
    assert_eq!(counts.sum::<u64>(), 500);

    let all: Vec<_> = (0..500)
        .map(|n| counted(NOON - n * 7_919, "a", 2))
        .collect();
    let seen = held(&columns(all).draw());
    let counts = seen.titles.iter().skip(1).map(|title| {
        let (_, told) = title.split_once(": ").unwrap();
        told.split_once(' ').unwrap().0.parse::<u64>().unwrap()
    });
    assert_eq!(counts.sum::<u64>(), 1_000);
}

#[test]
fn hostile_texts_are_texts() {
    let texts = hostile();
    let names = || texts.iter().enumerate();
    let all = names().map(|(n, text)| Bar {
        name: text.clone(),
        group: text.clone(),
        pieces: vec![(
            Part {
                name: text.clone(),
                is_marked: n % 2 == 0,
            },
            1,
        )],
        note: "",
    });
    let picture = Bars {
        title: texts[0].clone(),
        ..bars(all.collect())
    };
    let seen = held(&picture.draw());
    assert_eq!(seen.titles[0], texts[0]);
    assert!(
        seen.titles
            .iter()
            .any(|title| title.contains("</text></svg>"))
    );

    let all = names().map(|(n, text)| Counted {
        second: NOON,
        part: Part {
            name: text.clone(),
            is_marked: n % 2 == 0,
        },
        amount: u64::MAX,
    });
    held(&columns(all.collect()).draw());

    let all = names().map(|(n, text)| Moment {
        second: NOON - 60 * i64::try_from(n).unwrap(),
        lane: text.clone(),
        is_cross: n % 2 == 0,
        text: text.clone(),
    });
    held(&timeline(all.collect()).draw());
}

#[test]
fn groups_stand_together_the_larger_first() {
    let of = |group: &str, name: &str, amount| Bar {
        group: group.to_owned(),
        ..bar(name, &[("", amount)])
    };
    let all = vec![
        of("s3", "s3:Get", 3),
        of("iam", "iam:List", 5),
        of("s3", "s3:Put", 9),
        of("iam", "iam:Get", 6),
        Bar {
            note: "never seen used",
            ..of("s3", "s3:None", 0)
        },
    ];
    let seen = held(&bars(all).draw());
    let names = seen
        .texts
        .iter()
        .filter(|text| text.contains(':') || ["s3", "iam"].contains(&text.as_str()));
    let names: Vec<_> = names.map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "s3", "s3:Put", "s3:Get", "s3:None", "iam", "iam:Get", "iam:List"
        ]
    );
    assert!(
        seen.texts.contains(&"never seen us…".to_owned())
            || seen.texts.contains(&"never seen used".to_owned())
    );
}

#[test]
fn what_is_marked_is_hatched_and_named() {
    let all = vec![bar(
        "ann",
        &[("AccessDenied (denied)", 3), ("NoSuchKey", 1)],
    )];
    let seen = held(&bars(all).draw());
    // its piece, and what the colour means
    assert_eq!(seen.hatched, 2);
    assert!(seen.texts.contains(&"AccessDenied (denied)".to_owned()));
}

#[test]
fn pieces_are_as_long_as_what_they_count() {
    let all = vec![bar("a", &[("x", 300), ("y", 100)]), bar("b", &[("x", 200)])];
    let seen = held(&bars(all).draw());
    let long = |class: &str| -> Vec<u64> {
        let these = seen
            .rects
            .iter()
            .filter(|(of, (_, _, wide, _))| of == class && *wide != 12);
        these.map(|(_, (_, _, wide, _))| *wide).collect()
    };
    let [of_a, of_b] = long("part p0")[..] else {
        panic!()
    };
    let [of_y] = long("part p1")[..] else {
        panic!()
    };
    assert!((of_a * 2).abs_diff(of_b * 3) <= 3, "{of_a} {of_b}");
    assert!((of_y * 3).abs_diff(of_a) <= 3, "{of_y} {of_a}");
}

#[test]
fn the_same_is_drawn_the_same_in_whatever_order() {
    let mut all: Vec<_> = (0..50)
        .map(|n| bar(&format!("k{}", n % 40), &[(&format!("p{}", n % 9), n % 4)]))
        .collect();
    let one = bars(all.clone()).draw().0;
    all.reverse();
    assert_eq!(bars(all).draw().0, one);
    let mut all: Vec<_> = (0..50)
        .map(|n| moment(NOON - n * 60, &format!("l{}", n % 20), n % 2 == 0))
        .collect();
    let one = timeline(all.clone()).draw().0;
    all.reverse();
    assert_eq!(timeline(all).draw().0, one);
    let mut all: Vec<_> = (0..50)
        .map(|n| counted(NOON - n * 7_000, &format!("p{}", n % 9), 3))
        .collect();
    let one = columns(all.clone()).draw().0;
    all.reverse();
    assert_eq!(columns(all).draw().0, one);
}

/// Texts of few, so that some meet; some of any signs.
fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", any::<String>(), "\\PC{0,80}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_drawn_is_whole_and_within(
        title in names(),
        all in prop::collection::vec(
            (names(), names(), names(), any::<bool>(), any::<u64>(), any::<i64>()),
            0..60,
        ),
        ends in any::<(i64, i64)>(),
        scale in 0_u32..64,
    ) {
        let bars = all.iter().map(|(name, group, of, is_marked, amount, _)| Bar {
            name: name.clone(),
            group: group.clone(),
            pieces: vec![(Part { name: of.clone(), is_marked: *is_marked }, amount >> scale)],
            note: if amount % 7 == 0 { "unknown" } else { "" },
        });
        let picture = Bars { title: title.clone(), ..self::bars(bars.collect()) };
        walker::walk(&picture.draw().0);
        let counted = all.iter().map(|(_, _, of, is_marked, amount, second)| Counted {
            second: second >> scale,
            part: Part { name: of.clone(), is_marked: *is_marked },
            amount: amount >> scale,
        });
        let time = (ends.0 >> scale, ends.1 >> scale);
        let picture = Columns { title: title.clone(), time, ..columns(counted.collect()) };
        walker::walk(&picture.draw().0);
        let moments = all.iter().map(|(lane, _, text, is_cross, _, second)| Moment {
            second: second >> scale,
            lane: lane.clone(),
            is_cross: *is_cross,
            text: text.clone(),
        });
        let picture = Timeline { title, time, ..timeline(moments.collect()) };
        walker::walk(&picture.draw().0);
    }
}
