use super::*;

#[test]
fn names_that_never_come_together_are_refused() {
    let scopes: Arc<[Scope]> = [("1", "a"), ("1", "b"), ("2", "a")]
        .map(|(account, region)| Scope::new(account, region))
        .into();
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    let select = |accounts: &[&str], regions: &[&str]| {
        let selected = select(&scopes, &names(accounts), &names(regions));
        selected.map(|scopes| scopes.len()).map_err(|invalid| {
            assert_eq!(invalid.reason, "UNKNOWN_SCOPE");
            invalid.field
        })
    };
    assert_eq!(select(&[], &[]), Ok(3));
    assert_eq!(select(&["2"], &[]), Ok(1));
    assert_eq!(select(&["1", "2"], &["a", "b"]), Ok(3));
    assert_eq!(select(&["2"], &["b"]), Err("account_ids[0]".to_owned()));
    assert_eq!(
        select(&["1", "2"], &["b"]),
        Err("account_ids[1]".to_owned())
    );
    assert_eq!(select(&["2"], &["a", "b"]), Err("regions[1]".to_owned()));
}

#[test]
fn what_is_told_of_a_long_name_fits_a_header() {
    let message = named("regions", &["é".repeat(100_000)], &BTreeSet::new())
        .unwrap_err()
        .message;
    assert!(message.len() < 1_000, "{}", message.len());
}

#[test]
fn unknown_names_are_told_with_some_that_are_known() {
    let names: Vec<String> = (0..30).map(|n| format!("{n:012}")).collect();
    let known = names.iter().map(String::as_str).collect();
    let asked = ["x".to_owned()];
    let message = named("account_ids", &asked, &known).unwrap_err().message;
    assert!(message.contains("000000000019 and 10 more"), "{message}");
}
