"""`trailgate ingest`: log files from this machine and from S3, on their way to a
subscriber."""

import gzip
import json

import pytest

from ministack import ACCOUNT, CREDENTIALS, REGION, MiniStack, program
from processes import DATA, PATIENCE, Server, Simulator, run, wait_for
from test_queue import LOGS, Subscriber, identity, key, log_file, numbers, wanted

pytestmark = pytest.mark.skipif(not LOGS, reason=f"no log files in {DATA}")


@pytest.fixture
def server():
    """A server of one scope in which nothing happens."""
    place = ["--account", ACCOUNT, "--region", REGION]
    with Simulator("--synthetic", 1, *place, records=()) as simulator, Server(
        simulator=simulator, accounts=[ACCOUNT], regions=[REGION]
    ) as server:
        yield server


def ingest(server, *args, env=None, code=0):
    """Runs it to its end; what it tells."""
    done = run("ingest", "--endpoint", server.endpoint, "-o", "json", *args, env=env)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def assert_each_once(subscriber, records):
    told = {}
    for event in subscriber.events:
        which = identity(event.account_id, event.region, event.event_id, event.record)
        assert which not in told, which
        told[which] = event.record
    assert told.keys() == records.keys()
    assert all(text in records[which] for which, text in told.items())
    assert not subscriber.gaps


def test_each_event_of_real_log_files_comes_once(server):
    records = wanted()
    assert len(records) > 3000
    with Subscriber(server) as subscriber:
        first = ingest(server, DATA / "AWSLogs")
        assert first["files"] == len(LOGS) and first["files_failed"] == 0
        assert first["new_events"] == len(records) and first["unplaced"] == 0
        assert first["records"] == first["new_events"] + first["known_events"]
        again = ingest(server, DATA / "AWSLogs")
        assert again["new_events"] == 0 and again["known_events"] == first["records"]
        wait_for("all events", lambda: len(subscriber.events) >= len(records), 3 * PATIENCE)
    assert_each_once(subscriber, records)


def test_what_cannot_be_read_is_said_and_the_rest_is_told(server, tmp_path):
    (tmp_path / "1.json.gz").write_bytes(log_file(1, 2)[:-8])
    (tmp_path / "2.json").write_bytes(gzip.decompress(log_file(3)))
    (tmp_path / "3_CloudTrail-Digest_4.json.gz").write_bytes(b"")
    (tmp_path / "4.txt").write_bytes(log_file(9))
    with Subscriber(server) as subscriber:
        told = ingest(server, tmp_path, tmp_path / "none.json.gz", code=2)
        wait_for("the good events", lambda: numbers(subscriber) == [1, 2, 3])
    faults = {fault["file"].rsplit("/", 1)[-1]: fault["fault"] for fault in told["faults"]}
    assert faults == {"1.json.gz": "TRUNCATED", "none.json.gz": "UNREADABLE"}
    assert (told["files"], told["files_failed"], told["digests_passed_over"]) == (3, 2, 1)
    table = run("ingest", "--endpoint", server.endpoint, tmp_path / "2.json")
    assert table.returncode == 0 and "known" in table.stdout, table.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = run("ingest", "--endpoint", server.endpoint, empty)
    assert nothing.returncode == 1 and "no log files" in nothing.stderr


def test_the_audit_log_says_what_was_brought(tmp_path):
    files = [tmp_path / key(str(number)).rsplit("/", 1)[-1] for number in (1, 2)]
    files[0].write_bytes(log_file(1, 2))
    files[1].write_bytes(log_file(2, 3))
    audit = tmp_path / "audit.jsonl"
    with Server("--demo", "--audit-log", audit) as server:
        ingest(server, *files)
    lines = map(json.loads, audit.read_text().splitlines())
    begin, end = [line for line in lines if line["method"].endswith("/IngestEvents")]
    assert (begin["phase"], begin["events"], "asked" in begin) == ("begin", 0, False)
    assert (end["phase"], end["code"], end["events"]) == ("end", "OK", 3)
    names = [name.rsplit("/", 1)[-1] for name in end["asked"]["files"]]
    assert names == [file.name for file in files] and end["asked"]["otherFiles"] == 0


@pytest.mark.skipif(
    not program().exists(), reason="no MiniStack: tests/clients/venv.sh installs it"
)
def test_a_bucket_is_read_below_a_prefix(server):
    with MiniStack() as stack:
        s3 = stack.client("s3")
        s3.create_bucket(Bucket="trail")
        records = wanted()
        for path in LOGS:
            name = f"p/{path.relative_to(DATA)}"
            s3.put_object(Bucket="trail", Key=name, Body=path.read_bytes())
        s3.put_object(Bucket="trail", Key=key("other"), Body=log_file(1))
        s3.put_object(Bucket="trail", Key="p/other/1.json.gz", Body=log_file(2))
        s3.put_object(Bucket="trail", Key="p/AWSLogs/read.me", Body=b"no log file")
        account = LOGS[0].relative_to(DATA).parts[1]
        place = ["--aws-endpoint-url", stack.url]
        with Subscriber(server) as subscriber:
            first = ingest(server, "s3://trail/p/AWSLogs/", *place, env=CREDENTIALS)
            assert first["files"] == len(LOGS) and first["files_failed"] == 0
            wait_for("all events", lambda: len(subscriber.events) >= len(records), 3 * PATIENCE)
            assert_each_once(subscriber, records)
            known = ingest(server, f"s3://trail/p/AWSLogs/{account[:6]}", *place, env=CREDENTIALS)
            assert known["files"] > 0 and known["new_events"] == 0
            one = ingest(server, f"s3://trail/{key('other')}", *place, env=CREDENTIALS)
            assert (one["files"], one["new_events"]) == (1, 1)
        gone = run(
            "ingest", "--endpoint", server.endpoint, "s3://none/", *place, env=CREDENTIALS
        )
        assert gone.returncode == 1 and "s3://none/: cannot be listed" in gone.stderr
