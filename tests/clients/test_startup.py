"""Settings that cannot be used, and files that can be used in part."""

import gzip
import json
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from conftest import BIG
from processes import PATIENCE, RECORDS, Simulator, bare_environment, binary, run
from test_simulator import aws, lookup


@pytest.fixture
def taken():
    """An address that is taken: who binds it before reading settings fails in
    another way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "127.0.0.1:%d" % listener.getsockname()[1]


def assert_refused(done, code, *words):
    assert done.returncode == code, done
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(("args", "words"), [
    (["--rate", "fast"], ["--rate", "fast"]),
    (["--rate", "-1"], ["--rate", "-1"]),
    (["--history", "soon"], ["--history", "soon", "90d"]),
    (["--account", "12"], ["--account", "12", "12 digits"]),
    (["--region", "Ireland"], ["--region", "Ireland", "eu-central-1"]),
    (["--aws-endpoint-url", "localhost:1"], ["--aws-endpoint-url", "http://"]),
    (["--max-upstream-calls", "0"], ["--max-upstream-calls"]),
    (["--http-listen", "nowhere"], ["--http-listen", "nowhere"]),
    (["--log-level", "info,=loud="], ["log"]),
    (["--lisen", "127.0.0.1:0"], ["--lisen", "--listen"]),
    (["--config", "/no/such/file.yaml"], ["/no/such/file.yaml"]),
    ([], ["--region"]),
])
def test_a_setting_that_cannot_be_used_ends_it_before_a_port_is_bound(taken, args, words):
    # without a Region the libraries of AWS look for one at the instance
    done = run("serve", "--listen", taken, *args, env={"AWS_EC2_METADATA_DISABLED": "true"})
    assert_refused(done, 64, *words)


@pytest.mark.parametrize("flag", ["--listen", "--http-listen"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_it_listens_beyond_loopback_only_if_told_so(flag, address):
    done = run("serve", "--region", BIG[1], "--account", BIG[0], flag, address)
    assert_refused(done, 64, flag, address, "--insecure")
    done = run("simulate", "--listen", address)
    assert_refused(done, 64, "--listen", address, "--insecure")


@pytest.mark.parametrize(("text", "words"), [
    ("listn: 127.0.0.1:1\n", ["listn"]),
    ("rate: fast\n", ["rate"]),
    ("listen: [1\n", []),
    ("listen: 127.0.0.1:0\nlisten: 127.0.0.1:0\n", ["listen"]),
    ("- 1\n", []),
    ("insecure: perhaps\n", ["insecure"]),
])
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(taken, tmp_path, text, words):
    path = tmp_path / "trailgate.yaml"
    path.write_text(text)
    done = run("serve", "--listen", taken, "--config", path)
    assert_refused(done, 64, str(path), *words)
    done = run("serve", "--listen", taken, env={"TRAILGATE_CONFIG": str(path)})
    assert_refused(done, 64, str(path), *words)


def test_a_port_that_is_taken_is_said(taken):
    done = run("serve", "--demo", "--listen", taken, "--log-level", "error")
    assert_refused(done, 69, taken)
    done = run("simulate", "--listen", taken)
    assert done.returncode == 69 and taken in done.stderr


@pytest.mark.parametrize(("args", "words"), [
    (["--rate", "fast"], ["--rate", "fast"]),
    (["--account", "12"], ["--account", "12 digits"]),
    (["--region", "Ireland"], ["--region", "eu-central-1"]),
    (["--fault", "sloww=1"], ["sloww", "slow"]),
    (["--fault", "slow=2"], ["slow", "2"]),
    (["--records", "/no/such/file"], ["/no/such/file"]),
])
def test_a_simulator_that_cannot_be_is_refused(taken, args, words):
    assert_refused(run("simulate", "--listen", taken, *args), 64, *words)


def test_a_flag_overrides_a_variable_and_that_a_file(tmp_path, taken):
    path = tmp_path / "trailgate.yaml"
    path.write_text("account: ['12']\n")
    file = ["serve", "--listen", taken, "--config", path]
    assert_refused(run(*file), 64, '"12"')
    assert_refused(run(*file, env={"TRAILGATE_ACCOUNT": "13"}), 64, '"13"')
    assert_refused(run(*file, "--account", "14", env={"TRAILGATE_ACCOUNT": "13"}), 64, '"14"')


def record(number, **more):
    return {
        "eventVersion": "1.08", "eventTime": f"2024-05-06T07:08:{number:02}Z",
        "eventName": f"Name{number}", "eventSource": "s3.amazonaws.com", "eventID": str(number),
        "awsRegion": BIG[1], "recipientAccountId": BIG[0], **more,
    }


def names(simulator):
    """The numbers of the events that it serves."""
    return sorted(int(event["EventId"]) for event in lookup(aws(simulator)))


def served(path, *words):
    """What a simulator serves of a damaged file, having said what and where."""
    with Simulator(records=path) as simulator:
        said = [line for line in simulator.stderr().splitlines() if str(path) in line]
        assert said, simulator.stderr()
        for word in words:
            assert any(re.search(word, line) for line in said), said
        return names(simulator)


def test_a_file_that_ends_too_early_is_used_up_to_there(tmp_path):
    whole = gzip.compress(json.dumps({"Records": [record(n, x="%x" % (7**n**2)) for n in range(40)]}).encode())
    path = tmp_path / "cut.json.gz"
    path.write_bytes(whole[: len(whole) // 2])
    got = served(path, "gzip ends too early", r"after \d+ unpacked bytes")
    assert 0 < len(got) < 40 and got == list(range(len(got)))


def test_a_file_that_is_damaged_within_is_used_up_to_there(tmp_path):
    lines = "".join(json.dumps(record(n, x="%x" % (7**n**2))) + "\n" for n in range(40))
    whole = bytearray(gzip.compress(lines.encode()))
    whole[len(whole) // 2] ^= 0x55
    path = tmp_path / "bent.jsonl.gz"
    path.write_bytes(whole)
    got = served(path, "gzip")
    assert got and len(got) <= 40


def test_a_file_that_is_not_gzip_is_read_as_it_is(tmp_path):
    path = tmp_path / "plain.jsonl.gz"
    path.write_text("".join(json.dumps(record(n)) + "\n" for n in range(5)))
    assert served(path, "not gzip") == list(range(5))


def test_a_bad_line_is_named_and_left_out(tmp_path):
    lines = [json.dumps(record(n)) for n in range(6)]
    lines[2] = lines[2][:-9]
    lines[4] = json.dumps({k: v for k, v in record(4).items() if k != "eventTime"})
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines))
    assert served(path, "line 3.*left out", "line 5.*eventTime.*left out") == [0, 1, 3, 5]


def test_a_bad_record_of_a_log_file_is_named_and_left_out(tmp_path):
    records = [record(0), "no record", record(2), None, record(4)]
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
    assert served(path, "record 2.*left out", "record 4.*left out") == [0, 2, 4]


def test_files_without_any_record_are_no_history(tmp_path):
    for name, content in {
        "text.json": b"this is not JSON\n", "empty.json": b"", "noise.json.gz": b"\x1f\x8b\x08junk",
        "list.json": b'{"Records":[]}',
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        done = run("simulate", "--listen", "127.0.0.1:0", "--records", path)
        assert done.returncode == 65, done
        assert "no record of the given files can be used" in done.stderr
        assert name == "list.json" or str(path) in done.stderr
        # beside a good one it does no harm
        good = tmp_path / "good.jsonl"
        good.write_text(json.dumps(record(1)))
        with Simulator(records=[path, good]) as simulator:
            assert names(simulator) == [1]


def test_the_altered_records_are_served(records):
    """Records that were changed to be odd: each is served or named."""
    with Simulator(records=RECORDS.parent / "altered_records.json.gz") as simulator:
        text = gzip.open(RECORDS.parent / "altered_records.json.gz", "rt").read()
        count = len(json.loads(text)["Records"])
        said = simulator.stderr()
        left_out = len(re.findall(r"record \d+: .*; left out$", said, re.MULTILINE))
        left_out += sum(map(int, re.findall(r"(\d+) more left out", said)))
        assert simulator.stats()["records"] + left_out == count


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_before_it_serves_it_stops(how):
    # AWS does not say whose credentials these are, nor anything else
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as home:
        listener.settimeout(PATIENCE)
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        process = subprocess.Popen(
            [binary(), "serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
             "--region", BIG[1], "--credentials", "chain", "--aws-endpoint-url", url],
            env={**bare_environment(home), **keys}, stderr=subprocess.PIPE, text=True,
        )
        try:
            asked, _ = listener.accept()
            with asked:
                process.send_signal(how)
                _, said = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0 and "before it served" in said, said
        finally:
            process.kill()
