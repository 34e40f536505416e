use std::io::Write;

use prost_reflect::{Kind, MapKey};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    fill::{fill, is_known},
    node::read,
    *,
};
use crate::proto::v1::{ExportEventsRequest, LookupEventsRequest};

fn filled(kind: &str, text: &str, syntax: Syntax) -> Result<DynamicMessage, String> {
    let kind = message(kind).unwrap();
    Ok(fill(&kind, &read(text, syntax)?, None)?.message)
}

fn json(text: &str) -> Result<DynamicMessage, String> {
    filled("LookupEventsRequest", text, Syntax::Json)
}

/// Messages that are asked with: those of every method but one that takes a stream,
/// of which the same holds.
fn requests() -> Vec<MessageDescriptor> {
    let requests: Vec<_> = methods()
        .iter()
        .map(prost_reflect::MethodDescriptor::input)
        .collect();
    assert!(requests.len() >= 7, "{}", requests.len());
    requests
}

/// A random value that says something.
fn value(kind: &Kind, random: &mut ChaCha8Rng) -> prost_reflect::Value {
    use prost_reflect::Value;
    match kind {
        Kind::Message(kind) if kind.name() == "Timestamp" => {
            let mut message = DynamicMessage::new(kind.clone());
            let second = random.random_range(0..4_102_444_800_i64);
            message.set_field_by_name("seconds", Value::I64(second));
            message.set_field_by_name("nanos", Value::I32(random.random_range(0..1_000_000_000)));
            Value::Message(message)
        }
        Kind::Message(kind) if kind.name() == "Duration" => {
            let mut message = DynamicMessage::new(kind.clone());
            message.set_field_by_name("seconds", Value::I64(random.random_range(0..100_000)));
            message.set_field_by_name("nanos", Value::I32(random.random_range(0..1_000_000_000)));
            Value::Message(message)
        }
        Kind::Message(kind) => Value::Message(random_message(kind, random, true)),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().skip(1).collect();
            Value::EnumNumber(names.choose(random).unwrap().number())
        }
        Kind::String => {
            let signs: Vec<char> = "aZ09 .:*\"'\\#-{}[]\n\té✓&!%@`~=null".chars().collect();
            let len = random.random_range(1..12);
            Value::String((0..len).map(|_| *signs.choose(random).unwrap()).collect())
        }
        Kind::Bytes => Value::Bytes(
            (0..random.random_range(1..9))
                .map(|_| random.random())
                .collect::<Vec<u8>>()
                .into(),
        ),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(random.random_range(1..=i32::MAX)),
        Kind::Int64 => Value::I64(random.random_range(1..=i64::MAX)),
        Kind::Double => Value::F64(random.random_range(0.5..1e9)),
        other => panic!("the generator has no {other:?}"),
    }
}

/// A random message; one that `says` has something in it.
fn random_message(kind: &MessageDescriptor, random: &mut ChaCha8Rng, says: bool) -> DynamicMessage {
    loop {
        let mut message = DynamicMessage::new(kind.clone());
        for field in kind.fields() {
            if random.random_bool(0.4) {
                continue;
            }
            let value = match field.is_list() {
                _ if field.is_map() => {
                    let mut text = || match value(&Kind::String, random) {
                        prost_reflect::Value::String(text) => text,
                        other => panic!("{other:?}"),
                    };
                    let entries = (0..3).map(|_| {
                        let (key, text) = (text(), text());
                        (MapKey::String(key), prost_reflect::Value::String(text))
                    });
                    prost_reflect::Value::Map(entries.collect())
                }
                true => {
                    let len = random.random_range(1..4);
                    prost_reflect::Value::List(
                        (0..len).map(|_| value(&field.kind(), random)).collect(),
                    )
                }
                false => value(&field.kind(), random),
            };
            // of alternatives the last stays
            message.set_field(&field, value);
        }
        if !says || message.fields().next().is_some() {
            return message;
        }
    }
}

