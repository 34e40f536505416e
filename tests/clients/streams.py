"""Servers that come back, streams and processes that follow them, and what holds
of all that is told."""

import calendar
import collections
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import grpc

from processes import PATIENCE, Simulator, Trailgate, bare_environment, get, wait_for
from rpc import Client, Refusal, event_service_pb2 as messages
from test_simulator import aws, lookup

ACCOUNT, REGIONS = "111122223333", ["eu-west-1", "us-east-1"]
SCOPES = [(ACCOUNT, region) for region in REGIONS]
# often enough, and soon settled, that nobody has to wait for it
SHORT = ["--poll-interval", "200ms", "--poll-max-interval", "200ms", "--settle-horizon", "2s"]


def making(rate, *args, regions=REGIONS):
    """A simulator that makes so many events a second."""
    names = [x for region in regions for x in ("--region", region)]
    return Simulator("--live", rate, "--account", ACCOUNT, *names, *args, records=())


class Gateway:
    """A server that can be killed, and started anew at the same address."""

    def __init__(self, simulator, *args, regions=REGIONS, history="unlimited"):
        self._args = [
            "--http-listen", "127.0.0.1:0", "--aws-endpoint-url", simulator.url, "--rate", 0,
            "--account", ACCOUNT, *(x for region in regions for x in ("--region", region)),
            "--history", history, "--log-level", "warn", *(args or SHORT),
        ]
        self.target = "127.0.0.1:0"
        self.start()

    def start(self):
        self.process = Trailgate("serve", "--listen", self.target, *self._args)
        said = re.fullmatch(r"listening on grpc://(\S+) and (\S+)", self.process.line)
        self.target, self.http = said.groups()
        self.endpoint = f"http://{self.target}"

    def kill(self):
        """Ends it without a word."""
        assert self.process.stop(signal.SIGKILL) == -signal.SIGKILL

    def metric(self, name):
        text = get(f"{self.http}/metrics")[1]
        return float(re.search(rf"^trailgate_{name} (\S+)$", text, re.MULTILINE)[1])

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.process.__exit__(*why)


class Stream:
    """A subscription, and what it has told; what holds of every one is checked as
    it comes. It goes on after another one, or begins where the request says."""

    def __init__(self, client, after=None, **request):
        request.setdefault("progress_interval", {"nanos": 200_000_000})
        if after:
            request["resume_token"] = after.token
        self.call = client.events.SubscribeEvents(
            messages.SubscribeEventsRequest(**request), timeout=PATIENCE
        )
        self._most = request.get("max_batch_events") or 64
        self.responses = []
        self.events = []
        # those that may have been told by another process
        self.doubtful = []
        # what was settled stays so, whoever goes on
        self.marks = dict(after.marks) if after else {}
        self.is_replaying = True

    @property
    def token(self):
        return self.responses[-1].resume_token

    @property
    def settled(self):
        """The second before which all scopes are complete."""
        return min(self.marks.values(), default=0)

    def next(self):
        """Reads a response."""
        response = next(self.call)
        self.responses.append(response)
        assert 0 < len(response.resume_token) <= 16 * 1024
        match response.WhichOneof("payload"):
            case "batch":
                events = response.batch.events
                assert 1 <= len(events) <= self._most, f"a batch of {len(events)}"
                for event in events:
                    mark = self.marks[event.account_id, event.region]
                    assert event.event_time.seconds >= mark, f"before {mark}: {event}"
                self.events += events
                if response.may_repeat:
                    self.doubtful += events
            case "progress":
                marks = {(w.account_id, w.region): w.watermark.seconds
                         for w in response.progress.watermarks}
                assert list(marks) == sorted(marks)
                for scope, mark in self.marks.items():
                    assert marks[scope] >= mark, f"{mark} went back to {marks[scope]} in {scope}"
                self.marks = marks
                self.is_replaying = any(w.replaying for w in response.progress.watermarks)
            case "gap":
                raise AssertionError(f"a gap: {response.gap}")
        return response

    def until(self, condition):
        """Reads on until the condition holds."""
        while not condition():
            self.next()
        return self

    def replay(self):
        """Reads all of history."""
        return self.until(lambda: not self.is_replaying)

    def cancel(self):
        self.call.cancel()


def records_of(events):
    return [event.record for event in events]


