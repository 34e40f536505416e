"""Queries that would take all: each is ended, and the server is unhurt."""

import concurrent.futures
import re
import time

import pytest

from conftest import RECORDS, server_of
from flight import ask, connection, refusal
from processes import get

MANY = ("select lpad(cast(value as varchar), 200, cast(value % 97 as varchar)) t "
        "from generate_series(1, {rows})")


@pytest.fixture(scope="module")
def small(archive):
    with server_of(
        archive, "--sql-memory", "32MB", "--sql-queries", "2", "--sql-timeout", "2s",
        "--sql-wait", "1s", "--sql-disk", "1GB",
    ) as server:
        yield server


@pytest.fixture
def adbc(small):
    with connection(small) as adbc:
        yield adbc


def memory(server):
    """The memory that the server has in use, in bytes."""
    text = get(f"{server.http}/metrics")[1]
    return float(re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)[1])


@pytest.mark.parametrize("query", [
    "with recursive r as (select 1 n union all select n + 1 from r) select count(*) from r",
    "select count(*) from generate_series(1, 10000000) a cross join generate_series(1, 10000000) b",
    "select max(a.value * b.value % 7) from generate_series(1, 9999999) a "
    "join generate_series(1, 9999999) b on a.value <> b.value",
])
def test_what_has_no_end_is_ended(small, adbc, query):
    begun = time.monotonic()
    said = refusal(adbc, query)
    assert "ended after 2 s" in said, said
    assert time.monotonic() - begun < 20
    assert get(f"{small.http}/readyz")[0] == 200
    assert ask(adbc, "select count(*) n from cloudtrail").to_pylist() == [{"n": len(RECORDS)}]


def test_others_are_answered_while_all_places_are_taken(small):
    endless = "select count(*) from generate_series(1, 9999999) a cross join generate_series(1, 9999999) b"

    def hold(_):
        with connection(small) as adbc:
            return refusal(adbc, endless)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        held = [pool.submit(hold, n) for n in range(4)]
        for _ in range(20):
            begun = time.monotonic()
            assert get(f"{small.http}/readyz")[0] == 200
            assert time.monotonic() - begun < 2
        said = [one.result() for one in held]
    assert any("no place came" in one for one in said), said
    assert all("no place came" in one or "ended after" in one for one in said), said


def test_what_does_not_fit_is_refused_by_name(small, adbc):
    before = memory(small)
    said = refusal(adbc, f"select array_agg(t) from ({MANY.format(rows=400_000)})")
    assert "needs more than the 16 MB" in said or "ended after" in said, said
    doubled = "select 'xxxxxxxxxxxxxxxx' || cast(value as varchar) t from generate_series(1, 4096)"
    for _ in range(14):
        doubled = f"select t || t t from ({doubled})"
    said = refusal(adbc, f"select max(length(t)) from ({doubled})")
    assert "at most 128 MB" in said, said
    assert memory(small) - before < 600e6
