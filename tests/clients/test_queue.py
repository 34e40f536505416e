"""Log files in buckets, announced on a queue, on their way to a subscriber: with
S3, SNS, SQS and EventBridge as MiniStack has them."""

import gzip
import hashlib
import json
import re
import subprocess
import threading
import time

import grpc
import pytest

import rpc
from ministack import ACCOUNT, CREDENTIALS, REGION, MiniStack, Trail, program
from processes import DATA, PATIENCE, Server, bare_environment, binary, wait_for
from rpc import event_service_pb2 as pb

LOGS = sorted(path for path in DATA.glob("AWSLogs/**/*.json.gz"))
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

pytestmark = pytest.mark.skipif(
    not program().exists(), reason="no MiniStack: tests/clients/venv.sh installs it"
)


@pytest.fixture(scope="module")
def stack():
    with MiniStack(CLOUDTRAIL_RECORDING="1") as stack:
        yield stack


@pytest.fixture
def trail(stack):
    return Trail(stack)


def server_of(stack, queue, *args):
    return Server(
        "--aws-endpoint-url", stack.url, "--credentials", "chain", "--account", ACCOUNT,
        "--queue", queue, *args, regions=[REGION], env=CREDENTIALS,
    )


class Subscriber:
    """Follows a server in a thread of its own."""

    def __init__(self, server, **request):
        self.events, self.gaps, self.progress, self.token = [], [], 0, ""
        self.channel = grpc.insecure_channel(server.target, options=rpc.CHANNEL)
        stub = rpc.event_service_pb2_grpc.EventServiceStub(self.channel)
        self.stream = stub.SubscribeEvents(pb.SubscribeEventsRequest(**request))
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        wait_for("the stream begins", lambda: self.progress)

    def _follow(self):
        try:
            for response in self.stream:
                kind = response.WhichOneof("payload")
                if kind == "batch":
                    self.events.extend(response.batch.events)
                elif kind == "gap":
                    self.gaps.append(response.gap)
                else:
                    self.progress += 1
                self.token = response.resume_token
        except grpc.RpcError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.cancel()
        self.thread.join(PATIENCE)
        self.channel.close()


def place(path):
    """The account and the Region of a log file, by its key."""
    parts = path.parts
    at = next(i for i, part in enumerate(parts) if part.startswith("CloudTrail"))
    return parts[at - 1], parts[at + 1]


def identity(account, region, event_id, record):
    """An event's identity: its scope, and its id if that is a UUID, else the hash
    of its record."""
    if UUID.fullmatch(event_id):
        return account, region, event_id.lower()
    return account, region, hashlib.sha256(record.encode()).hexdigest()


def texts(path):
    """The records of a log file as they stand in it."""
    text = gzip.decompress(path.read_bytes()).decode()
    decoder = json.JSONDecoder()
    at = text.index("[", text.index('"Records"')) + 1
    while True:
        while text[at] in ", \t\r\n":
            at += 1
        if text[at] == "]":
            return
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end


def wanted():
    """The records of all log files, by identity."""
    found = {}
    for path in LOGS:
        account, region = place(path)
        for text in texts(path):
            record = json.loads(text)
            user = record.get("userIdentity")
            user = user if isinstance(user, dict) else {}
            own = record.get("recipientAccountId") or user.get("accountId") or account
            key = identity(str(own), record.get("awsRegion") or region, record.get("eventID") or "", text)
            found.setdefault(key, set()).add(text)
    return found


@pytest.mark.skipif(not LOGS, reason=f"no log files in {DATA}")
def test_each_event_of_real_log_files_comes_once_by_whatever_route(stack, trail):
    records = wanted()
    assert sum(map(len, records.values())) > 3000
    with server_of(stack, trail.queue) as server, Subscriber(server) as subscriber:
        for number, path in enumerate(LOGS):
            key = str(path.relative_to(DATA))
            route = Trail.ROUTES[number % len(Trail.ROUTES)]
            trail.put(route, key, path.read_bytes())
            if number % 7 == 0:
                # and once more, by another one
                trail.put(Trail.ROUTES[(number + 1) % len(Trail.ROUTES)], key, path.read_bytes())
        wait_for("all events", lambda: len(subscriber.events) >= len(records), 3 * PATIENCE)
        wait_for("all messages are deleted", lambda: trail.left() == 0)
    told = {}
    for event in subscriber.events:
        key = identity(event.account_id, event.region, event.event_id, event.record)
        assert key not in told, key
        told[key] = event.record
    assert told.keys() == records.keys()
    assert all(text in records[key] for key, text in told.items())
    assert not subscriber.gaps


def log_file(*ids):
    records = [
        {"eventID": f"00000000-0000-4000-8000-{n:012}", "eventTime": "2026-01-01T00:00:00Z",
         "eventName": "Made", "awsRegion": REGION, "recipientAccountId": ACCOUNT}
        for n in ids
    ]
    return gzip.compress(json.dumps({"Records": records}).encode())


def key(name):
    where = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/01"
    return f"{where}/{ACCOUNT}_CloudTrail_{REGION}_20260101T0005Z_{name:A<16}.json.gz"


def numbers(subscriber):
    """The numbers of events that these tests made."""
    ids = [event.event_id for event in subscriber.events]
    return sorted(int(id[-12:]) for id in ids if id.startswith("00000000"))


