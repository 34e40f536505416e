"""Who may ask what, by real clients: identity by right by method."""

import json

import grpc
import pytest

from certificates import get
from processes import PATIENCE, Server, Simulator, run, wait_for
from rpc import (
    DENIED, Client, Refusal, code, event_service_pb2, filters_of, refusal, scope_service_pb2,
)
from test_probes import reflect
from test_tokens import AUDIENCE, ISSUER, Key

OWN, OTHER = "111122223333", "444455556666"
REGIONS = ["us-east-1", "eu-west-1"]
METHODS = [
    "LookupEvents", "ExportEvents", "GetEvent", "SummarizeEvents", "SubscribeEvents",
    "IngestEvents", "ListScopes", "Reflection",
]

POLICY = f"""
rules:
  - callers: [security.example.org]
    methods: ['*']
  - callers: ['reports.*']
    methods: [LookupEvents, GetEvent, SummarizeEvents, ExportEvents, SubscribeEvents, ListScopes]
    accounts: ['{OWN}']
    regions: [eu-west-1]
    event_sources: [iam.amazonaws.com]
    record: false
"""


def record(account, region, number):
    """A record of one scope; every other is of IAM."""
    source = ["iam.amazonaws.com", "s3.amazonaws.com"][number % 2]
    return {
        "eventID": f"00000000-0000-4000-8000-{number:012}", "eventName": "CreateThing",
        "eventSource": source, "eventTime": "2026-01-02T03:04:05Z", "awsRegion": region,
        "recipientAccountId": account, "userIdentity": {"type": "Root", "accountId": account},
        "requestParameters": {"secret": f"s{number}"}, "eventCategory": "Management",
        "managementEvent": True, "readOnly": False, "eventVersion": "1.11",
    }


