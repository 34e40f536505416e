"""The package: the SQL files' heads, parameters, the command line, the wheel."""

import csv
import datetime
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import mmdb_writer
import netaddr
import pytest

import engines
import oracle
import questions
import trailgate_spark
from trailgate_spark import BadParameter, UnknownReport, sql
from trailgate_spark.__main__ import main

PROJECT = Path(__file__).parents[2]
UTC = datetime.timezone.utc


# the SQL files


def test_every_file_is_known():
    assert {path.stem for path in (PROJECT / "sql" / "views").glob("*.sql")} == set(sql.VIEWS) == set(oracle.VIEWS)
    names = [report.name for report in trailgate_spark.reports()]
    assert {path.stem for path in (PROJECT / "sql" / "reports").glob("*.sql")} == set(names) == set(questions.QUESTIONS)
    assert names == sorted(names)


@pytest.mark.parametrize("path", sorted((PROJECT / "sql").glob("*/*.sql")), ids=lambda path: path.stem)
def test_files_are_one_select_with_a_head(path):
    text = path.read_text()
    assert re.match(r"-- title: \S.*\n-- about: \S.*\n", text)
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("--")]
    body = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    assert body.startswith("SELECT\n") and ";" not in body
    # what is told is what is asked for
    told = {re.match(r"-- param: (\w+)", line)[1] for line in head if line.startswith("-- param:")}
    assert told == set(re.findall(r"(?<!:):([a-z]\w*)", re.sub(r"'[^']*'", "", body)))
    if path.parent.name == "reports":
        # the order is total only if nothing is left to an engine: nulls are placed where there can be some
        order = body[body.rindex("ORDER BY") :]
        assert "NULLS" in order or path.stem == "least_privilege"
    for line in lines:
        assert len(line) <= 120 or line.startswith("--"), line


def test_heads_are_read():
    report = sql.find("principal_timeline")
    assert (report.title, [parameter.name for parameter in report.parameters]) == (
        "What a principal did",
        ["principal", "since", "until", "rows"],
    )
    principal, since, _, rows = report.parameters
    assert (principal.type, principal.default) == ("string", None)
    assert (since.type, since.default, since.about) == ("timestamp", "now() - interval '7' day", "from this time on")
    assert (rows.type, rows.default) == ("integer", "10000")
    assert principal.values == since.values == rows.values == ()
    changes_only = sql.find("resource_history").parameters[3]
    assert (changes_only.type, changes_only.values, changes_only.default) == ("string", ("no", "yes"), "'no'")
    assert sql.find("first_seen_places").functions == ("country", "city")
    # lines after the first go on with it
    assert "user agent is known by its text" in sql.find("first_seen").about


# parameters


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2026-01-31", datetime.datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30:00Z", datetime.datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00+02:00", datetime.datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        (datetime.datetime(2026, 1, 31, 12), datetime.datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_times(given, wanted):
    value = sql.check(sql.find("root_usage"), {"since": given})["since"]
    assert value == wanted and value.tzinfo is UTC


@pytest.mark.parametrize(("given", "seconds"), [("90s", 90), ("5m", 300), ("2 h", 7200), ("7d", 604800), ("1w", 604800)])
def test_times_ago(given, seconds):
    for value in (given, datetime.timedelta(seconds=seconds)):
        ago = datetime.datetime.now(UTC) - sql.check(sql.find("root_usage"), {"since": value})["since"]
        assert abs(ago.total_seconds() - seconds) < 60


