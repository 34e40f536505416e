"""Reports: over gRPC, from the command line, and on the console."""

import http.client
import json
import re
import subprocess
import xml.etree.ElementTree
from collections import Counter
from urllib.parse import quote, urlencode, urlsplit

import pyarrow.parquet
import pytest

from conftest import OTHER, OWN, RECORDS, server_of
from processes import PATIENCE, Server, bare_environment, binary, run, wait_for
from test_rights import authority, files, folder, key, secured  # noqa: F401

SVG = "{http://www.w3.org/2000/svg}"
REPORTS = [
    "calls_by_key_address_principal", "failed_calls_by_principal", "first_seen", "first_seen_places",
    "least_privilege", "principal_timeline", "resource_history", "root_usage", "unused_keys_and_roles",
]
EVER = {"since": "2025-01-01", "until": "2027-01-01"}
REQUIRED = {
    "least_privilege": {"role": "ann"}, "principal_timeline": {"principal": "ann"},
    "resource_history": {"resource": "bucket-1"},
}


def values(name):
    if name == "unused_keys_and_roles":
        return {"unused_since": "2027-01-01"}
    return EVER | REQUIRED.get(name, {})


def call(server, method, request=None, *options):
    """What a method answers, message by message."""
    given = ["--cli-input-json", json.dumps(request)] if request is not None else []
    done = run("call", method, *given, "--endpoint", f"http://{server.target}", *options)
    assert done.returncode == 0, done.stderr
    decoder, told, answers = json.JSONDecoder(), done.stdout.strip(), []
    while told:
        answer, end = decoder.raw_decode(told)
        answers.append(answer)
        told = told[end:].strip()
    return answers


def refusal(server, method, request, *options):
    given = ["--cli-input-json", json.dumps(request)]
    done = run("call", method, *given, "--endpoint", f"http://{server.target}", *options)
    assert done.returncode != 0, done.stdout
    return done.stderr


def value(cell):
    """A cell's value."""
    assert len(cell) <= 1, cell
    for kind, told in cell.items():
        return int(told) if kind == "integer" else told
    return None


def ran(server, name, parameters):
    """A report's header, and its rows."""
    first, *rest = call(server, "RunReport", {"name": name, "parameters": parameters})
    names = [column["name"] for column in first["header"]["columns"]]
    rows = [row for message in rest for row in message["rows"]["rows"]]
    return first["header"], [dict(zip(names, map(value, row["cells"]), strict=True)) for row in rows]


def page(server, path):
    """A page of the console: its status and its text."""
    at = urlsplit(server.http)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def picture(text):
    """The picture of a page, read as XML."""
    [svg] = re.findall(r"<svg.*</svg>", text, re.DOTALL)
    return xml.etree.ElementTree.fromstring(svg)


def test_reports_are_listed(server):
    [answer] = call(server, "ListReports")
    reports = {report["name"]: report for report in answer["reports"]}
    assert list(reports) == REPORTS
    for report in reports.values():
        assert report["title"] and report["about"] and report["query"].lstrip().startswith("--")
    [principal, since, *_] = reports["principal_timeline"]["parameters"]
    assert principal["isRequired"] and principal["type"] == "REPORT_TYPE_TEXT" and principal["meaning"]
    assert since["type"] == "REPORT_TYPE_TIME" and since["defaultValue"] == "now() - interval '7' day"
    before, new_to = reports["first_seen"]["parameters"][2:4]
    assert before["defaultValue"] == ":since - interval '90' day" and not before.get("allowedValues")
    assert (new_to["allowedValues"], new_to["defaultValue"]) == (["all", "actor"], "'all'")
    # nothing answers them here
    assert reports["first_seen_places"]["functions"] == [{"name": "country"}, {"name": "city"}]


