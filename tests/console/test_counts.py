"""Counts: they come by script, and lead into what they count."""

from collections import Counter

from playwright.sync_api import expect

from fixtures import DAY, PLAIN

AT = f"/events?{DAY}&region={PLAIN}&size=200&column=time&column=id"


def test_bars_zoom_until_single_events(tab, plain):
    tab.open(AT)
    expect(tab.page.locator("#counts figcaption")).to_contain_text(f"{len(plain)} events")
    window = (0, 1 << 40)
    for _ in range(3):
        bars = tab.page.locator("#counts svg a").filter(has=tab.page.locator("rect.bar:not([height='0'])"))
        bar = bars.first
        said = bar.locator("title").text_content()
        count = int(said.rsplit(": ", 1)[1])
        assert count > 0
        tab.follow(bar)
        told = tab.ids()
        # what the bar said, and what lies in its time
        assert len(told) == count
        times = sorted(known.time for known in plain if known.id in told)
        inside = [known.id for known in plain if times[0] <= known.time <= times[-1]]
        assert told == inside
        assert window[0] <= times[0] and times[-1] <= window[1]
        window = (times[0], times[-1])
        expect(tab.page.locator("#counts figcaption")).to_contain_text(f"{count} event")


def test_top_values_filter_on_click(tab, plain):
    tab.open(AT)
    counts = Counter(known.api["EventName"] for known in plain)
    names = tab.page.locator("#counts section").filter(
        has=tab.page.get_by_role("heading", name="Event names")
    )
    said = [text.split("\n") for text in names.locator("li").all_inner_texts()]
    assert {name: int(count) for name, count in said} == counts
    tab.follow(names.get_by_role("link", name="PutObject"))
    assert tab.ids() == [known.id for known in plain if known.has("EventName", "PutObject")]
    errors = tab.page.locator("#counts section").filter(
        has=tab.page.get_by_role("heading", name="Errors")
    )
    expect(errors).to_contain_text("none")
    tab.open(AT)
    tab.follow(errors.get_by_role("link", name="AccessDenied"))
    assert tab.ids() == [known.id for known in plain if known.field("errorCode")]


def test_counts_that_do_not_come_are_said(tab):
    tab.allow("ERR_FAILED")
    tab.page.route("**/counts*", lambda route: route.abort())
    tab.page.goto(f"{tab.origin}{AT}")
    expect(tab.page.locator("#counts")).to_contain_text("could not be fetched")
    assert len(tab.ids()) == 120


def test_without_a_script_there_are_events_and_a_way_to_counts(chromium, server, plain):
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(server.http + AT)
        expect(page.locator("#events tr")).to_have_count(len(plain))
        page.get_by_role("link", name="Show counts").click()
        expect(page.locator("figcaption")).to_contain_text(f"{len(plain)} events")
    finally:
        context.close()