@pytest.mark.parametrize(
    ("report", "given", "said"),
    [
        ("root_usage", {"since": "yesterday"}, "since cannot be 'yesterday': it is a datetime"),
        ("root_usage", {"since": 5}, "since cannot be 5"),
        ("root_usage", {"since": "999999999w"}, "since cannot be"),
        ("root_usage", {"sinse": "7d"}, "no parameter 'sinse': did you mean since"),
        ("principal_timeline", {}, "wants principal"),
        ("principal_timeline", {"principal": None}, "wants principal"),
        ("principal_timeline", {"principal": 5}, "principal cannot be 5: it is text"),
        ("principal_timeline", {"principal": "x", "rows": -1}, "rows cannot be -1: it is a whole number"),
        ("principal_timeline", {"principal": "x", "rows": 2**31}, "rows cannot be 2147483648"),
        ("principal_timeline", {"principal": "x", "rows": "many"}, "rows cannot be 'many'"),
        ("principal_timeline", {"principal": "x", "rows": True}, "rows cannot be True"),
        ("principal_timeline", {"principal": "x", "rows": 1.5}, "rows cannot be 1.5"),
        ("first_seen", {"new_to": "Actors"}, "new_to cannot be 'Actors': it is 'all' or 'actor'"),
        ("resource_history", {"resource": "x", "changes_only": "Yes"}, "cannot be 'Yes': it is 'no' or 'yes'"),
        (
            "root_usage",
            {"since": "2024-05-26", "until": "2024-05-20"},
            "since cannot be 2024-05-26T00:00:00Z: it is not before until (2024-05-20T00:00:00Z); "
            "give an earlier since or a later until",
        ),
        # the other is a default
        ("root_usage", {"until": "2024-05-20"}, "2024-05-20T00:00:00Z: it is not after since (by default "),
        ("root_usage", {"since": datetime.timedelta(0)}, "it is not before until (by default "),
        ("root_usage", {"since": "7d", "until": "1w"}, "it is not before until ("),
        (
            "first_seen",
            {"since": "2024-05-20", "compare_from": "2024-05-20"},
            "compare_from cannot be 2024-05-20T00:00:00Z: it is not before since (2024-05-20T00:00:00Z); "
            "give an earlier compare_from or a later since",
        ),
        ("first_seen_places", {"compare_from": "1d"}, "it is not before since (by default "),
        (
            "unused_keys_and_roles",
            {"known_since": "2024-05-20", "unused_since": "2024-05-20"},
            "known_since cannot be 2024-05-20T00:00:00Z: it is not before unused_since (2024-05-20T00:00:00Z); "
            "give an earlier known_since or a later unused_since",
        ),
        (
            "unused_keys_and_roles",
            {"unused_since": "1999-12-31"},
            "it is not after known_since (by default 2000-01-01T00:00:00Z)",
        ),
        # there is no time before it
        ("first_seen", {"since": "0001-01-01"}, "since cannot be 0001-01-01T00:00:00Z: it is not after compare_from"),
    ],
)
def test_what_a_report_cannot_take(report, given, said):
    with pytest.raises(BadParameter, match=re.escape(said)):
        trailgate_spark.report(None, report, **given)


def test_reports_that_are_not_there():
    with pytest.raises(UnknownReport, match="no report is called 'root_use': did you mean root_usage"):
        trailgate_spark.report(None, "root_use")
    with pytest.raises(UnknownReport, match="there are calls_by_key_address_principal, "):
        trailgate_spark.report(None, "../views/root_usage")


def test_defaults_are_of_one_now():
    values = sql.complete(sql.find("first_seen"), {})
    assert values["until"] - values["since"] == datetime.timedelta(days=7)
    assert values["since"] - values["compare_from"] == datetime.timedelta(days=90)
    assert abs(datetime.datetime.now(UTC) - values["until"]) < datetime.timedelta(minutes=1)
    assert (values["new_to"], values["per_actor"]) == ("all", 5)
    values = sql.complete(sql.find("unused_keys_and_roles"), {})
    assert values["known_since"] == datetime.datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["first_seen", "first_seen_places"])
def test_the_time_before_is_counted_back_from_where_the_period_begins(name):
    report = sql.find(name)
    given = sql.check(report, {"since": "2024-05-20", "until": "2024-05-26"})
    values = sql.complete(report, given)
    assert values["compare_from"] == datetime.datetime(2024, 2, 20, tzinfo=UTC)
    assert {key: values[key] for key in given} == given
    given = sql.check(report, {"since": "2024-05-20", "compare_from": "2024-05-01"})
    assert sql.complete(report, given)["compare_from"] == datetime.datetime(2024, 5, 1, tzinfo=UTC)


def test_defaults_are_what_datafusion_makes_of_them(fusion):
    for report in trailgate_spark.reports():
        before = {}
        for parameter in report.parameters:
            if parameter.default is not None:
                # one that names another has that one's in its place
                query = re.sub(r"^:(\w+)", lambda name: f"({before[name[1]]})", parameter.default)
                before[parameter.name] = query
                (told,) = engines.ask_datafusion(fusion, f"SELECT {query} AS value")
                value = engines.plain(sql.complete(report, {})[parameter.name])
                assert type(told["value"]) is type(value)
                near = 60_000_000 if parameter.type == "timestamp" else 0
                assert told["value"] == value or abs(told["value"] - value) <= near


