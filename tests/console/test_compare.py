"""Events side by side."""

import pytest
from playwright.sync_api import expect

from fixtures import DAY, PLAIN

AT = f"/events?{DAY}&region={PLAIN}"


def compare(tab, places):
    tab.open(AT)
    for place in places:
        tab.page.locator("#events").get_by_role("checkbox").nth(place).check()
    tab.follow(tab.page.get_by_role("button", name="Compare those that are ticked"))


@pytest.mark.parametrize("places", [[0, 3], [0, 1, 2, 3, 9]], ids=["two", "five"])
def test_what_differs_is_marked(tab, plain, places):
    compare(tab, places)
    chosen = [plain[place] for place in places]
    heads = tab.page.locator("thead th").all_text_contents()
    assert heads == ["Field", *(known.api["EventName"] for known in chosen)]
    rows = {
        row.locator("th code").inner_text(): (row, row.locator("td").all_inner_texts())
        for row in tab.page.locator("table.compare tbody tr").all()
    }
    for name in ("eventName", "eventSource", "eventID", "errorCode", "awsRegion", "eventVersion"):
        row, values = rows[name]
        expected = [known.field(name) or "–" for known in chosen]
        assert values == expected
        differs = len(set(expected)) > 1
        assert ("differs" in (row.get_attribute("class") or "")) == differs, name
        # colour is not all that says so
        assert ("differs" in row.locator("th").text_content()) == differs, name
    assert rows["userIdentity.userName"][1] == [known.api["Username"] for known in chosen]
    assert rows["requestParameters.number"][1] == [str(known.field("requestParameters")["number"]) for known in chosen]
    tab.follow(tab.page.locator("thead").get_by_role("link").last)
    expect(tab.page.locator("dl.event")).to_contain_text(chosen[-1].id)


@pytest.mark.parametrize("places", [[], [0], range(6)], ids=["none", "one", "six"])
def test_too_few_and_too_many_are_refused_in_words(tab, places):
    tab.allow("status of 400")
    compare(tab, places)
    expect(tab.page.get_by_role("alert")).to_contain_text("tick two to five")
