"""What queries put on disk is there while they run, and no longer, however they end."""

import shutil
import signal
import subprocess
import time

import pytest

from conftest import server_of
from flight import connection
from processes import PATIENCE, bare_environment, binary, run

# some hundred megabytes, several times what it may hold
LARGE = ("select * from (select lpad(reverse(cast(value as varchar)), 60, '0') a, "
         "lpad(cast(value % 97 as varchar), 120, 'x') b, value c "
         "from generate_series(1, {rows})) order by b, a")


def held(folder):
    """Bytes of files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            # it was there a moment ago
            pass
    return total


def until(said, holds):
    """Waits until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, said
        time.sleep(0.02)


@pytest.fixture
def asking(archive, tmp_path):
    """A query that is answered here and goes to disk, which nobody reads to its end."""
    spill = tmp_path / "spill"
    spill.mkdir()
    process = subprocess.Popen(
        [binary(), "sql", "--archive", str(archive), "--memory", "32MB", "-o", "csv", LARGE.format(rows=3_000_000)],
        env={**bare_environment(tmp_path), "TMPDIR": str(spill)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    try:
        until("nothing goes to disk", lambda: held(spill) > 1_000_000)
        yield process, spill
    finally:
        process.kill()
        process.communicate()


def test_an_answer_leaves_nothing(archive, tmp_path):
    done = run(
        "sql", "--archive", archive, "--memory", "32MB", "-o", "csv", LARGE.format(rows=300_000),
        env={"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0 and done.stdout.count("\n") == 300_001, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_interrupted_leaves_nothing(asking):
    process, spill = asking
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "interrupted" in said
    assert list(spill.iterdir()) == []


def test_what_is_killed_leaves_what_the_next_removes(asking, archive, tmp_path):
    process, spill = asking
    other = tmp_path / "spill" / "somebody's"
    other.write_text("else")
    process.kill()
    process.wait(PATIENCE)
    assert held(spill) > 1_000_000
    with server_of(archive, "--sql-spill", spill) as server, connection(server) as adbc:
        with adbc.cursor() as cursor:
            cursor.execute("select count(*) n from cloudtrail")
            assert cursor.fetch_arrow_table().num_rows == 1
        assert held(spill) == len("else")
        # a second one leaves the first one's alone
        [own] = [path for path in spill.iterdir() if path.is_dir()]
        asked = run("sql", "--archive", archive, "select 1", env={"TMPDIR": str(spill)})
        assert asked.returncode == 0 and own.is_dir(), asked.stderr
    until("it stays after the server", lambda: list(spill.iterdir()) == [other])


def test_a_file_that_cannot_be_read_is_named_to_who_asks_here_alone(archive, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(archive, copy)
    [damaged, *_] = sorted(copy.rglob("part-*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    said = run("sql", "--archive", copy, "select max(record) from cloudtrail").stderr
    assert "the archive cannot be read: " in said and "server" not in said, said
    with server_of(copy) as server:
        said = run("sql", "--endpoint", server.endpoint, "select max(record) from cloudtrail").stderr
        assert "the server's log says why" in said and damaged.name not in said, said
        assert run("sql", "--endpoint", server.endpoint, "select 1").returncode == 0
