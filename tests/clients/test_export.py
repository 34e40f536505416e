"""Exports to Python's gRPC client: everything, once, in order."""

import grpc
import pytest

from conftest import BIG
from oracle import distinct, passes
from processes import PATIENCE, Server, Simulator
from rpc import (
    COMPLETE, NEWEST_FIRST, OLDEST_FIRST, PARTIAL, Client, event_pb2,
    event_service_pb2 as messages, filters_of, refusal,
)
from test_lookup import assert_exactly, order_of
from test_simulator import aws, lookup

ACCOUNT, REGIONS = "111122223333", ["eu-west-1", "us-east-1"]
DENIED = [[{"field": "errorCode", "operator": "CONTAINS", "values": ["Denied"]}]]


def export(client, **question):
    """The responses of an export."""
    return list(client.events.ExportEvents(messages.ExportEventsRequest(**question), timeout=PATIENCE))


def events_of(responses):
    return [event for response in responses for event in response.events]


@pytest.fixture(scope="module")
def synthetic():
    """20,000 made-up events in two scopes."""
    regions = [x for region in REGIONS for x in ("--region", region)]
    with Simulator("--synthetic", 20_000, "--account", ACCOUNT, *regions, records=()) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def synthetic_server(synthetic):
    with Server(simulator=synthetic, accounts=[ACCOUNT], regions=REGIONS) as server:
        yield server


def test_twenty_thousand_events_come_whole(synthetic, synthetic_server):
    expected = []
    for region in REGIONS:
        expected += [e["CloudTrailEvent"] for e in lookup(aws(synthetic, (ACCOUNT, region)))]
    assert len(expected) == 20_000
    with Client(synthetic_server) as client:
        responses = export(client)
        found = events_of(responses)
        assert sorted(event.record for event in found) == sorted(expected)
        places = [order_of(event) for event in found]
        assert places == sorted(places, reverse=True) and len(set(places)) == len(places)
        assert max(len(response.events) for response in responses) <= 1000
        assert max(response.ByteSize() for response in responses) < 4 * 1024 * 1024
        *going_on, last = responses
        assert not going_on[0].events
        assert all(r.next_page_token and r.scopes[0].reason == "IN_PROGRESS" for r in going_on)
        assert not last.next_page_token
        assert {scope.state for scope in last.scopes} == {COMPLETE}
        # what was bought is told, and is all that was needed
        assert last.stats.upstream_calls == pytest.approx(20_000 / 50, abs=len(REGIONS) + 1)
        # again, the other way round, from what is held
        again = export(client, order=OLDEST_FIRST, max_staleness={"seconds": 3600})
        assert [order_of(event) for event in events_of(again)] == places[::-1]
        assert again[-1].stats.upstream_calls == 0


def test_a_broken_export_goes_on_from_any_token(synthetic_server):
    with Client(synthetic_server) as client:
        responses = export(client)
        whole = [event.event_id for event in events_of(responses)]
        for place in (0, 3, len(responses) - 2):
            token = responses[place].next_page_token
            before = len(events_of(responses[: place + 1]))
            rest = export(client, page_token=token)
            assert [event.event_id for event in events_of(rest)] == whole[before:]
        # and a page of a lookup goes on in an export
        page = client.page(page_size=70)
        rest = export(client, page_token=page.next_page_token)
        found = [*page.events, *events_of(rest)]
        assert {event.event_id for event in found} == set(whole) and len(found) == len(whole)
        refused = refusal(lambda: export(client, page_token=token, view=event_pb2.EVENT_VIEW_BASIC))
        assert refused.info.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST], ids=["newest", "oldest"])
def test_an_export_is_the_pages_of_a_lookup(big_server, records, order):
    expected = distinct(e for e in records if e.scope == BIG and passes(DENIED, e))
    with Client(big_server) as client:
        question = {"filters": filters_of(DENIED), "order": order}
        found = events_of(export(client, **question))
        assert_exactly(found, expected, order)
        assert found == client.all(page_size=1000, **question)


def test_a_limit_and_a_deadline_end_it_in_order(synthetic):
    with Server(simulator=synthetic, accounts=[ACCOUNT], regions=REGIONS, rate=2) as server:
        with Client(server) as client:
            limited = export(client, max_upstream_calls=4)
            last = limited[-1]
            assert last.stats.upstream_calls == 4 and last.next_page_token
            assert {(s.state, s.reason) for s in last.scopes} == {(PARTIAL, "UPSTREAM_CALL_LIMIT")}
            request = messages.ExportEventsRequest(page_token=last.next_page_token)
            # ends of itself before the client's deadline would cut it off
            *_, last = client.events.ExportEvents(request, timeout=5)
            assert last.next_page_token
            assert {(s.state, s.reason) for s in last.scopes} == {(PARTIAL, "DEADLINE")}


def test_a_cancelled_export_buys_nothing_more(synthetic):
    with Server(simulator=synthetic, accounts=[ACCOUNT], regions=REGIONS, rate=20) as server:
        with Client(server) as client:
            call = client.events.ExportEvents(messages.ExportEventsRequest(), timeout=PATIENCE)
            next(response for response in call if response.events)
            call.cancel()
            with pytest.raises(grpc.RpcError):
                list(call)
            # a lookup waits its turn behind what an export had in the queue
            before = synthetic.requests()
            page = client.page(page_size=1, max_staleness={"seconds": 3600})
            assert page.events and page.stats.upstream_calls == 0
            assert synthetic.requests() <= before + len(REGIONS)
