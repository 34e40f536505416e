//! Where scopes come from: `trailgate serve` as a process, with AWS's own
//! credential chain, in front of a simulated organisation.

use std::{
    collections::BTreeSet,
    io::Write,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use trailgate::{
    clock::Clock,
    event::{LookupEvent, Scope},
    proto::v1::{
        LookupEventsRequest, LookupEventsResponse, SearchState,
        event_service_client::EventServiceClient,
    },
    simulator::{self, Options, Rate, Simulator},
};

/// Longer than anything here takes, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The account of the credentials, and the management account.
const BASE: &str = "111111111111";
const A: &str = "222222222222";
const B: &str = "333333333333";
/// Its roles cannot be assumed, where a test says so.
const SHUT: &str = "444444444444";
const SUSPENDED: &str = "555555555555";

const REGIONS: [&str; 3] = ["ap-east-1", "eu-west-1", "us-east-1"];
const ROLE: &str = "arn:{partition}:iam::{account}:role/audit/TrailgateReader";

struct World {
    simulator: Arc<Simulator>,
    url: String,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An organisation: `ap-east-1` is enabled in `B` alone.
fn organization() -> Options {
    let common = || vec!["eu-west-1".to_owned(), "us-east-1".to_owned()];
    Options {
        accounts: [BASE, A, B, SHUT].map(str::to_owned).to_vec(),
        regions: REGIONS.map(str::to_owned).to_vec(),
        enabled_regions: [BASE, A, SHUT].map(|id| (id.to_owned(), common())).into(),
        suspended: vec![SUSPENDED.to_owned()],
        rate: Rate::default(),
        ..Options::default()
    }
}

/// The simulator, with an event in each scope.
async fn world(options: Options) -> World {
    let clock = Clock::system();
    let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
    for account in [BASE, A, B, SHUT] {
        for region in REGIONS {
            let event = LookupEvent {
                event_id: Some(format!("{account}-{region}")),
                event_name: Some("GetUser".into()),
                event_time: Some(clock.now_secs() - 3_600),
                record: Some("{}".into()),
                ..LookupEvent::default()
            };
            simulator.insert(&Scope::new(account, region), event, None);
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
    World {
        simulator,
        url,
        stop,
    }
}

impl World {
    fn serve(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0", "--rate", "0"])
            .args(["--aws-endpoint-url", &self.url])
            .args(args)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", BASE)
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .env("AWS_REGION", "us-east-1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn assumed(&self) -> (u64, u64) {
        let sts = Scope::new(BASE, "us-east-1");
        let stats = self.simulator.stats().operation(&sts, "AssumeRole");
        (stats.requests, stats.refused)
    }
}

struct Gateway {
    client: EventServiceClient<Channel>,
    said: Arc<Mutex<String>>,
    _child: Child,
}

impl Gateway {
    async fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let into = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                let mut said = into.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.unwrap().unwrap();
        let Some(line) = line else {
            // what it said arrives before its end is known
            child.wait().await.unwrap();
            panic!("{}", said.lock().unwrap());
        };
        let address = line.split(' ').nth(2).unwrap().replace("grpc", "http");
        let channel = Channel::from_shared(address).unwrap();
        Self {
            client: EventServiceClient::new(channel.connect().await.unwrap()),
            said,
            _child: child,
        }
    }

    async fn ask(&mut self, request: LookupEventsRequest) -> LookupEventsResponse {
        let answer = self.client.lookup_events(request).await;
        answer.unwrap().into_inner()
    }

    async fn lookup(&mut self) -> LookupEventsResponse {
        self.ask(LookupEventsRequest::default()).await
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

/// Exit status and the last line said, of a process that ends by itself.
async fn ends(command: &mut Command) -> (Option<i32>, String) {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

/// The ids of events as their makers named them: account and Region.
fn events(page: &LookupEventsResponse) -> BTreeSet<String> {
    let ids = page.events.iter().map(|event| event.event_id.clone());
    ids.collect()
}

/// The scopes of a state.
fn scopes(page: &LookupEventsResponse, state: SearchState) -> BTreeSet<String> {
    page.scopes
        .iter()
        .filter(|scope| scope.state() == state)
        .map(|scope| format!("{}-{}", scope.account_id, scope.region))
        .collect()
}

fn of(scopes: &[(&str, &[&str])]) -> BTreeSet<String> {
    let named = |(account, regions): &(&str, &[&str])| {
        let name = |region: &&str| format!("{account}-{region}");
        regions.iter().map(name).collect::<Vec<_>>()
    };
    scopes.iter().flat_map(named).collect()
}

const COMMON: &[&str] = &["eu-west-1", "us-east-1"];

#[tokio::test]
async fn a_whole_organisation_answers_and_who_is_shut_is_named() {
    let world = world(Options {
        external_id: Some("an:external/id".into()),
        faults: [format!("denied-role={SHUT}").parse().unwrap()]
            .into_iter()
            .collect(),
        ..organization()
    })
    .await;
    let mut gateway = Gateway::start(&mut world.serve(&[
        "--organization",
        "--all-regions",
        "--assume-role-arn",
        ROLE,
        "--assume-role-external-id",
        "an:external/id",
    ]))
    .await;
    let page = gateway.lookup().await;
    let open = of(&[(BASE, COMMON), (A, COMMON), (B, &REGIONS)]);
    assert_eq!(events(&page), open, "{}", gateway.said());
    assert_eq!(scopes(&page, SearchState::Complete), open);
    // nobody knows its Regions, so it is missed in all that there are
    assert_eq!(scopes(&page, SearchState::Failed), of(&[(SHUT, &REGIONS)]));
    let shut = page.scopes.iter().find(|scope| scope.account_id == SHUT);
    let shut = shut.unwrap();
    assert_eq!(shut.reason, "UPSTREAM_ACCESS_DENIED");
    assert!(shut.message.contains("sts:AssumeRole"), "{}", shut.message);
    // its own account needs no role; the refusal stands for all Regions
    assert_eq!(world.assumed(), (3, 1));
    let said = gateway.said();
    assert!(said.contains("WARN") && said.contains(SHUT), "{said}");
    assert!(!said.contains("an:external/id"), "{said}");
}

#[tokio::test]
async fn accounts_are_restricted_and_left_out() {
    let world = world(organization()).await;
    let mut gateway = Gateway::start(&mut world.serve(&[
        "--organization",
        "--assume-role-arn",
        ROLE,
        "--account",
        &[A, B, SUSPENDED].join(","),
        "--exclude-account",
        B,
        "--region",
        "eu-west-1",
        "--region",
        "us-east-1",
        "--exclude-region",
        "us-east-1",
    ]))
    .await;
    let page = gateway.lookup().await;
    assert_eq!(events(&page), of(&[(A, &["eu-west-1"])]));
    assert_eq!(page.scopes.len(), 1);
    let said = gateway.said();
    assert!(said.contains(SUSPENDED), "named, and not there: {said}");
    // events of global services are elsewhere
    let warned = said
        .lines()
        .any(|l| l.contains("WARN") && l.contains("us-east-1"));
    assert!(warned, "{said}");
}

#[tokio::test]
async fn the_role_is_for_other_accounts_unless_it_is_said() {
    let world = world(organization()).await;
    let args = [
        "--assume-role-arn",
        ROLE,
        "--account",
        BASE,
        "--account",
        A,
        "--region",
        "us-east-1",
    ];
    let both = of(&[(BASE, &["us-east-1"]), (A, &["us-east-1"])]);
    let mut gateway = Gateway::start(&mut world.serve(&args)).await;
    assert_eq!(events(&gateway.lookup().await), both);
    assert_eq!(world.assumed(), (1, 0));
    let args = [&args[..], &["--assume-role-in-own-account"]].concat();
    let mut gateway = Gateway::start(&mut world.serve(&args)).await;
    assert_eq!(events(&gateway.lookup().await), both);
    assert_eq!(world.assumed(), (3, 0));
}

#[tokio::test]
async fn a_wrong_external_id_is_a_refusal_that_is_not_asked_for_again() {
    let world = world(Options {
        external_id: Some("right".into()),
        ..organization()
    })
    .await;
    let regions = REGIONS.join(",");
    let args = ["--assume-role-arn", ROLE, "--account", A];
    let more = ["--region", &regions, "--assume-role-external-id", "wrong"];
    let mut gateway = Gateway::start(&mut world.serve(&[args, more].concat())).await;
    for _ in 0..2 {
        let refused = gateway.client.lookup_events(LookupEventsRequest::default());
        let refused = refused.await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        let message = refused.message();
        assert!(message.contains("AssumeRole.AccessDenied"), "{message}");
        assert!(message.contains("sts:AssumeRole"), "{message}");
    }
    assert_eq!(world.assumed(), (1, 1));
}

#[tokio::test]
async fn credentials_that_expired_are_told_from_roles_that_are_shut() {
    let world = world(organization()).await;
    let session = r#"{"arn":"a","user_id":"u","expires":1}"#;
    let token = format!("trailgate-{}", URL_SAFE_NO_PAD.encode(session));
    let args = ["--assume-role-arn", ROLE, "--account", A];
    let mut gateway = Gateway::start(world.serve(&args).env("AWS_SESSION_TOKEN", token)).await;
    let refused = gateway.client.lookup_events(LookupEventsRequest::default());
    let refused = refused.await.unwrap_err();
    let message = refused.message();
    assert!(message.contains("credentials"), "{message}");
    assert!(message.contains("AssumeRole.ExpiredToken"), "{message}");
}

#[tokio::test]
async fn sessions_are_renewed_before_anyone_notices_their_end() {
    let world = world(Options {
        session: Some(Duration::from_secs(3)),
        ..organization()
    })
    .await;
    let args = ["--assume-role-arn", ROLE, "--account", A, "--account", B];
    let mut gateway = Gateway::start(&mut world.serve(&args)).await;
    let now = LookupEventsRequest {
        max_staleness: Some(prost_types::Duration::default()),
        ..LookupEventsRequest::default()
    };
    let begun = Clock::system().now_secs();
    // past the end of the first sessions, and some more
    while Clock::system().now_secs() < begun + 5 {
        let page = gateway.ask(now.clone()).await;
        let complete = scopes(&page, SearchState::Complete).len();
        assert_eq!(complete, 2, "{}", gateway.said());
    }
    let (assumed, refused) = world.assumed();
    assert!(assumed >= 4 && refused == 0, "{assumed} {refused}");
}

#[tokio::test]
async fn accounts_that_come_and_go_are_noticed_and_pages_go_on_as_they_began() {
    let world = world(organization()).await;
    let mut gateway = Gateway::start(&mut world.serve(&[
        "--organization",
        "--assume-role-arn",
        ROLE,
        "--region",
        "us-east-1",
        "--scope-refresh",
        "1s",
    ]))
    .await;
    let served = |ids: &[&str]| -> BTreeSet<String> {
        ids.iter().map(|id| format!("{id}-us-east-1")).collect()
    };
    let small = LookupEventsRequest {
        page_size: 1,
        ..LookupEventsRequest::default()
    };
    let first = gateway.ask(small.clone()).await;
    let before = served(&[BASE, A, B, SHUT]);
    assert_eq!(scopes(&first, SearchState::Unspecified).len(), 0);
    assert_eq!(first.scopes.len(), before.len());
    world.simulator.suspend(A, true);
    world.simulator.suspend(SUSPENDED, false);
    // a newcomer has neither events nor an open history: it is only seen
    let after = served(&[BASE, B, SHUT, SUSPENDED]);
    let seen = async {
        loop {
            let request = LookupEventsRequest::default();
            let page = gateway.client.lookup_events(request).await.unwrap();
            let names = page.into_inner().scopes.into_iter();
            let names: BTreeSet<_> = names
                .map(|s| format!("{}-{}", s.account_id, s.region))
                .collect();
            if names == after {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    let mut found = events(&first);
    let mut token = first.next_page_token;
    while !token.is_empty() {
        let page = gateway
            .ask(LookupEventsRequest {
                page_token: token,
                ..small.clone()
            })
            .await;
        assert_eq!(page.scopes.len(), before.len(), "as it began");
        found.extend(events(&page));
        token = page.next_page_token;
    }
    assert_eq!(found, before, "A's history was read before it went");
}

#[tokio::test]
async fn each_profile_is_an_account_of_its_own() {
    let world = world(organization()).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (name, account) in [("audit", A), ("dev", B)] {
        writeln!(
            file,
            "[profile {name}]\naws_access_key_id = {account}\naws_secret_access_key = x"
        )
        .unwrap();
    }
    let serve = |args: &[&str]| {
        let mut command = world.serve(args);
        command
            .env("AWS_CONFIG_FILE", file.path())
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
        command
    };
    let by_id = format!("{B}=dev");
    let mut gateway =
        Gateway::start(&mut serve(&["--profile", "audit", "--profile", &by_id])).await;
    let page = gateway.lookup().await;
    assert_eq!(
        events(&page),
        of(&[(A, &["us-east-1"]), (B, &["us-east-1"])])
    );
    assert_eq!(world.assumed(), (0, 0));
    let wrong = format!("{BASE}=dev");
    for (args, status, parts) in [
        (
            &["--profile", "none"][..],
            69,
            &["none", "ACCOUNT=none"][..],
        ),
        (&["--profile", &wrong], 64, &["dev", BASE, B]),
    ] {
        let (code, said) = ends(&mut serve(args)).await;
        assert_eq!(code, Some(status), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[tokio::test]
async fn what_aws_does_not_tell_ends_the_start_with_what_to_do() {
    let managed_elsewhere = world(Options {
        management_account: Some(B.into()),
        ..organization()
    })
    .await;
    let org = ["--organization", "--assume-role-arn", ROLE];
    let (code, said) = ends(&mut managed_elsewhere.serve(&org)).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("organizations:ListAccounts"), "{said}");
    assert!(said.contains("AccessDeniedException"), "{said}");
    let shut = world(Options {
        faults: ["denied-role=1".parse().unwrap()].into_iter().collect(),
        ..organization()
    })
    .await;
    let args = ["--all-regions", "--assume-role-arn", ROLE, "--account", A];
    let (code, said) = ends(&mut shut.serve(&args)).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("account:ListRegions"), "{said}");
    assert!(said.contains("AssumeRole.AccessDenied"), "{said}");
}

#[tokio::test]
async fn a_simulators_accounts_are_asked_with_keys_of_their_own() {
    let world = world(organization()).await;
    let accounts = [A, B].join(",");
    let serve = |regions: &[&str]| {
        let args = [&["--account", accounts.as_str()], regions].concat();
        let mut command = world.serve(&args);
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        command
    };
    let mut gateway = Gateway::start(&mut serve(&["--all-regions"])).await;
    let page = gateway.lookup().await;
    assert_eq!(events(&page), of(&[(A, COMMON), (B, &REGIONS)]));
    assert_eq!(page.scopes.len(), 5);
    // where an account has not enabled a Region, the rest answers
    let mut gateway = Gateway::start(&mut serve(&["--region", &REGIONS.join(",")])).await;
    let page = gateway.lookup().await;
    assert_eq!(events(&page), of(&[(A, COMMON), (B, &REGIONS)]));
    assert_eq!(
        scopes(&page, SearchState::Failed),
        of(&[(A, &["ap-east-1"])])
    );
}
