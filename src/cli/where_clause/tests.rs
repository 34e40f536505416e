use clap::Parser;
use proptest::prelude::*;

use super::*;
use crate::typed::SIGNS;

fn one(field: &str, operator: Operator, negate: bool, values: &[&str]) -> Match {
    Match {
        field: field.to_owned(),
        operator: operator.into(),
        values: values.iter().map(|&v| v.to_owned()).collect(),
        negate,
        ignore_case: false,
    }
}

#[test]
fn every_operator_is_read() {
    use Operator::*;
    for (text, operator, negate, values) in [
        ("f=a", Equals, false, &["a"][..]),
        ("f = a = b ", Equals, false, &["a = b "]),
        ("f=", Equals, false, &[""]),
        ("f!=a", Equals, true, &["a"]),
        ("f^=a", Prefix, false, &["a"]),
        ("f !^= a", Prefix, true, &["a"]),
        ("f$=a,b", Suffix, false, &["a,b"]),
        ("f*=(a", Contains, false, &["(a"]),
        ("f~^a|b$", Regex, false, &["^a|b$"]),
        ("f !~ a", Regex, true, &["a"]),
        ("f ~ ~", Regex, false, &["~"]),
        ("f like a*b?", Glob, false, &["a*b?"]),
        ("f not like (a*, b*)", Glob, true, &["a*", "b*"]),
        ("f cidr 10.0.0.0/8", Cidr, false, &["10.0.0.0/8"]),
        (
            "f cidr(10.0.0.0/8,::1)",
            Cidr,
            false,
            &["10.0.0.0/8", "::1"],
        ),
        ("f in (A)", Equals, false, &["A"]),
        (
            r#" f  not  in ( A b ,"c, )\"\\" ) "#,
            Equals,
            true,
            &["A b", r#"c, )"\"#],
        ),
        ("f exists", Exists, false, &[]),
        ("f not exists ", Exists, true, &[]),
        (r#"f=" a ""#, Equals, false, &[" a "]),
        (r#"f=" \d\"\\ ""#, Equals, false, &[r#" \d"\ "#]),
        (r"f=\d", Equals, false, &[r"\d"]),
    ] {
        assert_eq!(
            parse(text),
            Ok(one("f", operator, negate, values)),
            "{text}"
        );
    }
}

#[test]
fn escapes_in_fields_pass_through() {
    let field = |text| parse(text).unwrap().field;
    assert_eq!(field(r"a\.b\\c.d=x"), r"a\.b\\c.d");
    assert_eq!(field(r"a\=b\ c\!=x"), "a=b c!");
}

#[test]
fn what_is_no_condition_is_refused_with_a_hint() {
    for (text, hint) in [
        ("", "no field"),
        ("=a", "no field"),
        ("f", "f exists"),
        ("f is a", "no operator"),
        ("f ! a", "no operator"),
        ("f not", "no operator"),
        ("f in A", "parentheses"),
        ("f in (A", "not closed"),
        ("f in (\"A\" B)", "not closed"),
        ("f in (A,,B)", "empty element"),
        ("f in ()", "empty element"),
        ("f in (A) B", "follows the list"),
        ("f like ", "no value"),
        ("f exists a", "takes no value"),
        ("f=\"a", "closing quote"),
        ("f=\"a\" b", "closing quote"),
        ("f == a", "write =,"),
        ("f!==a", "write =,"),
        ("f =~ a", "write ~,"),
        ("f ~= a", "write ~,"),
        ("f = 'a' ", "without quotes"),
        ("f ~ 'a b'", "without quotes"),
        ("f in (a, 'b')", "without quotes"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(hint), "{text}: {error}");
    }
    for text in ["f = \"=a\"", "f ~ a=", "f = 'a", "f = a'", "f = \"'a'\""] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn two_conditions_in_one_are_refused_and_values_are_not() {
    for (text, hint) in [
        ("f = a or g = b", r#"write "g = b" as a --or of"#),
        ("f=a && g exists", r#"write "g exists" as a --where of"#),
        ("f = a || g not in (b)", "--or"),
        (
            "f = a AND g ~ b and h = c",
            r#"write "g ~ b and h = c" as a --where"#,
        ),
        ("f = \"a\" and g = b", "--where"),
        ("f in (a, b) or g = b", "--or"),
        ("f exists && g=b", "--where"),
    ] {
        let error = joined(text).unwrap_or_default();
        assert!(error.contains(hint), "{text}: {error}");
    }
    for text in [
        "f = a and b",
        "f = salt or pepper, or both",
        "f = \"a and g = b\"",
        "f in (a, \"b or c = d\")",
        "f = a&&g=b",
        "and = a",
        "f ~ a || ",
        "é = é or é",
    ] {
        assert_eq!(joined(text), None, "{text}");
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    conditions: Conditions,
}

#[test]
fn or_starts_an_alternative_and_everyday_options_are_in_each() {
    let line = |args: &[&str]| {
        let line = Line::try_parse_from([&["trailgate"], args].concat()).unwrap();
        let common = equals("--u", "u", &["x".to_owned()]);
        let alternatives = line.conditions.with(common.as_slice(), true);
        assert!(alternatives.iter().flatten().all(|c| c.one.ignore_case));
        filters(&alternatives)
            .iter()
            .map(|filter| {
                let fields = filter.matches.iter().map(|m| m.field.as_str());
                fields.collect::<Vec<_>>().concat()
            })
            .collect::<Vec<_>>()
    };
    let args = [
        "-w",
        "a=1",
        "--where",
        "b=1",
        "--or",
        "c=1",
        "--where=d=1",
        "--or=e=1",
    ];
    assert_eq!(line(&args), ["uab", "ucd", "ue"]);
    assert_eq!(line(&["--or", "a=1", "--where", "b=1"]), ["uab"]);
    assert_eq!(line(&[]), ["u"]);
    assert!(Conditions::default().with(&[], false).is_empty());
    let given = Line::try_parse_from(["trailgate", "--or", "a = 1"]).unwrap();
    let common = equals("--b", "b", &["1".to_owned(), "2".to_owned()]);
    let given = given.conditions.with(common.as_slice(), false);
    let typed: Vec<_> = given.iter().flatten().map(|c| c.typed.as_str()).collect();
    assert_eq!(typed, ["--b '1' --b '2'", "--or 'a = 1'"]);
    let read_only = equals("--read-only", "ReadOnly", &["true".to_owned()]);
    let given = Conditions::default().with(read_only.as_slice(), true);
    assert!(!given[0][0].one.ignore_case);
    assert!(Line::try_parse_from(["trailgate", "--where", "f"]).is_err());
}

fn written(one: &Match) -> String {
    let quote =
        |value: &String| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let not = if one.negate { "not " } else { "" };
    let bang = if one.negate { "!" } else { "" };
    let items = || one.values.iter().map(quote).collect::<Vec<_>>().join(", ");
    let field: String = one
        .field
        .chars()
        .flat_map(|c| {
            let special = c.is_whitespace() || "=!^$*~".contains(c);
            special.then_some('\\').into_iter().chain([c])
        })
        .collect();
    match (one.operator(), one.values.as_slice()) {
        (Operator::Exists, _) => format!("{field} {not}exists"),
        (Operator::Glob, _) => format!("{field} {not}like ({})", items()),
        (Operator::Cidr, _) => format!("{field} {not}cidr ({})", items()),
        (Operator::Equals, [_, _, ..]) => format!("{field} {not}in ({})", items()),
        (operator, values) => {
            let (sign, _) = SIGNS.iter().find(|(_, o)| *o == operator).unwrap();
            format!("{field}{bang}{sign}{}", quote(&values[0]))
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        field in r"([a-z =!~^$*()é]|\\\.|\\\\){1,6}",
        operator in 1..=8_i32,
        values in prop::collection::vec(r#"[a-z ,()"\\=é]{0,6}"#, 1..4),
        negate in any::<bool>(),
    ) {
        let operator = Operator::try_from(operator).unwrap();
        let many = matches!(operator, Operator::Equals | Operator::Glob | Operator::Cidr);
        let values = match operator {
            Operator::Exists => vec![],
            _ if many => values,
            _ => values[..1].to_vec(),
        };
        let one = Match { field, operator: operator.into(), values, negate, ignore_case: false };
        prop_assert_eq!(parse(&written(&one)), Ok(one));
    }

    #[test]
    fn nothing_panics(text in r"(\PC| (and|or|&&|\|\|) |=){0,20}") {
        let _either = parse(&text);
        let _either = joined(&text);
    }
}
