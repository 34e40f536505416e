"""trailgate's own engine and Spark answer alike, over an archive that trailgate wrote.

TRAILGATE_SQL_BIN is the program, of a build with SQL.
"""

import datetime
import json
import re

import mmdb_writer
import netaddr
import pytest

import archives
import embedded
import engines
import oracle
import questions
import reading
import test_dialects
import trailgate_spark
import world
from conftest import SHARED
from trailgate_spark import sql

pytestmark = pytest.mark.skipif(not embedded.program(), reason="TRAILGATE_SQL_BIN names no trailgate with SQL")

NOW = datetime.datetime.now(datetime.timezone.utc)
# what the world's time is now: no event is within minutes of it, nor of it less any default's days
NOW_THERE = world.at(16, 13, 30)

# of the reports that have to be told something
TOLD = {
    "least_privilege": {"role": "app"},
    "principal_timeline": {"principal": "alice"},
    "resource_history": {"resource": "data_lake"},
}

ASKED = [
    # Spark takes a second for each: the others with --long
    pytest.param(name, number, marks=[pytest.mark.long] if number > 1 else [], id=f"{name}-{number}")
    for name, asked in questions.QUESTIONS.items()
    for number in range(len(asked))
]

# beside docs/sql-dialects.md what docs/sql.md says is as in Spark, and what differs between engines where nobody looks
ALIKE = [
    "SELECT EVENTNAME AS a, useridentity.SESSIONCONTEXT.sessionissuer.ARN AS b FROM CloudTrail",
    "SELECT resources[0].name AS a, resources.name AS b, resources.type AS c, resources[0] AS d FROM cloudtrail",
    "SELECT errorCode AS a, count(*) AS b FROM cloudtrail GROUP BY errorCode ORDER BY errorCode",
    "SELECT errorCode AS a, count(*) AS b FROM cloudtrail GROUP BY errorCode ORDER BY errorCode DESC",
    "SELECT DISTINCT sourceIPAddress AS a FROM cloudtrail ORDER BY a",
    "SELECT to_json(resources) AS a, to_json(userIdentity) AS b FROM cloudtrail",
    "SELECT get_json_object(requestParameters, '$.bucketName') AS a, get_json_object(record, '$.userIdentity') AS b,"
    " get_json_object(record, '$.resources[0].ARN') AS c, get_json_object(record, '$.eventTime') AS d FROM cloudtrail",
    "SELECT date AS a, account_id AS b, region AS c, count(*) AS d, min(eventTime) AS e, max(eventTime) AS f"
    " FROM cloudtrail GROUP BY date, account_id, region",
    "SELECT userIdentity.userName AS a, count(*) FILTER (WHERE readOnly) AS b, count(DISTINCT eventName) AS c,"
    " sum(length(requestParameters)) AS d FROM cloudtrail GROUP BY userIdentity.userName",
    "SELECT eventID AS a, record AS b FROM cloudtrail WHERE account_id = '111122223333' AND date = DATE '2026-03-07'",
    "SELECT eventName AS a FROM cloudtrail WHERE contains(requestParameters, 'data_lake') AND NOT coalesce(readOnly, false)",
    "SELECT eventName AS a, upper(eventName) AS b, length(userAgent) AS c, split_part(eventSource, '.', 1) AS d,"
    " regexp_like(userAgent, '^aws-cli/[0-9]+') AS e FROM cloudtrail",
]


def lately(text, by):
    """A record of the world, that much later, and another event."""
    moved = re.sub(
        r'("eventTime": ?")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z"',
        lambda found: f'{found[1]}{(datetime.datetime.fromisoformat(found[2]) + by).isoformat()}Z"',
        text,
        count=1,
    )
    return re.sub(r'("eventID": ?")[0-9a-f]', r"\1f", moved, count=1) if moved != text else None


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Log files of the tests' world as it was told, and once more as if it were told today."""
    root = tmp_path_factory.mktemp("logs")
    texts = world.records()
    archives.write_log_file(root, world.ACCOUNT, "eu-central-1", "20260315T0005Z", texts[:150])
    archives.write_log_file(root, world.ACCOUNT, "eu-central-1", "20260315T0010Z", texts[100:])
    by = NOW.replace(microsecond=0) - NOW_THERE
    again = [moved for moved in (lately(text, by) for text in texts) if moved]
    assert len(again) > 200
    archives.write_log_file(root, world.ACCOUNT, "eu-central-1", f"{NOW:%Y%m%dT%H%MZ}", again)
    return root