fn names(kind: &MessageDescriptor, text: &str, deep: usize) {
    for field in kind.fields() {
        let oneof = field.containing_oneof().filter(|one| !one.is_synthetic());
        // within a message a sample has the first of alternatives
        let is_told =
            deep == 0 || oneof.is_none_or(|one| one.fields().next() == Some(field.clone()));
        assert!(
            !is_told || text.contains(field.json_name()),
            "{}",
            field.full_name()
        );
        match field.kind() {
            _ if field.is_map() => {}
            Kind::Message(kind) if !is_known(&kind) => names(&kind, text, deep + 1),
            _ => {}
        }
    }
}

#[test]
fn a_skeleton_has_every_field_and_says_nothing_until_it_is_filled() {
    for kind in requests() {
        let empty = DynamicMessage::new(kind.clone());
        for (text, syntax) in [
            (skeleton::json(&empty), Syntax::Json),
            (skeleton::yaml(&empty), Syntax::Yaml),
        ] {
            names(&kind, &text, 0);
            let read = fill(&kind, &read(&text, syntax).unwrap(), None).unwrap();
            assert_eq!(read.message, empty, "{text}");
        }
    }
}

#[test]
fn whatever_is_filled_in_is_what_is_asked() {
    let mut random = ChaCha8Rng::seed_from_u64(0x5ce1);
    for kind in requests() {
        for _ in 0..200 {
            let message = random_message(&kind, &mut random, false);
            for (text, syntax) in [
                (skeleton::json(&message), Syntax::Json),
                (skeleton::yaml(&message), Syntax::Yaml),
                // JSON as others write it, all of which is YAML as well
                (serde_json::to_string(&message).unwrap(), Syntax::Json),
                (serde_json::to_string(&message).unwrap(), Syntax::Yaml),
            ] {
                let read = read(&text, syntax).unwrap_or_else(|wrong| panic!("{wrong}: {text}"));
                let filled =
                    fill(&kind, &read, None).unwrap_or_else(|wrong| panic!("{wrong}: {text}"));
                assert_eq!(filled.message, message, "{text}");
                assert_eq!(filled.moved, []);
            }
        }
    }
}

#[test]
fn a_sample_is_an_answer() {
    for method in methods() {
        let kind = method.output();
        let text = skeleton::sample(&kind);
        names(&kind, &text, 0);
        let samples = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        for sample in samples {
            let sample = sample.unwrap();
            DynamicMessage::deserialize(kind.clone(), sample).unwrap();
        }
    }
}

#[test]
fn yaml_says_what_each_field_means() {
    let text = skeleton::yaml(&DynamicMessage::new(
        message("LookupEventsRequest").unwrap(),
    ));
    assert!(text.starts_with("# What to look up.\n"), "{text}");
    for line in [
        "# The most events in the answer: 1 to 1000. 0: 50. The page is also bounded",
        "pageSize: 0",
        "#   ORDER_OLDEST_FIRST: Ascending.",
        "        # How values are compared. Default: EQUALS.",
        "        operator: \"OPERATOR_UNSPECIFIED\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let text = skeleton::yaml(&DynamicMessage::new(
        message("SubscribeEventsRequest").unwrap(),
    ));
    assert_eq!(
        text.matches("# Only one of startTime, resumeToken may be given.")
            .count(),
        2
    );
}

