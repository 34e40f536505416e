"""kill -9 at any moment, while events are committed and files merged: nothing that was
there is lost, nothing is there twice, and readers never fail.

TRAILGATE_TEST_KILLS says how often it is killed: 10, if it does not.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from test_readers import LOGS, PROGRAM, events, pytestmark  # noqa: F401

KILLS = int(os.environ.get("TRAILGATE_TEST_KILLS") or "10")


class Reader(threading.Thread):
    """Reads the archive again and again, as somebody else would."""

    def __init__(self, archive):
        super().__init__()
        self.archive, self.reads, self.wrong = archive, 0, []
        self.is_over = threading.Event()

    def run(self):
        before = 0
        while not self.is_over.is_set():
            try:
                table = DeltaTable(self.archive)
                rows = table.to_pyarrow_table(columns=["identity", "account_id", "region", "date"]).to_pylist()
                twice = [key for key, count in Counter(tuple(row.values()) for row in rows).items() if count > 1]
                if twice:
                    self.wrong.append(f"twice as of {table.version()}: {twice[:3]}")
                if len(rows) < before:
                    self.wrong.append(f"{before} events, then {len(rows)} as of {table.version()}")
                before = len(rows)
                self.reads += 1
            except TableNotFoundError:
                pass
            except Exception as error:  # whatever it is: a reader must not fail
                self.wrong.append(repr(error))
            time.sleep(0.05)


def start(archive):
    # few at once: many commits, each of which may be cut off, and merges at the end
    return subprocess.Popen([PROGRAM, LOGS, archive, "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_nothing_is_lost_and_nothing_is_twice(tmp_path, events):  # noqa: F811
    archive = str(tmp_path / "archive")
    chance = random.Random(os.environ.get("TRAILGATE_TEST_SEED", "7"))
    # how long a whole run takes, in another place
    begun = time.monotonic()
    run = start(str(tmp_path / "other"))
    out, err = run.communicate(timeout=600)
    assert run.returncode == 0, err
    whole = time.monotonic() - begun
    reader = Reader(archive)
    reader.start()
    try:
        killed = 0
        for _ in range(KILLS):
            run = start(archive)
            time.sleep(chance.uniform(0, whole))
            run.send_signal(signal.SIGKILL)
            _, err = run.communicate(timeout=60)
            # it may have been done
            assert run.returncode in (0, -signal.SIGKILL), err
            killed += run.returncode != 0
        run = start(archive)
        out, err = run.communicate(timeout=600)
        assert run.returncode == 0, err
    finally:
        reader.is_over.set()
        reader.join()
    assert killed >= KILLS // 4
    assert reader.reads > 0
    assert not reader.wrong
    records = DeltaTable(archive).to_pyarrow_table(columns=["record"])["record"].to_pylist()
    assert Counter(records) == Counter(text for _, text in events.values())
