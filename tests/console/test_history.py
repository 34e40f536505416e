"""Event history: filters, columns, pages, and the address that says it all."""

import pytest
from playwright.sync_api import expect

import fixtures
from browser import Tab
from fixtures import DAY, PLAIN

AT = f"/events?{DAY}&region={PLAIN}&size=200&column=time&column=event&column=user&column=error&column=id"
CASES = [
    ("Username", "User name", "bob"),
    ("EventName", "Event name", "GetUser"),
    ("EventSource", "Event source", "ec2.amazonaws.com"),
    ("ResourceType", "Resource type", "AWS::S3::Bucket"),
    ("ResourceName", "Resource name", "thing-3"),
    ("AccessKeyId", "AWS access key", "AKIAIOSFODNN7EXAMPL2"),
    ("EventId", "Event ID", fixtures.plain()[17].id),
    ("ReadOnly", "Read-only", "false"),
]


def ids(events, *tests):
    return [known.id for known in events if all(test(known) for test in tests)]


@pytest.mark.parametrize("attribute, label, value", CASES, ids=[case[0] for case in CASES])
def test_the_form_filters_by_each_attribute(tab, plain, attribute, label, value):
    tab.open(AT)
    assert tab.ids() == ids(plain)
    form = tab.page.get_by_role("search")
    if attribute == "ReadOnly":
        form.get_by_role("combobox", name=label).select_option("no")
    else:
        form.get_by_role("textbox", name=label, exact=True).fill(value)
    tab.search()
    expected = ids(plain, lambda known: known.has(attribute, value))
    assert 0 < len(expected) < len(plain)
    assert tab.ids() == expected
    # it is said, and taken away again by a click
    chip = tab.page.get_by_label("Filters").get_by_role("link")
    expect(chip).to_contain_text(f"{attribute} = {value}")
    tab.follow(chip)
    assert tab.ids() == ids(plain)


def test_conditions_and_attributes_hold_together(tab, plain):
    tab.open(AT)
    tab.page.get_by_label("Event source", exact=True).fill("sts.amazonaws.com")
    tab.page.get_by_label("Any field").fill("errorCode = AccessDenied\nsourceIPAddress cidr 10.0.1.0/24")
    tab.search()
    expected = ids(
        plain,
        lambda known: known.has("EventSource", "sts.amazonaws.com"),
        lambda known: known.field("errorCode") == "AccessDenied",
        lambda known: known.field("sourceIPAddress").startswith("10.0.1."),
    )
    assert expected and tab.ids() == expected
    expect(tab.page.get_by_label("Filters").get_by_role("listitem")).to_have_count(3)


@pytest.mark.parametrize("wrong", ["errorCode == AccessDenied", "nonsense", "eventName in"])
def test_a_wrong_condition_is_named_and_the_rest_applies(tab, plain, wrong):
    tab.open(AT)
    tab.page.get_by_label("User name", exact=True).fill("carol")
    tab.page.get_by_label("Any field").fill(f"eventName ^= Get\n{wrong}\nerrorCode exists")
    tab.search()
    notice = tab.page.get_by_role("alert")
    expect(notice).to_contain_text("Not applied")
    named = notice.locator("li").all_inner_texts()
    assert len(named) == 1 and named[0].startswith(f"where={wrong}: "), named
    assert tab.ids() == ids(
        plain,
        lambda known: known.has("Username", "carol"),
        lambda known: known.api["EventName"].startswith("Get"),
        lambda known: known.field("errorCode") is not None,
    )


def test_parts_of_another_version_are_named_and_the_rest_applies(tab, plain):
    tab.open(f"{AT}&Username=bob&colour=red&from=soon&order=sideways&column=odd")
    named = tab.page.get_by_role("alert").locator("li").all_inner_texts()
    assert [it.split(":")[0] for it in named] == ["colour=red", "from=soon", "order=sideways", "column=odd"]
    assert tab.ids() == ids(plain, lambda known: known.has("Username", "bob"))


def test_a_page_of_another_question_is_named_and_the_first_is_shown(tab, plain):
    tab.open(AT.replace("size=200", "size=50"))
    tab.follow(tab.page.get_by_role("link", name="Next page"))
    address = tab.page.url.removeprefix(tab.origin)
    assert tab.open(f"{address}&Username=bob") == 200
    [named] = tab.page.get_by_role("alert").locator("li").all_inner_texts()
    assert named.startswith("page: it belongs to another question")
    assert tab.ids() == ids(plain, lambda known: known.has("Username", "bob"))


