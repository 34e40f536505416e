"""The console's pages, as whoever asks for them without a browser gets them."""

import csv
import html
import io
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import BIG
from processes import PATIENCE, Server, Simulator, wait_for

ACCOUNT, REGION = "111122223333", "us-east-1"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Page:
    """An answer."""

    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers
        self.text = answer.read().decode()

    @property
    def words(self):
        """What a reader sees."""
        text = re.sub(r"<(script|style|title)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())

    def links(self, path):
        found = re.findall(r'href="([^"]*)"', self.text)
        return [link for link in map(html.unescape, found) if link.startswith(path)]

    def rows(self):
        return re.findall(r"<tr\b.*?</tr>", self.text.split("<tbody", 1)[-1], re.DOTALL)


def ask(server, path, headers=(), tls=None, **parts):
    query = urllib.parse.urlencode(parts, doseq=True)
    url = f"{server.http}{path}{'?' if query and '?' not in path else ''}{query}"
    opener = _direct
    if tls:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return Page(answer)
    except urllib.error.HTTPError as error:
        with error:
            return Page(error)


@pytest.fixture(scope="module")
def server(records):
    with Simulator() as simulator, Server(
        simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]
    ) as server:
        yield server


def page_of(server, **parts):
    page = ask(server, "/events", **{"from": "2010-01-01", **parts})
    assert page.status == 200, page.words
    return page


def test_every_filter_of_the_form_is_asked(server, records):
    whole = ask(server, "/download", **{"as": "json", "all": "yes", "from": "2010-01-01"})
    told = json.loads(whole.text)
    assert told["not_searched"] == [] and len(told["events"]) > 100
    for field, parameter in [
        ("eventName", "EventName"), ("eventSource", "EventSource"), ("username", "Username"),
        ("accessKeyId", "AccessKeyId"), ("eventId", "EventId"),
    ]:
        value = next(event[field] for event in told["events"] if event.get(field))
        wanted = [event for event in told["events"] if event.get(field) == value]
        found = json.loads(ask(
            server, "/download",
            **{"as": "json", "all": "yes", "from": "2010-01-01", parameter: value}).text)
        assert {e["eventId"] for e in found["events"]} == {e["eventId"] for e in wanted}, parameter
        page = page_of(server, **{parameter: value})
        assert f"{parameter} = {value}" in page.words
        assert len(page.rows()) == min(len(wanted), 50)


def test_records_are_told_as_aws_wrote_them_and_pages_go_on(server, records):
    first = page_of(server, size=20)
    assert len(first.rows()) == 20
    [following] = [link for link in first.links("/events?") if "page=" in link]
    second = ask(server, following)
    events = lambda page: set(map(html.unescape, re.findall(r'value="(id=[^"]+)"', page.text)))
    assert len(second.rows()) == 20 and not events(first) & events(second)
    [link, *_] = first.links("/event?")
    event = ask(server, link)
    assert event.status == 200 and "Within an hour of it" in event.words
    [text] = re.findall(r'data-text="([^"]*)"', event.text, re.DOTALL)
    of = urllib.parse.parse_qs(link.split("?", 1)[1])["id"][0]
    told = json.loads(ask(server, "/download", EventId=of, **{"as": "json", "from": "2010-01-01"}).text)
    assert html.unescape(text) in [event["record"] for event in told["events"]]
    side = ask(server, "/compare", event=sorted(events(first))[:3])
    assert side.status == 200 and "differs" in side.text
    assert ask(server, "/compare", event=sorted(events(first))[:1]).status == 400
    assert ask(server, "/compare", event=sorted(events(first))[:6]).status == 400


