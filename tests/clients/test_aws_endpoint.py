"""AWS's own clients against `trailgate serve --serve-aws`: what they are told is what
they are told by the simulator itself."""

import datetime
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import botocore.auth
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import BIG
from mcp_server import McpServer, program
from oracle import ATTRIBUTES
from processes import PATIENCE, Server, Simulator, get, wait_for
from test_simulator import as_given, aws, by, error_of, in_scope, lookup

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TARGET = "CloudTrail_20131101.LookupEvents"


def at(server):
    """Where AWS's clients are answered."""
    return SimpleNamespace(url=server.http)


@pytest.fixture(scope="module")
def server(simulator):
    with Server("--serve-aws", simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        yield server


def write_keys(path, *names, account=BIG[0], secret=SECRET):
    keys = [
        {"access_key_id": f"KEY{name}", "secret_access_key": secret, "account_id": account, "name": name}
        for name in names
    ]
    path.write_text(yaml.safe_dump({"keys": keys}))
    return path


@pytest.fixture(scope="module")
def keyed(simulator, folder):
    """A server that knows two keys."""
    keys = write_keys(folder / "keys.yaml", "one", "two")
    with Server("--serve-aws", "--aws-keys", keys, "--audit-log", folder / "audit",
                simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        yield server


def questions(records, number, seed=0):
    """Random questions that some events answer, or none."""
    chance = random.Random(seed)
    events = in_scope(records)
    times = sorted(event.time for event in events)
    moment = lambda: datetime.datetime.fromtimestamp(
        chance.choice(times) + chance.randint(-90, 90), datetime.timezone.utc
    )
    for _ in range(number):
        asked = {}
        if chance.random() < 0.8:
            key = chance.choice(ATTRIBUTES)
            values = chance.choice(events).attribute(key)
            asked = by(key, chance.choice(values) if values else "none")
        if chance.random() < 0.7:
            asked["StartTime"], asked["EndTime"] = sorted([moment(), moment()])
        elif chance.random() < 0.5:
            asked[chance.choice(["StartTime", "EndTime"])] = moment()
        yield chance.choice([3, 17, 50, 50, 50]), asked


def assert_same(ours, theirs, what):
    """The same events, newest first: of those that AWS tells twice, one is enough."""
    times = [event["EventTime"] for event in ours]
    assert times == sorted(times, reverse=True), what
    ours, theirs = list(map(as_given, ours)), set(map(as_given, theirs))
    assert set(ours) == theirs and len(ours) == len(theirs), what


def test_a_hundred_random_questions_of_boto3_are_answered_alike(simulator, server, records):
    ours, theirs = aws(at(server)), aws(simulator)
    found = 0
    for size, asked in questions(records, 100):
        # a page with three events each takes long where all are asked for
        size = size if asked else 50
        answer = lookup(ours, size, **asked)
        assert_same(answer, lookup(theirs, size, **asked), asked)
        found += len(answer)
    assert found > 1000
    # all of that is held: what is asked again costs nothing
    everything = lookup(ours)
    before = simulator.requests()
    assert_same(lookup(ours, 50), everything, "all")
    assert simulator.requests() == before


def test_the_aws_cli_is_told_what_the_simulator_tells_it(simulator, server, tmp_path):
    aws_cli = os.path.join(os.path.dirname(sys.executable), "aws")

    def cli(url, *args):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": BIG[0],
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL_CLOUDTRAIL": url,
            "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_REGION": BIG[1], "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [aws_cli, "cloudtrail", *args], env=environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    for args in (
        ("lookup-events", "--output", "json", "--lookup-attributes",
         "AttributeKey=EventName,AttributeValue=DescribeRouteTables"),
        ("lookup-events", "--output", "text", "--query", "sort(Events[].EventId)",
         "--lookup-attributes", "AttributeKey=ReadOnly,AttributeValue=false"),
        ("lookup-events", "--max-results", "51"),
        ("lookup-events", "--start-time", "2024-01-02", "--end-time", "2024-01-01"),
    ):
        ours, theirs = cli(server.http, *args), cli(simulator.url, *args)
        assert ours[0] == theirs[0] and ours[2] == theirs[2], ours
        if "json" in args:
            told = [
                {e["EventId"] + e["CloudTrailEvent"] for e in json.loads(out)["Events"]}
                for _, out, _ in (ours, theirs)
            ]
            assert told[0] == told[1]
        else:
            words = [set(out.split()) for _, out, _ in (ours, theirs)]
            assert words[0] == words[1]
    code, _, said = cli(server.http, "describe-trails")
    assert code != 0 and "UnknownOperationException" in said


@pytest.mark.skipif(not program().exists(), reason=f"no {program()}")
def test_awss_mcp_server_is_told_what_the_simulator_tells_it(simulator, server, records):
    def mcp(url):
        return McpServer(
            AWS_ENDPOINT_URL_CLOUDTRAIL=url, AWS_ACCESS_KEY_ID=BIG[0], AWS_SECRET_ACCESS_KEY="x",
            NO_PROXY="127.0.0.1", FASTMCP_LOG_LEVEL="ERROR",
        )

    def everything(client, asked):
        found = []
        answer = client.call("lookup_events", region=BIG[1], **asked)
        while True:
            found += answer["events"]
            if not answer.get("next_token"):
                return found
            again = {**asked, **{k: answer["query_params"][k] for k in ("start_time", "end_time")}}
            answer = client.call(
                "lookup_events", region=BIG[1], next_token=answer["next_token"], **again
            )

    with mcp(server.http) as ours, mcp(simulator.url) as theirs:
        asked = 0
        for _, question in questions(records, 60, seed=1):
            # what takes many pages is boto3's to ask
            if len(question) < 3:
                continue
            arguments = {
                "start_time": question["StartTime"].isoformat(),
                "end_time": question["EndTime"].isoformat(), "max_results": 50,
            }
            for attribute in question.get("LookupAttributes", []):
                arguments["attribute_key"] = attribute["AttributeKey"]
                arguments["attribute_value"] = attribute["AttributeValue"]
            told = [
                {json.dumps(event, sort_keys=True) for event in everything(client, arguments)}
                for client in (ours, theirs)
            ]
            assert told[0] == told[1], arguments
            asked += 1
        assert asked > 20


def test_ten_times_the_quota_is_asked_and_nobody_is_throttled(records):
    """Twenty calls a second for as long as it takes to ask a hundred, by clients that
    try once, of a stretch that was read at AWS's pace before."""
    with Simulator("--account", BIG[0], "--region", BIG[1], rate=2) as simulator:
        server = Server("--serve-aws", simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]], rate=2)
        with server:
            client = aws(at(server))
            events = sorted(in_scope(records), key=lambda event: event.time)[-500:]
            moment = lambda event: datetime.datetime.fromtimestamp(event.time, datetime.timezone.utc)
            stretch = {"StartTime": moment(events[0]), "EndTime": moment(events[-1])}
            # the first pass buys: a client with retries succeeds
            assert lookup(aws(at(server), retries=20), **stretch)
            before = simulator.requests()
            calls = [
                {**stretch, **by("EventName", random.Random(n).choice(events).api["EventName"])}
                for n in range(100)
            ]
            problems, start = [], time.monotonic()

            def ask(n):
                time.sleep(max(0, start + n / 20 - time.monotonic()))
                try:
                    client.lookup_events(**calls[n])
                except Exception as error:  # whatever it is, it is told below
                    problems.append(error)

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not problems
            # nothing had to be bought for it
            assert simulator.requests() == before
            stats = simulator.stats()
            assert stats["throttled"] == 0


