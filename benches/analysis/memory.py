"""Memory beside its setting: of backfill, and of a server whose queries want more than they may have."""

import contextlib
import re
import shutil
import time
from dataclasses import dataclass

import adbc_driver_flightsql.dbapi
import adbc_driver_manager

import loading
from engines import Server
from measured import peak_of

# everything that there is, in an order or in groups: several times what a query may hold
GREEDY = {
    "sorts all records": "SELECT record FROM cloudtrail ORDER BY record",
    "groups by record": "SELECT record, count(*) AS n FROM cloudtrail GROUP BY record",
    "gathers all in a list": "SELECT array_agg(record) AS records FROM cloudtrail",
}


@dataclass
class Held:
    """What a server held at most while a query ran, and how that ended."""

    name: str
    ended: str
    peak: int
    before: int
    seconds: float


def backfill(binary, made, scratch, limits):
    """The most that `backfill --memory` had resident, in bytes, by the setting in MB."""
    peaks = {}
    for limit in limits:
        to = scratch / "limited"
        shutil.rmtree(to, ignore_errors=True)
        rows, took = loading.trailgate(binary, made.folder, to, "--memory", f"{limit}MB")
        if rows != made.records:
            raise SystemExit(f"backfill --memory {limit}MB has {rows} rows of {made.records} records")
        peaks[limit] = took
        shutil.rmtree(to)
    return peaks


def server(binary, archive, memory, queries, threads, records):
    """What greedy queries do to a server that has so many MB for so many queries."""
    limits = ("--sql-memory", f"{memory}MB", "--sql-queries", queries, "--sql-threads", threads)
    held = []
    for name, text in GREEDY.items():
        # each in a server of its own: memory that was freed is resident a while
        with Server(binary, archive, *limits) as one:
            with adbc_driver_flightsql.dbapi.connect(f"grpc://{one.target}", autocommit=True) as connection:
                # whatever a server needs that answers
                count(connection, records)
                before = peak_of(one.process.pid)
                begun = time.perf_counter()
                ended = greedy(connection, text)
                took = time.perf_counter() - begun
                held.append(Held(name, ended, peak_of(one.process.pid), before, took))
                # it goes on as if nothing had been
                count(connection, records)
    return held


def count(connection, records):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n, max(length(record)) AS longest FROM cloudtrail")
        found = cursor.fetch_arrow_table().to_pylist()[0]["n"]
    if found != records:
        raise SystemExit(f"the server counts {found} of {records} records")


def greedy(connection, text):
    """Reads an answer to its end and keeps none of it: how many rows, or why there are none."""
    rows = 0
    with connection.cursor() as cursor, contextlib.ExitStack() as stack:
        try:
            cursor.execute(text)
            reader = stack.enter_context(cursor.fetch_record_batch())
            for batch in reader:
                rows += batch.num_rows
        except (adbc_driver_manager.Error, OSError) as error:
            return refusal(str(error))
    return f"{rows:,} rows"


def refusal(said):
    """Why there is no answer, in few words: for want of memory, and of whom."""
    if found := re.search(r"needs more than the .* of memory .*\((\w+)\)", said):
        return f"refused: {found.group(1)}"
    if found := re.search(r"message larger than max \((\d+) ", said):
        return f"a message of {int(found.group(1)) / 1e6:,.0f} MB, not taken by the client"
    raise SystemExit(f"a query that wants much ends with: {said}")


def told_backfill(peaks):
    yield ["`--memory`", "peak MB", "of it", "wanted", "seconds", "CPU s"]
    for limit, took in peaks.items():
        peak = took.peak / 1e6
        yield [f"{limit}MB", f"{peak:,.0f}", f"{peak / limit:.2f}", "≤ 1.00", f"{took.wall:.1f}", f"{took.cpu:.1f}"]


def told_server(held):
    yield ["query", "ends with", "peak MB", "before it", "seconds"]
    for one in held:
        yield [one.name, one.ended, f"{one.peak / 1e6:,.0f}", f"{one.before / 1e6:,.0f}", f"{one.seconds:.1f}"]
