"""What makes the command line easy: zones, colour, named endpoints, what is asked
before much is paid, and what shells offer."""

import json
import os
import pty
import select
import signal
import subprocess
import tempfile
import time

import pytest

from processes import PATIENCE, Server, bare_environment, binary, run

RED, BOLD = "\x1b[31m", "\x1b[1m"


@pytest.fixture(scope="module")
def demo():
    with Server("--demo") as server:
        yield server


def lookup(server, *args, env=None):
    return run("lookup", "--endpoint", server.endpoint, *args, env=env)


def test_times_are_shown_and_read_in_a_zone(demo):
    newest = json.loads(lookup(demo, "--limit", "1", "-o", "jsonl", "--end", "1h").stdout)
    [header, row] = lookup(demo, "--limit", "1", "--end", newest["event_time"]).stdout.splitlines()
    utc = row.split()[0]
    assert header.startswith("TIME") and utc.endswith("Z")
    for args, env, offset in [
        (["--time-zone", "Asia/Kolkata"], None, "+05:30"),
        ([], {"TRAILGATE_TIME_ZONE": "Asia/Kolkata"}, "+05:30"),
        (["--local"], {"TZ": "Asia/Kolkata"}, "+05:30"),
        (["--utc"], {"TRAILGATE_TIME_ZONE": "Asia/Kolkata"}, "Z"),
    ]:
        shown = lookup(demo, "--limit", "1", "--end", newest["event_time"], *args, env=env)
        [_, row] = shown.stdout.splitlines()
        assert row.split()[0].endswith(offset), (args, shown)
        # files are for programs
        again = lookup(demo, "--limit", "1", "--end", newest["event_time"], "-o", "jsonl", *args, env=env)
        assert json.loads(again.stdout)["event_time"].endswith("Z")
    # one second, written in three ways
    text = ["--generate-cli-skeleton"]
    asked = [
        json.loads(run("lookup", *text, *args).stdout)
        for args in [
            ["--start", "2026-01-02 10:00 Europe/Berlin"],
            ["--start", "2026-01-02 10:00", "--time-zone", "Europe/Berlin"],
            ["--start", "2026-01-02T09:00:00Z", "--time-zone", "Europe/Berlin"],
        ]
    ]
    assert {each["startTime"] for each in asked} == {"2026-01-02T09:00:00Z"}
    day = json.loads(run("lookup", *text, "--start", "2026-01-02", "--end", "2026-01-02", "--time-zone", "Europe/Berlin").stdout)
    assert (day["startTime"], day["endTime"]) == ("2026-01-01T23:00:00Z", "2026-01-02T22:59:59Z")
    for args, words in [
        (["--time-zone", "Europe/Berln"], "did you mean Europe/Berlin?"),
        (["--start", "2026-01-02 10:00 Europe/Berln"], "did you mean Europe/Berlin?"),
        (["--utc", "--local"], "cannot be used with"),
    ]:
        done = run("lookup", *args)
        assert done.returncode == 64 and words in done.stderr, done


def test_colour_is_for_terminals_or_as_it_is_said(demo):
    args = ["--limit", "5", "-w", "errorCode exists", "--since", "1d"]
    assert "\x1b" not in lookup(demo, *args).stdout
    shown = lookup(demo, *args, "--color", "always").stdout.splitlines()
    assert shown[0].startswith(BOLD) and all(line.startswith(RED) for line in shown[1:]) and len(shown) == 6
    good = lookup(demo, "--limit", "5", "-w", "errorCode not exists", "--color", "always").stdout
    assert RED not in good and BOLD in good
    on = on_terminal(["lookup", "--endpoint", demo.endpoint, *args], {})
    assert RED in on
    for args_, env in [(["--color", "never"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})]:
        assert RED not in on_terminal(["lookup", "--endpoint", demo.endpoint, *args, *args_], env)


def on_terminal(args, env, typed=None):
    """What a command writes to a terminal; `typed`: what is answered to a question."""
    main, other = pty.openpty()
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [binary(), *map(str, args)], stdin=other, stdout=other, stderr=other,
            env={**bare_environment(home), "TERM": "xterm", "COLUMNS": "160", **env}, start_new_session=True,
        )
        os.close(other)
        said, end = b"", time.monotonic() + PATIENCE
        try:
            while True:
                assert time.monotonic() < end, said
                if not select.select([main], [], [], 0.1)[0]:
                    continue
                try:
                    part = os.read(main, 65536)
                except OSError:
                    part = b""
                if not part:
                    break
                said += part
                if typed and b"[y/N]" in said:
                    os.write(main, typed)
                    typed = None
        finally:
            if time.monotonic() > end:
                process.kill()
            on_terminal.code = process.wait(PATIENCE)
            os.close(main)
    return said.decode()


