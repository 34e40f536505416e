"""Reports, each with its picture: where the server was built with SQL, and none else."""

import datetime
import gzip
import json

import pytest
from playwright.sync_api import expect

import browser as browsing
from browser import AXE, DESKTOP, PHONE, SCREENSHOTS
from fixtures import ACCOUNT, IMAGE, NAMES, SCRIPT
from processes import Server, run

END = datetime.datetime(2024, 5, 7, tzinfo=datetime.UTC)
KEYS = [f"AKIAIOSFODNN7EXAM{n:03}" for n in range(36)]
CALLS = [
    ("s3.amazonaws.com", "GetObject", True), ("s3.amazonaws.com", "PutObject", False),
    ("iam.amazonaws.com", "CreateUser", False), ("ec2.amazonaws.com", "RunInstances", False),
    ("kms.amazonaws.com", "Decrypt", True), ("sts.amazonaws.com", "AssumeRole", True),
]
TIMES = "since=2024-03-01&until=2024-05-07"


def record(number):
    """One of three months, more the later; root's now and then, some with texts that do harm."""
    source, name, reads = CALLS[number % len(CALLS)]
    when = END - datetime.timedelta(hours=number * number % 1500 + number % 7)
    identity = {
        "type": "IAMUser", "userName": f"user-{number % 9}", "accountId": ACCOUNT,
        "principalId": f"AIDA{number % 9}", "accessKeyId": KEYS[number * number % len(KEYS)],
        "arn": f"arn:aws:iam::{ACCOUNT}:user/user-{number % 9}",
    }
    if number % 11 == 0:
        identity = {"type": "Root", "accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root",
                    "principalId": ACCOUNT}
    failed = {}
    if number % 5 == 0:
        code = ["AccessDenied", "NoSuchKey", "ThrottlingException"][number % 3]
        failed = {"errorCode": code, "errorMessage": "no"}
    one = {
        "eventVersion": "1.11", "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "eventSource": source, "eventName": name,
        "awsRegion": "us-east-1", "recipientAccountId": ACCOUNT, "readOnly": reads,
        "eventType": "AwsApiCall", "userIdentity": identity, "userAgent": "aws-cli/2.15",
        "sourceIPAddress": f"192.0.2.{number * 3 % 9}", "managementEvent": True,
        "requestParameters": {"bucketName": f"bucket-{number % 4}", "userName": "x"}, **failed,
    }
    if number % 40 == 7:
        text = list(NAMES.values())[number // 40 % len(NAMES)]
        # the latest is a script, by a key that nobody had before
        text, key = (SCRIPT, f"{SCRIPT} {number}") if number == 7 else (text, text)
        one |= {"eventName": text, "eventSource": text, "sourceIPAddress": text, "userAgent": text,
                "errorCode": text, "requestParameters": {"bucketName": "bucket-1", text: text}}
        one["userIdentity"] = identity | {"userName": text, "arn": text, "accessKeyId": key}
    return one


RECORDS = [record(number) for number in range(600)]


@pytest.fixture(scope="module")
def reporting(tmp_path_factory):
    """A server of an archive of the records."""
    # the command is there with the feature alone
    if run("report").returncode != 0:
        pytest.skip("this trailgate was built without SQL")
    folder = tmp_path_factory.mktemp("reports")
    days = {}
    for one in RECORDS:
        days.setdefault(one["eventTime"][:10], []).append(one)
    for day, records in days.items():
        place = folder / "AWSLogs" / ACCOUNT / "CloudTrail" / "us-east-1" / day.replace("-", "/")
        place.mkdir(parents=True)
        name = f"{ACCOUNT}_CloudTrail_us-east-1_{day.replace('-', '')}T2355Z_aaaaaaaaaaaaaaaa.json.gz"
        (place / name).write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
    loaded = run("backfill", "--archive", folder / "archive", folder / "AWSLogs")
    assert loaded.returncode == 0, loaded.stderr
    with Server("--archive", folder / "archive", "--poll", "off", "--aws-endpoint-url", "http://127.0.0.1:9",
                accounts=[ACCOUNT], regions=["us-east-1"]) as server:
        yield server


PAGES = {
    "reports": "/reports",
    "report-keys": f"/reports/calls_by_key_address_principal?{TIMES}",
    "report-failed": f"/reports/failed_calls_by_principal?{TIMES}",
    "report-first": "/reports/first_seen?since=2024-04-20&until=2024-05-07&compare_from=2024-03-01",
    "report-least": f"/reports/least_privilege?role=user-1&{TIMES}",
    "report-principal": f"/reports/principal_timeline?principal=user-1&{TIMES}",
    "report-resource": f"/reports/resource_history?resource=bucket-1&{TIMES}",
    "report-root": f"/reports/root_usage?{TIMES}",
    "report-unused": "/reports/unused_keys_and_roles?unused_since=2024-05-01",
    "report-wrong": "/reports/principal_timeline?since=soon&colour=red",
    "report-form": "/reports/principal_timeline",
}
LOOKS = [
    pytest.param(scheme, size, id=f"{name}-{scheme}")
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)) for scheme in ("light", "dark")
]


