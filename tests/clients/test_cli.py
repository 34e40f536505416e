"""`trailgate lookup` and `get` against a server."""

import json

import pytest

from conftest import BIG
from oracle import distinct, passes
from processes import Server, Simulator, run
from rpc import Client


@pytest.fixture(scope="module")
def scope(records):
    return distinct(e for e in records if e.scope == BIG)


def cli(server, *args):
    return run("lookup", "--endpoint", server.endpoint, *args)


@pytest.mark.parametrize(("args", "filters"), [
    (["-w", "EventName=Decrypt"], [[{"field": "EventName", "values": ["Decrypt"]}]]),
    (["-w", "errorCode *= Denied", "-w", "userIdentity.type != AssumedRole"],
     [[{"field": "errorCode", "operator": "CONTAINS", "values": ["Denied"]},
       {"field": "userIdentity.type", "values": ["AssumedRole"], "negate": True}]]),
    (["-w", "eventName in (GetUser, ListUsers)", "--or", "eventSource ^= kms."],
     [[{"field": "eventName", "values": ["GetUser", "ListUsers"]}],
      [{"field": "eventSource", "operator": "PREFIX", "values": ["kms."]}]]),
    (["-i", "-w", "eventName like *BUCKET*", "-w", "readOnly = false"],
     [[{"field": "eventName", "operator": "GLOB", "values": ["*BUCKET*"], "ignore_case": True},
       {"field": "readOnly", "values": ["false"]}]]),
    (["-w", "sourceIPAddress not cidr 10.0.0.0/8", "-w", "tlsDetails exists"],
     [[{"field": "sourceIPAddress", "operator": "CIDR", "values": ["10.0.0.0/8"], "negate": True},
       {"field": "tlsDetails", "operator": "EXISTS"}]]),
    (["-w", "userAgent ~ ^aws-(cli|sdk)"],
     [[{"field": "userAgent", "operator": "REGEX", "values": ["^aws-(cli|sdk)"]}]]),
    (["--event-name", "Decrypt", "--event-name", "GetUser", "--read-only"],
     [[{"field": "EventName", "values": ["Decrypt", "GetUser"]},
       {"field": "ReadOnly", "values": ["true"]}]]),
    (["--user", "nobody"], [[{"field": "Username", "values": ["nobody"]}]]),
])
def test_conditions_find_exactly_their_events(big_server, scope, args, filters):
    done = cli(big_server, "-o", "jsonl", "--limit", "all", "--order", "oldest", *args)
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [e for e in scope if passes(filters, e)]
    assert [event["event_id"] for event in events] == [e.id for e in expected]
    assert [event["record"] for event in events] == [json.loads(e.record) for e in expected]
    # and character for character
    for line, event in zip(done.stdout.splitlines(), expected):
        assert event.record in line


def test_times_limits_and_formats(big_server, scope):
    between = ["--start", "2023-07-10T12:00:00Z", "--end", "2023-07-10 12:05"]
    expected = [e for e in scope if 1688990400 <= e.time <= 1688990759]
    done = cli(big_server, "-o", "json", "--limit", "0", *between)
    assert [e["event_id"] for e in json.loads(done.stdout)] == [e.id for e in reversed(expected)]
    limited = cli(big_server, "-o", "jsonl", "--limit", "7", *between)
    assert limited.returncode == 0 and "--limit" in limited.stderr
    assert limited.stdout.splitlines() == cli(
        big_server, "-o", "jsonl", "--limit", "all", *between
    ).stdout.splitlines()[:7]
    table = cli(big_server, "--limit", "5", *between)
    assert table.returncode == 0
    assert all(e.api["EventName"] in table.stdout for e in expected[-5:])
    nothing = cli(big_server, "-o", "json", "--start", "2020-01-01", "--end", "2020-01-02")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (0, [])


def test_one_event(big_server, scope):
    event = scope[len(scope) // 2]
    done = run("get", "--endpoint", big_server.endpoint, event.id, "-o", "record")
    assert (done.returncode, done.stdout) == (0, event.record + "\n")
    done = run("get", "--endpoint", big_server.endpoint, event.id)
    assert json.loads(done.stdout)["event_id"] == event.id
    missing = run("get", "--endpoint", big_server.endpoint, "00000000-0000-4000-8000-000000000000")
    assert missing.returncode == 1 and missing.stdout == ""
    assert "00000000-0000-4000-8000-000000000000" in missing.stderr


def test_exit_codes_say_how_it_went(big_server, records):
    for args, code, words in [
        (["-w", "eventname=x"], 64, ['did you mean "eventName"']),
        (["--region", "eu-central-1"], 64, ["eu-central-1", "not configured"]),
        (["-w", "nonsense"], 64, ["nonsense"]),
        (["--since", "soon"], 64, ["soon"]),
        (["--limit", "-1"], 64, ["-1"]),
        (["--start", "2024-01-02", "--end", "2024-01-01"], 64, []),
    ]:
        done = cli(big_server, *args)
        assert (done.returncode, done.stdout) == (code, ""), (args, done)
        for word in words:
            assert word in done.stderr, done.stderr
    gone = run("lookup", "--endpoint", "http://127.0.0.1:1")
    assert gone.returncode == 1 and "trailgate serve" in gone.stderr
    capped = cli(big_server, "--max-upstream-calls", "1", "--max-staleness", "0", "--limit", "all",
                 "-o", "jsonl", "-w", "EventName=ListUsers")
    assert capped.returncode in (0, 2)


def test_a_scope_that_was_not_searched_is_no_success(records):
    with Simulator("--fault", "denied-region=us-east-1") as simulator:
        regions = ["us-east-1", "us-west-2"]
        with Server(simulator=simulator, accounts=["123456789012"], regions=regions) as server:
            done = cli(server, "-o", "jsonl", "--limit", "all")
            assert done.returncode == 2, done
            assert "123456789012/us-east-1" in done.stderr
            assert {json.loads(line)["region"] for line in done.stdout.splitlines()} == {"us-west-2"}
            refused = cli(server, "--region", "us-east-1")
            assert refused.returncode == 1 and "UPSTREAM_ACCESS_DENIED" in refused.stderr


def test_a_call_limit_is_no_success(simulator, records):
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        done = cli(server, "--max-upstream-calls", "3", "--limit", "all", "-o", "jsonl")
        assert done.returncode == 2 and "--max-upstream-calls" in done.stderr
        assert 0 < len(done.stdout.splitlines()) <= 150
        with Client(server) as client:
            newest = [event.event_id for event in client.page(page_size=1000).events]
        got = [json.loads(line)["event_id"] for line in done.stdout.splitlines()]
        assert got == newest[: len(got)]


def test_a_build_without_sql_says_what_it_lacks():
    if "Ask the archive in SQL" in run("--help").stdout:
        pytest.skip("this one has SQL")
    for args in [("sql", "select 1", "-o", "csv"), ("report", "--help")]:
        asked = run(*args)
        assert asked.returncode == 64 and "--features sql" in asked.stderr, asked
