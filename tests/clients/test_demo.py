"""`serve --demo` on a machine that knows nothing of AWS."""

import json
import time

from processes import PATIENCE, Server, get, run, wait_for
from rpc import Client


def test_the_demo_answers_the_command_line_at_once():
    """No AWS variables, no files, and nothing that says not to look for
    instance metadata: with an empty home, like a fresh container."""
    started = time.monotonic()
    with Server("--demo") as server:
        done = run("lookup", "--since", "2h", "-o", "jsonl", "--limit", "20",
                   env={"TRAILGATE_ENDPOINT": server.endpoint})
        # generous: it takes a second or two
        assert time.monotonic() - started < 30
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(events) == 20
        now = time.time()
        with Client(server) as client:
            scopes = {(s.account_id, s.region) for s in client.page(page_size=1).scopes}
            assert scopes == {("111122223333", "us-east-1"), ("111122223333", "eu-central-1")}
            newest = client.page(page_size=1).events[0]
            assert now - newest.event_time.seconds < 3600
            # it is live: what was newest is so no longer
            def newer():
                event = client.page(page_size=1, max_staleness={"seconds": 0}).events[0]
                return event.event_time.seconds > newest.event_time.seconds
            wait_for("a newer event", newer)
            by_id = client.page(
                page_size=1, filters=[{"matches": [{"field": "EventId", "values": [newest.event_id]}]}]
            )
            assert by_id.events[0].record == newest.record
        assert get(f"{server.http}/readyz")[0] == 200
        table = run("lookup", "--limit", "3", "--endpoint", server.endpoint)
        assert table.returncode == 0 and len(table.stdout.splitlines()) >= 4
        one = run("get", newest.event_id, "-o", "record", "--endpoint", server.endpoint)
        assert one.returncode == 0 and one.stdout.rstrip("\n") == newest.record


def test_the_demo_asks_no_one_outside():
    """Proxies and keys of the environment are not its business."""
    elsewhere = {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "ap-south-1",
        "HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1",
    }
    with Server("--demo", env=elsewhere) as server:
        with Client(server) as client:
            page = client.page(page_size=5, timeout=PATIENCE)
            assert len(page.events) == 5
            assert {s.region for s in page.scopes} == {"us-east-1", "eu-central-1"}