def aws_tells(simulator, scope, since, until):
    """What AWS has of a scope from a second on, up to another, exclusive."""
    if since >= until:
        return set()
    found = lookup(aws(simulator, scope, retries=10), StartTime=since, EndTime=until - 1)
    return {event["CloudTrailEvent"] for event in found}


def assert_whole(events, simulator, since, marks):
    """All that happened from a second on, up to the watermark of each scope, was
    told, as AWS tells it, and nothing else."""
    for scope, mark in marks.items():
        of_scope = [e for e in events if (e.account_id, e.region) == scope]
        told = {e.record for e in of_scope if since <= e.event_time.seconds < mark}
        assert_same(told, aws_tells(simulator, scope, since, mark))


def assert_same(told, happened):
    assert not happened - told, f"{len(happened - told)} lost, such as {min(happened - told)}"
    assert not told - happened, f"{len(told - happened)} invented, such as {min(told - happened)}"


def assert_once(events):
    often = [r for r, count in collections.Counter(records_of(events)).items() if count > 1]
    assert not often, f"{len(often)} came more than once, such as {often[0]}"


def assert_repeats_are_said(before, stream):
    """Nothing comes twice in a stream, and of the one before only what is said."""
    assert_once(stream.events)
    doubtful = set(records_of(stream.doubtful))
    certain = {event.record for event in stream.events if event.record not in doubtful}
    again = certain & set(records_of(before))
    assert not again, f"{len(again)} told again, and not said so, such as {min(again)}"


def expired(server, token):
    """What a token of another process is refused with once history has left it
    behind."""
    with Client(server) as client:
        def refused():
            request = messages.SubscribeEventsRequest(resume_token=token)
            try:
                next(client.events.SubscribeEvents(request, timeout=PATIENCE))
            except grpc.RpcError as error:
                return Refusal(error)

        return wait_for("it expires", refused)


class Running:
    """A process that writes lines, and what it has written so far."""

    def __init__(self, *args, env=None):
        self._home = tempfile.TemporaryDirectory()
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.args = list(map(str, args))
        self.environment = {**bare_environment(self._home.name), **(env or {})}
        self.process = subprocess.Popen(
            self.args, env=self.environment, stdin=subprocess.DEVNULL, stdout=self._out,
            stderr=self._err,
        )

    @staticmethod
    def _read(file):
        # reading would move the position that the process writes at
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()

    @property
    def out(self):
        return self._read(self._out)

    @property
    def err(self):
        return self._read(self._err)

    @property
    def lines(self):
        """The lines that are there whole."""
        return self.out.split("\n")[:-1]

    @property
    def events(self):
        return list(map(json.loads, self.lines))

    def wait_for(self, what, condition):
        def holds():
            code = self.process.poll()
            assert code is None, f"{self.args} ended with {code}: {self.err}"
            return condition()

        return wait_for(what, holds)

    def stop(self, how=signal.SIGINT, code=130):
        """Tells it to stop, which it does with this exit status."""
        self.process.send_signal(how)
        assert self.process.wait(PATIENCE) == code, self.err
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._home.cleanup()
        self._out.close()
        self._err.close()


def second_of(event):
    return calendar.timegm(time.strptime(event["event_time"], "%Y-%m-%dT%H:%M:%SZ"))


def assert_told(lines, simulator, region, since, has=lambda line, record: record in line):
    """All that happened in a Region from a second on is there, as far as it has
    come, each once, its record character for character; and nothing else."""
    events = list(map(json.loads, lines))
    told = {event["event_id"]: line for line, event in zip(lines, events)}
    assert len(told) == len(lines), f"{len(lines) - len(told)} came more than once"
    # of its last second there may be more
    until = newest(events) - 1
    happened = aws_tells(simulator, (ACCOUNT, region), since, until)
    wanted = {json.loads(record)["eventID"]: record for record in happened}
    assert wanted, "nothing happened"
    assert_same({e["event_id"] for e in events if since <= second_of(e) < until}, set(wanted))
    changed = [record for event_id, record in wanted.items() if not has(told[event_id], record)]
    assert not changed, f"{len(changed)} are not as they were, such as {changed[0]}"


def newest(events):
    """The second that it has come to."""
    return max(map(second_of, events), default=0)
