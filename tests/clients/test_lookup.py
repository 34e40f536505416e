"""Python's gRPC client pages through everything."""

import hashlib
import random

import pytest

from conftest import BIG, REGIONS
from oracle import distinct, events, is_ambiguous, is_servable
from processes import Server
from rpc import (
    NEWEST_FIRST, OLDEST_FIRST, PARTIAL, Client, at, event_pb2, event_service_pb2 as messages, refusal,
)


def order_of(event):
    """An answered event's place in the documented order."""
    digest = hashlib.sha256(event.record.encode()).digest()
    return (event.event_time.seconds, event.account_id, event.region, event.event_id, digest)


def assert_exactly(found, expected, order):
    """Each expected event once, in the documented order, its record as AWS
    gave it."""
    places = [order_of(event) for event in found]
    assert len(set(places)) == len(places), "an event came twice"
    assert places == sorted(places, reverse=order == NEWEST_FIRST)
    comparable = [e for e in found if not is_ambiguous(e.account_id, e.region, e.event_id)]
    if order == NEWEST_FIRST:
        comparable.reverse()
    assert [e.record for e in comparable] == [e.record for e in expected]


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST], ids=["newest", "oldest"])
@pytest.mark.parametrize("page_size", [1, 7, 50, 333, 1000])
def test_the_biggest_scope_comes_whole(big_server, records, order, page_size):
    scope = distinct(e for e in records if e.scope == BIG)
    question = {}
    if page_size == 1:
        # page by page, one event each, through the busiest second
        scope = [e for e in scope if e.time in range(1688990875, 1688990879)]
        assert len(scope) > 150
        question = {"start_time": at(1688990875), "end_time": at(1688990878)}
    with Client(big_server) as client:
        sizes = []
        found = []
        for page in client.pages(order=order, page_size=page_size, **question):
            sizes.append(len(page.events))
            found += page.events
        assert_exactly(found, scope, order)
        assert max(sizes) == min(page_size, len(found))


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST], ids=["newest", "oldest"])
@pytest.mark.parametrize("page_size", [50, 1000])
def test_many_scopes_come_as_one(wide_server, wide_scopes, records, order, page_size):
    accounts, regions = wide_scopes
    expected = distinct(e for e in records if e.account in accounts and e.region in regions)
    assert len({e.scope for e in expected}) > 20
    with Client(wide_server) as client:
        assert_exactly(client.all(order=order, page_size=page_size), expected, order)


def test_scopes_are_chosen_by_account_and_region(wide_server, records):
    accounts, regions = ["111111111111", "123456789012"], ["us-west-2", "us-east-1"]
    expected = distinct(e for e in records if e.account in accounts and e.region in regions)
    with Client(wide_server) as client:
        found = client.all(account_ids=accounts, regions=regions, page_size=1000)
        assert_exactly(found, expected, NEWEST_FIRST)


def test_accounts_in_regions_of_their_own(simulator, records):
    """Thirty accounts, each with events in one of thirty Regions: nine hundred
    scopes, and most of them empty."""
    own = sorted({e.scope for e in records if is_servable(e.scope) and e.region not in REGIONS})
    accounts, regions = ({s[i] for s in own[:30]} for i in (0, 1))
    expected = distinct(e for e in records if e.account in accounts and e.region in regions)
    with Server(simulator=simulator, accounts=accounts, regions=regions) as server:
        with Client(server) as client:
            assert_exactly(client.all(page_size=1000), expected, NEWEST_FIRST)
            # and all of it is held now
            again = list(client.pages(page_size=1000, max_staleness={"seconds": 3600}))
            assert [page.stats.upstream_calls for page in again] == [0] * len(again)


def test_times_include_both_ends(big_server, records):
    scope = distinct(e for e in records if e.scope == BIG)
    seconds = sorted({e.time for e in scope})
    chance = random.Random(2)
    with Client(big_server) as client:
        for _ in range(20):
            start, end = sorted(chance.choices(seconds, k=2))
            order = chance.choice([NEWEST_FIRST, OLDEST_FIRST])
            found = client.all(
                start_time=at(start), end_time=at(end), order=order, page_size=1000
            )
            assert_exactly(found, [e for e in scope if start <= e.time <= end], order)


def test_fields_of_events_are_those_of_their_records(wide_server, records):
    by_record = {e.record: e for e in records}
    with Client(wide_server) as client:
        found = client.all(page_size=1000)
    for event in found:
        want = by_record[event.record]
        user = want.fields.get("userIdentity") or {}
        text = lambda name: want.fields.get(name) if isinstance(want.fields.get(name), str) else ""
        assert event.event_id == want.id
        assert event.event_name == want.api["EventName"]
        assert event.event_source == want.api["EventSource"]
        assert event.event_time.seconds == want.time and event.event_time.nanos == 0
        assert (event.account_id, event.region) == want.scope
        assert event.username == want.api.get("Username", "")
        assert event.access_key_id == want.api.get("AccessKeyId", user.get("accessKeyId") or "")
        read_only = {None: None, "true": True, "false": False}[want.api.get("ReadOnly")]
        assert (event.read_only if event.HasField("read_only") else None) == read_only
        resources = [(r.get("ResourceType") or "", r.get("ResourceName") or "")
                     for r in want.api["Resources"]]
        assert [(r.type, r.name) for r in event.resources] == resources
        assert event.error_code == text("errorCode")
        assert event.source_ip_address == text("sourceIPAddress")
        assert event.user_agent == text("userAgent")
        assert event.identity.type == (user.get("type") or "")
        assert event.identity.arn == (user.get("arn") or "")
        assert event.shared_event_id == text("sharedEventID")
        assert event.origin == event_pb2.ORIGIN_LOOKUP_EVENTS
        assert not (event.record_malformed or event.record_lossy or event.event_time_inferred)


def test_the_basic_view_is_the_same_without_records(big_server):
    with Client(big_server) as client:
        full = client.all(page_size=1000)
        basic = client.all(page_size=1000, view=event_pb2.EVENT_VIEW_BASIC)
        for event in full:
            event.record = ""
        assert basic == full


def test_insights_are_a_history_of_their_own(big_server):
    with Client(big_server) as client:
        assert client.all(event_category=event_pb2.EVENT_CATEGORY_INSIGHT) == []


def test_one_event_by_its_id(wide_server, records):
    unique = {}
    for event in events():
        unique.setdefault(event.id, set()).add(event.record)
    scope = [e for e in distinct(records) if e.scope == BIG and len(unique[e.id]) == 1]
    with Client(wide_server) as client:
        for event in random.Random(3).sample(scope, 5):
            got = client.events.GetEvent(messages.GetEventRequest(event_id=event.id), timeout=60)
            assert got.event.record == event.record
        missing = messages.GetEventRequest(event_id="00000000-0000-4000-8000-000000000000")
        refused = refusal(lambda: client.events.GetEvent(missing, timeout=60))
        assert refused.code.name == "NOT_FOUND" and refused.info.reason == "EVENT_NOT_FOUND"


def test_a_call_limit_ends_a_page_and_the_token_goes_on(simulator, records):
    expected = distinct(e for e in records if e.scope == BIG)
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            found = []
            limited = 0
            for page in client.pages(page_size=1000, max_upstream_calls=3):
                assert page.stats.upstream_calls <= 3
                found += page.events
                if page.next_page_token:
                    assert [s.state for s in page.scopes] == [PARTIAL]
                    limited += page.scopes[0].reason == "UPSTREAM_CALL_LIMIT"
            assert_exactly(found, expected, NEWEST_FIRST)
            assert limited > 10