def signed(server, body=b"{}", key="KEYone", secret=SECRET, region=BIG[1], service="cloudtrail", when=None,
           target=TARGET, token=None):
    """A request as botocore signs it, sent with no client in between."""
    request = AWSRequest(
        "POST", server.http + "/", data=body,
        headers={"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"},
    )
    signer = SigV4Auth(Credentials(key, secret, token), service, region)
    if when:
        clock = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *_, **__: when
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.get_current_datetime = clock
    else:
        signer.add_auth(request)
    return dict(request.headers.items())


def send(server, body, headers):
    """Status, code and headers of an answer."""
    address = urlsplit(server.http)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said.get("__type", "").removesuffix("Exception"), answer.headers


def test_who_is_not_known_is_told_so_by_awss_names(keyed):
    ask = lambda body=b"{}", **how: send(keyed, body, signed(keyed, body, **how))[:2]
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    minutes = lambda n: datetime.timedelta(minutes=n)
    assert ask() == (200, "")
    assert ask(key="KEYtwo", when=now - minutes(14)) == (200, "")
    assert ask(secret="x" * 40) == (400, "InvalidSignature")
    assert ask(key="nobody") == (400, "UnrecognizedClient")
    assert ask(token="session") == (400, "UnrecognizedClient")
    assert ask(when=now - minutes(16)) == (400, "InvalidSignature")
    assert ask(when=now + minutes(16)) == (400, "InvalidSignature")
    assert ask(region="eu-west-3") == (400, "UnrecognizedClient")
    assert ask(service="sts") == (400, "InvalidSignature")
    assert ask(target="CloudTrail_20131101.DescribeTrails") == (400, "UnknownOperation")
    assert ask(b" " * 2**20) == (413, "RequestEntityTooLarge")
    # what was signed is what is asked
    headers = signed(keyed)
    assert send(keyed, b"{ }", headers)[:2] == (400, "InvalidSignature")
    for name in ("X-Amz-Date", "Authorization"):
        left = {n: v for n, v in headers.items() if n.lower() != name.lower()}
        code = "IncompleteSignature" if name == "X-Amz-Date" else "MissingAuthenticationToken"
        assert send(keyed, b"{}", left)[:2] == (400, code)
    # no secret is anywhere
    said = keyed.stderr() + get(f"{keyed.http}/metrics")[1]
    assert SECRET not in said and 'trailgate_aws_calls_total{code="InvalidSignatureException"}' in said


