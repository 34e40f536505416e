"""What is shown, and all of it, as files that do no harm."""

import csv
import io
import json

import pytest

from fixtures import DAY, FORMULA, HARM, NAMES, PLAIN

AT = f"/events?{DAY}&region={PLAIN}&EventSource=ec2.amazonaws.com&size=20&column=time&column=user&column=id"


def download(tab, form, of):
    links = tab.page.locator(".below span", has_text="Download").get_by_role("link", name=form, exact=True)
    with tab.page.expect_download() as began:
        links.nth(["page", "all"].index(of)).click()
    file = began.value
    assert file.failure() is None and file.suggested_filename == f"events.{form.lower()}"
    return open(file.path(), encoding="utf-8", newline="").read()


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("of", ["page", "all"])
def test_files_have_what_is_asked(tab, plain, of):
    tab.open(AT)
    matching = [known for known in plain if known.has("EventSource", "ec2.amazonaws.com")]
    shown = len(tab.ids())
    expected = matching[:shown] if of == "page" else matching
    assert 0 < shown <= 20 < len(matching)
    got = rows(download(tab, "CSV", of))
    assert [row["id"] for row in got] == [known.id for known in expected]
    assert [row["user"] for row in got] == [known.api["Username"] for known in expected]
    said = json.loads(download(tab, "JSON", of))
    assert said["not_searched"] == []
    assert [one["record"] for one in said["events"]] == [known.record for known in expected]


def test_the_second_page_is_that(tab, plain):
    tab.open(AT)
    first = len(tab.ids())
    tab.follow(tab.page.get_by_role("link", name="Next page"))
    second = len(tab.ids())
    matching = [known.id for known in plain if known.has("EventSource", "ec2.amazonaws.com")]
    got = [row["id"] for row in rows(download(tab, "CSV", "page"))]
    assert got and got == matching[first:first + second]
    said = json.loads(download(tab, "JSON", "page"))
    assert [one["eventId"] for one in said["events"]] == got


def test_chosen_columns_are_those_of_the_file(tab):
    tab.open(AT)
    assert list(rows(download(tab, "CSV", "page"))[0]) == ["time", "user", "id"]
    tab.open(f"/events?{DAY}")
    # of none chosen, all
    assert {"arn", "agent", "message"} <= set(rows(download(tab, "CSV", "page"))[0])


def test_a_cell_is_no_formula(tab, harmful):
    tab.open(f"/events?{DAY}&region={HARM}")
    got = {row["id"]: row for row in rows(download(tab, "CSV", "all"))}
    assert len(got) == len(harmful)
    for kind, text in NAMES.items():
        row = got[harmful[kind].id]
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\n")), (kind, cell)
        assert row["user"].removeprefix("'") == text
    assert got[harmful["formula"].id]["user"] == f"'{FORMULA}"
    # the record is what it was, for programs
    said = json.loads(download(tab, "JSON", "all"))
    assert {one["record"] for one in said["events"]} == {known.record for known in harmful.values()}