def test_defaults_by_connect(connected):
    # nothing is as late as now
    assert connected["by default"] == []


def test_what_a_session_lacks_by_connect(connected):
    assert "call table(spark, path) or log_files(spark, path) first" in connected["errors"]["before"]
    assert "has no _delta_log" in connected["errors"]["no archive"]
    assert "has no _delta_log" in connected["errors"]["nothing"]


def test_what_a_session_lacks(spark, archive):
    other = spark.newSession()
    with pytest.raises(trailgate_spark.NoTable, match="call table"):
        trailgate_spark.report(other, "root_usage")
    trailgate_spark.table(other, archive.root, accounts=[])
    with pytest.raises(trailgate_spark.NoTable, match="needs the function country"):
        trailgate_spark.report(other, "first_seen_places")


# places


def test_places_of_a_database(spark, tmp_path):
    writer = mmdb_writer.MMDBWriter(6, "Test-City", languages=["en"], ipv4_compatible=True)
    writer.insert_network(
        netaddr.IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}, "city": {"names": {"en": "Munich", "de": "München"}}}
    )
    writer.insert_network(netaddr.IPSet(["2001:db8::/32"]), {"country": {"iso_code": "BR"}})
    writer.to_db_file(str(tmp_path / "places.mmdb"))
    other = spark.newSession()
    trailgate_spark.places(other, str(tmp_path / "places.mmdb"), language="de")
    addresses = ["198.51.100.7", "2001:db8::1", "192.0.2.1", "s3.amazonaws.com", "AWS Internal", "", None]
    frame = other.createDataFrame([(address,) for address in addresses], "a string")
    places = [tuple(row) for row in frame.selectExpr("country(a)", "city(a)").collect()]
    assert places == [("DE", "München"), ("BR", None)] + [(None, None)] * 5
    (tmp_path / "no.mmdb").write_text("no database")
    for name in ("no.mmdb", "nowhere.mmdb"):
        with pytest.raises(trailgate_spark.Error, match=f"{name} cannot be read as a MaxMind DB file"):
            trailgate_spark.places(other, str(tmp_path / name))


# the command line


@pytest.fixture
def run(spark, capsys):
    zone = spark.conf.get("spark.sql.session.timeZone")

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    yield run
    spark.conf.set("spark.sql.session.timeZone", zone)


def test_reports_are_listed(run):
    status, out, err = run("reports")
    assert (status, err) == (0, "")
    assert "root_usage: Who used root\n    since (timestamp, default: 90d): from this time on\n" in out
    assert "    principal (string, needed): an ARN" in out
    assert "    changes_only (string: no or yes, default: no): 'yes': " in out
    assert "    compare_from (timestamp, default: 90 days before since): the time before" in out