def test_what_cannot_be_read_is_named_and_the_rest_applies(server):
    page = page_of(server, EventName="RunInstances", where="a == b", colour="red")
    assert "Not applied" in page.words and "a == b" in page.words and "colour=red" in page.words
    assert "EventName = RunInstances" in page.words
    odd = ask(server, "/events", where="sourceIPAddress cidr 10.0.0.300/8")
    assert odd.status == 200 and "Not applied" in odd.words and "10.0.0.300" in odd.words
    # what is asked of a file that could not be read is named in the file
    for form, said in [("csv", "not applied, as it could not be read: colour=red"), ("json", '"not_applied":["colour=red')]:
        told = ask(server, "/download", colour="red", EventName="RunInstances", **{"as": form})
        assert told.status == 200 and said in told.text, told.text[-300:]
    assert ask(server, "/download", **{"as": "xml"}).status == 400
    # all that could be meant by it is gone, and named
    nowhere = ask(server, "/events", where="nosuch = x", region="mars-1", account="999999999999")
    for part in ("nosuch", "mars-1", "999999999999"):
        assert part in nowhere.words.split("Not applied")[1], nowhere.words
    assert ask(server, "/event", id="no-such-event").status == 404


def test_counts_lead_on(server):
    counts = ask(server, "/counts", **{"from": "2010-01-01", "counts": "all"})
    assert counts.status == 200 and "Event names" in counts.words
    bars = [link for link in counts.links("/events?") if "to=" in link]
    assert bars
    [link] = [link for link in counts.links("/events?EventName=")][:1]
    narrowed = ask(server, link)
    assert narrowed.status == 200 and len(narrowed.rows()) > 0


