"""Scopes, and what is said where one of them does not answer."""

import json

import pytest
from playwright.sync_api import expect

import browser as browsing
from fixtures import ACCOUNT, DAY, HARM, PLAIN
from processes import Server, Simulator


def cells(tab):
    heads = tab.page.locator("thead th").all_text_contents()
    rows = [row.locator("td").all_inner_texts() for row in tab.page.locator("tbody tr").all()]
    return {row[1]: dict(zip(heads, row)) for row in rows}


def test_scopes_say_how_they_do(chromium, simulator):
    with Server(simulator=simulator, accounts=[ACCOUNT], regions=[PLAIN, HARM]) as server:
        with browsing.tab(chromium, server.http) as tab:
            tab.open("/scopes")
            assert {row["State"] for row in cells(tab).values()} == {"not asked yet"}
            tab.open(f"/events?{DAY}&region={PLAIN}")
            tab.open("/scopes")
            said = cells(tab)
            assert said[PLAIN]["Account"] == ACCOUNT and said[PLAIN]["State"] == "answers"
            assert said[PLAIN]["Held"].startswith("120 events")
            assert int(said[PLAIN]["Requests"]) >= 1
            assert said[HARM]["State"] == "not asked yet"
            # the picture says in words what it shows
            assert "2.00 of 90 days held, in 1 stretch" in tab.page.get_by_role("img").first.get_attribute("aria-label")


@pytest.fixture(scope="module")
def denied(records):
    """A server that one Region refuses."""
    with Simulator("--fault", f"denied-region={HARM}", records=records) as simulator:
        with Server(simulator=simulator, accounts=[ACCOUNT], regions=[PLAIN, HARM]) as server:
            yield server


def test_what_was_not_searched_is_said(chromium, denied, plain):
    with browsing.tab(chromium, denied.http) as tab:
        tab.open(f"/events?{DAY}&size=200&column=id")
        assert tab.ids() == [known.id for known in plain]
        notice = tab.page.locator("main > .notice")
        expect(notice).to_contain_text("Not all was searched: 1 of 2 scopes")
        expect(notice.locator("li")).to_contain_text(f"{ACCOUNT} {HARM} not searched")
        # counts say so, too
        expect(tab.page.locator("#counts .notice")).to_contain_text("1 of 2 scopes")
        for form in ("csv", "json"):
            answer = tab.page.request.get(f"{denied.http}/download?{DAY}&all=yes&as={form}")
            text = answer.text()
            if form == "json":
                [said] = json.loads(text)["not_searched"]
            else:
                said = text.rstrip("\n").split("\n")[-1]
                assert said.startswith("not all was searched: ")
            assert f"{ACCOUNT} {HARM}: " in said
        tab.open("/scopes")
        said = cells(tab)[HARM]
        assert said["State"].startswith("access denied") and said["Account"] == ACCOUNT


def test_a_page_that_is_full_hides_nothing(tab):
    """Where there is a next page, that is no fault of any scope."""
    tab.open(f"/events?{DAY}&region={PLAIN}")
    expect(tab.page.get_by_role("link", name="Next page")).to_be_visible()
    expect(tab.page.get_by_role("alert")).to_have_count(0)
    text = tab.page.request.get(f"{tab.origin}/download?{DAY}&region={PLAIN}&as=csv").text()
    rows = tab.page.locator("#events tr").count()
    assert len(text.splitlines()) == 1 + rows and "not all was searched" not in text
