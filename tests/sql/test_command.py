"""`trailgate sql`, as one types it."""

import csv
import datetime
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pyarrow.ipc
import pyarrow.parquet
import pytest

from conftest import DAYS, OWN, RECORDS, server_of
from processes import binary, run

BINARY = binary()

COUNTS = "select account_id, count(*) n, min(eventTime) first from cloudtrail group by 1 order by 1"


@pytest.fixture(scope="module", params=["server", "archive"])
def where(request, archive):
    """Asked of a server, or of the archive with none."""
    if request.param == "archive":
        return ["--archive", archive]
    server = request.getfixturevalue("server")
    return ["--endpoint", server.endpoint]


def asked(where, *args, **more):
    return run("sql", *where, *args, **more)


def test_an_answer_is_a_table_or_what_programs_read(where, tmp_path):
    table = asked(where, COUNTS)
    assert table.returncode == 0, table.stderr
    assert OWN in table.stdout and "account_id" in table.stdout and "2 rows" in table.stderr
    rows = list(csv.DictReader(io.StringIO(asked(where, COUNTS, "-o", "csv").stdout)))
    assert [row["account_id"] for row in rows] == sorted({r["recipientAccountId"] for r in RECORDS})
    told = json.loads(asked(where, COUNTS, "-o", "json").stdout)
    assert sum(row["n"] for row in told) == len(RECORDS)
    assert [str(row["n"]) for row in told] == [row["n"] for row in rows]
    for shape, read in [
        ("arrow", lambda path: pyarrow.ipc.open_stream(path).read_all()),
        ("parquet", pyarrow.parquet.read_table),
    ]:
        path = tmp_path / shape
        with path.open("wb") as file:
            done = subprocess.run(
                [BINARY, "sql", *map(str, where), COUNTS, "-o", shape], stdout=file, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        assert [row["n"] for row in read(path).to_pylist()] == [row["n"] for row in told]


def test_values_are_bound_and_never_text(where):
    query = "select count(*) n from cloudtrail where username = :who and date >= :since"
    found = asked(where, query, "--param", "who=ann", "--param", "since=2026-01-03", "-o", "json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [{"n": sum(
        one["userIdentity"]["userName"] == "ann" and one["eventTime"] >= "2026-01-03" for one in RECORDS)}]
    found = asked(where, query, "--param", "who=' or 1=1 --", "--param", "since=2026-01-03", "-o", "json")
    assert json.loads(found.stdout) == [{"n": 0}]
    missing = asked(where, query, "--param", "who=ann")
    assert missing.returncode == 64 and "since" in missing.stderr


