"""`trailgate tail` as a process."""

import json
import re
import subprocess
import tempfile
import time

import pytest

from processes import PATIENCE, bare_environment, binary, run, wait_for
from rpc import OLDEST_FIRST, Client, at, filters_of
from streams import ACCOUNT, REGIONS, Gateway, Running, assert_told, making, newest, second_of

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# one Region: nothing says of another one, in which nothing happens, that all came
REGION = REGIONS[0]


class Tail(Running):
    """A running tail."""

    def __init__(self, server, *args):
        super().__init__(binary(), "tail", "--endpoint", server.endpoint, *args)


@pytest.fixture(scope="module")
def live():
    """Events of a day, and new ones."""
    with making(10, "--synthetic", 5_000, "--days", 1, regions=[REGION]) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def server(live):
    with Gateway(live, regions=[REGION]) as server:
        yield server


def test_what_happens_is_written_as_it_arrives(live, server):
    with Tail(server, "-o", "jsonl") as tail:
        tail.wait_for("an event", lambda: tail.lines)
        since = second_of(tail.events[0]) + 1
        tail.wait_for("more events", lambda: newest(tail.events) > since + 2)
        tail.stop()
        assert tail.err == "" and tail.out.endswith("\n")
        assert_told(tail.lines, live, REGION, since)


def test_json_is_one_array_however_it_ends(live, server):
    done = run("tail", "--endpoint", server.endpoint, "-o", "json", "-n", 5)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 5
    with Tail(server, "-o", "json", "--since", "1h") as tail:
        tail.wait_for("events", lambda: len(tail.lines) > 20)
        tail.stop()
        events = json.loads(tail.out)
        assert len(events) > 20
        assert len({event["event_id"] for event in events}) == len(events)
    wait_for("that one is gone", lambda: server.metric("subscriptions") == 0)
    with Tail(server, "-o", "json", "--event-name", "NoSuchEvent") as tail:
        tail.wait_for("it subscribes", lambda: server.metric("subscriptions") == 1)
        tail.stop()
        assert json.loads(tail.out) == []


def test_a_table_has_a_row_for_each_event(server):
    with Client(server) as client:
        start = int(time.time()) - 3600
        expected = client.all(start_time=at(start), order=OLDEST_FIRST)[:20]
    done = run("tail", "--endpoint", server.endpoint, "--start", start, "-n", 20,
               "--columns", "time,event,id")
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()
    assert "EVENT" in header.upper() and len(rows) == 20
    for row, event in zip(rows, expected):
        assert all(text in row for text in (event.event_name, event.event_id))
    # as many columns as fit
    plain = run("tail", "--endpoint", server.endpoint, "--start", start, "-n", 3)
    assert plain.returncode == 0 and len(plain.stdout.splitlines()) == 4
    assert all(e.event_name in plain.stdout for e in expected[:3])