def test_much_is_asked_about_on_a_terminal_alone(demo):
    # the demo's history of 90 days takes some two thousand requests
    broad = ["--endpoint", demo.endpoint, "-w", "userAgent = nobody", "--region", "us-east-1"]
    for command in [["lookup", "--all"], ["lookup", "--limit", "all"], ["summary"]]:
        said = on_terminal([*command, *broad], {}, b"n\n")
        assert "requests to AWS" in said and "--yes" in said, said
        assert on_terminal.code == 130
    # as far as is allowed it is little
    args = ["lookup", "--all", *broad, "--max-upstream-calls", "1"]
    assert "[y/N]" not in on_terminal(args, {}) and on_terminal.code == 2
    args = ["lookup", "--all", *broad, "--max-upstream-calls", "61"]
    assert "about 61 requests" in on_terminal(args, {}, b"n\n")
    # what AWS can be asked by is little
    said = on_terminal(["lookup", "--endpoint", demo.endpoint, "--limit", "3"], {})
    assert "[y/N]" not in said and on_terminal.code == 0
    # a script is not asked
    done = lookup(demo, "--all", *broad[2:], "--max-upstream-calls", "1")
    assert done.returncode == 2 and "[y/N]" not in done.stderr


def test_endpoints_have_names(demo, tmp_path):
    file = tmp_path / "cli.yaml"
    file.write_text(
        f"endpoints:\n  demo:\n    endpoint: {demo.endpoint}\n"
        "  prod: {endpoint: 'https://127.0.0.1:1', ca_cert: none.pem}\n"
    )
    env = {"TRAILGATE_CLI_CONFIG": str(file)}
    done = run("scopes", "--endpoint", "@demo", "-o", "json", env=env)
    assert done.returncode == 0 and "us-east-1" in done.stdout, done
    done = run("call", "ListScopes", env={**env, "TRAILGATE_ENDPOINT": "@demo"})
    assert done.returncode == 0, done
    home = tmp_path / "home"
    (home / "trailgate").mkdir(parents=True)
    (home / "trailgate" / "config.yaml").write_text(file.read_text())
    done = run("scopes", "--endpoint", "@demo", env={"XDG_CONFIG_HOME": str(home)})
    assert done.returncode == 0, done
    for args, words in [
        (["--endpoint", "@dmeo"], ["did you mean @demo?", str(file)]),
        (["--endpoint", "@prod"], ["ca_cert of @prod", str(tmp_path / "none.pem")]),
        (["--endpoint", "@demo", "--cli-config", tmp_path / "no.yaml"], ["no.yaml", "No such file"]),
    ]:
        done = run("scopes", *args, env=env)
        assert done.returncode == 64 and done.stderr.count("\n") == 1, done
        assert all(word in done.stderr for word in words), done.stderr


def offered(*words, env=None):
    """What bash is told to offer for the last of the words."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [binary(), "--", "trailgate", *words],
            env={**bare_environment(home), "COMPLETE": "bash", "_CLAP_IFS": "\n",
                 "_CLAP_COMPLETE_INDEX": str(len(words)), "_CLAP_COMPLETE_COMP_TYPE": "9",
                 "_CLAP_COMPLETE_SPACE": "true", **(env or {})},
            capture_output=True, text=True, timeout=PATIENCE,
        )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split("\n")


def test_shells_are_told_what_there_is(demo):
    for shell, words in [("bash", "complete "), ("zsh", "#compdef trailgate"), ("fish", "complete ")]:
        done = run("completions", shell)
        assert done.returncode == 0 and words in done.stdout and "COMPLETE" in done.stdout, done
    assert "lookup" in offered("look")
    assert "--generate-cli-skeleton" in offered("lookup", "--gen")
    assert "yaml-input" in offered("lookup", "--generate-cli-skeleton", "ya")
    assert "errorCode" in offered("lookup", "--where", "errorC")
    assert "userIdentity.sessionContext.sessionIssuer.userName" in offered("tail", "-w", "userIdentity.s")
    assert "LookupEvents" in offered("call", "Look") and "IngestEvents" not in offered("call", "")
    endpoint = ["--endpoint", demo.endpoint]
    assert offered("lookup", *endpoint, "--region", "us-") == ["us-east-1"]
    assert offered("scopes", *endpoint, "--account", "") == ["111122223333"]
    # nobody answers, and nobody waits or is told so
    assert offered("lookup", "--endpoint", "http://127.0.0.1:1", "--region", "us-") == [""]


@pytest.mark.parametrize("typed, offered", [
    ("trailgate lookup --endpoint {} --region us", "-east-1"),
    ("trailgate lookup --endpoint={} --region=us", "-east-1"),
    ("trailgate lookup -w errorCode=X --endpoint {} --account 1", "11122223333"),
])
def test_bash_completes_behind_what_it_splits(demo, tmp_path, typed, offered):
    """In a shell of its own: an endpoint has colons, and bash takes them for words' ends."""
    directory = os.path.dirname(os.path.abspath(binary()))
    environment = {
        **bare_environment(str(tmp_path)), "TERM": "dumb", "PS1": "ready> ",
        "PATH": directory + os.pathsep + os.environ["PATH"],
    }
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)

    def until(words):
        told, end = b"", time.monotonic() + PATIENCE
        while words not in told and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                told += os.read(terminal, 65536)
        assert words in told, told
        return told

    try:
        until(b"ready> ")
        # long lines are not scrolled sideways
        os.write(terminal, b"stty columns 500; source <(trailgate completions bash); echo so''urced\n")
        until(b"sourced")
        line = typed.format(demo.endpoint).encode()
        os.write(terminal, line + b"\t")
        until(line.rsplit(b" ", 1)[-1] + offered.encode())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
