"""A rolling update under load, behind a balancer: no call fails, and no stream
loses an event."""

import asyncio
import collections
import re
import shutil
import signal
import struct
import time

import grpc
import pytest

from balancer import Balancer, is_ready
from processes import PATIENCE
from rpc import CHANNEL, at, event_service_pb2 as messages, event_service_pb2_grpc
from streams import ACCOUNT, REGIONS, SHORT, Gateway, aws_tells, making

STREAMS = 200
# channels that streams and calls come by, each a connection of its own
CHANNELS = 20
CALLERS = 16
ROUNDS = 2
H2LOAD = shutil.which("h2load")


class Follower:
    """A subscription that goes on from its last token wherever it is let in."""

    def __init__(self, stub, since):
        self._stub = stub
        self._request = messages.SubscribeEventsRequest(start_time=at(since))
        self.records = set()
        self.marks = {}
        self.responses = 0
        self.resumed = 0

    @property
    def settled(self):
        return min(self.marks.values(), default=0)

    async def follow(self):
        while True:
            try:
                async for response in self._stub.SubscribeEvents(self._request):
                    self.take(response)
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            self.resumed += 1

    def take(self, response):
        self.responses += 1
        match response.WhichOneof("payload"):
            case "batch":
                for event in response.batch.events:
                    # what an earlier process told may come again, and says so
                    assert response.may_repeat or event.record not in self.records
                    self.records.add(event.record)
            case "progress":
                self.marks = {(w.account_id, w.region): w.watermark.seconds
                              for w in response.progress.watermarks}
            case "gap":
                raise AssertionError(f"a gap: {response.gap}")
        self._request = messages.SubscribeEventsRequest(
            resume_token=response.resume_token, progress_interval={"nanos": 500_000_000}
        )


class Caller:
    """Calls again and again; none may fail."""

    def __init__(self, stub, since):
        self._stub = stub
        self._request = messages.LookupEventsRequest(start_time=at(since), page_size=20)
        self.calls = 0
        self.failures = collections.Counter()

    async def call(self):
        while True:
            try:
                await self._stub.LookupEvents(self._request, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                self.failures[f"{error.code()}: {error.details()}"] += 1
            self.calls += 1


class Load:
    """Calls by h2load, which does not connect anew: those of a connection that ended
    fail there, and may. It sees HTTP alone: that answers came, not what they say."""

    def __init__(self, target, body):
        self._command = [
            H2LOAD, "-n", "200", "-c", "4", "-m", "8", "-d", body,
            "-H", "content-type: application/grpc", "-H", "te: trailers",
            f"http://{target}/trailgate.v1.EventService/LookupEvents",
        ]
        self.runs = self.done = self.succeeded = 0

    async def press(self):
        while True:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            try:
                out, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
            said = re.search(r"(\d+) total, .* (\d+) done, (\d+) succeeded", out.decode())
            assert process.returncode == 0 and said, f"h2load: {process.returncode}, {out.decode()}"
            self.runs += 1
            self.done += int(said[2])
            self.succeeded += int(said[3])
            if not int(said[3]):
                # not again and again without a pause
                await asyncio.sleep(0.05)


async def until(what, condition, tasks):
    """Waits for a condition, and that no task has failed."""
    end = time.monotonic() + 4 * PATIENCE
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def roll(gateways, since, tmp_path):
    async with Balancer(gateways) as balancer:
        channels = [
            grpc.aio.insecure_channel(
                # channels of one process share connections unless they differ
                balancer.target, [*CHANNEL, ("grpc.use_local_subchannel_pool", 1)]
            )
            for _ in range(CHANNELS)
        ]
        stubs = [event_service_pb2_grpc.EventServiceStub(channel) for channel in channels]
        followers = [Follower(stubs[n % CHANNELS], since) for n in range(STREAMS)]
        callers = [Caller(stubs[n % CHANNELS], since) for n in range(CALLERS)]
        tasks = [asyncio.create_task(f.follow()) for f in followers]
        tasks += [asyncio.create_task(c.call()) for c in callers]
        request = callers[0]._request.SerializeToString()
        body = tmp_path / "request"
        body.write_bytes(struct.pack(">BI", 0, len(request)) + request)
        load = Load(balancer.target, body)
        if H2LOAD:
            tasks.append(asyncio.create_task(load.press()))

        async def all_go_on():
            """Every stream, every caller and h2load has an answer from now on."""
            before = [f.responses for f in followers], [c.calls for c in callers]
            succeeded = load.succeeded
            await until("all go on", lambda: all(
                now.responses > then for now, then in zip(followers, before[0])
            ) and all(
                now.calls > then + 5 for now, then in zip(callers, before[1])
            ) and (load.succeeded > succeeded or not H2LOAD), tasks)

        await all_go_on()
        for _ in range(ROUNDS):
            for gateway in gateways:
                gateway.process.process.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(gateway.process.process.wait, PATIENCE)
                assert code == 0, gateway.process.stderr()
                await asyncio.to_thread(gateway.start)
                assert await is_ready(gateway.http)
                await all_go_on()
        end = int(time.time())
        await until("all is settled", lambda: all(f.settled >= end for f in followers), tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()
        return end, followers, callers, load, balancer.connections


def test_a_rolling_update_fails_no_call_and_loses_no_event(tmp_path):
    with making(5) as simulator:
        first, second = (Gateway(simulator, *SHORT, "--replicas", 2) for _ in range(2))
        with first, second:
            since = int(time.time()) - 1
            end, followers, callers, load, connections = asyncio.run(
                roll([first, second], since, tmp_path)
            )
            happened = set().union(
                *(aws_tells(simulator, (ACCOUNT, region), since, end) for region in REGIONS)
            )
    calls = sum(c.calls for c in callers)
    failures = sum((c.failures for c in callers), collections.Counter())
    resumed = sum(f.resumed for f in followers)
    print(
        f"{2 * ROUNDS} restarts, {calls} calls, {failures.total()} failed; {len(happened)} events "
        f"on {STREAMS} streams that resumed {resumed} times; {connections} connections; "
        f"h2load: {load.succeeded} of {load.done} calls succeeded in {load.runs} runs"
    )
    assert happened and resumed >= STREAMS
    lost = [len(happened - follower.records) for follower in followers]
    assert not sum(lost), f"{sum(lost)} events lost in {sum(map(bool, lost))} streams"
    assert not failures, failures
    if not H2LOAD:
        pytest.skip("all holds, but nothing pressed: no h2load, install Debian's nghttp2-client")
