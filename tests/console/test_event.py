"""One event: its record as AWS wrote it, and what happened beside it."""

import json

import pytest
from playwright.sync_api import expect

from fixtures import ACCOUNT, DAY, HARM, MINUTE, PLAIN


def address(known, region):
    return f"/event?id={known.id}&account={ACCOUNT}&region={region}"


def copied(tab):
    """What Copy gives."""
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=tab.origin)
    tab.page.bring_to_front()
    tab.page.get_by_role("button", name="Copy").click()
    expect(tab.page.get_by_role("button", name="Copied")).to_be_visible()
    return tab.page.evaluate("navigator.clipboard.readText()")


def test_a_row_leads_to_its_event(tab, plain):
    tab.open(f"/events?{DAY}&region={PLAIN}")
    known = plain[3]
    tab.follow(tab.column("Time (UTC)").nth(3).get_by_role("link"))
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(known.api["EventName"])
    assert copied(tab) == known.record
    # it is laid out, and no sign of it is lost or new
    laid_out = tab.page.locator("#record").inner_text()
    assert json.loads(laid_out) == json.loads(known.record)
    assert "".join(laid_out.split()) == "".join(known.record.split())
    said = tab.page.locator("dl.event").inner_text()
    for text in (known.id, known.api["Username"], known.api["Resources"][0]["ResourceName"]):
        assert text in said


@pytest.mark.parametrize("kind", ["large", "breaks", "signs", "breakout"])
def test_copies_are_what_aws_wrote(tab, harmful, kind):
    assert tab.open(address(harmful[kind], HARM)) == 200
    got, record = copied(tab), harmful[kind].record
    # not the whole of a quarter of a megabyte in the message
    assert len(got) == len(record)
    assert got == record
    laid_out = tab.page.locator("#record").text_content()
    assert "".join(laid_out.split()) == "".join(record.split())


@pytest.mark.parametrize("way, test", [
    ("Same user", lambda one, other: one.has("Username", other.api["Username"])),
    ("Same access key", lambda one, other: one.has("AccessKeyId", other.api["AccessKeyId"])),
    ("Same ARN", lambda one, other: one.field("userIdentity")["arn"] == other.field("userIdentity")["arn"]),
    ("Same address", lambda one, other: one.field("sourceIPAddress") == other.field("sourceIPAddress")),
    ("Same resource", lambda one, other: one.has("ResourceName", other.api["Resources"][0]["ResourceName"])),
], ids=lambda it: it if isinstance(it, str) else "")
def test_neighbours_are_an_hour_around(tab, plain, way, test):
    known = plain[60]
    tab.open(address(known, PLAIN))
    tab.follow(tab.page.get_by_label("Within an hour of it").get_by_role("link", name=way))
    expected = [
        other for other in plain if abs(other.time - known.time) <= 60 * MINUTE and test(other, known)
    ]
    assert 1 < len(expected) < 120
    # the time of each is its own
    times = tab.column("Time (UTC)").all_inner_texts()
    assert times == [other.field("eventTime").replace("T", " ").rstrip("Z") for other in expected]


def test_an_event_that_is_not_there_is_said(tab):
    tab.allow("status of 404")
    assert tab.open(f"/event?id=00000000-0000-4000-8000-999999999999&account={ACCOUNT}&region={PLAIN}") == 404
    expect(tab.page.get_by_role("alert")).to_contain_text("Not answered")
