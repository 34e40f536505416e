use std::{fs, io::Write as _, path::PathBuf};

use super::{
    oracle::{Given, read_in, records_of},
    *,
};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

fn read(file: &[u8]) -> Given {
    read_in(Limits::default(), &[file])
}

fn texts(given: &Given) -> Vec<String> {
    let text = |record: &Result<Vec<u8>, u64>| match record {
        Ok(record) => String::from_utf8_lossy(record).into_owned(),
        Err(len) => format!("{len} bytes"),
    };
    given.0.iter().map(text).collect()
}

fn ends_in(given: &Given) -> String {
    given
        .1
        .as_ref()
        .map_or_else(ToString::to_string, |_| String::new())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The records as `serde_json` finds them.
fn oracle(text: &str) -> Vec<String> {
    let records = records_of(text).unwrap();
    records.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_file_is_read_packed_or_not_and_among_other_members() {
    let text = " {\"a\":[{\"Records\":[9]},\"]}\"],\n\"Records\" : [ {\"x\":\"}]\\\"\\\\\"} ,\t{\"y\":[{}]}\n] ,\"z\":null}\n";
    for file in [
        text.as_bytes().to_vec(),
        gzip(text.as_bytes()),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        [
            gzip(&text.as_bytes()[..30]),
            gzip(b""),
            gzip(&text.as_bytes()[30..]),
            vec![0; 700],
        ]
        .concat(),
    ] {
        let given = read(&file);
        assert_eq!(texts(&given), oracle(text), "{}", ends_in(&given));
        let totals = given.1.unwrap();
        assert_eq!((totals.records, totals.packed), (2, file.len() as u64));
    }
    assert_eq!(texts(&read(b"{\"\\u0052ecord\\u0073\":[1]}")), ["1"]);
}

#[test]
fn whatever_stands_in_the_list_is_given() {
    let given =
        read(br#"{"Records":[1,"x,]\"", null , {"a":1}x,{"b" 2},tru,[1,[2]],{} {},{"c":3}]}"#);
    assert_eq!(ends_in(&given), "");
    assert_eq!(
        texts(&given),
        [
            "1",
            r#""x,]\"""#,
            "null",
            r#"{"a":1}x"#,
            r#"{"b" 2}"#,
            "tru",
            "[1,[2]]",
            "{} {}",
            r#"{"c":3}"#
        ]
    );
    assert_eq!(texts(&read(b"{\"Records\":[ ]}")), [""; 0]);
}

#[test]
fn what_breaks_the_file_is_told_after_the_records_before_it() {
    for (text, records, error) in [
        (
            "",
            0,
            "no Records array: not a log file, after 0 unpacked bytes",
        ),
        (
            "[1]",
            0,
            "no Records array: not a log file, after 0 unpacked bytes",
        ),
        (
            "{}",
            0,
            "no Records array: not a log file, after 1 unpacked bytes",
        ),
        (
            "{\"digestStartTime\":\"x\",\"logFiles\":[{}]}",
            0,
            "no Records array: not a log file",
        ),
        (
            "{\"Records\":null}",
            0,
            "no Records array: not a log file, after 15 unpacked bytes",
        ),
        (
            "{\"Records\":[1,,2]}",
            1,
            "`,` where a value was to come, after 14 unpacked bytes",
        ),
        (
            "{\"Records\":[1,]}",
            1,
            "`]` where a value was to come, after 14 unpacked bytes",
        ),
        (
            "{\"Records\":[1}",
            0,
            "`}` where a comma or the end of Records was to come",
        ),
        (
            "{\"Records\":[1]",
            1,
            "the JSON ends too early, after 14 unpacked bytes",
        ),
        ("{\"Records\":[1,{\"a\":[}]", 1, "the JSON ends too early"),
        (
            "{\"Records\":[1] 2}",
            1,
            "`2` where a comma or the end of the object was to come",
        ),
        (
            "{\"Records\":[1]}2",
            1,
            "`2` where the end of the file was to come",
        ),
        ("{\"Records\":[1],}", 1, "`}` where a key was to come"),
        ("{\"Records\"[1]}", 0, "`[` where a colon was to come"),
        ("{\"Records\":}", 0, "`}` where a value was to come"),
        (
            "{\"a\":1]}",
            0,
            "`]` where a comma or the end of the object was to come",
        ),
    ] {
        let given = read(text.as_bytes());
        assert_eq!(given.0.len(), records, "{text}");
        assert!(
            ends_in(&given).starts_with(error),
            "{text}: {}",
            ends_in(&given)
        );
        let packed = read(&gzip(text.as_bytes()));
        assert_eq!(
            (&packed.0, packed.1.as_ref().err()),
            (&given.0, given.1.as_ref().err())
        );
    }
}

#[test]
fn damaged_gzip_gives_what_came_before() {
    let text = format!("{{\"Records\":[{}]}}", ["{\"a\":1}"; 50].join(","));
    let file = gzip(text.as_bytes());
    let given = read(&file[..file.len() - 1]);
    assert_eq!(given.0.len(), 50);
    assert_eq!(
        ends_in(&given),
        format!(
            "gzip ends too early, after {} unpacked bytes and 50 records",
            text.len()
        )
    );
    let mut bad = file.clone();
    let crc = bad.len() - 8;
    bad[crc] ^= 1;
    let given = read(&bad);
    assert_eq!(given.0.len(), 50);
    assert!(
        ends_in(&given).starts_with("gzip is damaged, after"),
        "{}",
        ends_in(&given)
    );
    for (end, error) in [
        (&b"\0\0x"[..], "`x` follows the gzip data"),
        (b"{", "`{` follows the gzip data"),
        (b"\x1f\x8b", "gzip ends too early"),
        (b"\x1f\x8c", "gzip is damaged"),
    ] {
        let given = read(&[&file, end].concat());
        assert_eq!(given.0.len(), 50);
        assert!(ends_in(&given).starts_with(error), "{}", ends_in(&given));
    }
    let members = gzip(b"").repeat(70_000);
    assert!(ends_in(&read(&members)).starts_with("gzip has more than 65536 members"));
}

#[test]
fn limits_hold_and_nothing_is_held_beyond_a_record() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3_000_000));
    let text = format!("{{\"Records\":[1,{long},2,{long}]}}");
    let limits = Limits {
        record: 1000,
        ..Limits::default()
    };
    let mut reader = Reader::new(limits);
    let (file, mut found) = (gzip(text.as_bytes()), Vec::new());
    let mut input = file.as_slice();
    while let Some(record) = reader.next(&mut input).unwrap() {
        found.push(match record {
            Record::Whole(record) => Ok(record.to_vec()),
            Record::TooLarge(len) => Err(len),
        });
        assert!(reader.window.len() <= WINDOW + limits.record);
    }
    let len = long.len() as u64;
    assert_eq!(
        found,
        [Ok(b"1".to_vec()), Err(len), Ok(b"2".to_vec()), Err(len)]
    );
    let totals = reader.finish().unwrap();
    assert_eq!((totals.records, totals.too_large), (4, 2));

    let limits = Limits {
        unpacked: text.len() as u64 - 1,
        ..Limits::default()
    };
    let given = read_in(limits, &[&file]);
    assert_eq!(given.0.len(), 4);
    assert!(
        ends_in(&given).starts_with("the file unpacks to more than"),
        "{}",
        ends_in(&given)
    );
    assert!(
        read_in(
            Limits {
                unpacked: text.len() as u64,
                ..limits
            },
            &[&file]
        )
        .1
        .is_ok()
    );
    let packed = file.len() as u64;
    assert!(
        read_in(
            Limits {
                packed,
                ..Limits::default()
            },
            &[&file]
        )
        .1
        .is_ok()
    );
    let given = read_in(
        Limits {
            packed: packed - 1,
            ..Limits::default()
        },
        &[&file],
    );
    assert_eq!(given.0.len(), 4);
    assert!(
        ends_in(&given).starts_with("the file has more than"),
        "{}",
        ends_in(&given)
    );
}