@pytest.mark.parametrize("name", questions.QUESTIONS)
def test_every_report_is_printed(run, archive, name):
    if trailgate_spark.sql.find(name).functions:
        pytest.skip("it needs a database of places")
    given = questions.QUESTIONS[name][0]
    given = [arg for parameter, value in given.items() for arg in ("-p", f"{parameter}={_given(value)}")]
    status, out, err = run("report", name, "--archive", archive.root, *given, "-o", "json")
    assert (status, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert told and all(isinstance(row, dict) for row in told)


def _given(value):
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def test_outputs(run, archive, events, tmp_path):
    asked = ["report", "failed_calls_by_principal", "--archive", archive.root, "-p", "since=2010-01-01"]
    wanted = questions.expected("failed_calls_by_principal", events, questions.EVER)
    status, out, err = run(*asked, "-o", "json")
    assert (status, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    shown = [row | {name: _shown(row[name]) for name in ("first_time", "last_time")} for row in wanted]
    assert told == shown
    status, out, _ = run(*asked, "-o", "csv")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["principal"] for line in lines] == [row["principal"] or "" for row in shown]
    assert lines[0]["first_time"] == shown[0]["first_time"]
    status, out, _ = run(*asked)
    head, *body = out.splitlines()
    assert head.split()[:3] == ["principal", "principal_type", "account_id"] and len(body) == len(wanted)
    for output in ("parquet", "csv", "json"):
        assert run(*asked, "-o", output, "--to", tmp_path / output)[0] == 0
        assert len(list((tmp_path / output).glob("part-*"))) == 1


def _shown(micros):
    return (engines.EPOCH + datetime.timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_was_logged_runs_nowhere(run, tmp_path):
    import archives

    odd = {"eventTime": "2026-03-01T00:00:00Z", "eventName": "=cmd()", "userAgent": "a;=b\x1b[31m", "sourceIPAddress": "-1"}
    user = {"type": "IAMUser", "userName": "eve", "principalId": "+AIDA"}
    archives.write_log_file(tmp_path, "111122223333", "eu-west-1", "20260301T0005Z", [json.dumps(odd | {"userIdentity": user})])
    asked = ["report", "principal_timeline", "--log-files", tmp_path, "-p", "principal=eve", "-p", "since=2026-01-01"]
    _, out, _ = run(*asked, "-o", "csv")
    line = next(csv.DictReader(io.StringIO(out)))
    assert (line["eventName"], line["userAgent"], line["sourceIPAddress"]) == ("'=cmd()", "a;'=b\x1b[31m", "'-1")
    _, out, _ = run(*asked, "-o", "json")
    assert json.loads(out)["eventName"] == "=cmd()"
    _, out, _ = run(*asked)
    assert "a;=b\N{REPLACEMENT CHARACTER}[31m" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["root_usage", "--archive", "/nowhere"], "error: /nowhere has no _delta_log"),
        (["root_use", "--archive", "/nowhere"], "error: no report is called 'root_use'"),
        (["root_usage", "--archive", "/nowhere", "-p", "since"], "error: 'since' is no parameter: give NAME=VALUE"),
        (["root_usage", "--archive", "/nowhere", "-p", "since=soon"], "error: since cannot be 'soon'"),
        (["root_usage", "--archive", "/nowhere", "-o", "parquet"], "error: parquet is not printed"),
        (["root_usage", "--archive", "/nowhere", "--to", "x"], "error: a table is printed only"),
        (["root_usage", "--log-files", "/nowhere"], "error: there is nothing at /nowhere"),
    ],
)
def test_what_the_command_line_refuses(run, arguments, said):
    status, out, err = run("report", *arguments)
    assert (status, out) == (1, "") and err.startswith(said) and err.count("\n") == 1


def test_usage(run):
    for arguments in ([], ["report", "root_usage"], ["report", "root_usage", "--archive", "a", "--log-files", "b"]):
        with pytest.raises(SystemExit) as ended:
            run(*arguments)
        assert ended.value.code == 2


# the wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    built = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel"]
    # a path: what PyPI has under that name is another package
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", built, f"{PROJECT}/spark"], check=True)
    (path,) = built.glob("trailgate_spark-*.whl")
    return path


def test_the_wheel_has_the_sql_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name.removeprefix("trailgate_spark/sql/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("trailgate_spark/sql/")
        }
    source = PROJECT / "sql"
    files = [source / "schema.json", *source.glob("views/*.sql"), *source.glob("reports/*.sql")]
    assert packed == {str(path.relative_to(source)): path.read_bytes() for path in files}


def test_the_wheel_is_read_as_it_is_packed(wheel):
    # as Spark has what --py-files names: on the path, and not unpacked
    program = "import trailgate_spark as t; print(t.__file__, len(t.reports()), len(t.sql.schema()['fields']))"
    told = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(wheel)}, check=True, capture_output=True, text=True, cwd="/"
    ).stdout.split()
    assert told == [f"{wheel}/trailgate_spark/__init__.py", str(len(questions.QUESTIONS)), str(len(sql.schema()["fields"]))]


@pytest.mark.long
def test_spark_submit(wheel, archive, events, tmp_path):
    submit = Path(sys.executable).parent / "spark-submit"
    script = PROJECT / "spark" / "trailgate_spark" / "__main__.py"
    told = subprocess.run(
        [submit, "--master", "local[2]", "--conf", "spark.ui.enabled=false", "--py-files", wheel, script]
        + ["report", "root_usage", "--archive", archive.root, "-p", "since=2010-01-01", "-p", "until=2030-01-01", "-o", "json"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYSPARK_PYTHON": sys.executable},
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )
    rows = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    wanted = questions.expected("root_usage", events, questions.EVER)
    assert [row["calls"] for row in rows] == [row["calls"] for row in wanted]
    assert [row["first_time"] for row in rows] == [_shown(row["first_time"]) for row in wanted]
