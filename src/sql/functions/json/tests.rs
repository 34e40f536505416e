use super::*;

fn get(text: &str, path: &str) -> Option<String> {
    Path::parse(path)?.find(text)
}

#[test]
fn members_elements_and_wholes_are_found() {
    let text = r#" {"a": {"b": "x", "n": 1.50, "z": null}, "l": [1, {"c": true}, "t"], "e": ""} "#;
    for (path, found) in [
        ("$.a.b", Some("x")),
        ("$['a']['b']", Some("x")),
        ("$.a.n", Some("1.5")),
        ("$.a.z", None),
        ("$.a", Some(r#"{"b":"x","n":1.5,"z":null}"#)),
        ("$.l[1].c", Some("true")),
        ("$.l[2]", Some("t")),
        ("$.l[3]", None),
        ("$.l[*].c", Some("true")),
        ("$.l[*]", Some(r#"[1,{"c":true},"t"]"#)),
        ("$.l.c", None),
        ("$.a[0]", None),
        ("$.e", Some("")),
        ("$.*", None),
        ("a", None),
        ("$a", None),
        ("", None),
    ] {
        assert_eq!(get(text, path).as_deref(), found, "{path}");
    }
}

#[test]
fn of_members_with_one_name_the_first_that_is_not_null_counts() {
    assert_eq!(
        get(r#"{"a":null,"a":1,"a":2}"#, "$.a").as_deref(),
        Some("1")
    );
    // and one whose inside has nothing is as if it were not there
    let text = r#"{"a":{"c":1},"a":{"b":2}}"#;
    assert_eq!(get(text, "$.a.b").as_deref(), Some("2"));
}

#[test]
fn what_is_no_json_has_nothing() {
    for text in [
        "",
        " ",
        "x",
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":+1}"#,
        r#"{"a":"\q"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":nul}"#,
        r#"{a:1}"#,
        r#"{"b":"#,
    ] {
        assert_eq!(get(text, "$.a"), None, "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(1001), "]".repeat(1001));
    assert_eq!(get(&deep, "$"), None);
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(get(&deep, "$").as_deref(), Some(&*deep));
}

#[test]
fn texts_are_read_and_written_as_jackson_does() {
    let text = r#"{"a":"\u0041\/\n\ud83d\ude00","o":{"k\t":"\u0001é\/\"\\"},'q':'it\'s "q"'}"#;
    assert_eq!(get(text, "$.a").as_deref(), Some("A/\n😀"));
    assert_eq!(
        get(text, "$.o").as_deref(),
        Some("{\"k\\t\":\"\\u0001é/\\\"\\\\\"}")
    );
    assert_eq!(get(text, "$.q").as_deref(), Some("it's \"q\""));
}

#[test]
fn numbers_are_written_as_java_does() {
    for (number, written) in [
        ("0", "0"),
        ("-0", "0"),
        ("12345678901234567890", "12345678901234567890"),
        ("1e5", "100000.0"),
        ("1.10", "1.1"),
        ("-0.0", "-0.0"),
        ("1e7", "1.0E7"),
        ("12345678.9", "1.23456789E7"),
        ("0.001", "0.001"),
        ("0.00012", "1.2E-4"),
        ("1e999", "\"Infinity\""),
    ] {
        assert_eq!(get(number, "$").as_deref(), Some(written), "{number}");
    }
}

#[test]
fn every_element_is_told_as_hive_tells_it() {
    let text = r#"[[1,[2]],[[3],4],{"a":[5,6]},{"a":7}]"#;
    for (path, found) in [
        ("$[*]", r#"[[1,[2]],[[3],4],{"a":[5,6]},{"a":7}]"#),
        ("$[*][*]", r#"[1,2,3,4,{"a":[5,6]},{"a":7}]"#),
        ("$[*].a", "[[5,6],7]"),
        ("$[2].a[*]", "[5,6]"),
        ("$[0][*]", "[1,[2]]"),
        ("$[3].a", "7"),
    ] {
        assert_eq!(get(text, path).as_deref(), Some(found), "{path}");
    }
}

#[derive(serde::Deserialize)]
struct Spark {
    paths: Vec<String>,
    /// Texts, with what Spark finds in each, by path.
    found: Vec<(String, std::collections::BTreeMap<String, String>)>,
}

#[test]
fn what_is_found_is_what_spark_finds() {
    // written by PySpark 4.3.0
    let spark: Spark = serde_json::from_str(include_str!("spark.json")).unwrap();
    let mut wrong = Vec::new();
    for (text, found) in &spark.found {
        for path in &spark.paths {
            let (ours, theirs) = (get(text, path), found.get(path).cloned());
            if ours != theirs {
                wrong.push(format!("{text} {path}: {ours:?}, and Spark {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
