"""The archive, its views and the reports on Spark: a classic session, and a Connect server."""

import pytest

import engines
import oracle
import questions
import trailgate_spark

ASKED = [
    pytest.param(name, number, marks=[pytest.mark.long] if number else [], id=f"{name}-{number}")
    for name, asked in questions.QUESTIONS.items()
    for number in range(len(asked))
]


def sorted_rows(rows):
    return sorted(rows, key=engines.key)


def test_the_table_is_what_was_committed(table, rows):
    assert sorted_rows(engines.ask_spark(table)) == sorted_rows(engines.plain_rows(rows))


@pytest.mark.parametrize("name", oracle.VIEWS)
def test_views(name, spark, table, events):
    told = engines.ask_spark(spark.table(name))
    assert sorted_rows(told) == sorted_rows(engines.plain_rows(oracle.VIEWS[name](events)))


@pytest.mark.parametrize(("name", "number"), ASKED)
def test_reports(name, number, spark, table, events):
    asked = questions.QUESTIONS[name][number]
    told = engines.ask_spark(trailgate_spark.report(spark, name, **asked))
    assert told == questions.expected(name, events, asked)


def test_only_the_partitions_that_are_asked_for_are_read(spark, table):
    of_day = table.where("account_id = '111122223333' AND date = DATE '2026-03-07'")
    files = of_day.inputFiles()
    # inputFiles says those of the whole table; the plan has what is left of them
    plan = of_day._jdf.queryExecution().executedPlan().toString()
    assert "PartitionFilters: [isnotnull" in plan and "date" in plan
    scan = of_day.selectExpr("input_file_name() AS file").distinct().collect()
    assert 0 < len(scan) < len(files)
    assert all("account_id=111122223333" in row.file and "date=2026-03-07" in row.file for row in scan)


def test_connect_is_a_client_without_a_jvm(connected):
    assert connected["session"] == "pyspark.sql.connect.session"


def test_the_table_by_connect(connected, rows):
    assert sorted_rows(connected["table"]) == sorted_rows(engines.plain_rows(rows))


@pytest.mark.parametrize("name", oracle.VIEWS)
def test_views_by_connect(name, connected, events):
    assert sorted_rows(connected["views"][name]) == sorted_rows(engines.plain_rows(oracle.VIEWS[name](events)))


@pytest.mark.parametrize("name", questions.QUESTIONS)
def test_reports_by_connect(name, connected, events):
    assert connected["reports"][name] == questions.expected(name, events, questions.QUESTIONS[name][0])
