"""What differs between the dialects is what docs/sql-dialects.md says."""

import json
from pathlib import Path

import pytest

import archives
import engines
import reading
import trailgate_spark
import world

PAGE = Path(__file__).parents[2] / "docs" / "sql-dialects.md"


def lines():
    """The table's lines: what is asked, what Spark, DataFusion and trailgate say, what to write in its place."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            cells = [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]
            yield [cell.strip("`") if cell.startswith("`") else cell for cell in cells]


LINES = list(lines())


# of the archive that is asked
RECORD = {
    "eventTime": world.at(11).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "eventID": "0a1b2c3d-0000-4000-8000-000000000000",
    "eventName": "DescribeTags",
    "readOnly": True,
    "awsRegion": "eu-west-1",
    "recipientAccountId": world.ACCOUNT,
    "resources": [{"type": "T", "ARN": "n"}],
}


@pytest.fixture(scope="module")
def one(spark, tmp_path_factory):
    """An archive of one event, on both engines."""
    rows = [reading.row(json.dumps(RECORD))]
    root = tmp_path_factory.mktemp("one")
    adds = archives.write_files(root, rows)
    archives.commit(root, 0, [archives.PROTOCOL, archives.metadata(), *adds])
    trailgate_spark.table(spark, root)
    fusion = engines.datafusion(engines.arrow_of(root, {add["add"]["path"]: add["add"]["partitionValues"] for add in adds}))
    return (
        lambda query: engines.ask_spark(spark.sql(query)),
        lambda query: engines.ask_datafusion(fusion, query),
    )


def said(ask, query):
    """What an engine says, as the page has it."""
    try:
        rows = ask(query)
    except Exception:  # noqa: BLE001 - each engine has its own
        return "*refused*"
    return ", ".join(json.dumps(row["x"], separators=(",", ":"), default=str) for row in rows)


def test_the_page_has_lines():
    assert len(LINES) > 40 and {len(line) for line in LINES} == {5}


@pytest.mark.parametrize("line", LINES, ids=[line[0] for line in LINES])
def test_each_says_what_the_page_says(line, one):
    query, in_spark, in_datafusion, _, in_both = line
    assert [said(ask, query) for ask in one] == [in_spark, in_datafusion]
    assert in_spark != in_datafusion
    if in_both:
        spark, datafusion = (ask(in_both) for ask in one)
        assert spark == datafusion


def test_zones(spark, one):
    # the session's zone is St John's
    midnight = f"SELECT CAST(eventTime AS DATE) AS x FROM cloudtrail"
    assert [said(ask, midnight) for ask in one] == ['"2026-03-11"', '"2026-03-12"']
    for query in (
        "SELECT date AS x FROM cloudtrail",
        "SELECT eventTime = TIMESTAMP '2026-03-12T00:00:00Z' AS x FROM cloudtrail",
    ):
        spark_says, datafusion_says = (said(ask, query) for ask in one)
        assert spark_says == datafusion_says != "*refused*"
    assert said(one[0], "SELECT eventTime = TIMESTAMP '2026-03-12 00:00:00' AS x FROM cloudtrail") == "false"
    assert said(one[1], "SELECT eventTime = TIMESTAMP '2026-03-12 00:00:00' AS x FROM cloudtrail") == "true"


def test_types(spark, one):
    kinds = spark.sql("SELECT 1.5 AS a, row_number() OVER (ORDER BY 1) AS b, count(*) OVER () AS c, CAST(1.5 AS DOUBLE) AS d")
    assert [field.dataType.simpleString() for field in kinds.schema] == ["decimal(2,1)", "int", "bigint", "double"]
    query = "SELECT arrow_typeof(1.5) || ' ' || arrow_typeof(row_number() OVER (ORDER BY 1)) || ' ' || arrow_typeof(count(*) OVER ()) AS x"
    assert said(one[1], query) == '"Float64 UInt64 Int64"'
    assert said(one[1], "SELECT arrow_typeof(now()) AS x").startswith('"Timestamp(ns')
