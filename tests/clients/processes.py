"""trailgate as processes: started, waited for, stopped."""

import json
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
RECORDS = DATA / "lookup_events.jsonl.gz"

# how long anything may take that ought to take milliseconds: a loaded machine
# is slow, and a test that waits for a condition ends as soon as it holds
PATIENCE = 60


def binary():
    """The trailgate under test."""
    if given := os.environ.get("TRAILGATE_BIN"):
        # a command may run in another directory
        return str(Path(given).absolute())
    built = [ROOT / "target" / profile / "trailgate" for profile in ("debug", "release")]
    for path in built:
        if path.exists():
            return str(path)
    raise FileNotFoundError(f"no trailgate at {built[0]} or {built[1]}; run cargo build")


def bare_environment(home):
    """What a process sees that inherits nothing of this machine's settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def wait_for(what, condition, patience=PATIENCE):
    """Asks until the condition holds; its value."""
    end = time.monotonic() + patience
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.01)


class Trailgate:
    """A running trailgate that listens."""

    def __init__(self, *args, env=None):
        self._home = tempfile.TemporaryDirectory()
        self._stderr = tempfile.TemporaryFile()
        self.args = [binary(), *map(str, args)]
        self.process = subprocess.Popen(
            self.args,
            env={**bare_environment(self._home.name), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        lines = queue.Queue()
        reader = threading.Thread(
            target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True
        )
        reader.start()
        self._lines = lines
        self.is_killed = False
        try:
            self.line = self._first_line()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _first_line(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self._lines.get(timeout=0.1).rstrip("\n")
            except queue.Empty:
                code = self.process.poll()
                assert code is None, f"{self.args} ended with {code}: {self.stderr()}"
                assert time.monotonic() < end, f"{self.args} says nothing: {self.stderr()}"

    def stderr(self):
        """What it has said on standard error."""
        file = self._stderr.fileno()
        # reading would move the position that the process writes at
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def stop(self, how=signal.SIGTERM):
        """Tells it to stop; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self):
        """Ends it as a crash would."""
        self.is_killed = True
        self.stop(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        code = self.stop()
        said = self.stderr()
        self._stderr.close()
        self._home.cleanup()
        if error is None:
            assert code == (-signal.SIGKILL if self.is_killed else 0), f"{self.args} ended with {code}: {said}"
        else:
            print(f"{self.args} ended with {code}: {said}")


class Simulator(Trailgate):
    """`trailgate simulate`. It has no quota unless a rate is given."""

    def __init__(self, *args, records=RECORDS, rate=0):
        source = ["--records", *([records] if isinstance(records, (str, Path)) else records)]
        super().__init__(
            "simulate", *(source if records else []), "--unlimited-history",
            "--listen", "127.0.0.1:0", "--rate", rate, *args,
        )
        self.url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)", self.line).group(1)

    def stats(self):
        """Its counters."""
        return get_json(f"{self.url}/_simulator/stats")

    def operation(self, account, region, name="LookupEvents"):
        """The counters of one operation in one scope."""
        for scope in self.stats()["scopes"]:
            if (scope["account"], scope["region"]) == (account, region):
                return scope["operations"].get(name, {"requests": 0, "events": 0, "errors": {}})
        return {"requests": 0, "events": 0, "errors": {}}

    def requests(self):
        """How many requests of any kind it has had."""
        return self.stats()["requests"]


class Server(Trailgate):
    """`trailgate serve`. It is unmetered unless a rate is given."""

    def __init__(self, *args, simulator=None, accounts=(), regions=(), rate=0, env=None):
        scopes = [x for a in accounts for x in ("--account", a)]
        scopes += [x for r in regions for x in ("--region", r)]
        if simulator:
            scopes += ["--aws-endpoint-url", simulator.url, "--history", "unlimited"]
            scopes += ["--rate", rate]
        super().__init__(
            "serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
            *scopes, *args, env=env,
        )
        said = re.fullmatch(
            r"listening on grpcs?://(127\.0\.0\.1:\d+) and (https?://127\.0\.0\.1:\d+)", self.line
        )
        self.target, self.http = said.groups()
        self.endpoint = f"http://{self.target}"


def run(*args, env=None, cwd=None):
    """Runs trailgate to its end, with nothing of this machine's settings."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [binary(), *map(str, args)],
            env={**bare_environment(home), **(env or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, cwd=cwd,
        )


# requests to this machine go to this machine, whatever proxy is configured
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url):
    """Status and text of a URL."""
    try:
        with _direct.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def get_json(url):
    """The JSON of a URL."""
    status, text = get(url)
    assert status == 200, f"{url}: {status} {text}"
    return json.loads(text)
