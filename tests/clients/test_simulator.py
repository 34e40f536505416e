"""AWS's own clients against `trailgate simulate`."""

import collections
import gzip
import json
import os
import random
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from conftest import BIG
from oracle import ATTRIBUTES, parse
from processes import DATA, PATIENCE, Simulator


def aws(simulator, scope=BIG, service="cloudtrail", retries=1, **keys):
    """A boto3 client: the scope's account is the access key, and its Region
    the signature's. One attempt is no retry."""
    return boto3.client(
        service,
        endpoint_url=simulator.url,
        region_name=scope[1],
        aws_access_key_id=keys.get("key", scope[0]),
        aws_secret_access_key=keys.get("secret", "x"),
        aws_session_token=keys.get("token"),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": retries}, proxies={},
            connect_timeout=PATIENCE, read_timeout=PATIENCE,
        ),
    )


def lookup(client, page_size=50, **parameters):
    """All events, page by page, with the paginator of boto3."""
    pages = client.get_paginator("lookup_events").paginate(
        PaginationConfig={"PageSize": page_size}, **parameters
    )
    return [event for page in pages for event in page["Events"]]


def by(key, value):
    return {"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]}


def as_given(event):
    """An event of boto3 as the records have it."""
    given = {**event, "EventTime": int(event["EventTime"].timestamp())}
    return json.dumps(given, sort_keys=True)


def assert_same(found, expected):
    """The same events, each as often, whole, newest first."""
    times = [event["EventTime"] for event in found]
    assert times == sorted(times, reverse=True)
    want = collections.Counter(json.dumps(e.api, sort_keys=True) for e in expected)
    assert collections.Counter(map(as_given, found)) == want


def error_of(call):
    """Code and HTTP status of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def in_scope(records, scope=BIG):
    return [event for event in records if event.scope == scope]


def test_every_scope_answers_with_its_records_alone(simulator, records):
    scopes = collections.defaultdict(list)
    for event in records:
        scopes[event.scope].append(event)
    asked = 0
    for scope, expected in scopes.items():
        # boto3 signs for any Region whose name is a host's label, and with
        # any access key
        if scope[1] == "...":
            continue
        client = aws(simulator, scope)
        before = simulator.operation(*scope)
        assert_same(lookup(client), expected)
        after = simulator.operation(*scope)
        assert after["events"] - before["events"] == len(expected)
        assert after["requests"] - before["requests"] == max(1, -(-len(expected) // 50))
        asked += len(expected)
    assert asked == len(records) - len(scopes["12345", "..."])
    # a Region without events, and nobody else's
    assert lookup(aws(simulator, (BIG[0], "eu-central-1"))) == []


def values_to_ask(events, key):
    """The most frequent values, some rare ones, and some that no event has."""
    counts = collections.Counter(v for e in events for v in set(e.attribute(key)))
    ranked = [value for value, _ in counts.most_common()]
    chosen = random.Random(key).sample(ranked[3:], min(6, len(ranked[3:])))
    return [*ranked[:3], *ranked[-2:], *chosen]


@pytest.mark.parametrize("key", ATTRIBUTES)
def test_each_attribute_finds_what_has_it(simulator, records, key):
    for scope in (BIG, ("123456789012", "us-west-2")):
        client = aws(simulator, scope)
        events = in_scope(records, scope)
        for value in dict.fromkeys(values_to_ask(events, key)):
            expected = [event for event in events if value in event.attribute(key)]
            assert_same(lookup(client, **by(key, value)), expected)
            # exact and case-sensitive
            near = value.swapcase() if value.swapcase() != value else value + "x"
            expected = [event for event in events if near in event.attribute(key)]
            assert_same(lookup(client, **by(key, near)), expected)
        assert lookup(client, **by(key, "no event has this")) == []


def test_values_with_spaces_and_other_signs(tmp_path):
    names = ["Ann Lee", " Ann Lee", "Ann  Lee", "Ann+Lee", "Ann%20Lee", "Änn\tLee, \"x\" \\ y", "名前 😀"]
    lines = []
    for n, name in enumerate(names):
        record = {
            "eventTime": "2024-05-06T07:08:09Z", "eventName": "A B", "eventID": str(n),
            "awsRegion": BIG[1], "recipientAccountId": BIG[0],
        }
        api = {
            "EventId": str(n), "EventTime": 1714979289, "EventName": "A B", "Username": name,
            "Resources": [{"ResourceName": name}], "CloudTrailEvent": json.dumps(record),
        }
        lines.append(json.dumps(api))
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(lines))
    with Simulator(records=path) as simulator:
        client = aws(simulator)
        for n, name in enumerate(names):
            for key in ("Username", "ResourceName"):
                found = lookup(client, **by(key, name))
                assert [event["EventId"] for event in found] == [str(n)], name
        assert len(lookup(client, **by("EventName", "A B"))) == len(names)


def test_time_ranges_include_both_ends(simulator, records):
    client = aws(simulator)
    events = in_scope(records)
    seconds = sorted({event.time for event in events})
    busiest = collections.Counter(e.time for e in events).most_common(1)[0][0]
    chance = random.Random(1)
    ranges = [(seconds[0], seconds[-1]), (busiest, busiest), (busiest, seconds[-1]),
              (seconds[-1] + 1, seconds[-1] + 2), (seconds[0] - 9, seconds[0])]
    ranges += [sorted(chance.sample(seconds, 2)) for _ in range(10)]
    for start, end in ranges:
        expected = [event for event in events if start <= event.time <= end]
        assert_same(lookup(client, StartTime=start, EndTime=end), expected)
    start, end = seconds[100], seconds[-100]
    assert_same(lookup(client, StartTime=start), [e for e in events if start <= e.time])
    assert_same(lookup(client, EndTime=end), [e for e in events if e.time <= end])
    expected = [e for e in events if start <= e.time <= end and e.api.get("ReadOnly") == "false"]
    assert_same(lookup(client, StartTime=start, EndTime=end, **by("ReadOnly", "false")), expected)


@pytest.mark.parametrize("page_size", [1, 7, 50])
def test_pages_of_any_size_say_the_same(simulator, records, page_size):
    client = aws(simulator)
    events = in_scope(records)
    start = sorted(event.time for event in events)[-300]
    expected = [event for event in events if event.time >= start]
    assert_same(lookup(client, page_size, StartTime=start), expected)


def test_errors_have_the_codes_of_aws(simulator):
    client = aws(simulator)
    first = client.lookup_events(MaxResults=5)
    token = first["NextToken"]
    two = [{"AttributeKey": "ReadOnly", "AttributeValue": "true"},
           {"AttributeKey": "EventName", "AttributeValue": "Decrypt"}]
    refused = {
        "InvalidNextTokenException": [
            {"NextToken": "no token"},
            {"NextToken": token[:-2]},
            {"NextToken": token, "MaxResults": 5, **by("ReadOnly", "true")},
            {"NextToken": token, "MaxResults": 5, "StartTime": 1688990000},
            {"NextToken": token, "MaxResults": 5, "EventCategory": "insight"},
        ],
        "InvalidLookupAttributesException": [{"LookupAttributes": two}],
        "InvalidTimeRangeException": [{"StartTime": 1688990001, "EndTime": 1688990000}],
    }
    for code, questions in refused.items():
        for question in questions:
            assert error_of(lambda: client.lookup_events(**question)) == (code, 400), question
    other = aws(simulator, (BIG[0], "us-west-2"))
    got = error_of(lambda: other.lookup_events(NextToken=token, MaxResults=5))
    assert got == ("InvalidNextTokenException", 400)
    # and the token is still good where it belongs
    second = client.lookup_events(NextToken=token, MaxResults=5)
    ids = [event["EventId"] for page in (first, second) for event in page["Events"]]
    assert len(set(ids)) == 10
    # boto3 checks what the API's model says; the simulator checks it too
    unchecked = boto3.client(
        "cloudtrail", endpoint_url=simulator.url, region_name=BIG[1], aws_access_key_id=BIG[0],
        aws_secret_access_key="x",
        config=Config(parameter_validation=False, proxies={}, retries={"total_max_attempts": 1}),
    )
    for count in (0, 51, -1):
        got = error_of(lambda: unchecked.lookup_events(MaxResults=count))
        assert got == ("InvalidMaxResultsException", 400), count
    for attribute in ({"AttributeKey": "eventname", "AttributeValue": "x"},
                      {"AttributeKey": "EventName", "AttributeValue": ""},
                      {"AttributeKey": "EventName", "AttributeValue": "x" * 2001}):
        got = error_of(lambda: unchecked.lookup_events(LookupAttributes=[attribute]))
        assert got == ("InvalidLookupAttributesException", 400), attribute
    got = error_of(lambda: unchecked.lookup_events(EventCategory="data"))
    assert got == ("InvalidEventCategoryException", 400)


def test_strangers_and_unknown_operations_are_refused(simulator):
    stranger = aws(simulator, key="999988887777")
    got = error_of(lambda: stranger.lookup_events())
    assert got == ("UnrecognizedClientException", 400)
    got = error_of(lambda: aws(simulator).describe_trails())
    assert got == ("UnknownOperationException", 400)
    unsigned = urllib.request.Request(
        simulator.url, b"{}",
        {"X-Amz-Target": "CloudTrail_20131101.LookupEvents",
         "Content-Type": "application/x-amz-json-1.1"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught:
        direct.open(unsigned, timeout=PATIENCE)
    with caught.value as answer:
        assert "MissingAuthenticationToken" in json.load(answer)["__type"]


def test_two_attributes_where_only_the_first_is_honoured(records):
    with Simulator("--first-attribute-only") as simulator:
        both = {"LookupAttributes": [*by("EventName", "Decrypt")["LookupAttributes"],
                                     *by("ReadOnly", "false")["LookupAttributes"]]}
        found = lookup(aws(simulator), **both)
    assert_same(found, [e for e in in_scope(records) if e.api["EventName"] == "Decrypt"])


def test_a_burst_is_throttled_and_retries_get_through(records):
    with Simulator(rate=2) as simulator:
        client = aws(simulator)
        client.lookup_events(MaxResults=1)
        codes = collections.Counter()
        # two a second are let through: twenty at once cannot all be
        def ask():
            try:
                client.lookup_events(MaxResults=1)
                codes["ok"] += 1
            except ClientError as error:
                answer = error.response
                codes[answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]] += 1
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        throttled = codes["ThrottlingException", 400]
        assert set(codes) <= {"ok", ("ThrottlingException", 400)} and throttled > 0, codes
        # another scope has a quota of its own
        aws(simulator, ("123456789012", "us-west-2")).lookup_events(MaxResults=1)
        counted = simulator.operation(*BIG)
        assert counted["requests"] == 21
        assert counted["throttled"] == counted["errors"]["ThrottlingException"] == throttled
        # retries recover: every page comes
        events = in_scope(records)
        start = sorted(event.time for event in events)[-150]
        expected = [event for event in events if event.time >= start]
        patient = aws(simulator, retries=10)
        assert_same(lookup(patient, StartTime=start), expected)


@pytest.mark.parametrize(("fault", "scope", "expected"), [
    ("denied-region=us-east-1", BIG, {("AccessDeniedException", 400)}),
    ("expired-credentials=1", BIG, {("ExpiredTokenException", 400)}),
    ("throttle=1", BIG, {("ThrottlingException", 400)}),
    ("5xx=1", BIG, {("InternalFailure", 500), ("ServiceUnavailableException", 503)}),
])
def test_faults_look_as_they_do_at_aws(records, fault, scope, expected):
    with Simulator("--fault", fault) as simulator:
        client = aws(simulator, scope)
        got = {error_of(lambda: client.lookup_events()) for _ in range(4)}
        assert got == expected
        counted = simulator.operation(*scope)
        assert (counted["requests"], counted["refused"], counted["events"]) == (4, 4, 0)
        if fault.startswith("denied-region"):
            elsewhere = aws(simulator, ("123456789012", "us-west-2"))
            assert elsewhere.lookup_events()["Events"]


def test_tokens_expire_and_connections_break(records):
    with Simulator("--fault", "expired-token=1") as simulator:
        client = aws(simulator)
        token = client.lookup_events()["NextToken"]
        got = error_of(lambda: client.lookup_events(NextToken=token))
        assert got == ("InvalidNextTokenException", 400)
    with Simulator("--fault", "disconnect=1") as simulator:
        with pytest.raises(ConnectionClosedError):
            aws(simulator).lookup_events()
        assert simulator.operation(*BIG)["errors"] == {"Disconnect": 1}
    with Simulator("--fault", "5xx=0.3", "--fault", "short-page=0.5") as simulator:
        assert_same(lookup(aws(simulator, retries=10)), in_scope(records))


def test_sts_and_account_answer(simulator, records):
    sts = aws(simulator, service="sts")
    assert sts.get_caller_identity()["Account"] == BIG[0]
    role = sts.assume_role(
        RoleArn="arn:aws:iam::123456789012:role/Audit", RoleSessionName="nightly"
    )
    keys = role["Credentials"]
    assert role["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/Audit/nightly"
    assumed = {"key": keys["AccessKeyId"], "secret": keys["SecretAccessKey"],
               "token": keys["SessionToken"]}
    who = aws(simulator, service="sts", **assumed).get_caller_identity()
    assert (who["Account"], who["Arn"]) == ("123456789012", role["AssumedRoleUser"]["Arn"])
    # the role's keys open its account's history
    scope = ("123456789012", "us-west-2")
    assert_same(lookup(aws(simulator, scope, **assumed)), in_scope(records, scope))
    pages = aws(simulator, service="account").get_paginator("list_regions").paginate()
    regions = [r["RegionName"] for page in pages for r in page["Regions"]]
    assert regions == sorted({event.region for event in records})
    with pytest.raises(ClientError):
        sts.assume_role(RoleArn="arn:aws:iam::999988887777:role/Audit", RoleSessionName="nightly")


def test_counters_say_what_was_asked(records):
    with Simulator() as simulator:
        assert simulator.stats()["requests"] == 0
        assert simulator.stats()["records"] == len(records)
        client = aws(simulator)
        lookup(client, **by("EventName", "Decrypt"))
        with pytest.raises(ClientError):
            client.lookup_events(NextToken="no token")
        with pytest.raises(ClientError):
            client.describe_trails()
        aws(simulator, service="sts").get_caller_identity()
        decrypts = sum(e.api["EventName"] == "Decrypt" for e in in_scope(records))
        pages = -(-decrypts // 50)
        lookups = simulator.operation(*BIG)
        assert lookups == {
            "requests": pages + 1, "refused": 1, "throttled": 0, "events": decrypts,
            "errors": {"InvalidNextTokenException": 1},
        }
        stats = simulator.stats()
        assert (stats["requests"], stats["refused"], stats["events"]) == (pages + 3, 2, decrypts)


def test_the_aws_cli(simulator, records, tmp_path):
    """The same question as a process: it has its own parser and paginator."""
    program = os.path.join(os.path.dirname(sys.executable), "aws")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": BIG[0],
        "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL_CLOUDTRAIL": simulator.url,
        "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_REGION": BIG[1], "NO_PROXY": "127.0.0.1",
    }

    def cli(*args):
        return subprocess.run(
            [program, "cloudtrail", *args, "--output", "json"], env=environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        )

    def listed(done):
        assert done.returncode == 0, done.stderr
        return collections.Counter(
            (e["EventId"], e["CloudTrailEvent"]) for e in json.loads(done.stdout)["Events"]
        )

    def expected(condition):
        return collections.Counter((e.id, e.record) for e in in_scope(records) if condition(e))

    assert listed(cli("lookup-events")) == expected(lambda e: True)
    named = cli("lookup-events", "--lookup-attributes",
                "AttributeKey=EventName,AttributeValue=DescribeRouteTables",
                "--start-time", "2023-07-10T12:00:00Z", "--end-time", "2023-07-10T12:10:00Z")
    assert listed(named) == expected(
        lambda e: e.api["EventName"] == "DescribeRouteTables" and 1688990400 <= e.time <= 1688991000
    )
    assert sum(listed(named).values()) > 0
    two = cli("lookup-events", "--lookup-attributes", "AttributeKey=ReadOnly,AttributeValue=true",
              "AttributeKey=EventName,AttributeValue=Decrypt")
    assert two.returncode != 0 and "InvalidLookupAttributesException" in two.stderr
    unknown = cli("describe-trails")
    assert unknown.returncode != 0 and "UnknownOperationException" in unknown.stderr


def test_log_files_are_history_too(records):
    """The records as a trail delivers them, found in directories."""
    expected = collections.defaultdict(collections.Counter)
    for path in sorted((DATA / "AWSLogs").rglob("*.json.gz")):
        for record in parse(gzip.open(path, "rt", encoding="utf-8").read())["Records"]:
            account = record.get("recipientAccountId") or record["userIdentity"]["accountId"]
            expected[account, record["awsRegion"]][canonical(record)] += 1
    with Simulator(records=DATA / "AWSLogs") as simulator:
        assert simulator.stats()["records"] == sum(map(sum, (c.values() for c in expected.values())))
        for scope, wanted in expected.items():
            if scope[1] != "...":
                client = aws(simulator, scope)
                found = lookup(client) + lookup(client, EventCategory="insight")
                got = collections.Counter(canonical(parse(e["CloudTrailEvent"])) for e in found)
                assert got == wanted, scope


def canonical(record):
    return json.dumps(record, sort_keys=True)