#[test]
fn real_files_are_read_as_serde_json_reads_them() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/AWSLogs");
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        // where they are not at hand, there is nothing to do
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let file = fs::read(&path).unwrap();
            let mut text = String::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(file.as_slice());
            if std::io::Read::read_to_string(&mut decoder, &mut text).is_err() {
                text = String::from_utf8_lossy(&file).into_owned();
            }
            let given = read(&file);
            if text.contains("\"Records\"") {
                assert_eq!(texts(&given), oracle(&text), "{}", path.display());
                assert_eq!(ends_in(&given), "", "{}", path.display());
            } else {
                assert!(given.1.is_err(), "{}", path.display());
            }
        }
    }
}

fn a_space() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["", "", "", " ", "\n\t\r "])
}

fn a_value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        proptest::sample::select(vec![
            "null",
            "true",
            "-1.5e7",
            "\"\"",
            "\"\\\\\"",
            "\"\\\"\"",
            "\"]},{[\"",
            "\"\\\\\\\"]\"",
            "\"ü\\n\"",
        ])
        .prop_map(str::to_owned),
        (0..150_usize, any::<bool>()).prop_map(|(len, quotes)| {
            format!("\"{}\"", if quotes { "\\\"" } else { "x" }.repeat(len))
        }),
        (0..150_usize).prop_map(|len| format!("\"{}\"", "\\\\".repeat(len))),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        let member =
            (a_space(), inner.clone()).prop_map(|(s, v)| format!("{s}\"Records\"{s}:{s}{v}{s}"));
        prop_oneof![
            proptest::collection::vec(member, 0..6).prop_map(|m| format!("{{{}}}", m.join(","))),
            proptest::collection::vec(inner, 0..6).prop_map(|v| format!("[{}]", v.join(" ,"))),
        ]
    })
}

