"""Nothing secret is written: not to the log at any level, not to metrics, and not to
traces."""

import json
import secrets
import time

import grpc
import pytest

from collector import Collector
from processes import Server, Simulator, wait_for
from rpc import FAILED, Client, at, event_service_pb2, filters_of, refusal
from test_metrics import scrape
from test_tokens import AUDIENCE, ISSUER, Key, bearer, publish

OWN, OTHER, REFUSING = "111122223333", "444455556666", "777788889999"
REGION = "us-east-1"
POLICY = """
rules:
  - {subjects: ['*'], methods: ['*']}
  - {callers: ['*'], methods: [Metrics]}
"""


def secret(name):
    """A text that is found again wherever it is."""
    return f"zz{name}{secrets.token_hex(12)}"


@pytest.fixture(scope="module")
def contents():
    """What an event says."""
    return secret("Content")


@pytest.fixture(scope="module")
def external_id():
    return secret("External")


@pytest.fixture(scope="module")
def simulator(contents, external_id, tmp_path_factory):
    """Two accounts with an event, and one that lends no role."""
    events = tmp_path_factory.mktemp("records") / "events.jsonl"
    now = int(time.time())
    with events.open("w") as file:
        for account in (OWN, OTHER):
            record = {
                "eventVersion": "1.08", "eventID": f"293ba626-3be5-4a26-ab1b-{account}",
                "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3600)),
                "eventSource": "secretsmanager.amazonaws.com", "eventName": "PutSecretValue",
                "awsRegion": REGION, "recipientAccountId": account,
                "userIdentity": {"type": "IAMUser", "userName": contents, "accountId": account},
                "requestParameters": {"secretString": contents},
            }
            file.write(json.dumps({
                "EventId": record["eventID"], "EventName": record["eventName"],
                "EventTime": now - 3600, "EventSource": record["eventSource"],
                "Username": contents, "Resources": [], "CloudTrailEvent": json.dumps(record),
            }) + "\n")
    with Simulator(
        "--account", OWN, "--account", OTHER, "--account", REFUSING, "--region", REGION,
        "--external-id", external_id, "--fault", f"denied-role={REFUSING}",
        "--fault", "throttle=0.1", "--fault", "5xx=0.05", "--live", 5, records=events,
    ) as simulator:
        yield simulator


def lines_of(pem):
    """What a file in PEM has that is nobody's business."""
    return [line for line in pem.read_text().splitlines() if not line.startswith("-")]


# ours alone, and all that libraries say as well
LEVELS = ["trace", "trace,trailgate=trace"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_secret_is_written(
    simulator, contents, external_id, authority, folder, tmp_path, form, level,
):
    cert, key_file = authority.files(tmp_path, "127.0.0.1")
    shown = authority.files(tmp_path, "alerts.example.org")
    key = Key("one", "ES256")
    publish(tmp_path, [key])
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    access, session, tenant, beside, value, wrong = map(
        secret, ["Access", "Session", "Tenant", "Beside", "Value", "Wrong"])
    hidden = {
        "the secret access key": access, "the session token": session,
        "a lent secret access key": "simulator-has-no-secrets",
        "the collector's key": tenant, "the external id": external_id,
        "what an event says": contents, "what a caller sends beside": beside,
        "what a filter asks for": value, "what a file has that is wrong": wrong,
    }
    env = {
        "AWS_ACCESS_KEY_ID": OWN, "AWS_SECRET_ACCESS_KEY": access,
        "AWS_SESSION_TOKEN": session,
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": REGION,
        "TRAILGATE_ASSUME_ROLE_EXTERNAL_ID": external_id,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={tenant}",
    }
    now = int(time.time())
    tokens = {
        "a token": key.sign(),
        "an expired token": key.sign(exp=now - 900),
        "a token of another key": Key("one", "ES256").sign(),
        "a token of another issuer": key.sign(iss="https://other.example.org"),
        "a long token": key.sign(more="x" * 9000),
        "no token at all": "e30.e30." + secret("Garbage"),
    }
    window = {"start_time": at(now - 7200), "end_time": at(now - 600)}
    with Collector() as collector, Server(
        "--tls-cert", cert, "--tls-key", key_file, "--tls-client-ca", folder / "ca.pem",
        "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", tmp_path / "keys.json",
        "--policy", policy, "--otlp-endpoint", collector.url, "--log-format", form,
        "--log-level", level, "--poll-interval", "1s",
        "--assume-role-arn", "arn:{partition}:iam::{account}:role/Reader",
        simulator=simulator, accounts=[OWN, OTHER, REFUSING], regions=[REGION], env=env,
    ) as server, Client(server, authority.credentials(shown)) as client:
        def ask(token, **question):
            request = event_service_pb2.LookupEventsRequest(**{**window, **question})
            metadata = [*bearer(token), ("x-private", beside)]
            return client.events.LookupEvents(request, metadata=metadata, timeout=60)

        good, *bad = tokens.values()
        page = ask(good)
        assert {event.account_id for event in page.events} == {OWN, OTHER}
        assert all(contents in event.record for event in page.events)
        # one account refuses its role
        assert any(scope.account_id == REFUSING and scope.state == FAILED for scope in page.scopes), page
        for token in bad:
            assert refusal(lambda: ask(token)).code == grpc.StatusCode.UNAUTHENTICATED
        by_value = filters_of([[{
            "field": "requestParameters.secretString", "values": [value, contents],
        }]])
        assert len(ask(good, filters=by_value).events) == 2
        for no_filter in [
            {"field": f"requestParameters.{value}..", "values": [value]},
            {"field": "requestParameters.a", "operator": "REGEX", "values": [f"{value}("]},
        ]:
            assert refusal(lambda: ask(good, filters=filters_of([[no_filter]]))).code == (
                grpc.StatusCode.INVALID_ARGUMENT)
        stream = client.events.SubscribeEvents(
            event_service_pb2.SubscribeEventsRequest(start_time=at(now - 7200)),
            metadata=bearer(good), timeout=60)
        wait_for("the event", lambda: any(
            contents in event.record for event in next(stream).batch.events))
        stream.cancel()
        # files that cannot be used, with what is in them
        for file, what, said in [
            (policy, f"rules: [{wrong}", "policy stays"),
            (key_file, key_file.read_text()[:-120], "certificates stay"),
            (tmp_path / "keys.json", json.dumps({"keys": [{"k": wrong}]}), "keys of tokens stay"),
        ]:
            whole = file.read_bytes()
            keys = lines_of(file) if file == key_file else []
            hidden |= {f"the key's line {n}": line for n, line in enumerate(keys)}
            file.write_text(what)
            server.process.send_signal(1)
            wait_for(f"{said} is said", lambda: said in server.stderr())
            file.write_bytes(whole)
        metrics = wait_for("spans", lambda: (
            collector.spans(name="CloudTrail/LookupEvents") and scrape(server, authority, shown)))
        server.stop()
        written = {
            "the log": server.stderr(), "metrics": metrics,
            "spans": collector.raw.decode("latin-1"),
        }
    assert "call ended" in written["the log"] and "trailgate_" in written["metrics"]
    hidden |= {
        f"{name}, its {part}": token.split(".")[n]
        for name, token in tokens.items() for n, part in ((1, "claims"), (2, "signature"))
        if len(token.split(".")[n]) > 8
    }
    found = {
        (where, what, line[max(0, line.find(value) - 200):line.find(value)])
        for where, text in written.items() for line in text.splitlines()
        for what, value in hidden.items() if value in line
    }
    assert not found