@pytest.fixture(scope="module")
def simulator(folder):
    scopes = [(account, region) for account in (OWN, OTHER) for region in REGIONS]
    lines = []
    for number in range(40):
        account, region = scopes[number % 4]
        event = record(account, region, number // 4)
        event["eventID"] = f"00000000-0000-4000-8000-{number:012}"
        lines.append({
            "EventId": event["eventID"], "EventName": event["eventName"],
            "EventTime": event["eventTime"], "EventSource": event["eventSource"],
            "ReadOnly": "false", "CloudTrailEvent": json.dumps(event),
        })
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Simulator(records=records) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def serve(authority, folder, simulator):
    """Servers with a policy."""
    cert, key = authority.files(folder, "127.0.0.1")

    def serve(policy, *args):
        path = folder / "policy.yaml"
        path.write_text(policy)
        return Server(
            "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", folder / "ca.pem",
            "--policy", path, *args, simulator=simulator, accounts=[OWN, OTHER], regions=REGIONS,
        )

    return serve


@pytest.fixture(scope="module")
def server(serve):
    with serve(POLICY) as server:
        yield server


def calls(client):
    """Each method, called with as little as will do."""
    pb, stub = event_service_pb2, client.events
    return {
        "LookupEvents": lambda: stub.LookupEvents(pb.LookupEventsRequest(), timeout=PATIENCE),
        "ExportEvents": lambda: next(stub.ExportEvents(pb.ExportEventsRequest(), timeout=PATIENCE)),
        "GetEvent": lambda: stub.GetEvent(pb.GetEventRequest(event_id="x"), timeout=PATIENCE),
        "SummarizeEvents": lambda: stub.SummarizeEvents(
            pb.SummarizeEventsRequest(), timeout=PATIENCE),
        "SubscribeEvents": lambda: next(stub.SubscribeEvents(
            pb.SubscribeEventsRequest(), timeout=PATIENCE)),
        "IngestEvents": lambda: next(stub.IngestEvents(iter([]), timeout=PATIENCE), None),
        "ListScopes": lambda: client.scopes.ListScopes(
            scope_service_pb2.ListScopesRequest(), timeout=PATIENCE),
        "Reflection": lambda: reflect(client.channel, list_services=""),
    }


def test_the_methods_here_are_those_of_the_contract():
    services = [
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
        scope_service_pb2.DESCRIPTOR.services_by_name["ScopeService"],
    ]
    names = [method.name for service in services for method in service.methods]
    assert sorted([*names, "Reflection"]) == sorted(METHODS)


UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
# the one that a rule is for, by each way to be known; names that are the same are not
RULES = {
    "certificate": "callers: [one.example.org]",
    "token": "subjects: [one.example.org]",
    "nothing": "anonymous: true",
}


@pytest.fixture(scope="module")
def identities(authority, folder):
    """Whoever may call: how it is known, by which name, certificate and token."""
    key = Key("es256", "ES256")
    (folder / "keys.json").write_text(json.dumps({"keys": [key.public]}))
    one, other = (authority.files(folder, f"{name}.example.org") for name in ("one", "other"))
    return [
        ("certificate", "one", one, None),
        ("certificate", "other", other, None),
        ("token", "one", None, key.sign("one.example.org")),
        ("token", "other", None, key.sign("other.example.org")),
        # a token comes before the certificate
        ("token", "one", other, key.sign("one.example.org")),
        ("token", "other", one, key.sign("other.example.org")),
        ("nothing", "one", None, None),
    ]


@pytest.mark.parametrize("right", [*METHODS, "Metrics"])
@pytest.mark.parametrize("rule", RULES)
def test_a_right_is_to_one_method_of_one_caller(serve, authority, folder, identities, rule, right):
    policy = f"rules: [{{{RULES[rule]}, methods: [{right}]}}]"
    tokens = [
        "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", folder / "keys.json",
    ]
    with serve(policy, *tokens) as server:
        for known, name, files, token in identities:
            is_its = (known, name) == (rule, "one")
            denied, status = (UNKNOWN, 401) if known == "nothing" else (DENIED, 403)
            with Client(server, authority.credentials(files, token)) as client:
                ended = {method: code(call) for method, call in calls(client).items()}
            assert ended.keys() == set(METHODS)
            for method, how in ended.items():
                is_right = is_its and method == right
                assert (how == denied) != is_right, f"{known} {name}, {method}: {how}"
            told = get(f"{server.http}/metrics", authority, files, token)
            is_right = is_its and right == "Metrics"
            assert told == (200 if is_right else status), f"{known} {name}"


def test_who_may_everything_sees_everything(as_who):
    security = as_who("security.example.org")
    found = security.all()
    assert len(found) == 40 and all("secret" in event.record for event in found)
    by = filters_of([[{"field": "requestParameters.secret", "values": ["s3"]}]])
    assert len(security.all(filters=by)) == 4


def test_nothing_is_seen_but_what_the_rule_says(as_who):
    reports = as_who("reports.example.org")
    basic = {"view": "EVENT_VIEW_BASIC"}
    found = reports.all(**basic)
    assert len(found) == 5
    assert {(e.account_id, e.region, e.event_source, e.record) for e in found} == {
        (OWN, "eu-west-1", "iam.amazonaws.com", "")
    }
    # by any filter: what may not be seen passes none
    by = filters_of([[{"field": "eventName", "values": ["CreateThing"]}],
                     [{"field": "EventSource", "values": ["s3.amazonaws.com"]}]])
    assert len(reports.all(filters=by, **basic)) == 5
    listed = reports.scopes.ListScopes(scope_service_pb2.ListScopesRequest(), timeout=PATIENCE)
    assert [(s.account_id, s.region) for s in listed.scopes] == [(OWN, "eu-west-1")]
    counted = reports.events.SummarizeEvents(
        event_service_pb2.SummarizeEventsRequest(top_fields=["eventSource"]), timeout=PATIENCE)
    assert counted.stats.events_matched == 5
    exported = reports.events.ExportEvents(
        event_service_pb2.ExportEventsRequest(**basic), timeout=PATIENCE)
    assert sum(len(answer.events) for answer in exported) == 5


def test_other_scopes_are_as_if_they_were_not_there(as_who):
    reports = as_who("reports.example.org")
    messages = []
    for account in (OTHER, "999999999999"):
        refused = reports.refusal(account_ids=[account], view="EVENT_VIEW_BASIC")
        assert refused.info.reason == "UNKNOWN_SCOPE"
        messages.append(refused.message.replace(account, "?"))
        subscribe = event_service_pb2.SubscribeEventsRequest(
            account_ids=[account], view="EVENT_VIEW_BASIC")
        refused = refusal(lambda: next(reports.events.SubscribeEvents(subscribe, timeout=PATIENCE)))
        assert refused.info.reason == "UNKNOWN_SCOPE"
    assert messages[0] == messages[1]


def test_one_event_is_told_to_who_may_see_it(as_who):
    security, reports = as_who("security.example.org"), as_who("reports.example.org")
    for event in security.all():
        # it is held by now
        asked = event_service_pb2.GetEventRequest(event_id=event.event_id, view="EVENT_VIEW_BASIC")
        is_seen = (event.account_id, event.region, event.event_source) == (
            OWN, "eu-west-1", "iam.amazonaws.com")
        try:
            found = reports.events.GetEvent(asked, timeout=PATIENCE).event
            assert is_seen and found.event_id == event.event_id and not found.record
        except grpc.RpcError as error:
            assert not is_seen and error.code() == grpc.StatusCode.NOT_FOUND


def test_records_are_told_to_nobody_who_may_not_see_them(as_who):
    reports = as_who("reports.example.org")
    pb = event_service_pb2
    for call in [
        lambda: reports.page(),
        lambda: next(reports.events.ExportEvents(pb.ExportEventsRequest(), timeout=PATIENCE)),
        lambda: reports.events.GetEvent(pb.GetEventRequest(event_id="x"), timeout=PATIENCE),
        lambda: next(reports.events.SubscribeEvents(pb.SubscribeEventsRequest(), timeout=PATIENCE)),
    ]:
        refused = refusal(call)
        assert (refused.code, refused.info.reason) == (DENIED, "RECORD_NOT_ALLOWED")
        assert "BASIC" in refused.message


@pytest.mark.parametrize("field", [
    "requestParameters.secret", "record.requestParameters", "requestParameters.nothing",
    "nothing", "userIdentity", "additionalEventData.x",
])
def test_a_field_that_is_not_seen_is_no_oracle(as_who, field):
    reports = as_who("reports.example.org")
    pb = event_service_pb2
    basic = {"view": "EVENT_VIEW_BASIC"}
    by = filters_of([[{"field": field, "operator": "EXISTS"}]])
    refusals = [
        reports.refusal(filters=by, **basic),
        refusal(lambda: reports.events.SummarizeEvents(
            pb.SummarizeEventsRequest(top_fields=[field]), timeout=PATIENCE)),
        refusal(lambda: reports.events.SummarizeEvents(
            pb.SummarizeEventsRequest(filters=by), timeout=PATIENCE)),
        refusal(lambda: next(reports.events.SubscribeEvents(
            pb.SubscribeEventsRequest(filters=by, **basic), timeout=PATIENCE))),
        refusal(lambda: next(reports.events.ExportEvents(
            pb.ExportEventsRequest(filters=by, **basic), timeout=PATIENCE))),
    ]
    for refused in refusals:
        assert (refused.code, refused.info.reason) == (DENIED, "FIELD_NOT_ALLOWED")


def test_what_was_looked_through_tells_of_no_event_that_is_not_seen(as_who):
    security, reports = as_who("security.example.org"), as_who("reports.example.org")
    all_of_them = security.all(account_ids=[OWN], regions=["eu-west-1"])
    pb = event_service_pb2
    for event in all_of_them:
        by = filters_of([[{"field": "EventId", "operator": "EQUALS", "values": [event.event_id]}]])
        matched = int(event.event_source == "iam.amazonaws.com")
        basic = {"filters": by, "view": "EVENT_VIEW_BASIC"}
        export = list(reports.events.ExportEvents(
            pb.ExportEventsRequest(**basic), timeout=PATIENCE))
        summary = reports.events.SummarizeEvents(
            pb.SummarizeEventsRequest(filters=by), timeout=PATIENCE)
        for stats in [reports.page(**basic).stats, export[-1].stats, summary.stats]:
            assert (stats.events_scanned, stats.events_matched) == (matched, matched)
            assert stats.events_from_cache <= matched
        assert security.page(filters=by).stats.events_scanned >= 1


def test_who_sees_less_may_ask_as_much(as_who):
    reports = as_who("reports.example.org")
    one = {"field": "EventName", "operator": "EQUALS", "values": ["CreateThing"]}
    assert reports.page(filters=filters_of([[one] * 32]), view="EVENT_VIEW_BASIC").events
    refused = reports.refusal(filters=filters_of([[one] * 33]), view="EVENT_VIEW_BASIC")
    assert "33 matches; at most 32" in refused.message


def test_a_new_policy_holds_for_the_next_page_and_a_broken_one_for_none(serve, authority, folder):
    files = authority.files(folder, "reports.example.org")
    may = "rules: [{callers: [reports.example.org], methods: [LookupEvents]}]"
    with serve(may) as server, Client(server, authority.credentials(files)) as client:
        token = client.page(page_size=5).next_page_token
        assert client.page(page_size=5, page_token=token).events
        path = folder / "policy.yaml"
        path.write_text("rules: [{callers: [reports.example.org], methods: [LookupEvent]}]")
        wait_for("it is said", lambda: "the policy stays as it was" in server.stderr())
        assert "LookupEvent" in server.stderr()
        assert client.page(page_size=5, page_token=token).events
        path.write_text("rules: []")
        wait_for("the right is gone", lambda: code(
            lambda: client.page(page_size=5, page_token=token)) == DENIED)


def test_a_rule_for_accounts_that_are_elsewhere_does_not_look_like_no_events(
    serve, authority, folder
):
    policy = "rules: [{callers: [a.example.org], methods: ['*'], accounts: ['999999999999']}]"
    files = authority.files(folder, "a.example.org")
    with serve(policy) as server, Client(server, authority.credentials(files)) as client:
        for name, call in calls(client).items():
            if name in ("LookupEvents", "ExportEvents", "GetEvent", "SummarizeEvents"):
                refused = refusal(call)
                assert (refused.code, refused.info.reason) == (DENIED, "NO_SCOPES"), name


def test_streams_tell_each_caller_its_own_though_they_ask_the_same(authority, folder):
    policy, path = """
rules:
  - {callers: [all.example.org], methods: [SubscribeEvents]}
  - {callers: [own.example.org], methods: [SubscribeEvents], accounts: ['%s']}
  - {callers: [iam.example.org], methods: [SubscribeEvents], event_sources: [iam.amazonaws.com]}
""" % OWN, folder / "streams.yaml"
    path.write_text(policy)
    cert, key = authority.files(folder, "127.0.0.1")
    scopes = [arg for account in (OWN, OTHER) for arg in ("--account", account)]
    with Simulator(*scopes, "--region", REGIONS[0], "--live", 40, records=()) as simulator, Server(
        "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", folder / "ca.pem",
        "--policy", path, "--poll-interval", "200ms",
        simulator=simulator, accounts=[OWN, OTHER], regions=REGIONS[:1],
    ) as server:
        names = ["all", "own", "iam", "all", "own", "iam"]
        clients = [
            Client(server, authority.credentials(authority.files(folder, f"{name}.example.org")))
            for name in names
        ]
        streams = [
            client.events.SubscribeEvents(event_service_pb2.SubscribeEventsRequest(), timeout=PATIENCE)
            for client in clients
        ]
        told = [[] for _ in names]

        def read(place, enough):
            for response in streams[place]:
                told[place] += response.batch.events
                if enough(told[place]):
                    return response.resume_token

        for place, name in enumerate(names):
            both = lambda events: {e.account_id for e in events} == {OWN, OTHER} and len(events) > 40
            read(place, both if name == "all" else lambda events: len(events) > 8)
        for name, events in zip(names, told):
            if name == "own":
                assert {event.account_id for event in events} == {OWN}
            if name == "iam":
                assert {event.event_source for event in events} == {"iam.amazonaws.com"}
        # who may see less now goes on with its token; who may nothing does not
        path.write_text(policy.replace("all.example.org", "gone.example.org").replace(OWN, OTHER))
        ended = []
        for place in (1, 0):
            try:
                token = None
                for response in streams[place]:
                    token = response.resume_token
            except grpc.RpcError as error:
                ended.append((Refusal(error), token))
        (changed, token), (gone, _) = ended
        assert (changed.code, changed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "RIGHTS_CHANGED")
        assert (gone.code, gone.info.reason) == (DENIED, "NOT_ALLOWED")
        told[1].clear()
        streams[1] = clients[1].events.SubscribeEvents(
            event_service_pb2.SubscribeEventsRequest(resume_token=token), timeout=PATIENCE)
        read(1, lambda events: len(events) > 8)
        assert {event.account_id for event in told[1]} == {OTHER}
        for client in clients:
            client.channel.close()


def test_a_policy_that_cannot_be_used_ends_the_start(folder):
    path = folder / "broken.yaml"
    path.write_text("rules: [{callers: [a], methods: [LookupEvent]}]")
    ran = run("serve", "--demo", "--policy", path)
    assert ran.returncode != 0 and "rules[0].methods[0]" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
