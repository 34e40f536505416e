"""The archive of a server: what arrives by queues is in it before its messages are
deleted, each event once, and character for character."""

import json
import re
import time

import pytest

import archive
from ministack import ACCOUNT, CREDENTIALS, REGION, MiniStack, Trail, program
from processes import PATIENCE, Server, Simulator, get, wait_for
from rpc import COMPLETE, Client, at
from rpc import event_service_pb2 as pb
from test_queue import DATA, LOGS, identity, key, log_file, wanted

needs_ministack = pytest.mark.skipif(
    not program().exists(), reason="no MiniStack: tests/clients/venv.sh installs it"
)


@pytest.fixture(scope="module")
def stack():
    with MiniStack(CLOUDTRAIL_RECORDING="1") as stack:
        yield stack


@pytest.fixture
def trail(stack):
    return Trail(stack)


def server_of(stack, queue, place, *args):
    return Server(
        "--aws-endpoint-url", stack.url, "--credentials", "chain", "--account", ACCOUNT,
        "--queue", queue, "--archive", str(place), *args, regions=[REGION], env=CREDENTIALS,
    )


def metric(server, name):
    text = get(f"{server.http}/metrics")[1]
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1])


def row_of(row):
    return identity(row["account_id"], row["region"], row["eventID"] or "", row["record"])


@needs_ministack
@pytest.mark.skipif(not LOGS, reason=f"no log files in {DATA}")
def test_each_event_of_real_log_files_is_kept_once_and_acknowledged_after_that(
    stack, trail, tmp_path
):
    records = wanted()
    assert sum(map(len, records.values())) > 3000
    with server_of(stack, trail.queue, tmp_path) as server:
        for number, path in enumerate(LOGS):
            route = Trail.ROUTES[number % len(Trail.ROUTES)]
            trail.put(route, str(path.relative_to(DATA)), path.read_bytes())
            if number % 7 == 0:
                # and once more, by another one
                other = Trail.ROUTES[(number + 1) % len(Trail.ROUTES)]
                trail.put(other, str(path.relative_to(DATA)), path.read_bytes())
        wait_for("all messages are deleted", lambda: trail.left() == 0, 3 * PATIENCE)
        # killed: what is acknowledged is there
        server.kill()
    kept = {}
    for row in archive.rows(tmp_path, ["eventID", "record"]):
        place = row_of(row)
        assert place not in kept, place
        kept[place] = row["record"]
    assert kept.keys() == records.keys()
    assert all(text in records[place] for place, text in kept.items())


@needs_ministack
def test_while_nothing_can_be_committed_nothing_is_acknowledged(stack, trail, tmp_path):
    log = tmp_path / "_delta_log"
    with server_of(stack, trail.queue, tmp_path, "--archive-interval", "1s") as server:
        wait_for("it has begun", lambda: metric(server, "trailgate_archive_commits_total") >= 1)
        log.rename(tmp_path / "aside")
        log.write_text("no directory")
        trail.put("s3-sqs", key("kept"), log_file(1, 2, 3))
        wait_for("it says so", lambda: metric(server, "trailgate_archive_failing") == 1)
        assert trail.left() == 1
        assert metric(server, "trailgate_archive_behind") >= 3
        # the rest of the server is well
        assert get(f"{server.http}/readyz")[0] == 200
        log.unlink()
        (tmp_path / "aside").rename(log)
        wait_for("it is deleted", lambda: trail.left() == 0, 2 * PATIENCE)
        assert metric(server, "trailgate_archive_failing") == 0
    ids = sorted(row["eventID"] for row in archive.rows(tmp_path, ["eventID"]))
    assert [int(id[-12:]) for id in ids] == [1, 2, 3]


def fetch(stack, prefix, root):
    """Copies what has a prefix."""
    pages = stack.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket="archive", Prefix=prefix):
        for found in page.get("Contents", []):
            path = root / found["Key"].removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            body = stack.client("s3").get_object(Bucket="archive", Key=found["Key"])["Body"]
            path.write_bytes(body.read())


@needs_ministack
def test_an_archive_in_s3(stack, tmp_path):
    stack.client("s3").create_bucket(Bucket="archive")
    # another process goes on there
    for name, ids in ("first", (1, 2, 3)), ("second", (3, 4)):
        # of a queue that no other server has waited at
        trail = Trail(stack)
        with server_of(stack, trail.queue, "s3://archive/a/b") as server:
            trail.put("s3-sqs", key(name), log_file(*ids))
            wait_for("it is deleted", lambda: trail.left() == 0, 2 * PATIENCE)
            assert metric(server, "trailgate_archive_events_total") >= 1
    fetch(stack, "a/b/", tmp_path)
    rows = archive.rows(tmp_path, ["eventID", "eventName"])
    # of the calls that these tests make the emulator tells, too
    made = sorted(row["eventID"] for row in rows if row["eventName"] == "Made")
    assert [int(id[-12:]) for id in made] == [1, 2, 3, 4]
    assert {(row["account_id"], row["region"]) for row in rows} == {(ACCOUNT, REGION)}


def test_what_is_kept_answers_after_a_restart_without_a_request(tmp_path):
    place = ("--archive", tmp_path, "--archive-interval", "1s", "--settle-horizon", "2s",
             "--poll-interval", "1s")
    where = {"accounts": [ACCOUNT], "regions": [REGION]}

    def complete():
        """Up to where all is kept."""
        states = [*(tmp_path / "_trailgate").glob("state-*.json")]
        if not states:
            return 0
        newest = max(states, key=lambda path: int(path.stem.split("-")[1]))
        scopes = json.loads(newest.read_text())["scopes"]
        return min((scope["spans"][-1][1] for scope in scopes), default=0)

    options = ("--account", ACCOUNT, "--region", REGION, "--live", "4")
    with Simulator(*options, records=()) as simulator:
        with Server(*place, simulator=simulator, **where):
            begun = int(time.time()) + 2
            wait_for("some seconds are complete", lambda: complete() > begun + 5)
        until = complete()
        # a collector would bring the same seconds into the cache, sooner or later
        with Server(*place, "--poll", "off", simulator=simulator, **where) as server:
            answer = Client(server).events.LookupEvents(pb.LookupEventsRequest(
                start_time=at(begun), end_time=at(until), page_size=1000,
            ))
    assert answer.scopes[0].state == COMPLETE
    assert answer.stats.upstream_calls == 0
    # the newest second is read with what comes after it
    assert len(answer.events) >= answer.stats.events_from_archive > 10