def test_a_query_comes_by_a_pipe(where):
    found = subprocess.run(
        [BINARY, "sql", *map(str, where), "-o", "json"], input="select count(*) n\nfrom cloudtrail;\n",
        capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [{"n": len(RECORDS)}]


@pytest.mark.parametrize("query, said", [
    ("drop table cloudtrail", "not for reading"),
    ("select nothing from cloudtrail", "nothing"),
    ("select 1; select 2", "more than one statement"),
    ("selec 1", "cannot be read"),
    ("select * from read_parquet('/etc/passwd')", "read_parquet"),
    ("copy cloudtrail to '/tmp/x.parquet'", "not for reading"),
])
def test_what_is_wrong_is_said(where, query, said):
    found = asked(where, query)
    assert found.returncode == 64, found
    assert said in found.stderr and not found.stdout


def test_a_place_that_is_no_archive_is_named(tmp_path):
    for place in [tmp_path, "."]:
        found = run("sql", "--archive", place, "select 1", cwd=tmp_path)
        assert found.returncode != 0 and f"no archive at {tmp_path}" in found.stderr
    assert not list(tmp_path.iterdir()), "nothing is made where one reads"


def test_a_server_and_an_archive_are_not_both_asked(archive):
    found = run("sql", "--archive", archive, "--endpoint", "127.0.0.1:9", "select 1")
    assert found.returncode == 64 and "--endpoint does not go with --archive" in found.stderr
    # the environment's is for all commands
    there = {"TRAILGATE_ENDPOINT": "127.0.0.1:9"}
    found = run("sql", "--archive", archive, "select 1 x", "-o", "json", env=there)
    assert found.returncode == 0 and json.loads(found.stdout) == [{"x": 1}]


ENDLESS = "select count(*) from generate_series(1, 9000000000000)"


def test_an_answer_takes_no_longer_than_it_may(where):
    begun = time.monotonic()
    found = asked(where, "--timeout", "1s", ENDLESS)
    assert time.monotonic() - begun < 20
    assert found.returncode == 1 and not found.stdout
    assert "no whole answer within 1 s" in found.stderr and "with --timeout" in found.stderr
    assert asked(where, "--timeout", "1m", "select 1").returncode == 0


def test_what_the_server_ended_is_told_as_such(archive):
    with server_of(archive, "--sql-timeout", "1s") as server:
        for more in [[], ["--timeout", "1m"]]:
            found = asked(["--endpoint", server.endpoint], ENDLESS, *more)
            assert found.returncode == 1 and "ended after 1 s" in found.stderr
            assert "that is the server's --sql-timeout" in found.stderr
            assert "with --timeout" not in found.stderr


def test_plans_are_read_line_by_line(where):
    found = asked(where, "explain select count(*) from cloudtrail where username = 'ann'")
    assert found.returncode == 0 and "\ufffd" not in found.stdout
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["plan_type", "plan"]
    assert any(re.match(r"\s+\|\s+TableScan: cloudtrail", line) for line in lines), found.stdout
    # a row of its own has no mark
    found = asked(where, "select 'a' || chr(10) || 'b' || chr(27) x, 'c' y")
    assert [line.split() for line in found.stdout.splitlines()] == [["x", "y"], ["a", "c"], ["|", "b\ufffd"]]


def test_values_have_the_types_that_their_places_take(where):
    query = "select eventID from cloudtrail where date >= :d order by 1 limit :n offset :m"
    today = datetime.datetime.now(datetime.UTC).date()
    ago = (today - datetime.date.fromisoformat(DAYS[1])).days
    found = asked(where, query, "--param", f"d={ago}d", "--param", "n=3", "--param", "m=1", "-o", "json")
    assert found.returncode == 0, found.stderr
    since = sorted(one["eventID"] for one in RECORDS if one["eventTime"] >= DAYS[1])
    assert [row["eventID"] for row in json.loads(found.stdout)] == since[1:4]
    for wrong, said in [("d=soon", "no day"), ("n=x", "no whole number")]:
        values = {"d": "1d", "n": "1", "m": "0"} | dict([wrong.split("=")])
        given = [word for pair in values.items() for word in ("--param", "=".join(pair))]
        found = asked(where, query, *given)
        assert found.returncode == 64 and said in found.stderr, found.stderr


def test_a_day_is_compared_with_no_number(where):
    found = asked(where, "select count(*) from cloudtrail where date >= 2023")
    assert found.returncode == 64 and "date >= 2023 compares a day with a number" in found.stderr, found.stderr


class Shell:
    """`trailgate sql` on a terminal."""

    def __init__(self, where, home, *args):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", XDG_STATE_HOME=str(home), NO_COLOR="1")
            os.execv(BINARY, [str(BINARY), "sql", *map(str, where), *args])
        self.pid, self.told = pid, ""
        self.wait(r"sql> ")

    def wait(self, pattern, patience=60):
        """Reads until it was told; what was told before it is forgotten."""
        end = time.monotonic() + patience
        while not (found := re.search(pattern, self.told)):
            assert time.monotonic() < end, self.told
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    more = os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(self.told) from None
                self.told += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", more)
        self.told = self.told[found.end():]
        return found

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self, leave="\\q\r"):
        self.type(leave)
        end = time.monotonic() + 30
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            assert time.monotonic() < end, self.told
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    os.read(self.terminal, 65536)
                except OSError:
                    pass
        os.close(self.terminal)