@pytest.fixture(scope="module")
def loaded(logs, tmp_path_factory):
    """An archive of all log files, and what was said of them."""
    root = tmp_path_factory.mktemp("embedded")
    places = [logs, *([SHARED] if SHARED.is_dir() else [])]
    return root, json.loads(embedded.load(root, *places))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What gazetteer.py knows, as a database."""
    path = tmp_path_factory.mktemp("places") / "places.mmdb"
    writer = mmdb_writer.MMDBWriter(6, "Test-City", languages=["en"], ipv4_compatible=True)
    countries = {"198.51.0.0/16": "DE", "203.0.0.0/16": "BR", "10.248.0.0/16": "NL"}
    cities = {"198.51.100.7": "Berlin", "203.0.113.20": "Natal", "203.0.113.21": "Natal"}
    for network, country in countries.items():
        writer.insert_network(netaddr.IPSet([network]), {"country": {"iso_code": country}})
    for address, city in cities.items():
        [country] = [name for network, name in countries.items() if address in netaddr.IPNetwork(network)]
        told = {"country": {"iso_code": country}, "city": {"names": {"en": city}}}
        writer.insert_network(netaddr.IPSet([f"{address}/32"]), told)
    writer.to_db_file(str(path))
    return path


@pytest.fixture(scope="module")
def here(request, loaded, places):
    """trailgate's engine over the archive."""
    engine = embedded.Embedded(loaded[0], "--sql-places", places)
    # from the start: while Spark answers, it does
    wanted = [item.callspec.params for item in request.session.items if item.module.__name__ == __name__ and hasattr(item, "callspec")]
    is_long = request.config.getoption("--long")
    engine.begin(
        queries=[f"SELECT * FROM {name}" for name in ("cloudtrail", *oracle.VIEWS)],
        reports=[
            (params["name"], questions.QUESTIONS[params["name"]][params["number"]])
            for params in wanted
            if "number" in params and (is_long or params["number"] < 2)
        ],
    )
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def kept(logs, here):
    """What a plain pass over the same log files makes of them.

    Examples of documentation in SHARED have one id for several: which is kept is told by the
    archive, as files are read at once.
    """
    found = {}
    for path in reading.log_files(logs) + (reading.log_files(SHARED) if SHARED.is_dir() else []):
        for row in reading.rows([path]):
            key = tuple(row[name] for name in ("account_id", "region", "date", "identity"))
            found.setdefault(key, {})[row["record"]] = row
    assert sum(len(rows) > 1 for rows in found.values()) < 20
    texts = {row["record"] for row in here.sql("SELECT * FROM cloudtrail")}
    return [next((row for text, row in rows.items() if text in texts), None) or [*rows.values()][0] for rows in found.values()]


@pytest.fixture(scope="module")
def there(spark, loaded, places):
    """Spark over the same archive."""
    trailgate_spark.table(spark, loaded[0])
    trailgate_spark.places(spark, str(places))
    return spark


def sorted_rows(rows):
    return sorted(rows, key=engines.key)


def test_every_record_is_loaded(loaded, kept):
    said = loaded[1]
    assert said["new_events"] == len(kept) > 200
    assert said["records"] == said["new_events"] + said["known_events"] + said["malformed"] + said["unplaced"]


def test_the_table_is_what_a_plain_pass_makes_of_the_files(here, there, kept):
    told = here.sql("SELECT * FROM cloudtrail")
    assert sorted_rows(told) == sorted_rows(engines.ask_spark(there.table("cloudtrail")))
    assert sorted_rows(told) == sorted_rows(engines.plain_rows(kept))


@pytest.mark.parametrize("view", oracle.VIEWS)
def test_views(view, here, there, kept):
    told = here.sql(f"SELECT * FROM {view}")
    assert sorted_rows(told) == sorted_rows(engines.ask_spark(there.table(view)))
    events = [oracle.activity(row) for row in kept]
    assert sorted_rows(told) == sorted_rows(engines.plain_rows(oracle.VIEWS[view](events)))
    assert told


@pytest.mark.parametrize(("name", "number"), ASKED)
def test_reports(name, number, here, there, kept):
    asked = questions.QUESTIONS[name][number]
    told = here.report(name, asked)
    assert told == engines.ask_spark(trailgate_spark.report(there, name, **asked))
    assert told == questions.expected(name, [oracle.activity(row) for row in kept], asked)
    assert told or number > 1


@pytest.mark.parametrize("name", questions.QUESTIONS)
def test_reports_by_their_defaults(name, here, there):
    told = here.report(name, TOLD.get(name, {}))
    assert told == engines.ask_spark(trailgate_spark.report(there, name, **TOLD.get(name, {})))
    assert told


def test_every_report_is_asked():
    assert set(questions.QUESTIONS) == set(sql.reports())
    needed = {
        name
        for name, report in sql.reports().items()
        if any(parameter.default is None for parameter in report.parameters)
    }
    assert set(TOLD) == needed


@pytest.mark.parametrize("query", ALIKE)
def test_queries(query, here, there):
    told, wanted = here.sql(query), engines.ask_spark(there.sql(query))
    is_ordered = "ORDER BY" in query
    assert told == wanted if is_ordered else sorted_rows(told) == sorted_rows(wanted)
    assert told


# docs/sql-dialects.md


@pytest.fixture(scope="module")
def one(spark, tmp_path_factory):
    """What each of both engines says over an archive of one event."""
    logs, root = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("archive")
    archives.write_log_file(logs, world.ACCOUNT, "eu-west-1", "20260312T0005Z", [json.dumps(test_dialects.RECORD)])
    embedded.load(root, logs)
    other = spark.newSession()
    trailgate_spark.table(other, root)
    engine = embedded.Embedded(root)
    engine.begin(queries=[query for asked, *_, both in test_dialects.LINES for query in (asked, both) if query])
    yield engine.sql, lambda query: engines.ask_spark(other.sql(query))
    engine.stop()


@pytest.mark.parametrize("line", test_dialects.LINES, ids=[line[0] for line in test_dialects.LINES])
def test_trailgate_says_what_the_page_says(line, one):
    asked, _, _, in_trailgate, in_both = line
    assert test_dialects.said(one[0], asked) == in_trailgate
    if in_both:
        here, there = (ask(in_both) for ask in one)
        assert here == there