#[test]
fn names_are_taken_in_both_spellings_and_spans_as_they_are_typed() {
    let asked = json(
        r#"{"start_time": "2024-05-06T07:08:09Z", "maxStaleness": "1d12h", "pageSize": "7",
            "event_category": 2, "account_ids": ["012345678901"], "order": null,
            "filters": [{"matches": [{"field": "a", "operator": "", "values": [""]}]}]}"#,
    )
    .unwrap();
    let asked: LookupEventsRequest = asked.transcode_to().unwrap();
    assert_eq!(asked.start_time.unwrap().seconds, 1_714_979_289);
    assert_eq!(asked.max_staleness.unwrap().seconds, 129_600);
    assert_eq!((asked.page_size, asked.event_category), (7, 2));
    assert_eq!(asked.account_ids, ["012345678901"]);
    // an element of a list of texts is given, though it be empty
    assert_eq!(asked.filters[0].matches[0].values, [""]);
    let zero = json(r#"{"maxStaleness": "0s"}"#).unwrap();
    let zero: LookupEventsRequest = zero.transcode_to().unwrap();
    assert_eq!(zero.max_staleness, Some(prost_types::Duration::default()));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_would_do() {
    for (text, words) in [
        ("", "--generate-cli-skeleton"),
        ("{", "line 1 column 1"),
        ("{\n  \"pageSize\": 1,\n}", "line 3 column 1"),
        ("{} {}", "trailing characters at line 1 column 4"),
        ("[]", "a list where an object belongs"),
        (
            r#"{"pageSize": 1, "pageSize": 2}"#,
            "\"pageSize\" is there twice at line 1",
        ),
        (
            r#"{"pageSize": 1, "page_size": 2}"#,
            "page_size: it is there twice, as pageSize too",
        ),
        (
            r#"{"filters": [{}, {"matches": [{}, {"operater": ""}]}]}"#,
            r#"filters[1].matches[1].operater: no such field; did you mean "operator"?"#,
        ),
        (
            r#"{"xyzzy": 1}"#,
            "xyzzy: no such field; there are filters, startTime,",
        ),
        (
            r#"{"pageSize": "many"}"#,
            "pageSize: the text \"many\" where it takes a whole number",
        ),
        (
            r#"{"pageSize": 1.5}"#,
            "pageSize: the number 1.5 where it takes a whole number",
        ),
        (r#"{"pageSize": 2147483648}"#, "at most 2147483647"),
        (
            r#"{"pageSize": true}"#,
            "pageSize: true where it takes a whole number",
        ),
        (r#"{"estimateOnly": "yes"}"#, "where it takes true or false"),
        (
            r#"{"accountIds": "111122223333"}"#,
            "where it takes a list, in [ ]",
        ),
        (
            r#"{"accountIds": [111122223333]}"#,
            "accountIds[0]: the number 111122223333 where it takes a text: put it in quotes",
        ),
        (r#"{"accountIds": [null]}"#, "accountIds[0]: null"),
        (
            r#"{"filters": {}}"#,
            "filters: an object where it takes a list",
        ),
        (
            r#"{"filters": ["a"]}"#,
            "filters[0]: the text \"a\" where it takes an object",
        ),
        (
            r#"{"startTime": "yesterday"}"#,
            "startTime: the text \"yesterday\" is not a time; write it like \"2024-05-06T07:08:09Z\"",
        ),
        (r#"{"startTime": "2024-05"}"#, "is not a time"),
        (
            r#"{"startTime": 5}"#,
            "startTime: the number 5 where it takes a time in quotes",
        ),
        (
            r#"{"maxStaleness": "soon"}"#,
            "is not a span; write it like",
        ),
        (
            r#"{"order": "ORDER_OLDEST_FRIST"}"#,
            "order: the text \"ORDER_OLDEST_FRIST\" is not known here; did you mean \"ORDER_OLDEST_FIRST\"?",
        ),
        (
            r#"{"order": "oldest-first"}"#,
            "did you mean \"ORDER_OLDEST_FIRST\"?",
        ),
        (
            r#"{"order": "sideways"}"#,
            "it is one of ORDER_UNSPECIFIED, ORDER_NEWEST_FIRST,",
        ),
        (r#"{"order": 99}"#, "order: the number 99 is not known here"),
    ] {
        let wrong = json(text).unwrap_err();
        assert!(wrong.contains(words), "{text}: {wrong}");
        assert!(!wrong.contains('\n'), "{wrong}");
    }
    for (text, words) in [
        ("pageSize: [1", "line 1"),
        ("a: 1\na: 2\n", "a"),
        ("pageSize: 1\npageSize: 2\n", "pageSize"),
        ("accountIds: [111122223333]", "put it in quotes"),
        ("# nothing\n- a\n", "a list where an object belongs"),
    ] {
        let wrong = filled("LookupEventsRequest", text, Syntax::Yaml).unwrap_err();
        assert!(wrong.contains(words), "{text}: {wrong}");
        assert!(!wrong.contains('\n'), "{wrong}");
    }
    let both = r#"{"startTime": "2024-05-06T07:08:09Z", "resumeToken": "t"}"#;
    assert_eq!(
        filled("SubscribeEventsRequest", both, Syntax::Json).unwrap_err(),
        "startTime and resumeToken are both given, and only one of them may be"
    );
    let one = r#"{"startTime": "", "resumeToken": "t"}"#;
    assert!(filled("SubscribeEventsRequest", one, Syntax::Json).is_ok());
}

#[test]
fn places_are_those_of_the_file_though_empty_elements_are_left_out() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text =
        r#"{"filters": [{"matches": [{}]}, {"matches": [{}, {"field": "a"}]}], "regions": []}"#;
    file.write_all(format!("\u{feff}{text}").as_bytes())
        .unwrap();
    let from = format!("file://{}", file.path().display());
    let input = Input {
        cli_input_json: Some(from.clone()),
        ..Input::default()
    };
    let Given {
        request,
        mut origin,
    } = input
        .request::<LookupEventsRequest>("LookupEventsRequest")
        .unwrap();
    assert_eq!(request.filters.len(), 1);
    assert_eq!(request.filters[0].matches.len(), 1);
    let place = origin.place("filters[0].matches[0].values").unwrap();
    assert_eq!(
        place,
        format!("--cli-input-json {from}: filters[1].matches[1].values")
    );
    assert!(!origin.has("regions") && !origin.has("filter"));
    origin.hide("filters");
    assert_eq!(origin.place("filters[0].matches[0].values"), None);
}

#[test]
fn a_question_is_recast_by_the_names_of_its_fields() {
    let lookup = LookupEventsRequest {
        regions: vec!["eu-west-1".to_owned()],
        page_size: 7,
        max_upstream_calls: 3,
        ..LookupEventsRequest::default()
    };
    let before = ExportEventsRequest {
        page_token: "t".to_owned(),
        ..ExportEventsRequest::default()
    };
    let export = recast(
        (&lookup, "LookupEventsRequest"),
        (&before, "ExportEventsRequest"),
    );
    assert_eq!(
        export.unwrap(),
        ExportEventsRequest {
            regions: vec!["eu-west-1".to_owned()],
            max_upstream_calls: 3,
            ..ExportEventsRequest::default()
        }
    );
}

#[test]
fn a_file_for_a_sibling_is_taken_if_all_that_it_says_can_be_asked() {
    let [lookup, export] =
        ["LookupEventsRequest", "ExportEventsRequest"].map(|name| message(name).unwrap());
    let fill = |text: &str| {
        let node = read(text, Syntax::Json).unwrap();
        fill(&export, &node, Some(&lookup)).map(|filled| filled.message)
    };
    let skeleton = skeleton::json(&DynamicMessage::new(lookup.clone()));
    assert_eq!(
        fill(&skeleton).unwrap(),
        DynamicMessage::new(export.clone())
    );
    let taken = fill(r#"{"pageSize": 50, "regions": ["eu-west-1"]}"#).unwrap();
    let regions = taken.get_field_by_name("regions").unwrap();
    assert_eq!(regions.as_list().map(<[_]>::len), Some(1));
    for (text, said) in [
        (
            r#"{"estimateOnly": true}"#,
            "estimateOnly: is of LookupEventsRequest",
        ),
        (r#"{"estimateOnly": 5}"#, "true or false"),
        (r#"{"pageTokens": ""}"#, "pageTokens: no such field"),
    ] {
        let wrong = fill(text).unwrap_err();
        assert!(wrong.contains(said), "{text}: {wrong}");
    }
}

#[test]
fn times_in_files_are_read_as_they_are_typed() {
    let kind = message("LookupEventsRequest").unwrap();
    let text = r#"{"startTime": "2024-05-06", "endTime": "2024-05-06"}"#;
    let filled = fill(&kind, &read(text, Syntax::Json).unwrap(), None).unwrap();
    let asked: LookupEventsRequest = filled.message.transcode_to().unwrap();
    let day = 1_714_953_600;
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    assert_eq!(seconds(asked.start_time), day);
    // both ends are included
    assert_eq!(seconds(asked.end_time), day + 86_399);
}
