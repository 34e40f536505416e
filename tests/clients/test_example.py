"""The examples, as their readers run them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processes import PATIENCE, ROOT, binary
from rpc import Client
from streams import (
    ACCOUNT, REGIONS, Gateway, Running, assert_told, expired, making, newest, second_of,
)

EXAMPLE = ROOT / "examples" / "python" / "subscribe.py"
# as in the tests of tail
REGION = REGIONS[0]


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The stubs, made as the example says."""
    out = tmp_path_factory.mktemp("stubs")
    said = EXAMPLE.read_text().split('"""')[1].replace("\\\\\n", " ")
    [command] = [line.strip() for line in said.splitlines() if "grpc_tools" in line]
    command = command.replace("=stubs", f"={out}").replace("python ", f"{sys.executable} ", 1)
    subprocess.run(command, shell=True, check=True, cwd=ROOT, timeout=PATIENCE)
    return out


@pytest.fixture(scope="module")
def live():
    """Events of a day, and new ones."""
    with making(10, "--synthetic", 5_000, "--days", 1, regions=[REGION]) as simulator:
        yield simulator


class Example(Running):
    """The example, running."""

    def __init__(self, server, stubs, checkpoint, *args):
        super().__init__(
            sys.executable, EXAMPLE, "--target", server.target, "--checkpoint", checkpoint, *args,
            env={"PYTHONPATH": str(stubs)},
        )

    @property
    def breaks(self):
        return self.err.count("again in")


def assert_printed(lines, simulator):
    """Each event from the first on once, its record character for character."""
    since = second_of(json.loads(lines[0])) + 1
    has = lambda line, record: json.loads(line)["record"] == record
    assert_told(lines, simulator, REGION, since, has)


