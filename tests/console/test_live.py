"""Live: events as they come, kept back, and after the server was away."""

import re
import socket

import pytest
from playwright.sync_api import expect

import browser as browsing
from browser import DESKTOP, PHONE, SCREENSHOTS
from fixtures import ACCOUNT, PLAIN
from processes import Simulator, Trailgate


@pytest.fixture
def lively():
    """A simulator where something happens all the time."""
    with Simulator(
        "--account", ACCOUNT, "--region", PLAIN, "--synthetic", 50, "--live", 5, records=[]
    ) as simulator:
        yield simulator


def serve(simulator, port):
    """A server whose HTTP port is known beforehand."""
    return Trailgate(
        "serve", "--listen", "127.0.0.1:0", "--http-listen", f"127.0.0.1:{port}",
        "--aws-endpoint-url", simulator.url, "--account", ACCOUNT, "--region", PLAIN,
        "--rate", 0, "--poll-interval", "1s", "--poll-max-interval", "1s",
    )


def free_port():
    with socket.socket() as sock:
        # one that has just been closed may be taken again at once
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def grows(tab, beyond):
    tab.page.wait_for_function(
        "beyond => document.querySelectorAll('#events tr').length > beyond", arg=beyond
    )


def assert_nothing_is_missing(tab):
    """What history has between the oldest and the newest event shown is shown."""
    shown = tab.page.locator("#events tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => cell.innerText))"
    )
    times = [row[0] for row in shown]
    answer = tab.page.request.get(f"{tab.origin}/download?from=-1h&all=yes&as=csv&column=time&column=id")
    history = [line.split(",") for line in answer.text().splitlines()[1:]]
    # a file says that its times are in UTC
    history = [[row[0].replace("T", " ").removesuffix("Z"), *row[1:]] for row in history]
    # a second that the stay began in has events from before it
    between = {row[1] for row in history if min(times) < row[0] < max(times)}
    assert between and between <= {row[-1] for row in shown}


def count(tab):
    return tab.page.locator("#events tr").count()


def test_events_come_are_kept_back_and_go_on(chromium, lively):
    port = free_port()
    with serve(lively, port), browsing.tab(chromium, f"http://127.0.0.1:{port}") as tab:
        tab.open("/live?column=time&column=event&column=id")
        state = tab.page.get_by_role("status")
        expect(state).to_have_text("live")
        grows(tab, 3)
        expect(tab.page.locator("#watermark")).to_contain_text("all told up to")
        tab.page.get_by_role("button", name="Pause").click()
        expect(state).to_contain_text("paused")
        at_pause = tab.ids()
        # more than came while this was read
        expect(state).to_have_text(re.compile(r"paused, ([3-9]|\d\d+) more events"))
        assert tab.ids() == at_pause
        missed = int(re.search(r"\d+", state.inner_text()).group())
        tab.page.get_by_role("button", name="Go on").click()
        expect(state).to_have_text("live")
        grows(tab, len(at_pause) + missed - 1)
        after = tab.ids()
        # above what was there, and nothing twice
        assert after[-len(at_pause):] == at_pause and len(set(after)) == len(after)
        times = tab.column("Time (UTC)").all_inner_texts()
        assert len(times) >= len(after)
        # a filter of Event history holds here, too
        for size, sized in (("desktop", DESKTOP), ("phone", PHONE)):
            tab.page.set_viewport_size(sized)
            tab.page.screenshot(path=SCREENSHOTS / f"live-events-{size}.png")
        tab.page.set_viewport_size(DESKTOP)
        # what is read is what is clicked
        tab.page.get_by_role("button", name="Pause").click()
        expect(state).to_contain_text("paused")
        name = tab.column("Event").first.inner_text()
        tab.follow(tab.column("Event").first.get_by_role("link"))
        assert "/live?" in tab.page.url and f"EventName={name}" in tab.page.url
        grows(tab, 0)
        assert set(tab.column("Event").all_inner_texts()) == {name}


def test_a_server_that_was_away_is_come_back_to(chromium, lively):
    port = free_port()
    with browsing.tab(chromium, f"http://127.0.0.1:{port}") as tab:
        tab.allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET")
        state = tab.page.get_by_role("status")
        with serve(lively, port) as server:
            tab.open("/live?column=time&column=event&column=id")
            # it is not to be loaded again
            tab.page.evaluate("window.stays = true")
            grows(tab, 2)
            server.kill()
            expect(state).to_contain_text("connection lost")
        before = tab.ids()
        tab.page.get_by_role("button", name="Pause").click()
        tab.page.get_by_role("button", name="Go on").click()
        # still so, whatever is clicked
        expect(state).to_contain_text("connection lost")
        with serve(lively, port):
            expect(state).to_have_text("live")
            grows(tab, len(before) + 2)
            after = tab.ids()
            assert after[-len(before):] == before and len(set(after)) == len(after)
            assert tab.page.evaluate("window.stays")
            assert_nothing_is_missing(tab)


def test_an_answer_that_ends_as_it_should_is_no_loss(chromium, lively):
    """The port ends each answer after a while; the browser comes again at once."""
    port = free_port()
    with serve(lively, port), browsing.tab(chromium, f"http://127.0.0.1:{port}") as tab:
        tab.open("/live?column=time&column=id")
        grows(tab, 0)
        tab.page.evaluate("""
            window.said = [];
            new MutationObserver(() => window.said.push(document.getElementById("state").textContent))
              .observe(document.getElementById("state"), {childList: true, characterData: true, subtree: true});
        """)
        with tab.page.expect_request("**/live/stream*"):
            pass
        grows(tab, count(tab) + 2)
        assert set(tab.page.evaluate("window.said")) <= {"live"}
        ids = tab.ids()
        assert len(set(ids)) == len(ids)
        assert_nothing_is_missing(tab)


def test_a_filter_that_cannot_be_read_is_named(chromium, server):
    with browsing.tab(chromium, server.http) as tab:
        tab.open("/live?where=nonsense&region=us-east-1")
        expect(tab.page.get_by_role("alert")).to_contain_text("where=nonsense")
        expect(tab.page.get_by_role("status")).to_have_text("live")


def test_a_question_that_is_refused_is_said(chromium, server):
    with browsing.tab(chromium, server.http) as tab:
        tab.open("/live?region=mars-north-1")
        expect(tab.page.get_by_role("status")).to_contain_text("not answered: ")


def test_an_error_is_not_taken_for_live(chromium, server):
    """A browser does not come again after one, as of a proxy whose server is away; the page does."""
    with browsing.tab(chromium, server.http) as tab:
        tab.allow("status of 502")
        tab.page.route("**/live/stream*", lambda route: route.fulfill(status=502, body="none"))
        tab.open(f"/live?region={PLAIN}")
        state = tab.page.get_by_role("status")
        expect(state).to_contain_text("connection lost")
        tab.page.get_by_role("button", name="Pause").click()
        tab.page.get_by_role("button", name="Go on").click()
        expect(state).to_contain_text("connection lost")
        tab.page.unroute("**/live/stream*")
        expect(state).to_have_text("live")
