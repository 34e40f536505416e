"""What becomes of a queue's messages when the server stops."""

import json
import signal
import threading
import time
import uuid

import pytest

from processes import PATIENCE, Server, Simulator, get, wait_for
from rpc import Client, event_service_pb2
from sqs import Queue
from streams import ACCOUNT, REGIONS
from test_queue import Subscriber

KEY = (
    f"AWSLogs/{ACCOUNT}/CloudTrail/{REGIONS[0]}/2026/01/01/"
    f"{ACCOUNT}_CloudTrail_{REGIONS[0]}_20260101T0005Z_AAAAAAAAAAAAAAAA.json.gz"
)


@pytest.fixture
def queue():
    with Queue() as queue:
        yield queue


def server_of(queue, simulator, *args):
    return Server(
        "--queue", queue.url, "--queue-endpoint-url", queue.endpoint, "--poll", "off", *args,
        simulator=simulator, accounts=[ACCOUNT], regions=REGIONS[:1],
        env={"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "x"},
    )


def announced():
    """An object that has been put into a bucket, as S3 announces it."""
    s3 = {"bucket": {"name": "trail"}, "object": {"key": KEY, "size": 10}}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGIONS[0],
              "eventName": "ObjectCreated:Put", "s3": s3}
    return json.dumps({"Records": [record]})


def event():
    """An event, as EventBridge passes it on; and its id."""
    event_id = str(uuid.uuid4())
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    detail = {"eventVersion": "1.09", "eventID": event_id, "eventName": "Live", "eventTime": now,
              "eventSource": "ec2.amazonaws.com", "awsRegion": REGIONS[0],
              "recipientAccountId": ACCOUNT}
    message = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
               "account": ACCOUNT, "region": REGIONS[0], "detail": detail}
    return event_id, json.dumps(message)


def test_what_is_under_way_is_given_back(queue):
    with Simulator("--account", ACCOUNT, records=()) as simulator:
        with server_of(queue, simulator, "--shutdown-grace", "6s") as server:
            queue.send(announced())
            wait_for("the message is received", queue.under_way)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE) == 0
    assert queue.given_back == [announced()] and queue.visible() == [announced()]
    assert queue.deleted == []


def test_what_comes_while_calls_finish_stays(queue):
    late = [event()[1] for _ in range(3)]
    with Simulator("--account", ACCOUNT, "--fault", "slow=1", "--slow-by", "3s", records=()) as simulator:
        with server_of(queue, simulator) as server, Client(server) as client:
            request = event_service_pb2.LookupEventsRequest()
            call = client.events.LookupEvents.future(request, timeout=PATIENCE)
            wait_for("the request at the simulator", simulator.requests)
            server.process.send_signal(signal.SIGTERM)
            wait_for("not ready", lambda: get(f"{server.http}/readyz")[0] == 503)
            for message in late:
                queue.send(message)
            call.result()
            assert server.process.wait(PATIENCE) == 0
    # one may be on its way when it stops to receive, and comes again by itself
    assert len(queue.ever_received) <= 1 and queue.deleted == []


def test_servers_one_after_the_other_tell_all_that_they_take(queue):
    sent, told, start, stop = {}, set(), {}, threading.Event()

    def send():
        while not stop.wait(0.005):
            event_id, message = event()
            sent[message] = event_id
            queue.send(message)

    sender = threading.Thread(target=send)
    try:
        with Simulator("--account", ACCOUNT, records=()) as simulator:
            for _ in range(4):
                with server_of(queue, simulator) as server:
                    before = len(queue.deleted)
                    with Subscriber(server, **start) as subscriber:
                        # what came before the first one is nobody's
                        start or sender.start()
                        wait_for("some are taken", lambda: len(queue.deleted) > before + 50)
                        server.process.send_signal(signal.SIGTERM)
                        assert server.process.wait(PATIENCE) == 0
                        subscriber.thread.join(PATIENCE)
                        told |= {event.event_id for event in subscriber.events}
                        start = {"resume_token": subscriber.token}
    finally:
        stop.set()
        sender.join()
    lost = {sent[message] for message in queue.deleted} - told
    assert len(queue.deleted) > 200
    assert not lost, f"{len(lost)} of {len(queue.deleted)} that were deleted were not told"