def test_cells_are_typed_and_values_are_told(server):
    header, rows = ran(server, "calls_by_key_address_principal", EVER)
    assert [column["type"].removeprefix("REPORT_TYPE_") for column in header["columns"]] == [
        "TEXT", "TEXT", "TEXT", "TEXT", "INTEGER", "INTEGER", "TIME", "TIME"]
    told = {it["name"]: it["value"]["time"] for it in header["parameters"]}
    assert told == {"since": "2025-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    # records without a principal's id: one row
    [row] = rows
    assert row["accessKeyId"] is None and row["sourceIPAddress"] == "192.0.2.7"
    assert row["calls"] == len(RECORDS) and row["failed_calls"] == 0
    assert row["first_time"] == "2026-01-02T03:00:05Z"


def test_a_timeline_has_each_event_once(server):
    _, rows = ran(server, "principal_timeline", values("principal_timeline"))
    wanted = [one["eventID"] for one in RECORDS if one["userIdentity"]["userName"] == "ann"]
    assert sorted(row["eventID"] for row in rows) == sorted(wanted)
    assert [row["eventTime"] for row in rows] == sorted(row["eventTime"] for row in rows)
    _, rows = ran(server, "principal_timeline", values("principal_timeline") | {"rows": "3"})
    assert len(rows) == 3
    # of one moment: a default that others are not near
    header, _ = ran(server, "principal_timeline", {"principal": "ann' or '1' = '1"})
    assert [it["name"] for it in header["parameters"]] == ["principal", "since", "until", "rows"]


@pytest.mark.parametrize("request_, words", [
    ({"name": "root_use"}, ['there is no report "root_use"', "did you mean root_usage?"]),
    ({"name": "x" * 5000}, ["there is no report", "ListReports"]),
    ({"name": "root_usage", "parameters": {"since": "soon", "sinse": "7d"}},
     ["parameters[since]", '"soon" is no time', "parameters[sinse]", "did you mean since?"]),
    ({"name": "principal_timeline"}, ["parameters[principal]", "principal_timeline needs it"]),
    ({"name": "principal_timeline", "parameters": {"principal": "a", "rows": "many"}},
     ["parameters[rows]", "no whole number"]),
    ({"name": "first_seen_places"}, ["country and city", "--sql-places"]),
    ({"name": "root_usage", "parameters": {"since": "2024-05-26", "until": "2024-05-20"}},
     ["parameters[since]", "2024-05-26T00:00:00Z is not before until (2024-05-20T00:00:00Z)", "give an earlier since"]),
    ({"name": "root_usage", "parameters": {"until": "2024-05-20"}},
     ["parameters[until]", "2024-05-20T00:00:00Z is not after since (by default "]),
    ({"name": "first_seen", "parameters": {"compare_from": "2024-05-27", "since": "2024-05-26"}},
     ["parameters[compare_from]", "2024-05-27T00:00:00Z is not before since (2024-05-26T00:00:00Z)",
      "give an earlier compare_from or a later since"]),
    ({"name": "unused_keys_and_roles", "parameters": {"known_since": "2024-05-27", "unused_since": "2024-05-26"}},
     ["parameters[known_since]", "2024-05-27T00:00:00Z is not before unused_since (2024-05-26T00:00:00Z)"]),
    ({"name": "first_seen", "parameters": {"new_to": "Actors"}},
     ["parameters[new_to]", '"Actors" is none of its values; give all or actor']),
])
def test_what_cannot_be_run_says_why(server, request_, words):
    said = refusal(server, "RunReport", request_)
    for word in words:
        assert word in said, said


def test_a_period_long_ago_is_compared_with_the_time_before_it(server):
    period = {"since": "2026-01-01", "until": "2026-01-10"}
    header, rows = ran(server, "first_seen", period)
    told = {it["name"]: it["value"].get("time") for it in header["parameters"]}
    assert told["compare_from"] == "2025-10-03T00:00:00Z"
    assert {"address", "principal"} <= {row["kind"] for row in rows}
    # and what came before it is known
    _, rows = ran(server, "first_seen", {"since": "2026-01-10", "until": "2026-01-20"})
    assert rows == []


@pytest.mark.parametrize("given, words", [
    (["since=2024-05-26", "until=2024-05-20"], ["--param since: 2024-05-26T00:00:00Z is not before until"]),
    (["since=2024-05-20", "until=2024-05-26", "compare_from=2024-05-20"],
     ["--param compare_from: 2024-05-20T00:00:00Z is not before since (2024-05-20T00:00:00Z)"]),
    (["new_to=Actors", "since=1d", "until=7d"], ["--param new_to: ", "give all or actor", "--param since: "]),
])
def test_values_that_would_tell_nothing_are_refused_before_anything_is_asked(archive, given, words):
    given = [part for one in given for part in ("--param", one)]
    done = run("report", "first_seen", *given, "--archive", archive)
    assert done.returncode == 64 and not done.stdout, done.stdout
    for word in words:
        assert word in done.stderr, done.stderr


def test_the_list_says_which_values_there_are():
    told = run("report").stdout
    assert "  --param changes_only=no|yes  " in told and "  --param new_to=all|actor  " in told
    assert "  --param compare_from=...  " in told and "[default: 90 days before since]" in told
    assert "interval" not in told


def test_the_list_is_json_where_that_is_asked(server):
    told = run("report", "-o", "json")
    assert told.returncode == 0 and not told.stderr, told.stderr
    reports = json.loads(told.stdout)["reports"]
    assert [report["name"] for report in reports] == REPORTS
    # as a server tells it, by the contract's names
    [answer] = call(server, "ListReports")
    for here, there in zip(reports, answer["reports"], strict=True):
        parameters = [
            {"isRequired": it["is_required"], "defaultValue": it.get("default_value"),
             "allowedValues": it.get("allowed_values", []), **{key: it[key] for key in ("name", "type", "meaning")}}
            for it in here["parameters"]]
        assert parameters == [
            {"isRequired": False, "defaultValue": None, "allowedValues": []} | it for it in there["parameters"]]
        assert here.get("functions", []) == there.get("functions", [])
        assert all(here[key] == there[key] for key in ("title", "about", "query"))


@pytest.mark.parametrize("given, words", [
    (["-o", "csv"], ["-o csv", "trailgate report NAME"]),
    (["-o", "parquet"], ["as a table or as json"]),
    (["--param", "since=7d"], ["--param is for a report", "trailgate report NAME"]),
])
def test_the_list_takes_no_option_of_a_reports_rows(given, words):
    done = run("report", *given)
    assert done.returncode == 64 and not done.stdout, done.stdout
    for word in words:
        assert word in done.stderr, done.stderr


def test_the_command_line_tells_the_same(server, archive):
    for name in REPORTS:
        if name == "first_seen_places":
            continue
        given = [part for item in values(name).items() for part in ("--param", "=".join(item))]
        told = run("report", name, *given, "-o", "json", "--endpoint", f"http://{server.target}")
        assert told.returncode == 0, told.stderr
        here = run("report", name, *given, "-o", "json", "--archive", archive)
        assert here.returncode == 0, here.stderr
        assert json.loads(told.stdout) == json.loads(here.stdout)
        _, rows = ran(server, name, values(name))
        assert len(rows) == len(json.loads(told.stdout))


def test_parquet_is_written_of_typed_cells(server, tmp_path):
    given = ["--param", "since=2025-01-01", "--param", "until=2027-01-01", "-o", "parquet"]
    command = [binary(), "report", "calls_by_key_address_principal", *given]
    with open(tmp_path / "rows.parquet", "wb") as file:
        subprocess.run(
            [*command, "--endpoint", f"http://{server.target}"], stdout=file,
            env=bare_environment(tmp_path), check=True, timeout=PATIENCE)
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    assert table.schema.field("first_time").type == pyarrow.timestamp("us", tz="UTC")
    assert table.column("calls").to_pylist() == [len(RECORDS)]


def options(authority, folder, name):  # noqa: F811
    cert, private = files(authority, folder, name)
    return ["--ca-cert", folder / "ca.pem", "--client-cert", cert, "--client-key", private]


def test_the_right_to_reports_is_no_right_to_sql(secured, authority, folder):  # noqa: F811
    endpoint = ["--endpoint", f"https://{secured.target}"]

    def asked(name, *args):
        done = run(*args, *endpoint, *options(authority, folder, name))
        return done.returncode, done.stdout, done.stderr

    since = ["--param", "since=2025-01-01", "-o", "json"]
    report = ["report", "calls_by_key_address_principal", *since]
    own = sum(one["recipientAccountId"] == OWN and one["awsRegion"] == "eu-west-1" for one in RECORDS)
    of_other = sum(one["recipientAccountId"] == OTHER for one in RECORDS)
    for name, calls in [
        ("all.example.org", len(RECORDS)), ("one.example.org", own), ("reports.example.org", of_other),
    ]:
        code, out, err = asked(name, *report)
        assert code == 0, err
        assert sum(row["calls"] for row in json.loads(out)) == calls, name
    code, _, err = asked("reports.example.org", "sql", "select 1")
    assert code != 0 and "has no right to this method" in err
    for name in ("parts.example.org", "bare.example.org", "some.example.org"):
        code, _, err = asked(name, *report)
        assert code != 0 and "parts of them, alone" in err, err
        code, _, err = asked(name, "call", "ListReports")
        assert code != 0 and "parts of them, alone" in err, err
    code, _, err = asked("none.example.org", *report)
    assert code != 0 and "has no right to this method" in err

    def ended():
        lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        return [
            line for line in lines
            if line.get("caller") == "reports.example.org" and line["method"].endswith("/RunReport")
            and line["phase"] == "end"
        ]

    wait_for("the call in the audit log", ended)
    [line] = ended()
    assert line["code"] == "OK" and line["events"] == 1
    assert line["asked"] == {
        "name": "calls_by_key_address_principal", "parameters": {"since": "2025-01-01T00:00:00Z"}}


def test_every_report_has_a_page_with_a_picture(server):
    status, text = page(server, "/reports")
    assert status == 200
    assert re.findall(r'href="/reports/(\w+)"', text) == REPORTS
    for name in REPORTS:
        status, text = page(server, f"/reports/{name}?{urlencode(values(name))}")
        if name == "first_seen_places":
            assert status == 400 and "--sql-places" in text
            continue
        assert status == 200, text
        svg = picture(text)
        assert svg.get("role") == "img"
        assert svg.find(f"{SVG}title").text and svg.find(f"{SVG}desc").text
        assert not re.search(r"\son\w+=|style=|<script(?! src=)", text)


def test_the_rows_of_a_page_are_those_of_the_report(server):
    parameters = values("principal_timeline")
    _, rows = ran(server, "principal_timeline", parameters)
    status, text = page(server, f"/reports/principal_timeline?{urlencode(parameters)}")
    assert status == 200
    svg = picture(text)
    told = Counter()
    for title in svg.iter(f"{SVG}title"):
        if found := re.match(r"[-\d: to]+: (?:(\d+) events: )?", title.text or ""):
            told["events"] += int(found[1] or 1) if found[0][:4] == "2026" else 0
    assert told["events"] == len(rows)
    for row in rows:
        assert f'/event?id={row["eventID"]}&amp;account={row["account_id"]}' in text
    status, text = page(server, f"/reports/principal_timeline/rows.csv?{urlencode(parameters)}")
    assert status == 200
    lines = text.splitlines()
    assert len(lines) == 1 + len(rows) and lines[0].startswith("eventTime,account_id,")
    assert lines[1].startswith(rows[0]["eventTime"])


def test_a_form_keeps_what_was_typed_and_says_what_is_wrong(server):
    # one that was not sent is not wrong, and nothing is run
    status, text = page(server, "/reports/principal_timeline")
    assert status == 200 and "Not taken" not in text and "<svg" not in text
    hostile = '"><script>alert(1)</script>'
    status, text = page(server, "/reports/principal_timeline?" + urlencode(
        {"principal": hostile, "since": "soon", "colour": hostile}))
    assert status == 400
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert 'value="soon"' in text and "is no time" in text and 'aria-invalid="true"' in text
    assert "the report has no such parameter" in text
    status, text = page(server, "/reports/resource_history?resource=x&changes_only=Yes")
    assert status == 400 and "give no or yes" in text and '<option value="Yes" selected>' in text
    status, text = page(server, "/reports/resource_history?resource=x&changes_only=yes")
    assert status == 200 and '<select name="changes_only"' in text and '<option value="yes" selected>' in text
    status, text = page(server, f"/reports/{quote('root_use')}")
    assert status == 404 and "did you mean root_usage?" in text


def test_a_console_without_reports_does_not_lead_to_them(archive):
    with Server("--poll", "off", "--aws-endpoint-url", "http://127.0.0.1:9", accounts=[OWN],
                regions=["us-east-1"]) as server:
        status, text = page(server, "/scopes")
        assert status == 200 and "/reports" not in text
        status, text = page(server, "/reports")
        assert status == 404 and "no archive" in text
        assert "no archive" in refusal(server, "RunReport", {"name": "root_usage"})
    with server_of(archive) as server:
        assert 'href="/reports"' in page(server, "/scopes")[1]