def test_since_begins_so_long_ago_with_the_oldest(server):
    now = int(time.time())
    done = run("tail", "--endpoint", server.endpoint, "--since", "2h", "-n", 50, "-o", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    got = [json.loads(line)["event_id"] for line in done.stdout.splitlines()]
    with Client(server) as client:
        events = client.all(start_time=at(now - 7200), order=OLDEST_FIRST, page_size=1000)
        # a second or two may have passed
        late = [n for n, e in enumerate(events) if e.event_time.seconds <= now - 7200 + 5]
        known = [event.event_id for event in events]
        first = known.index(got[0])
        assert first <= len(late) and got == known[first : first + 50]


@pytest.mark.parametrize(("args", "filters"), [
    (["-w", "readOnly = false"], [[{"field": "readOnly", "values": ["false"]}]]),
    (["-i", "--where", "eventName ^= get", "--or", "errorCode exists"],
     [[{"field": "eventName", "operator": "PREFIX", "values": ["get"], "ignore_case": True}],
      [{"field": "errorCode", "operator": "EXISTS"}]]),
    (["--event-source", "sts.amazonaws.com"], [[{"field": "EventSource", "values": ["sts.amazonaws.com"]}]]),
])
def test_conditions_are_kept_to(server, args, filters):
    start = int(time.time()) - 3 * 3600
    with Client(server) as client:
        expected = client.all(start_time=at(start), order=OLDEST_FIRST, page_size=1000,
                              filters=filters_of(filters))[:20]
    assert len(expected) > 5
    done = run("tail", "--endpoint", server.endpoint, "--start", start, "-o", "jsonl",
               "-n", len(expected), *args)
    assert (done.returncode, done.stderr) == (0, "")
    got = list(map(json.loads, done.stdout.splitlines()))
    assert [event["event_id"] for event in got] == [event.event_id for event in expected]


def test_a_resume_file_goes_on_from_run_to_run(live, server, tmp_path):
    start = int(time.time()) - 1800
    args = ["--start", start, "--resume-file", tmp_path / "tail.checkpoint", "-o", "jsonl"]
    lines = []
    # each stops in the middle of a batch
    for count in (7, 13, 1):
        done = run("tail", "--endpoint", server.endpoint, *args, "-n", count)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == count
        lines += done.stdout.splitlines()
    # and in the middle of what happens
    for _ in range(2):
        with Tail(server, *args) as tail:
            tail.wait_for("it is live", lambda: newest(tail.events) > time.time() - 5)
            tail.stop()
            assert tail.err == ""
            lines += tail.lines
    assert_told(lines, live, REGION, start)


def test_a_killed_server_is_waited_for_and_nothing_is_lost(live, tmp_path):
    start = int(time.time()) - 1800
    with Gateway(live, regions=[REGION]) as server:
        with Tail(server, "--start", start, "-o", "jsonl") as tail:
            tail.wait_for("history", lambda: len(tail.lines) > 10)
            for _ in range(2):
                tail.wait_for("it is live", lambda: newest(tail.events) > time.time() - 5)
                breaks = tail.err.count("broke off")
                server.kill()
                tail.wait_for("it says so", lambda: tail.err.count("broke off") > breaks)
                server.start()
            back = int(time.time())
            tail.wait_for("it goes on", lambda: newest(tail.events) > back + 2)
            tail.stop()
            assert_told(tail.lines, live, REGION, start)
            assert all("taken up again" in line for line in tail.err.splitlines()), tail.err


def test_a_resume_file_outlasts_both_sides(live, tmp_path):
    start = int(time.time()) - 1800
    args = ["--start", start, "--resume-file", tmp_path / "tail.checkpoint", "-o", "jsonl"]
    lines = []
    with Gateway(live, regions=[REGION]) as server:
        for _ in range(2):
            with Tail(server, *args) as tail:
                tail.wait_for("it is live", lambda: newest(tail.events) > time.time() - 5)
                server.kill()
                tail.wait_for("it says so", lambda: "broke off" in tail.err)
                tail.stop()
                lines += tail.lines
            server.start()
        back = int(time.time())
        with Tail(server, *args) as tail:
            tail.wait_for("it goes on", lambda: newest(tail.events) > back + 1)
            lines += tail.stop().lines
    assert_told(lines, live, REGION, start)


@pytest.mark.parametrize("scopes", [{}, {"account_ids": ["123456789012"], "regions": ["us-west-2"]}],
                         ids=["all", "one"])
def test_it_writes_what_a_lookup_finds(wide_server, records, scopes):
    """But that an id that is a UUID comes once: a lookup has it for each second."""
    with Client(wide_server) as client:
        found, ids = [], set()
        for event in client.all(page_size=1000, order=OLDEST_FIRST, **scopes):
            own = (event.account_id, event.region, event.event_id.lower())
            if not UUID.fullmatch(event.event_id) or own not in ids:
                found.append(event)
            ids.add(own)
    args = ["--start", min(e.time for e in records), "-o", "jsonl"]
    for option, names in zip(("--account", "--region"), scopes.values()):
        args += [option, *names]
    with Tail(wide_server, *args) as tail:
        tail.wait_for("the last one", lambda: found[-1].record in tail.out)
        lines = tail.stop().lines
    got = [json.loads(line)["event_id"] for line in lines]
    assert got == [event.event_id for event in found]
    assert all(event.record in line for event, line in zip(found, lines))


def test_a_reader_that_goes_ends_it(server):
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [binary(), "tail", "--endpoint", server.endpoint, "-o", "jsonl"],
            env=bare_environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        try:
            assert json.loads(process.stdout.readline())["event_id"]
            process.stdout.close()
            assert process.wait(PATIENCE) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_what_cannot_be_delivered_is_said(live):
    with Gateway(live, regions=[REGION], history="60s") as server:
        done = run("tail", "--endpoint", server.endpoint, "--since", "1h", "-n", 1, "-o", "jsonl")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1
        [line] = done.stderr.splitlines()
        assert f"gap: events of {ACCOUNT}/{REGION} from " in line and "BEFORE_HISTORY" in line


def test_nobody_there_is_said_at_once():
    done = run("tail", "--endpoint", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "http://127.0.0.1:1" in line and "trailgate serve" in line


@pytest.mark.parametrize(("args", "words"), [
    (["-w", "nonsense"], ["nonsense"]),
    (["-w", "eventname=x"], ["eventname", 'did you mean "eventName"']),
    (["--since", "soon"], ["--since", "soon"]),
    (["--since", "1h", "--start", "2024-01-01"], ["--since", "--start"]),
    (["--start", "2099-01-01"], ["future"]),
    (["-n", "0"], ["0"]),
    (["-o", "csv"], ["csv", "jsonl"]),
    (["-o", "jsonl", "--columns", "time"], ["--columns"]),
    (["--account", "999988887777"], ["--account", "999988887777"]),
    (["--region", "eu-central-1"], ["--region", "eu-central-1", "not configured"]),
    (["--no-such-option"], ["--no-such-option"]),
])
def test_a_question_that_makes_no_sense_is_a_usage_error(server, args, words):
    done = run("tail", "--endpoint", server.endpoint, *args)
    assert (done.returncode, done.stdout) == (64, ""), done
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_resume_file_belongs_to_its_question(server, tmp_path):
    path = tmp_path / "tail.checkpoint"
    args = ["--since", "1h", "--resume-file", path, "-n", "1", "-o", "jsonl"]
    assert run("tail", "--endpoint", server.endpoint, *args).returncode == 0
    saved = path.read_bytes()
    other = run("tail", "--endpoint", server.endpoint, *args, "-w", "readOnly = false")
    assert other.returncode != 0 and other.stdout == ""
    assert "another subscription" in other.stderr
    assert path.read_bytes() == saved
    path.write_text("no checkpoint\n")
    broken = run("tail", "--endpoint", server.endpoint, *args)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert str(path) in broken.stderr and "not a checkpoint" in broken.stderr
    assert path.read_text() == "no checkpoint\n"
    nowhere = run("tail", "--endpoint", server.endpoint, "--resume-file", tmp_path / "no/such",
                  "--since", "1h", "-n", "1", "-o", "jsonl")
    assert nowhere.returncode == 1 and "No such file" in nowhere.stderr