fn a_file() -> impl Strategy<Value = String> {
    let records = proptest::collection::vec((a_space(), a_value()), 0..20);
    let others = proptest::collection::vec(a_value(), 0..3);
    (records, others, 0..4_usize, a_space()).prop_map(|(records, others, at, s)| {
        let records: Vec<_> = records.iter().map(|(s, v)| format!("{s}{v}{s}")).collect();
        let mut members: Vec<_> = others
            .iter()
            .enumerate()
            .map(|(i, value)| format!("{s}\"m\\\"{i}\":{value}"))
            .collect();
        let list = format!("{s}\"Records\"{s}:{s}[{s}{}]{s}", records.join(","));
        members.insert(at.min(members.len()), list);
        format!("{s}{{{}}}{s}", members.join(","))
    })
}

/// The pieces of a file that is cut at these places.
fn cut<'a>(file: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|at| at % (file.len() + 1)).collect();
    places.extend([0, file.len()]);
    places.sort_unstable();
    places.windows(2).map(|cut| &file[cut[0]..cut[1]]).collect()
}

proptest! {
    #[test]
    fn records_are_those_that_serde_json_finds(text in a_file(), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        let records = oracle(&text);
        for file in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let given = read_in(Limits::default(), &cut(&file, &cuts));
            prop_assert_eq!(ends_in(&given), "");
            prop_assert_eq!(texts(&given), records.as_slice());
        }
    }

    #[test]
    fn how_a_file_is_cut_makes_no_difference_and_damage_leaves_what_came_before(
        text in a_file(),
        packs in any::<bool>(),
        damage in (any::<usize>(), any::<u8>(), 0..4_u8),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        small in any::<bool>(),
    ) {
        let limits = if small {
            Limits { packed: 3000, unpacked: 2000, record: 100 }
        } else {
            Limits::default()
        };
        let mut file = text.as_bytes().to_vec();
        if packs {
            let half = file.len() / 2;
            file = [gzip(&file[..half]), gzip(&file[half..]), vec![0; 20]].concat();
        }
        let whole = read_in(limits, &[&file]);
        let (at, byte, kind) = damage;
        let at = at % file.len();
        match kind {
            0 => {}
            1 => file.truncate(at),
            2 => file[at] = byte,
            _ => file.insert(at, byte),
        }
        let given = read_in(limits, &[&file]);
        if packs {
            // what is damaged within the data is seen late: by its checksum
            let same = given.0.iter().zip(&whole.0).take_while(|(a, b)| a == b).count();
            prop_assert!(same == given.0.len() || given.1.is_err());
            if kind == 1 {
                prop_assert_eq!(same, given.0.len());
            }
        } else if kind == 1 {
            prop_assert_eq!(&given.0, &whole.0[..given.0.len()]);
        }
        prop_assert_eq!(&read_in(limits, &cut(&file, &cuts)), &given);
        let bytes: Vec<_> = file.chunks(1).collect();
        prop_assert_eq!(&read_in(limits, &bytes), &given);
    }
}
