"""trailgate with SQL: what it makes of log files, and what it answers over that."""

import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from engines import plain_rows

# a program of a debug build on a loaded machine
PATIENCE = 300


def program():
    """The trailgate under test, which has SQL; None: nobody says which."""
    return os.environ.get("TRAILGATE_SQL_BIN")


class Refused(Exception):
    """It ended with an error: what it said."""


def run(*args):
    """What it writes; nothing of this machine's settings is there for it."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [program(), *map(str, args)],
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
    if done.returncode != 0:
        raise Refused(done.stderr.decode())
    return done.stdout


def load(archive, *places):
    """Loads log files into an archive."""
    return run("backfill", "--archive", archive, "-o", "json", *places)


def _told(value):
    # without a zone it would be this machine's
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Embedded:
    """Answers over an archive. Each is got by a process of its own, some at once."""

    # as many as there are cores in CI
    AT_ONCE = 2

    def __init__(self, archive, *options):
        self.options = ["--archive", archive, "-o", "arrow", *options]
        self.pool = ThreadPoolExecutor(self.AT_ONCE)
        self.begun = {}

    def _answer(self, *args):
        written = run(*args, *self.options)
        # no batch at all is no stream
        return plain_rows(pa.ipc.open_stream(written).read_all().to_pylist())

    def _begin(self, *args):
        if args not in self.begun:
            self.begun[args] = self.pool.submit(self._answer, *args)
        return self.begun[args]

    @staticmethod
    def _report(name, asked):
        values = [f"{key}={_told(value)}" for key, value in asked.items()]
        return ["report", name, *(arg for value in values for arg in ("--param", value))]

    def begin(self, queries=(), reports=()):
        """Has these answered while others are asked."""
        for query in queries:
            self._begin("sql", query)
        for name, asked in reports:
            self._begin(*self._report(name, asked))

    def sql(self, query):
        return self._begin("sql", query).result()

    def report(self, name, asked):
        return self._begin(*self._report(name, asked)).result()

    def stop(self):
        self.pool.shutdown(cancel_futures=True)
