"""Flight SQL by ADBC, as a user would ask."""

import datetime
from collections import Counter

import pyarrow
import pytest

from conftest import OWN, RECORDS, REGIONS
from flight import ask, connection, refusal


@pytest.fixture(scope="module")
def adbc(server):
    with connection(server) as adbc:
        yield adbc


def test_counts_are_those_of_the_records(adbc):
    found = ask(adbc, """
        select account_id, region, eventName, count(*) n from cloudtrail
        group by account_id, region, eventName""").to_pylist()
    counted = {(row["account_id"], row["region"], row["eventName"]): row["n"] for row in found}
    assert counted == Counter(
        (one["recipientAccountId"], one["awsRegion"], one["eventName"]) for one in RECORDS)


def test_types_are_those_of_the_table(adbc):
    found = ask(adbc, "select eventTime, date, readOnly, userIdentity, resources, record, identity "
                      "from cloudtrail where eventID = '00000000-0000-4000-8000-000000000004'")
    types = {field.name: field.type for field in found.schema}
    assert types["eventTime"] == pyarrow.timestamp("us", tz="UTC")
    assert types["date"] == pyarrow.date32() and types["readOnly"] == pyarrow.bool_()
    assert types["record"] == pyarrow.string() and types["identity"] == pyarrow.binary()
    [row] = found.to_pylist()
    assert row["eventTime"] == datetime.datetime(2026, 1, 3, 3, 4, 5, tzinfo=datetime.UTC)
    assert row["userIdentity"]["userName"] == "bob"
    assert '"eventID": "00000000-0000-4000-8000-000000000004"' in row["record"]


def test_values_are_bound(adbc):
    query = "select eventID from cloudtrail where username = ? and date >= ? and readOnly = ?"
    found = ask(adbc, query, ("ann", datetime.date(2026, 1, 3), True)).num_rows
    assert found == sum(
        one["userIdentity"]["userName"] == "ann" and one["eventTime"] >= "2026-01-03" for one in RECORDS)
    assert ask(adbc, query, ("ann' or '1' = '1", datetime.date(2026, 1, 3), True)).num_rows == 0
    # by name, in the order in which they come first
    found = ask(adbc, "select :a x, :b y, :a z", ("1", 2)).to_pylist()
    assert found == [{"x": "1", "y": 2, "z": "1"}]
    assert "has no value" in refusal(adbc, "select :a, :b", ("1",))
    # the driver updates with many rows of values, and nothing is
    with adbc.cursor() as cursor, pytest.raises(Exception, match="read and never written"):
        cursor.executemany("select ?", [("a",), ("b",)])


def test_tables_are_listed_with_their_columns(adbc):
    [catalog] = adbc.adbc_get_objects().read_all().to_pylist()
    assert catalog["catalog_name"] == "trailgate"
    [schema] = catalog["catalog_db_schemas"]
    assert schema["db_schema_name"] == "archive"
    tables = {table["table_name"]: table for table in schema["db_schema_tables"]}
    assert tables["cloudtrail"]["table_type"] == "TABLE"
    assert tables["principal_activity"]["table_type"] == "VIEW"
    columns = [column["column_name"] for column in tables["cloudtrail"]["table_columns"]]
    assert columns[0] == "eventTime" and columns[-3:] == ["account_id", "region", "date"]
    known = adbc.adbc_get_table_schema("console_logins")
    assert "mfa_used" in known.names
    # as answers have them
    for table in ["cloudtrail", "console_logins"]:
        with adbc.cursor() as cursor:
            cursor.execute(f"select * from {table} limit 1")
            assert adbc.adbc_get_table_schema(table) == cursor.fetch_arrow_table().schema
    assert set(adbc.adbc_get_table_types()) == {"TABLE", "VIEW"}
    assert adbc.adbc_get_info()["vendor_name"] == "trailgate"


@pytest.mark.parametrize("query, words", [
    ("drop table cloudtrail", "not for reading"),
    ("insert into cloudtrail select * from cloudtrail", "not for reading"),
    ("copy cloudtrail to '/tmp/x.parquet'", "not for reading"),
    ("create external table t stored as parquet location '/etc'", "SQL_"),
    ("create external table t stored as csv location '/etc/passwd'", "CREATE is not for reading"),
    ("vacuum cloudtrail", "not for reading"),
    ("select * from public.cloudtrail", "no table trailgate.public.cloudtrail"),
    ("select 1 where 'a' similar to '%(a|b)%'", "SIMILAR TO is not answered"),
    ("set datafusion.execution.batch_size = 1", "not for reading"),
    ("select * from '/etc/passwd'", "SQL_"),
    ("select * from read_parquet('/etc/passwd')", "SQL_"),
    ("select 1; select 2", "more than one statement"),
    ("selec 1", "cannot be read"),
    ("select nothing from cloudtrail", "nothing"),
])
def test_what_is_not_for_reading_is_refused(adbc, query, words):
    said = refusal(adbc, query)
    assert words in said or words == "SQL_" and "INVALID_ARGUMENT" in said.upper(), said
    assert ask(adbc, "select 1 x").to_pylist() == [{"x": 1}]


def test_nothing_is_written(adbc):
    table = pyarrow.table({"a": [1]})
    with adbc.cursor() as cursor, pytest.raises(Exception, match="read and never written"):
        cursor.adbc_ingest("t", table)
    with adbc.cursor() as cursor, pytest.raises(Exception, match="read and never written"):
        cursor.adbc_statement.set_sql_query("delete from cloudtrail")
        cursor.adbc_statement.execute_update()


def test_a_large_answer_comes_in_pieces(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("select a.record, b.value from cloudtrail a cross join generate_series(1, 2000) b")
        reader = cursor.fetch_record_batch()
        rows = [batch.num_rows for batch in reader]
    assert sum(rows) == len(RECORDS) * 2000 and max(rows) <= 4096


def test_answers_go_on_while_nobody_reads(adbc):
    """A client that reads slowly holds nobody up, and its answer is whole."""
    with adbc.cursor() as slow:
        slow.execute("select b.value, a.record from cloudtrail a cross join generate_series(1, 3000) b")
        reader = slow.fetch_record_batch()
        first = reader.read_next_batch()
        assert ask(adbc, f"select count(*) n from cloudtrail where account_id = '{OWN}'").to_pylist() == [
            {"n": len(RECORDS) // 2}]
        rest = sum(batch.num_rows for batch in reader)
    assert first.num_rows + rest == len(RECORDS) * 3000
    assert REGIONS
