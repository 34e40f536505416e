"""`trailgate lookup -o csv` against a server, read as others read CSV."""

import csv
import io

import pytest

from conftest import BIG
from oracle import distinct, passes
from processes import run

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.fixture(scope="module")
def scope(records):
    return distinct(e for e in records if e.scope == BIG)


def rows(server, *args):
    done = run("lookup", "--endpoint", server.endpoint, "-o", "csv", "--order", "oldest", *args)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline=""), strict=True))


def unmarked(cell):
    return cell.removeprefix("'") if cell.startswith("'") else cell


@pytest.mark.parametrize("all_of_it", [["--all"], ["--limit", "all"]])
def test_csv_has_every_event_and_runs_nothing(big_server, scope, all_of_it):
    names = ["id", "event", "source", "agent", "error", "message", "resource", "record"]
    got = rows(big_server, "-w", "errorCode exists", "--columns", ",".join(names), *all_of_it)
    expected = [e for e in scope if passes([[{"field": "errorCode", "operator": "EXISTS"}]], e)]
    assert len(expected) > 100
    assert list(got[0]) == names
    for row in got:
        assert not any(cell.lstrip().startswith(DANGEROUS) for cell in row.values()), row
    assert [unmarked(row["id"]) for row in got] == [e.id for e in expected]
    assert [unmarked(row["record"]) for row in got] == [e.record for e in expected]
    for row, event in zip(got, expected):
        assert unmarked(row["event"]) == event.api["EventName"]
        assert unmarked(row["source"]) == event.fields["eventSource"]
        assert unmarked(row["agent"]) == (event.fields.get("userAgent") or "")
        assert unmarked(row["error"]) == event.fields["errorCode"]
        assert unmarked(row["message"]) == (event.fields.get("errorMessage") or "")
        names = [r["ResourceName"] for r in event.api.get("Resources") or [] if r.get("ResourceName")]
        assert unmarked(row["resource"]) == "; ".join(names)


def test_raw_csv_is_what_was_logged(big_server, scope):
    got = rows(big_server, "--csv-raw", "--limit", "500", "--columns", "id,agent,record")
    expected = scope[:500]
    assert [(row["id"], row["record"]) for row in got] == [(e.id, e.record) for e in expected]
    assert [row["agent"] for row in got] == [e.fields.get("userAgent") or "" for e in expected]


def test_the_usual_columns_are_all_fields(big_server, scope):
    [row] = rows(big_server, "--limit", "1")
    event = scope[0]
    assert (row["account"], row["region"], row["event"]) == (*BIG, event.api["EventName"])
    assert "record" not in row and "scope" not in row