def test_browsers_are_held_to_what_is_served(server):
    for path in ["/events", "/live", "/scopes", "/assets/x.js"]:
        headers = ask(server, path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(server, "/events").headers["cache-control"] == "no-store"
    # a name that was made to lead here
    assert ask(server, "/events", {"host": "evil.example.org"}).status == 421
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert ask(server, "/download", foreign).status == 403
    # nor do pages have anything of others, or anything inline
    page = page_of(server).text
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert "style=" not in page and not re.search(r"<script(?! src)", page)
    whole = [page_of(server).text, *(ask(server, f"/assets/x.{kind}").text for kind in ("css", "js"))]
    assert sum(len(text.encode()) for text in whole) < 60_000


def test_texts_of_events_do_no_harm(tmp_path):
    odd = "<script>alert(1)</script>\u202e=cmd|' /C calc'!A0"
    record = {
        "eventVersion": "1.09", "eventID": "00000000-0000-4000-8000-000000000001",
        "eventName": "=HYPERLINK(\"x\")", "eventSource": "s3.amazonaws.com", "awsRegion": REGION,
        "eventTime": "2026-01-02T03:04:05Z", "recipientAccountId": ACCOUNT, "userAgent": odd,
        "userIdentity": {"type": "IAMUser", "userName": odd, "accountId": ACCOUNT},
        "requestParameters": {"long": "\"'<&>" * 50_000},
    }
    (tmp_path / "records.json").write_text(json.dumps({"Records": [record]}))
    with Simulator(records=tmp_path) as simulator, Server(
        simulator=simulator, accounts=[ACCOUNT], regions=[REGION]
    ) as server:
        page = page_of(server)
        assert "<script>alert" not in page.text and "alert(1)" in page.words
        [link] = page.links("/event?")[:1]
        event = ask(server, link)
        assert event.status == 200 and "<script>alert" not in event.text
        assert len(event.text) > 250_000
        table = ask(server, "/download", **{"as": "csv", "from": "2010-01-01"}).text
        [head, row] = csv.reader(io.StringIO(table))
        cells = dict(zip(head, row))
        assert cells["event"].startswith("'=") and "\u202e" in cells["user"]


def test_what_was_not_searched_is_said():
    fault = ["--fault", "denied-region=eu-west-1"]
    with Simulator("--synthetic", 100, "--account", ACCOUNT, *fault, records=()) as simulator, Server(
        simulator=simulator, accounts=[ACCOUNT], regions=[REGION, "eu-west-1"]
    ) as server:
        page = page_of(server)
        said = "1 of 2 scopes are missing or were searched in part"
        assert said in page.words and f"{ACCOUNT} eu-west-1 not searched" in page.words
        assert len(page.rows()) > 1
        assert "access denied" in ask(server, "/scopes").words
        every = {"all": "yes", "from": "2010-01-01"}
        told = json.loads(ask(server, "/download", **every, **{"as": "json"}).text)
        assert len(told["not_searched"]) == 1 and told["events"]
        last = ask(server, "/download", **every, **{"as": "csv"}).text.splitlines()[-1]
        assert last.lstrip("\"").startswith("not all was searched: ") and "eu-west-1" in last


POLICY = f"""
rules:
  - users: [alice]
    methods: ['*']
  - users: ['*@example.org', bob]
    methods: [LookupEvents, GetEvent]
    record: false
"""


def test_a_proxy_says_whom_it_brings(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY.replace("'*@example.org', ", ""))
    audit = tmp_path / "audit.jsonl"
    with Server(
        "--demo", "--policy", tmp_path / "policy.yaml", "--audit-log", audit,
        "--console-proxy", "loopback", "--console-user-header", "X-User",
    ) as server:
        alice, bob = {"x-user": "alice"}, {"x-user": "bob"}
        assert ask(server, "/events").status == 401
        assert ask(server, "/events", {"x-user": "eve"}).status == 403
        page = ask(server, "/events", alice)
        assert page.status == 200 and page.rows()
        assert ask(server, "/scopes", alice).status == 200
        assert ask(server, "/scopes", bob).status == 403
        [link] = page.links("/event?")[:1]
        assert "data-text" in ask(server, link, alice).text
        assert "you may not see it" in ask(server, link, bob).words

        def written():
            lines = map(json.loads, audit.read_text().splitlines())
            return {(line.get("caller"), line.get("identity"), line["code"]) for line in lines}

        wait_for("the calls are written", lambda: ("bob", "proxy", "PERMISSION_DENIED") in written())
        assert ("alice", "proxy", "OK") in written()


def test_certificates_count_as_they_do_for_calls(authority, folder, tmp_path):
    cert, key = authority.files(folder, "127.0.0.1")
    (tmp_path / "policy.yaml").write_text(
        "rules: [{callers: [ops.example.org], methods: ['*']}, {users: [carol], methods: [LookupEvents]}]")
    shown = authority.files(folder, "ops.example.org")
    proxy = authority.files(folder, "proxy.example.org")

    def by(files):
        context = ssl.create_default_context(cadata=authority.pem.decode())
        if files:
            context.load_cert_chain(*files)
        return context

    with Server(
        "--demo", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", folder / "ca.pem",
        "--policy", tmp_path / "policy.yaml", "--console-proxy", "proxy.example.org",
    ) as server:
        carol = {"x-forwarded-user": "carol"}
        assert ask(server, "/events", tls=by(None)).status == 401
        # who is no proxy is believed nothing
        assert ask(server, "/scopes", carol, tls=by(shown)).status == 200
        assert ask(server, "/events", carol, tls=by(None)).status == 401
        assert ask(server, "/events", carol, tls=by(proxy)).status == 200
        assert ask(server, "/scopes", carol, tls=by(proxy)).status == 403
        assert ask(server, "/events", tls=by(proxy)).status == 401


def test_live_goes_on_where_it_was():
    with Server("--demo") as server:
        token, seen = None, []
        for _ in range(2):
            headers = {"last-event-id": token} if token else {}
            request = urllib.request.Request(f"{server.http}/live/stream", headers=headers)
            with _direct.open(request, timeout=PATIENCE) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                count = 0
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "data" and '"rows"' in value:
                        seen += json.loads(value)["ids"]
                        count += 1
                    if name == "id":
                        token = value
                        if count:
                            break
        assert len(seen) == len(set(seen)) >= 2


def test_it_can_be_left_out():
    with Server("--demo", "--console=false") as server:
        assert ask(server, "/events").status == 404
        assert ask(server, "/livez").status == 200
