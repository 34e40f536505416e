"""An archive as others read it: delta-rs, DuckDB and Polars give what a plain pass over
the log files gives. The pass shares no code with the program.

TRAILGATE_ARCHIVE is the program that makes archives, of `cargo build --example archive`.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest
from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("TRAILGATE_ARCHIVE", ROOT / "target/debug/examples/archive"))
LOGS = Path(os.environ.get("TRAILGATE_TEST_LOGS", ROOT.parent / "shared/data/AWSLogs"))
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason=f"no {LOGS}")


def raw_records():
    """Each record of the log files, and its text."""
    decoder = json.JSONDecoder()
    for path in sorted(LOGS.rglob("*.json.gz")):
        text = gzip.decompress(path.read_bytes()).decode()
        at = text.index("[", text.index('"Records"')) + 1
        while True:
            at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
            if text[at] == "]":
                break
            record, end = decoder.raw_decode(text, at)
            yield record, text[at:end]
            at = end


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value)


def member(value, *names):
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


@pytest.fixture(scope="session")
def events():
    """The events of the log files, each once: as the archive is to have them."""
    once = {}
    for record, text in raw_records():
        account = scalar(record.get("recipientAccountId"))
        account = account or scalar(member(record, "userIdentity", "accountId")) or "unknown"
        region = scalar(record.get("awsRegion")) or "unknown"
        date = record["eventTime"][:10]
        uuid = scalar(record.get("eventID")) or ""
        digest = hashlib.sha256(text.encode()).digest()[:16]
        identity = uuid.lower() if UUID.fullmatch(uuid) else digest
        key = (account, region, date, identity)
        there = once.get(key)
        is_correction = isinstance(record.get("addendum"), dict) and there and there[1] != text
        if there is None or is_correction:
            once[key] = (record, text)
    assert len(once) > 1000
    return once


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """An archive of many commits, merged."""
    return make(tmp_path_factory.mktemp("archive"), 10)


def make(where, commit):
    run = subprocess.run([PROGRAM, LOGS, where, str(commit)], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    print(run.stdout)
    return str(where)


QUERIES = {
    "all": lambda events: Counter({(): len(events)}),
    "days": lambda events: Counter((a, r, d) for a, r, d, _ in events),
    "names": lambda events: Counter((r.get("eventSource"), r.get("eventName")) for r, _ in events.values()),
    "users": lambda events: Counter(
        (
            member(r, "userIdentity", "type"),
            member(r, "userIdentity", "arn"),
            member(r, "userIdentity", "sessionContext", "sessionIssuer", "userName"),
        )
        for r, _ in events.values()
    ),
    "errors": lambda events: Counter(
        (r["errorCode"], scalar(r.get("readOnly"))) for r, _ in events.values() if r.get("errorCode") is not None
    ),
}
SQL = {
    "all": "SELECT count(*) FROM t",
    "days": "SELECT account_id, region, CAST(date AS VARCHAR), count(*) FROM t GROUP BY 1, 2, 3",
    "names": "SELECT eventSource, eventName, count(*) FROM t GROUP BY 1, 2",
    "users": """
        SELECT userIdentity.type, userIdentity.arn, userIdentity.sessionContext.sessionIssuer.userName, count(*)
        FROM t GROUP BY 1, 2, 3""",
    "errors": """
        SELECT errorCode, CAST(readOnly AS VARCHAR), count(*) FROM t WHERE errorCode IS NOT NULL GROUP BY 1, 2""",
}


def counted(rows):
    return Counter({tuple(row[:-1]): row[-1] for row in rows})


def ask_duckdb(relation, query):
    connection = duckdb.connect()
    connection.register("t", relation) if not isinstance(relation, str) else connection.execute(
        f"CREATE VIEW t AS {relation}"
    )
    return counted(connection.execute(SQL[query]).fetchall())


@pytest.mark.parametrize("query", QUERIES)
def test_delta_rs(archive, events, query):
    table = DeltaTable(archive).to_pyarrow_table()
    assert ask_duckdb(table, query) == QUERIES[query](events)


@pytest.mark.parametrize("query", QUERIES)
def test_duckdb_on_the_files(archive, events, query):
    uris = DeltaTable(archive).file_uris()
    view = f"SELECT * FROM read_parquet({uris!r}, hive_partitioning = true, hive_types_autocast = false)"
    assert ask_duckdb(view, query) == QUERIES[query](events)


@pytest.mark.parametrize("query", QUERIES)
def test_polars(archive, events, query):
    frame = polars.scan_delta(archive)
    user = polars.col("userIdentity").struct
    issuer = user.field("sessionContext").struct.field("sessionIssuer").struct
    columns = {
        "all": [],
        "days": [polars.col("account_id"), polars.col("region"), polars.col("date").cast(polars.String)],
        "names": [polars.col("eventSource"), polars.col("eventName")],
        "users": [
            user.field("type").alias("a"),
            user.field("arn").alias("b"),
            issuer.field("userName").alias("c"),
        ],
        "errors": [polars.col("errorCode"), polars.col("readOnly").cast(polars.String)],
    }[query]
    if query == "errors":
        frame = frame.filter(polars.col("errorCode").is_not_null())
    if columns:
        frame = frame.group_by(columns)
        rows = frame.len().collect().rows()
    else:
        rows = frame.select(polars.len()).collect().rows()
    assert counted(rows) == QUERIES[query](events)


def test_records_stand_as_they_stood(archive, events):
    columns = ["record", "requestParameters", "eventTime", "identity", "origin", "account_id", "region", "date"]
    table = DeltaTable(archive).to_pyarrow_table(columns=columns)
    rows = table.to_pylist()
    assert Counter(row["record"] for row in rows) == Counter(text for _, text in events.values())
    for row in rows:
        record = json.loads(row["record"])
        parameters = record.get("requestParameters")
        assert (row["requestParameters"] is None) == (parameters is None)
        if parameters is not None:
            assert json.loads(row["requestParameters"]) == parameters
            assert row["requestParameters"] in row["record"]
        assert row["eventTime"].strftime("%Y-%m-%dT%H:%M:%SZ") == record["eventTime"]
        assert row["date"] == row["eventTime"].date()
        assert row["origin"] == "LogFile"
        identity = row["identity"]
        uuid = record.get("eventID", "")
        if UUID.fullmatch(uuid):
            assert identity == b"\0" + bytes.fromhex(uuid.replace("-", ""))
        else:
            assert identity == b"\1" + hashlib.sha256(row["record"].encode()).digest()[:16]


def test_the_schema_is_the_one_that_is_written_down(archive):
    table = DeltaTable(archive)
    said = json.loads(table.schema().to_json())
    assert said == json.loads((ROOT / "sql/schema.json").read_text())
    assert table.metadata().partition_columns == ["account_id", "region", "date"]
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    # and data files say the same of their own
    for uri in table.file_uris()[:3]:
        said = pyarrow.parquet.read_schema(uri)
        assert said.field("eventTime").type == pyarrow.timestamp("us", tz="UTC")
        assert not said.field("record").nullable


def test_statistics_say_what_files_have(archive, events):
    table = DeltaTable(archive)
    actions = pyarrow.table(table.get_add_actions(flatten=True)).to_pylist()
    assert sum(action["num_records"] for action in actions) == len(events)
    by_day = Counter((a, r, d) for a, r, d, _ in events)
    said = Counter()
    for action in actions:
        day = (action["partition.account_id"], action["partition.region"], str(action["partition.date"]))
        said[day] += action["num_records"]
        times = [r["eventTime"] for (a, r_, d, _), (r, _t) in events.items() if (a, r_, d) == day]
        low, high = action["min.eventTime"], action["max.eventTime"]
        assert min(times) <= low.strftime("%Y-%m-%dT%H:%M:%SZ") <= high.strftime("%Y-%m-%dT%H:%M:%SZ") <= max(times)
    assert said == by_day


def test_a_checkpoint_is_as_good_as_the_commits_before_it(archive, events, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(archive, copy)
    log = copy / "_delta_log"
    last = json.loads((log / "_last_checkpoint").read_text())["version"]
    assert last >= 50
    newest = DeltaTable(str(copy)).version()
    for version in range(last):
        (log / f"{version:020}.json").unlink()
    table = DeltaTable(str(copy))
    assert table.version() == newest
    assert sorted(Path(uri).name for uri in table.file_uris()) == sorted(
        Path(uri).name for uri in DeltaTable(archive).file_uris()
    )
    assert table.to_pyarrow_table(columns=["eventID"]).num_rows == len(events)
    # nobody else's transactions, and ours none without a consumer
    assert table.transaction_version("trailgate") is None


def test_older_versions_are_there_until_they_are_vacuumed(archive):
    newest = DeltaTable(archive)
    merged = [one for one in newest.history() if one["operation"] == "OPTIMIZE"]
    assert merged
    before = DeltaTable(archive, version=merged[-1]["version"] - 1)
    assert len(before.file_uris()) > len(newest.file_uris())
    columns = ["eventID", "account_id", "region", "date"]
    rows = lambda table: Counter(map(tuple, (row.values() for row in table.to_pyarrow_table(columns=columns).to_pylist())))
    assert rows(before) == rows(newest)


def test_an_archive_is_found_as_it_was_left(archive, events):
    """The same files once more, into the same archive: not one event is new."""
    version = DeltaTable(archive).version()
    make(archive, 1000)
    assert DeltaTable(archive).version() == version