def test_a_window_that_is_none_is_refused_in_words(tab):
    tab.allow("status of 400")
    assert tab.open("/events?from=2024-05-07&to=2024-05-06") == 400
    expect(tab.page.get_by_role("alert").first).to_contain_text("Not answered")


def test_a_value_that_is_clicked_filters(tab, plain):
    tab.open(AT)
    tab.follow(tab.column("User").get_by_role("link", name="carol").first)
    assert tab.ids() == ids(plain, lambda known: known.has("Username", "carol"))
    tab.follow(tab.column("Error").get_by_role("link").first)
    expected = ids(
        plain,
        lambda known: known.has("Username", "carol"),
        lambda known: known.field("errorCode") == "AccessDenied",
    )
    assert expected and tab.ids() == expected


def test_columns_are_chosen(tab, plain):
    # behind all that would do harm
    late = [known for known in plain if known.field("requestParameters")["number"] >= 20]
    tab.open("/events?from=2024-05-06T12:20&to=2024-05-07")
    usual = tab.page.locator("thead th").all_text_contents()[1:]
    assert usual[:3] == ["Time (UTC)", "Event", "User"] and "ARN" not in usual
    tab.page.get_by_text("More: any field").click()
    boxes = tab.page.get_by_role("group", name="Columns")
    # those that are shown are ticked
    for title in usual:
        box = boxes.get_by_label(title, exact=True)
        expect(box).to_be_checked()
        if title != "Time (UTC)":
            box.uncheck()
    for title in ("ARN", "Event ID"):
        boxes.get_by_label(title, exact=True).check()
    tab.search()
    assert tab.page.locator("thead th").all_text_contents()[1:] == ["Time (UTC)", "ARN", "Event ID"]
    # a page may be shorter than asked for
    told = tab.ids()
    assert told and told == ids(late)[:len(told)]
    expect(tab.column("ARN").first).to_have_text(plain[0].field("userIdentity")["arn"])
    # they stay when something else is asked
    tab.page.get_by_label("User name", exact=True).fill("bob")
    tab.search()
    assert tab.ids() == ids(late, lambda known: known.has("Username", "bob"))


def test_pages_follow_each_other(tab, plain):
    tab.open(AT.replace("size=200", "size=50"))
    told = tab.ids()
    assert 0 < len(told) <= 50
    while (following := tab.page.get_by_role("link", name="Next page")).count():
        tab.follow(following)
        told += tab.ids()
    assert told == ids(plain)
    # and the other way round
    tab.page.get_by_role("combobox", name="Order").select_option("oldest first")
    tab.search()
    told = tab.ids()
    assert told and told == ids(reversed(plain))[:len(told)]


def test_pages_of_the_last_hours_follow_each_other_too(demo_tab):
    """The window that they began with: the next second's would be another."""
    demo_tab.open("/events?column=time&column=id")
    first = demo_tab.ids()
    # the clock goes on between the pages
    told = demo_tab.page.evaluate("new Date().getSeconds()")
    demo_tab.page.wait_for_function("told => new Date().getSeconds() !== told", arg=told)
    demo_tab.follow(demo_tab.page.get_by_role("link", name="Next page"))
    second = demo_tab.ids()
    assert first and second and not set(first) & set(second)
    times = demo_tab.column("Time (UTC)").all_inner_texts()
    assert times == sorted(times, reverse=True)


def test_an_address_shows_others_the_same(chromium, server, tab):
    tab.open(AT.replace("size=200", "size=50"))
    tab.page.get_by_role("combobox", name="Read-only").select_option("yes")
    tab.page.get_by_label("Any field").fill("sourceIPAddress cidr 10.0.0.0/16")
    tab.search()
    tab.follow(tab.page.get_by_role("link", name="Next page"))
    seen, address = shown(tab), tab.page.url.removeprefix(server.http)
    assert seen["ids"] and "page=" in address
    other = Tab(chromium, server.http)
    try:
        assert other.open(address) == 200
        assert shown(other) == seen
        other.verify()
    finally:
        other.context.close()


def shown(tab):
    return {
        "ids": tab.ids(),
        "heads": tab.page.locator("thead th").all_text_contents(),
        "chips": tab.page.locator(".chips li").all_inner_texts(),
        "fields": tab.page.locator("form.filter").evaluate(
            "form => [...new FormData(form)].filter(([, value]) => value !== '')"
        ),
        "counts": tab.page.locator("#counts figcaption").inner_text(),
        "tops": tab.page.locator("#counts .tops").inner_text(),
    }
