#!/usr/bin/env python3
"""Follows CloudTrail events through trailgate, and goes on where it was when it
is started again.

It needs grpcio, and stubs that grpcio-tools makes of the protos, once, in the
project's root:

    pip install grpcio grpcio-tools
    mkdir -p stubs
    python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs \\
        proto/trailgate/v1/*.proto
    PYTHONPATH=stubs python examples/python/subscribe.py --checkpoint logins.json \\
        --where eventName=ConsoleLogin

Each event is a line of JSON on standard output, all else goes to standard error.
Put what you do with an event into handle().

The checkpoint has the resume token of what was handled last, and which events
were handled lately: a server that was started anew resumes by time, and tells some
of them again. Ended by SIGINT or SIGTERM, nothing is lost or handled twice. If this
process is killed, or handle() fails, events since the last checkpoint, usually a
second's, are handled again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp

from trailgate.v1.event_pb2 import Event
from trailgate.v1.event_service_pb2 import (
    Gap, Progress, SubscribeEventsRequest, SubscribeEventsResponse,
)
from trailgate.v1.event_service_pb2_grpc import EventServiceStub
from trailgate.v1.filter_pb2 import EventFilter, Match

# these pass: a server that is restarted, a network that breaks, too many callers
RETRIED = {
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL,
}
# seconds before a broken stream is taken up again: at first, and at most
FIRST_WAIT, MAX_WAIT = 0.25, 8.0
# seconds between checkpoints, and between progress, so that there is one to save
SAVE_EVERY = 1
CHANNEL = [
    # a connection that is silent is asked whether it lives
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC's own back-off, which grows to two minutes, must not outlast ours
    ("grpc.initial_reconnect_backoff_ms", int(FIRST_WAIT * 1000)),
    ("grpc.max_reconnect_backoff_ms", int(MAX_WAIT * 1000)),
]


def handle(event: Event) -> None:
    """Does what is to be done with an event."""
    print(MessageToJson(event, preserving_proto_field_name=True, indent=None))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Seen(NamedTuple):
    """An event that was handled."""

    second: int
    record_hash: str


class Checkpoint:
    """How far this consumer is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = ""
        # by account and Region, then by id: as many as happen in the time that an
        # event may take to be told, 15 minutes unless the server is set otherwise
        self.seen: dict[str, dict[str, Seen]] = {}
        if path.exists():
            saved = json.loads(path.read_text())
            self.token = saved["token"]
            for scope, seen in saved["seen"].items():
                self.seen[scope] = {key: Seen(*values) for key, values in seen.items()}

    def save(self) -> None:
        """Saves it whole or not at all: beside the file first, then in its place."""
        beside = self.path.with_name(self.path.name + ".new")
        with beside.open("w") as file:
            json.dump({"token": self.token, "seen": self.seen}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def add(self, event: Event) -> bool:
        """Remembers an event; whether it is new, or a correction of one."""
        second = event.event_time.seconds
        record_hash = hashlib.sha256(event.record.encode()).hexdigest()[:32]
        # ids that are no UUIDs are reused
        key = event.event_id.lower() if is_uuid(event.event_id) else record_hash
        in_scope = self.seen.setdefault(f"{event.account_id}/{event.region}", {})
        before = in_scope.get(key)
        if before and (before.record_hash == record_hash or not has_addendum(event)):
            return False
        in_scope[key] = Seen(second, record_hash)
        return True

    def settle(self, progress: Progress) -> None:
        """Forgets what cannot come again: nothing before a watermark does."""
        for mark in progress.watermarks:
            scope = f"{mark.account_id}/{mark.region}"
            kept = {
                key: seen
                for key, seen in self.seen.pop(scope, {}).items()
                if seen.second >= mark.watermark.seconds
            }
            if kept:
                self.seen[scope] = kept


def is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def has_addendum(event: Event) -> bool:
    """Whether the record corrects an earlier one of the same id."""
    try:
        return "addendum" in json.loads(event.record)
    except (ValueError, TypeError):
        return False


class Consumer:
    """A subscription that resumes by itself."""

    def __init__(self, target: str, request: SubscribeEventsRequest, checkpoint: Checkpoint) -> None:
        self.target = target
        self.request = request
        self.checkpoint = checkpoint
        self.save_at = 0.0

    async def run(self) -> None:
        """Follows events until it is cancelled or refused."""
        async with grpc.aio.insecure_channel(self.target, CHANNEL) as channel:
            stub = EventServiceStub(channel)
            wait = FIRST_WAIT
            while True:
                if self.checkpoint.token:
                    self.request.resume_token = self.checkpoint.token
                try:
                    async for response in stub.SubscribeEvents(self.request):
                        wait = FIRST_WAIT
                        self.take(response)
                    why = "the stream ended"
                except grpc.aio.AioRpcError as error:
                    if error.code() not in RETRIED:
                        raise
                    why = f"{error.code().name}: {error.details()}"
                # not all at once, where many were cut off
                pause = wait * random.uniform(0.5, 1)
                say(f"{why}; again in {pause:.1f} s")
                await asyncio.sleep(pause)
                wait = min(wait * 2, MAX_WAIT)

    def take(self, response: SubscribeEventsResponse) -> None:
        """Takes in what came. The token is kept when all of it was handled."""
        kind = response.WhichOneof("payload")
        if kind == "batch":
            for event in response.batch.events:
                if self.checkpoint.add(event):
                    handle(event)
            sys.stdout.flush()
        elif kind == "progress":
            self.checkpoint.settle(response.progress)
        elif kind == "gap":
            say(described(response.gap))
        self.checkpoint.token = response.resume_token
        if time.monotonic() >= self.save_at:
            self.checkpoint.save()
            self.save_at = time.monotonic() + SAVE_EVERY


def described(gap: Gap) -> str:
    count = f"{gap.count} events" if gap.HasField("count") else "events"
    start, end = gap.from_time.ToJsonString(), gap.to_time.ToJsonString()
    return (
        f"gap: {count} of {gap.account_id}/{gap.region} from {start} to {end} cannot be "
        f"delivered ({gap.reason}): {gap.message}"
    )


def match(text: str) -> Match:
    field, equals, value = text.partition("=")
    if not (field and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return Match(field=field, values=[value])


async def main() -> int:
    parser = argparse.ArgumentParser(description="Follow CloudTrail events, resuming.")
    parser.add_argument("--target", default="127.0.0.1:50051", help="the gateway, HOST:PORT")
    parser.add_argument("--checkpoint", type=Path, default=Path("subscribe.checkpoint.json"),
                        help="the file that keeps how far it is")
    parser.add_argument("--where", type=match, action="append", default=[], metavar="FIELD=VALUE",
                        help="only such events (repeatable: all must hold)")
    parser.add_argument("--since", type=float, metavar="MINUTES",
                        help="begin so long ago, if there is no checkpoint; else from now")
    options = parser.parse_args()

    request = SubscribeEventsRequest(progress_interval=Duration(seconds=SAVE_EVERY))
    if options.where:
        request.filters.append(EventFilter(matches=options.where))
    if options.since is not None:
        start = int(time.time() - options.since * 60)
        request.start_time.CopyFrom(Timestamp(seconds=start))
    try:
        checkpoint = Checkpoint(options.checkpoint)
    except (ValueError, KeyError, TypeError, AttributeError):
        say(f"{options.checkpoint} is no checkpoint; name another file, or remove it to begin anew")
        return 1

    consumer = Consumer(options.target, request, checkpoint)
    following = asyncio.ensure_future(consumer.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        # it ends between responses, never within one
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    code = 0
    try:
        await following
    except asyncio.CancelledError:
        pass
    except grpc.aio.AioRpcError as error:
        say(f"refused: {error.details()} [{error.code().name}]")
        if checkpoint.token:
            say(f"remove {options.checkpoint}, which it went on from, to begin anew")
        code = 1
    except BrokenPipeError:
        # who read standard output has gone; what was not taken comes again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if checkpoint.token:
        checkpoint.save()
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