def test_keys_are_kept_up_with(simulator, tmp_path):
    path = write_keys(tmp_path / "keys.yaml", "one")
    with Server("--serve-aws", "--aws-keys", path, simulator=simulator, accounts=[BIG[0]],
                regions=[BIG[1]]) as server:
        ask = lambda **how: send(server, b"{}", signed(server, **how))[1]
        assert ask() == ""
        # a file that cannot be used changes nothing
        path.write_text("keys: [")
        server.process.send_signal(signal.SIGHUP)
        wait_for("the file was looked at", lambda: "the AWS keys stay" in server.stderr())
        assert ask() == ""
        write_keys(path, "other", secret=hashlib.sha256(b"new").hexdigest())
        server.process.send_signal(signal.SIGHUP)
        wait_for("the key is gone", lambda: ask() == "UnrecognizedClient")
        assert ask(key="KEYother", secret=hashlib.sha256(b"new").hexdigest()) == ""


def test_limits_are_awss(simulator, server):
    ours, theirs = aws(at(server)), aws(simulator)
    early, late = datetime.datetime(2023, 1, 1), datetime.datetime(2023, 1, 2)
    for asked in (
        {"NextToken": "x"},
        {"StartTime": late, "EndTime": early},
        by("EventName", "x" * 2001),
        by("EventName", "_" * 1001),
        {"EventCategory": "insight", **by("Username", "x")},
        {"LookupAttributes": by("EventName", "x")["LookupAttributes"] * 2},
    ):
        errors = [error_of(lambda c=c: c.lookup_events(**asked)) for c in (ours, theirs)]
        assert errors[0] == errors[1], asked
    answers = [c.lookup_events(EventCategory="insight")["Events"] for c in (ours, theirs)]
    assert list(map(as_given, answers[0])) == list(map(as_given, answers[1]))
    # a page is as full as AWS's
    assert len(ours.lookup_events()["Events"]) == 50