@pytest.fixture
def shell(where, tmp_path):
    shell = Shell(where, tmp_path)
    yield shell
    try:
        os.kill(shell.pid, signal.SIGKILL)
        os.waitpid(shell.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def test_a_shell_answers_completes_and_remembers(shell, where, tmp_path):
    # a query may have many lines
    shell.type("select count(*) counted\r")
    shell.wait(r"\.\.\.> ")
    shell.type("from cloudtrail;\r")
    shell.wait(rf"\b{len(RECORDS)}\b")
    shell.wait(r"1 row")
    shell.wait(r"sql> ")
    # a wrong one ends nothing
    shell.type("select nothing from cloudtrail;\r")
    shell.wait(r"nothing")
    shell.wait(r"sql> ")
    # names are completed
    shell.type("select count(*) done from console_log\t;\r")
    shell.wait(r"console_logins")
    shell.wait(r"1 row")
    shell.wait(r"sql> ")
    shell.type("\\d\r")
    shell.wait(r"principal_activity")
    shell.wait(r"sql> ")
    shell.end()
    history = tmp_path / "trailgate/sql_history"
    assert "counted" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    again = Shell(where, tmp_path)
    # above it are the commands
    again.type("\x1b[A" * 3)
    again.wait(r"console_logins")
    again.type("\x03")
    again.wait(r"sql> ")
    again.end()


def test_ctrl_c_ends_a_query_and_not_the_shell(shell):
    shell.type("select count(*) from generate_series(1, 9000000000000);\r")
    # what is typed before it is under way is the editor's, which may drop it
    for _ in range(30):
        shell.type("\x03")
        try:
            shell.wait("the query was ended", patience=2)
            break
        except AssertionError:
            pass
    shell.wait(r"sql> ")
    shell.type("select 'still ' || 'there' x;\r")
    shell.wait(r"still there")
    shell.end()


def test_what_is_pasted_and_typed_ahead_is_answered(shell):
    # more at once than the editor reads at once, and while queries are under way
    shell.type("".join(f"select 'line' || {n} /* {'-' * 300} */ x;\r" for n in range(5)))
    for n in range(5):
        shell.wait(rf"\bline{n}\b")
    # as terminals paste that say so
    shell.type("\x1b[200~select 'one;' || 1 x; select 'it''s' || 2 x;\n-- three;\nselect 'la' || 'st' x;\x1b[201~\r")
    for found in ["one;1", "it's2", "last"]:
        shell.wait(rf"\b{found}\b")
    # what is wrong keeps nothing back
    shell.type("select nothing from cloudtrail; select 'still ' || 'there' x;\r")
    shell.wait(r"nothing")
    shell.wait(r"still there")
    shell.end()


def test_a_shell_helps_and_is_left_as_others_are(shell, where, tmp_path):
    shell.type("help\r")
    shell.wait(r"\r\n  \\d NAME +the columns of one\r\n")
    shell.wait(r"sql> ")
    # a command stands on any line of a query
    shell.type("select 'be' ||\r\\?\r")
    shell.wait(r"\r\n  \\d NAME")
    shell.type("'gun' x;\r")
    shell.wait(r"\bbegun\b")
    shell.type("select forgotten\r\\r\r\\o csv\rselect 'aft' || 'er';\r")
    shell.wait(r"\bafter\b")
    shell.type("select 1\r")
    shell.wait(r"\.\.\.> ")
    shell.end()
    for leave in ["exit\r", "quit;\r"]:
        shell = Shell(where, tmp_path)
        shell.end(leave)


def test_a_shell_has_values_of_parameters(where, tmp_path):
    shell = Shell(where, tmp_path, "--param", "who=ann")
    count = sum(one["userIdentity"]["userName"] == "ann" for one in RECORDS)
    # who names none is none the worse
    shell.type("select 'with' || 'out' x;\r")
    shell.wait(r"\bwithout\b")
    shell.type("select 'n=' || count(*) n from cloudtrail where username = :WHO;\r")
    shell.wait(rf"n={count}\b")
    shell.type("select 'n=' || count(*) n from cloudtrail where username = :who and date >= :since;\r")
    shell.wait(r"the query has :since; give it a value with \\set since VALUE")
    shell.type("\\set since 2026-01-03\r\\set who 'bob'\r\\set\r")
    shell.wait(r":since = 2026-01-03\r\n:who = bob\r\n")
    count = sum(one["userIdentity"]["userName"] == "bob" and one["eventTime"] >= "2026-01-03" for one in RECORDS)
    shell.type("select 'n=' || count(*) n from cloudtrail where username = :who and date >= :since;\r")
    shell.wait(rf"n={count}\b")
    shell.type("\\unset who\rselect :who x;\r")
    shell.wait(r"the query has :who; ")
    shell.end()