@pytest.mark.parametrize("scheme, size", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_reports_are_for_everyone(chromium, reporting, name, scheme, size, request):
    options = {"color_scheme": scheme, "viewport": size, "reduced_motion": "reduce"}
    if size is PHONE:
        options |= {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
    with browsing.tab(chromium, reporting.http, **options) as tab:
        tab.allow("status of 400")
        tab.open(PAGES[name])
        look = request.node.callspec.id.removeprefix(f"{name}-")
        # of the rows the first are enough
        tab.page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png", full_page=False)
        wide = tab.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], wide
        tab.page.evaluate(AXE.read_text())
        found = tab.page.evaluate("axe.run({resultTypes: ['violations']})")
        assert found["passes"]
        bad = [
            (it["id"], it["impact"], it["help"], [node["html"][:200] for node in it["nodes"][:3]])
            for it in found["violations"] if it["impact"] in ("serious", "critical")
        ]
        assert not bad, json.dumps(bad, indent=1)


# what of a picture is drawn beyond its box, or text over text
CLIPPED = """() => {
  const svg = document.querySelector('svg.chart'), box = svg.getBoundingClientRect(), wrong = [];
  const texts = [...svg.querySelectorAll('text')].map((it) => [it, it.getBoundingClientRect()]);
  for (const it of svg.querySelectorAll('text, rect, circle, path, line')) {
    const at = it.getBoundingClientRect();
    if (it.closest('defs')) continue;
    if (at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1)
      wrong.push(['beyond', it.outerHTML.slice(0, 200)]);
  }
  for (const [one, a] of texts) for (const [other, b] of texts) {
    if (one === other) continue;
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
      wrong.push(['over', one.textContent, other.textContent]);
  }
  return wrong;
}"""


@pytest.mark.parametrize("name", [name for name, path in PAGES.items() if "?" in path and name != "report-wrong"])
def test_no_text_is_clipped_and_none_lies_on_another(chromium, reporting, name):
    with browsing.tab(chromium, reporting.http) as tab:
        assert tab.open(PAGES[name]) == 200
        assert tab.page.evaluate(CLIPPED) == []


def test_a_report_is_asked_by_its_form_and_leads_to_events(chromium, reporting):
    with browsing.tab(chromium, reporting.http) as tab:
        tab.open("/reports")
        tab.follow(tab.page.get_by_role("link", name="What a principal did"))
        tab.page.get_by_label("principal (required)").fill("user-1")
        tab.page.get_by_label("since", exact=True).fill("2024-03-01")
        tab.page.get_by_label("until", exact=True).fill("2024-05-07")
        tab.follow(tab.page.get_by_role("button", name="Run"))
        mine = [
            one for one in RECORDS
            if one["userIdentity"].get("userName") == "user-1"
        ]
        expect(tab.page.locator("tbody tr")).to_have_count(len(mine))
        expect(tab.page.get_by_label("principal (required)")).to_have_value("user-1")
        expect(tab.page.get_by_role("img", name="What a principal did")).to_be_visible()
        link = tab.page.locator("tbody tr").first.locator("a").first
        assert "from=2024-03-01" in link.get_attribute("href")
        with tab.page.expect_download() as download:
            tab.page.get_by_role("link", name="CSV", exact=True).click()
        text = open(download.value.path(), encoding="utf-8", newline="").read()
        assert text.count("\n") >= 1 + len(mine) and SCRIPT not in text.splitlines()[0]


def test_what_is_logged_does_no_harm(chromium, reporting):
    with browsing.tab(chromium, reporting.http) as tab:
        for name in ("report-keys", "report-failed", "report-first", "report-resource"):
            tab.open(PAGES[name])
            assert SCRIPT in tab.page.locator("body").inner_text() or IMAGE in tab.page.locator("body").inner_text()
            tab.verify()
