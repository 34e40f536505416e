"""What every page keeps to: readable by all, on any screen, small and steady."""

import json

import pytest
from playwright.sync_api import expect

import browser as browsing
from browser import AXE, DESKTOP, PHONE, SCREENSHOTS
from fixtures import ACCOUNT, DAY, HARM, PLAIN, harmful
from fixtures import plain as plain_events

EVENT = f"id={plain_events()[9].id}&account={ACCOUNT}&region={PLAIN}"
OTHER = f"id={plain_events()[10].id}&account={ACCOUNT}&region={PLAIN}"


def compared(*events):
    return "/compare?" + "&".join("event=" + it.replace("&", "%26").replace("=", "%3D") for it in events)


PAGES = {
    "events": f"/events?{DAY}&region={PLAIN}",
    "events-filtered": f"/events?{DAY}&EventName=GetUser&where=errorCode+exists&where=nonsense&colour=red&column=time&column=arn",
    "events-harmful": f"/events?{DAY}&region={HARM}",
    "events-none": f"/events?{DAY}&Username=nobody",
    "event": f"/event?{EVENT}",
    "event-large": f"/event?id={harmful()['large'].id}&account={ACCOUNT}&region={HARM}",
    "compare": compared(EVENT, OTHER),
    "compare-refused": compared(EVENT),
    "live": f"/live?region={PLAIN}",
    "scopes": "/scopes",
    "refused": "/events?from=2024-05-07&to=2024-05-06",
}
LOOKS = [
    pytest.param(scheme, size, id=f"{name}-{scheme}")
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)) for scheme in ("light", "dark")
]


@pytest.mark.parametrize("scheme, size", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_for_everyone(chromium, server, name, scheme, size, request):
    options = {"color_scheme": scheme, "viewport": size, "reduced_motion": "reduce"}
    if size is PHONE:
        options |= {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
    with browsing.tab(chromium, server.http, **options) as tab:
        tab.allow("status of 400")
        tab.open(PAGES[name])
        if name == "live":
            expect(tab.page.get_by_role("status")).to_have_text("live")
        look = request.node.callspec.id.removeprefix(f"{name}-")
        # of a quarter of a megabyte the first screen is enough
        tab.page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png", full_page=name != "event-large")
        # what is wider scrolls in its own box
        wide = tab.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], wide
        assert tab.page.evaluate("window.shift") < 0.1
        # colours are those of the scheme
        ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light"), ground
        tab.page.evaluate(AXE.read_text())
        found = tab.page.evaluate("axe.run({resultTypes: ['violations']})")
        assert found["passes"]
        bad = [
            (it["id"], it["impact"], it["help"], [node["html"][:200] for node in it["nodes"][:3]])
            for it in found["violations"] if it["impact"] in ("serious", "critical")
        ]
        assert not bad, json.dumps(bad, indent=1)


def focused(page):
    """What has the focus, and whether one sees that."""
    return page.evaluate("""() => {
        const it = document.activeElement, style = getComputedStyle(it);
        return {
            text: it.textContent.trim(), name: it.name || "", tag: it.localName,
            in_row: !!it.closest("#events td"), href: it.getAttribute("href") || "",
            seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        };
    }""")


def tab_to(page, condition, most):
    """Presses Tab until the condition holds; everything on the way shows its focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        at = focused(page)
        # the page itself, between its end and its beginning
        if at["tag"] == "body":
            continue
        assert at["seen"], at
        if condition(at):
            return at
    raise AssertionError(f"not within {most} steps")


def test_all_is_done_by_keyboard(tab, plain):
    tab.open(f"/events?{DAY}&region={PLAIN}")
    page = tab.page
    page.keyboard.press("Tab")
    assert focused(page)["text"] == "Skip to the content"
    with page.expect_event("framenavigated"):
        page.keyboard.press("Enter")
    # the first field is next but one
    tab_to(page, lambda at: at["name"] == "Username", 2)
    page.keyboard.type("bob")
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    tab.settle()
    expected = [known for known in plain if known.has("Username", "bob")]
    expect(page.locator("#events tr")).to_have_count(len(expected))
    # whoever has no mouse does not pass each bar and each value to come to a row
    tab_to(page, lambda at: at["text"] == "Skip to the events", 6)
    with page.expect_event("framenavigated"):
        page.keyboard.press("Enter")
    tab_to(page, lambda at: at["in_row"] and at["href"].startswith("/event?"), 4)
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(expected[0].api["EventName"])
    tab_to(page, lambda at: at["text"] == "Copy", 20)


def test_every_step_of_the_keyboard_is_seen(tab):
    """Bars and values, too, all of them."""
    tab.open(f"/events?{DAY}&region={PLAIN}&size=1")
    page, bars = tab.page, 0

    def at_end(at):
        nonlocal bars
        bars += at["tag"] == "a" and at["href"].startswith("/events?") and "from=2024-05-06T" in at["href"]
        return at["text"] == "Follow live"

    tab_to(page, at_end, 300)
    assert bars > 0


def test_the_first_page_is_small_and_steady(chromium, demo):
    """/events with all it asks for: less than 60 KB, and nothing jumps."""
    with browsing.tab(chromium, demo.http) as tab:
        session = tab.context.new_cdp_session(tab.page)
        session.send("Network.enable")
        sizes = {}
        session.on("Network.loadingFinished", lambda it: sizes.update({it["requestId"]: it["encodedDataLength"]}))
        tab.open("/events")
        # scrolled to the end: what comes into view jumps neither
        tab.page.keyboard.press("End")
        tab.page.wait_for_function("() => scrollY > 0")
        # about a page of 50: one may be shorter
        assert tab.page.locator("#events tr").count() > 40
        assert tab.page.evaluate("window.shift") < 0.1
        assert len(sizes) >= 4
        assert sum(sizes.values()) < 60_000, sizes
