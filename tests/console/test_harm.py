"""What is logged, and who else sends a browser here, do no harm."""

import http.server
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

import browser as browsing
from fixtures import ACCOUNT, DAY, HARM, IMAGE, NAMES, PLAIN

ALL = "&".join(
    f"column={name}" for name in (
        "time event user source resources error address account region agent message arn id"
    ).split()
)


@pytest.mark.parametrize("kind", NAMES)
def test_what_was_logged_is_shown_as_text(tab, harmful, kind):
    """A click on a value asks for that value, whatever it is."""
    known, text = harmful[kind], NAMES[kind]
    at = f"/events?{DAY}&region={HARM}&{ALL}"
    tab.open(at)
    assert len(tab.ids()) == len(harmful)
    row = tab.ids().index(known.id)
    cells = tab.page.locator("#events tr").nth(row).locator("td").all_text_contents()[1:]
    assert cells[1:4] == [text, text, "s3.amazonaws.com"]
    assert cells[4:7] == [text, text, text] and cells[9:11] == [IMAGE + text, text]
    assert tab.page.locator("main script, main img, main [onload], main [onerror]").count() == 0
    for title in ("Event", "User", "Error", "Address"):
        tab.open(at)
        tab.follow(tab.column(title).nth(row).get_by_role("link"))
        assert tab.ids() == [known.id], title
        expect(tab.page.get_by_label("Filters")).to_contain_text(text.replace("\t", " "))
    tab.verify()


@pytest.mark.parametrize("kind", NAMES)
def test_details_and_comparisons_show_text(tab, harmful, kind):
    known, text = harmful[kind], NAMES[kind]
    which = f"id={known.id}&account={ACCOUNT}&region={HARM}"
    tab.open(f"/event?{which}")
    assert tab.page.get_by_role("heading", level=1).text_content() == text
    assert tab.page.locator("main script, main img, main [onload], main [onerror]").count() == 0
    tab.verify()
    tab.open(f"/events?{DAY}&region={HARM}")
    tab.page.locator("#events tr").nth(0).get_by_role("checkbox").check()
    at = tab.page.locator("#events tr").filter(has=tab.page.locator(f"a[href*='{known.id}']"))
    at.get_by_role("checkbox").check()
    tab.follow(tab.page.get_by_role("button", name="Compare those that are ticked"))
    assert text in tab.page.locator("table.compare td").all_text_contents()
    # a path as conditions have it
    key = text.replace("\\", "\\\\").replace(".", "\\.")
    assert f"requestParameters.{key}" in tab.page.locator("table.compare th code").all_text_contents()


def test_top_values_and_chips_keep_to_themselves(tab):
    """A sign that turns the direction does so inside of its own value."""
    tab.open(f"/events?{DAY}&region={HARM}")
    loose = tab.page.evaluate("""() => {
        const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
        const loose = [];
        while (walker.nextNode()) {
            const at = walker.currentNode.parentElement;
            if (/[\\u202a-\\u202e\\u2066-\\u2069]/.test(walker.currentNode.data)
                && !/isolate|plaintext/.test(getComputedStyle(at).unicodeBidi)) loose.push(at.outerHTML);
        }
        return loose;
    }""")
    assert loose == []


def test_a_record_turns_no_direction_outside_of_its_values(tab, harmful):
    tab.open(f"/event?id={harmful['signs'].id}&account={ACCOUNT}&region={HARM}")
    styles = tab.page.locator("#record span.text").evaluate_all(
        "all => [...new Set(all.map(it => getComputedStyle(it).unicodeBidi))]"
    )
    assert styles == ["isolate"]


def test_a_large_record_opens(tab, harmful):
    known = harmful["large"]
    assert len(known.record) > 250_000
    tab.open(f"/events?{DAY}&region={HARM}&EventName=PutLarge")
    tab.follow(tab.column("Time (UTC)").get_by_role("link"))
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("PutLarge")
    assert known.field("requestParameters")["blob"][:1000] in tab.page.locator("#record").text_content().replace("\\\\", "\\")


class Elsewhere:
    """Another site: one page."""

    def __init__(self, page):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                if self.path == "/":
                    self.wfile.write(page.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"], ids=["cross-site", "same-site"])
def test_another_site_cannot_ask_but_may_lead_here(chromium, simulator, server, name):
    asked = simulator.requests()
    page = f"""<a href="{server.http}/scopes">open</a>
        <img src="{server.http}/events?{DAY}"><script src="{server.http}/counts?{DAY}"></script>
        <iframe src="{server.http}/events?{DAY}"></iframe>
        <form action="{server.http}/events" target="there"><button>send</button></form>
        <script>
          window.got = Promise.allSettled(["no-cors", "cors"].map((mode) =>
            fetch("{server.http}/events?{DAY}&Username=elsewhere", {{mode}})
              .then((answer) => answer.text())));
        </script>"""
    with Elsewhere(page) as elsewhere:
        context = chromium.new_context()
        try:
            page = context.new_page()
            refused = []
            page.on("response", lambda answer: answer.url.startswith(server.http) and refused.append(answer.status))
            page.goto(f"http://{name}:{elsewhere.port}/")
            got = page.evaluate("window.got")
            assert all("value" not in one or one["value"] == "" for one in got), got
            page.wait_for_load_state("load")
            # the picture, the script, the frame and both of the fetches
            assert refused and set(refused) == {403}
            assert simulator.requests() == asked
            with page.expect_navigation() as opened:
                page.get_by_role("link", name="open").click()
            assert opened.value.status == 200
            expect(page.get_by_role("heading", level=1)).to_have_text("Scopes")
        finally:
            context.close()


def test_another_name_for_this_machine_is_refused(playwright, server):
    """A page whose name leads here, as DNS rebinding has it."""
    port = urlsplit(server.http).port
    chromium = browsing.launch(playwright, "--host-resolver-rules=MAP evil.example.org 127.0.0.1")
    try:
        page = chromium.new_page()
        for path in ("/events", "/live/stream", "/download?as=json", "/assets/x.js"):
            answer = page.goto(f"http://evil.example.org:{port}{path}")
            assert answer.status == 421
            assert "is not called" in page.locator("body").inner_text()
    finally:
        chromium.close()


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "localhost.evil.org:80", ""])
def test_a_foreign_host_is_refused(server, host):
    request = urllib.request.Request(f"{server.http}/events", headers={"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request)
    assert refused.value.code == 421
    refused.value.close()