def test_each_event_is_printed_once_whatever_ends(live, stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    lines = []
    with Gateway(live, regions=[REGION]) as server:
        with Example(server, stubs, checkpoint, "--since", 20) as example:
            # the server ends, killed or told to
            for how in (server.kill, lambda: server.process.stop()):
                example.wait_for("it is live", lambda: newest(example.events) > time.time() - 5)
                breaks = example.breaks
                how()
                example.wait_for("it says so", lambda: example.breaks > breaks)
                server.start()
            back = int(time.time())
            example.wait_for("it goes on", lambda: newest(example.events) > back + 3)
            lines += example.stop(signal.SIGTERM, 0).lines
        # so does the example, and then both
        for how in (signal.SIGINT, signal.SIGTERM):
            with Example(server, stubs, checkpoint) as example:
                example.wait_for("it is live", lambda: newest(example.events) > time.time() - 5)
                server.kill()
                example.wait_for("it says so", lambda: example.breaks)
                lines += example.stop(how, 0).lines
            server.start()
        back = int(time.time())
        with Example(server, stubs, checkpoint) as example:
            example.wait_for("it goes on", lambda: newest(example.events) > back + 1)
            lines += example.stop(signal.SIGINT, 0).lines
            assert example.err == ""
        assert_printed(lines, live)
        # and what is settled was forgotten
        seen = json.loads(checkpoint.read_text())["seen"]
        assert 0 < sum(map(len, seen.values())) < len(lines)


def test_a_killed_example_loses_nothing(live, stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    with Gateway(live, regions=[REGION]) as server:
        with Example(server, stubs, checkpoint, "--since", 20) as example:
            example.wait_for("it is live", lambda: newest(example.events) > time.time() - 5)
            example.wait_for("a checkpoint", checkpoint.exists)
            example.stop(signal.SIGKILL, -signal.SIGKILL)
            first = example.lines
        back = int(time.time())
        with Example(server, stubs, checkpoint) as example:
            example.wait_for("it goes on", lambda: newest(example.events) > back + 1)
            second = example.stop(signal.SIGINT, 0).lines
        # what came after the last checkpoint comes again, and no line was written in part
        assert_printed(list(dict.fromkeys([*first, *second])), live)


def test_what_a_reader_did_not_take_comes_again(live, stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    with Gateway(live, regions=[REGION]) as server, Example(server, stubs, checkpoint) as example:
        arguments, environment = example.args, example.environment
        example.wait_for("an event", lambda: example.lines)
        example.stop(signal.SIGINT, 0)
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        try:
            first = [*example.lines, process.stdout.readline().rstrip("\n")]
            process.stdout.close()
            assert process.wait(PATIENCE) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        back = int(time.time())
        with Example(server, stubs, checkpoint) as again:
            # whole seconds lie between the first event and the last
            again.wait_for("it goes on", lambda: newest(again.events) > back + 3)
            second = again.stop(signal.SIGINT, 0).lines
        assert_printed(list(dict.fromkeys([*first, *second])), live)


def test_conditions_are_kept_to_and_a_checkpoint_belongs_to_them(live, stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    where = ["--where", "readOnly=true", "--where", "eventSource=ec2.amazonaws.com"]
    with Gateway(live, regions=[REGION]) as server:
        with Example(server, stubs, checkpoint, "--since", 120, *where) as example:
            example.wait_for("events", lambda: len(example.lines) > 5)
            events = example.stop(signal.SIGINT, 0).events
        assert {event["event_source"] for event in events} == {"ec2.amazonaws.com"}
        assert all(json.loads(event["record"])["readOnly"] for event in events)
        with Example(server, stubs, checkpoint) as example:
            assert example.process.wait(PATIENCE) == 1
            assert "another subscription" in example.err and "INVALID_ARGUMENT" in example.err
            assert str(checkpoint) in example.err and example.out == ""
        with Example(server, stubs, tmp_path / "new", "--where", "eventname=x") as example:
            assert example.process.wait(PATIENCE) == 1
            assert 'did you mean "eventName"' in example.err


def test_a_token_that_has_expired_is_said(live, stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    with Gateway(live, regions=[REGION], history="1s") as server:
        with Example(server, stubs, checkpoint) as example:
            example.wait_for("a checkpoint", checkpoint.exists)
            example.stop(signal.SIGINT, 0)
        server.kill()
        server.start()
        expired(server, json.loads(checkpoint.read_text())["token"])
        with Example(server, stubs, checkpoint) as example:
            assert example.process.wait(PATIENCE) == 1
            assert "OUT_OF_RANGE" in example.err and "begin with start_time" in example.err
            assert f"remove {checkpoint}" in example.err and example.out == ""


def test_what_cannot_be_delivered_is_said(live, stubs, tmp_path):
    with Gateway(live, regions=[REGION], history="60s") as server:
        with Example(server, stubs, tmp_path / "new", "--since", 20) as example:
            example.wait_for("an event", lambda: example.lines)
            [line] = example.stop(signal.SIGINT, 0).err.splitlines()
    assert line.startswith(f"gap: events of {ACCOUNT}/{REGION} from ") and "BEFORE_HISTORY" in line


def test_what_is_no_checkpoint_is_said(stubs, tmp_path):
    checkpoint = tmp_path / "own.checkpoint.json"
    checkpoint.write_text("{}")
    environment = {"PYTHONPATH": str(stubs)}
    with Running(sys.executable, EXAMPLE, "--checkpoint", checkpoint, env=environment) as example:
        assert example.process.wait(PATIENCE) == 1
        assert f"{checkpoint} is no checkpoint" in example.err and example.out == ""
    assert checkpoint.read_text() == "{}"


def test_the_rust_example_prints_each_event_once_whoever_is_started_anew(live, tmp_path):
    program = Path(binary()).parent / "examples" / "subscribe"
    if not program.exists():
        pytest.skip(f"no {program}: cargo test builds it")
    checkpoint = tmp_path / "rust.checkpoint"
    lines = []
    with Gateway(live, regions=[REGION]) as server:
        for end in (server.kill, lambda: server.process.stop()):
            with Running(program, server.endpoint, checkpoint) as example:
                example.wait_for("events", lambda: len(example.lines) > 1)
                end()
                server.start()
                so_far = len(example.lines)
                example.wait_for("it goes on", lambda: len(example.lines) > so_far + 5)
                lines += example.stop(signal.SIGINT, 0).lines
        with Client(server) as client:
            found = {event.event_id: event for event in client.all(page_size=1000)}
    ids = [line.split(" ", 1)[0] for line in lines]
    assert len(ids) == len(set(ids))
    first = found[ids[0]].event_time.seconds + 1
    last = max(found[own].event_time.seconds for own in ids) - 2
    wanted = {
        event.event_id for event in found.values()
        if first <= event.event_time.seconds <= last and not event.read_only
    }
    assert wanted and wanted <= set(ids)
    assert not any(found[own].read_only for own in ids if own in found)
