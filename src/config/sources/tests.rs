use super::*;
use crate::config::Config;

const ROLE: &str = "arn:aws:iam::{account}:role/Reader";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// All accounts of the organisation, by a role.
fn organization() -> Settings {
    Settings {
        organization: Some(true),
        assume_role_arn: Some(ROLE.to_owned()),
        ..Settings::default()
    }
}

fn sources(settings: Settings) -> Sources {
    Config::try_from(settings).unwrap().sources
}

#[test]
fn an_organisation_is_read_by_a_role() {
    let found = sources(Settings {
        exclude_account: names(&["444455556666"]),
        region: names(&["us-east-1", "eu-west-1"]),
        ..organization()
    });
    assert!(found.organization && found.changes());
    assert_eq!(found.regions, ["eu-west-1", "us-east-1"]);
    assert_eq!(found.exclude_accounts, ["444455556666"]);
    assert_eq!(found.refresh, Some(Duration::from_secs(3600)));
    let roles = found.roles.unwrap();
    assert_eq!(
        (roles.session_name.as_str(), roles.in_own_account),
        ("trailgate", false)
    );
    let once = Settings {
        scope_refresh: "0s".parse().ok(),
        ..organization()
    };
    assert_eq!(sources(once).refresh, None);
}

#[test]
fn a_role_or_profiles_make_several_accounts_of_one_set_of_credentials() {
    let by_role = sources(Settings {
        organization: None,
        account: names(&["111122223333", "444455556666"]),
        ..organization()
    });
    assert_eq!(by_role.accounts.len(), 2);
    assert!(!by_role.changes());
    let by_profile = sources(Settings {
        profile: names(&["audit", "111122223333=dev"]),
        ..Settings::default()
    });
    assert_eq!(
        by_profile.profiles,
        [
            Profile {
                name: "dev".to_owned(),
                account: Some("111122223333".to_owned())
            },
            Profile {
                name: "audit".to_owned(),
                account: None
            },
        ]
    );
}

#[test]
fn an_endpoint_on_this_machine_is_a_simulator_only_where_accounts_are_all_that_is_named() {
    let at = |settings| Settings {
        aws_endpoint_url: Some("http://127.0.0.1:1".to_owned()),
        account: names(&["111122223333"]),
        ..settings
    };
    let signing = |settings| Config::try_from(at(settings)).unwrap().signing;
    assert_eq!(signing(Settings::default()), Signing::Simulator);
    assert_eq!(signing(organization()), Signing::Chain);
}

#[test]
fn a_simulators_regions_may_be_of_any_partition() {
    let mixed = |url: Option<&str>| Settings {
        aws_endpoint_url: url.map(str::to_owned),
        account: names(&["111122223333"]),
        region: names(&["us-east-1", "cn-north-1"]),
        ..Settings::default()
    };
    assert!(Config::try_from(mixed(Some("http://127.0.0.1:1"))).is_ok());
    assert!(Config::try_from(mixed(None)).is_err());
}

#[test]
fn what_does_not_go_together_is_refused_with_what_would() {
    let d = Settings::default;
    let o = organization;
    let yes = Some(true);
    let cases: Vec<(Settings, &[&str])> = vec![
        (Settings { demo: yes, ..o() }, &["--demo", "--organization"]),
        (
            Settings {
                demo: yes,
                all_regions: yes,
                ..d()
            },
            &["--demo", "--all-regions"],
        ),
        (
            Settings {
                credentials: Some(crate::config::Credentials::Simulator),
                account: names(&["111122223333"]),
                ..o()
            },
            &["--credentials simulator", "--organization"],
        ),
        (
            Settings {
                assume_role_arn: None,
                ..o()
            },
            &["--organization", "--assume-role-arn"],
        ),
        (
            Settings {
                organization: None,
                ..o()
            },
            &["--account", "--organization"],
        ),
        (
            Settings {
                assume_role_external_id: Some("secret".into()),
                ..d()
            },
            &["--assume-role-external-id", "--assume-role-arn"],
        ),
        (
            Settings {
                assume_role_in_own_account: yes,
                ..d()
            },
            &["--assume-role-in-own-account"],
        ),
        (
            Settings {
                profile: names(&["p"]),
                account: names(&["111122223333"]),
                ..d()
            },
            &["--profile", "ACCOUNT=NAME"],
        ),
        (
            Settings {
                profile: names(&["p"]),
                ..o()
            },
            &["--profile", "AWS_PROFILE"],
        ),
        (
            Settings {
                profile: names(&["dev=p"]),
                ..d()
            },
            &["--profile", "\"dev\"", "111122223333=NAME"],
        ),
        (
            Settings {
                all_regions: yes,
                region: names(&["us-east-1"]),
                ..d()
            },
            &["--all-regions", "--region"],
        ),
        (
            Settings {
                scope_refresh: "5m".parse().ok(),
                ..d()
            },
            &["--scope-refresh", "--organization"],
        ),
        (
            Settings {
                exclude_account: names(&["12"]),
                ..o()
            },
            &["--exclude-account", "12 digits"],
        ),
        (
            Settings {
                account: names(&["111122223333"]),
                exclude_account: names(&["111122223333"]),
                ..o()
            },
            &["--exclude-account"],
        ),
        (
            Settings {
                region: names(&["us-east-1"]),
                exclude_region: names(&["us-east-1"]),
                ..d()
            },
            &["--exclude-region"],
        ),
        (
            Settings {
                exclude_region: names(&["Ireland"]),
                ..d()
            },
            &["--exclude-region", "eu-central-1"],
        ),
        (
            Settings {
                assume_role_arn: Some("arn:aws:iam::111122223333:role/R".into()),
                ..o()
            },
            &["--assume-role-arn", "{account}"],
        ),
        (
            Settings {
                assume_role_session_name: Some("a b".into()),
                ..o()
            },
            &["--assume-role-session-name", "a b"],
        ),
        (
            Settings {
                region: names(&["us-east-1", "us-gov-west-1"]),
                ..d()
            },
            &["us-gov-west-1", "aws-us-gov", "a server for each"],
        ),
        (
            Settings {
                region: names(&["cn-north-1"]),
                ..o()
            },
            &["partition aws", "aws-cn", "{partition}"],
        ),
    ];
    for (settings, parts) in cases {
        let message = Config::try_from(settings.clone()).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains('\n'), "{message}");
    }
    let bad_id = Settings {
        assume_role_external_id: Some("not good!".into()),
        ..o()
    };
    let message = Config::try_from(bad_id).unwrap_err().to_string();
    assert!(!message.contains("not good!"), "{message}");
}

#[test]
fn more_scopes_than_a_server_has_are_refused() {
    let accounts: Vec<String> = (0..=MAX_SCOPES).map(|n| format!("{n:012}")).collect();
    let many = |accounts| Settings {
        aws_endpoint_url: Some("http://127.0.0.1:1".into()),
        account: accounts,
        ..Settings::default()
    };
    let message = Config::try_from(many(accounts.clone()))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(&(MAX_SCOPES + 1).to_string()) && message.contains("--exclude-account"),
        "{message}"
    );
    assert!(Config::try_from(many(accounts[1..].to_vec())).is_ok());
}