def test_what_is_broken_stands_in_nobodys_way(stack, trail):
    with server_of(stack, trail.queue) as server, Subscriber(server) as subscriber:
        trail.sqs.send_message(QueueUrl=trail.queue, MessageBody="what is this?")
        trail.sqs.send_message(QueueUrl=trail.queue, MessageBody='{"Event":"s3:TestEvent"}')
        trail.put("s3-sqs", key("broken"), log_file(1, 2, 3)[:-8])
        trail.put("s3-sqs", key("none"), gzip.compress(b"{}"))
        trail.put("s3-sqs", key("mixed"), gzip.compress(
            gzip.decompress(log_file(10)).replace(b'"Records": [', b'"Records": [1, ')
        ))
        trail.put("s3-sns-sqs", key("good+and=odd"), log_file(20, 21))
        detail = {"eventVersion": "1.09", "eventID": "00000000-0000-4000-8000-000000000030",
                  "eventName": "Live", "eventTime": "2026-01-01T00:00:00Z",
                  "awsRegion": REGION, "recipientAccountId": ACCOUNT}
        event = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
                 "account": ACCOUNT, "region": REGION, "detail": detail}
        trail.sqs.send_message(QueueUrl=trail.queue, MessageBody=json.dumps(event))
        made = {1, 2, 3, 10, 20, 21, 30}
        wait_for("the good events", lambda: made <= {
            int(e.event_id[-12:]) for e in subscriber.events if e.event_id
        })
        said = [e for e in subscriber.events if e.record_malformed]
        assert [e.record for e in said] == ["1"]
        origins = {e.event_name: e.origin for e in subscriber.events if e.event_id}
        assert origins["Live"] == rpc.event_pb2.ORIGIN_EVENT_BRIDGE
        assert origins["Made"] == rpc.event_pb2.ORIGIN_LOG_FILE


def delivered_now(name, region, *ids):
    """A log file of data events, as a trail delivers it now, and its key."""
    now = time.gmtime()
    records = [
        {"eventID": f"00000000-0000-4000-8000-{n:012}", "eventName": "GetObject",
         "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", now), "eventCategory": "Data",
         "awsRegion": region, "recipientAccountId": ACCOUNT}
        for n in ids
    ]
    day, minute = time.strftime("%Y/%m/%d", now), time.strftime("%Y%m%dT%H%MZ", now)
    where = f"prefix/AWSLogs/o-example/{ACCOUNT}/CloudTrail/{region}/{day}"
    key = f"{where}/{ACCOUNT}_CloudTrail_{region}_{minute}_{name:A<16}.json.gz"
    return key, gzip.compress(json.dumps({"Records": records}).encode())


def test_what_a_server_had_and_did_not_tell_is_read_from_the_bucket_after_it_was_killed(stack, trail):
    place = ("--trail", "s3://s3-sqs/prefix")
    # one that is served, and one that only the trail has
    regions = (REGION, "eu-west-1")
    with server_of(stack, trail.queue, *place) as server:
        with Subscriber(server) as subscriber:
            for number, region in enumerate(regions):
                trail.put("s3-sqs", *delivered_now(f"told{number}", region, number))
            wait_for("the first events", lambda: numbers(subscriber) == [0, 1])
            token = subscriber.token
        # a batch's token stands behind it
        for number, region in enumerate(regions):
            ids = range(10 + 20 * number, 25 + 20 * number)
            trail.put("s3-sqs", *delivered_now(f"missed{number}", region, *ids))
        with Subscriber(server, resume_token=token) as other:
            wait_for("the server has them", lambda: len(numbers(other)) == 30)
        wait_for("all messages are deleted", lambda: trail.left() == 0)
        server.kill()
    missed = [*range(10, 25), *range(30, 45)]
    with server_of(stack, trail.queue, *place) as server:
        with Subscriber(server, resume_token=token) as subscriber:
            wait_for("what was missed", lambda: set(missed) <= set(numbers(subscriber)))
            trail.put("s3-sqs", *delivered_now("live", regions[1], 100))
            # the emulator may hand it to the one that was killed, for a minute
            wait_for("what is live", lambda: 100 in numbers(subscriber), 3 * PATIENCE)
        told = [number for number in numbers(subscriber) if number >= 10]
        assert told == [*missed, 100]
        assert not subscriber.gaps


def test_calls_of_the_emulators_own_trail_arrive(stack):
    with Server(
        "--aws-endpoint-url", stack.url, "--credentials", "chain", "--account", ACCOUNT,
        "--poll-interval", "200ms", "--poll-max-interval", "500ms", regions=[REGION],
        env=CREDENTIALS,
    ) as server:
        tail = subprocess.Popen(
            [binary(), "tail", "--endpoint", server.endpoint, "-o", "jsonl", "-n", "5",
             "--event-name", "CreateBucket", "--since", "1m"],
            env=bare_environment("/nonexistent"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True,
        )
        s3 = stack.client("s3")
        for number in range(5):
            s3.create_bucket(Bucket=f"made-{number}")
        out, _ = tail.communicate(timeout=PATIENCE)
    assert tail.returncode == 0
    made = [json.loads(line) for line in out.splitlines()]
    assert [event["event_name"] for event in made] == ["CreateBucket"] * 5
    assert len({event["event_id"] for event in made}) == 5
