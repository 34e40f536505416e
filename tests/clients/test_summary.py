"""Summaries and the list of scopes, against Python's own counting."""

import collections
import random

import pytest

from conftest import BIG
from oracle import counted_in_regions, distinct, leaves_of, passes, text_of
from processes import PATIENCE, Server
from rpc import (
    COMPLETE, Client, at, event_pb2, event_service_pb2 as messages, filters_of, refusal,
    scope_service_pb2 as scopes,
)

FIELDS = ["EventName", "Username", "errorCode", "sourceIPAddress", "ResourceName",
          "userIdentity.sessionContext.attributes.mfaAuthenticated", "requestParameters"]
FILTERS = {
    "everything": [],
    "failures": [[{"field": "errorCode", "operator": "EXISTS"}]],
    "a name, or a service": [
        [{"field": "EventName", "values": ["Decrypt"]}],
        [{"field": "eventSource", "operator": "PREFIX", "values": ["ec2"]}],
    ],
}


def summarize(client, **question):
    request = messages.SummarizeEventsRequest(**question)
    return client.events.SummarizeEvents(request, timeout=PATIENCE)


def counted(events, field):
    """How many events have each value, and how many have none."""
    counts, without = collections.Counter(), 0
    for event in events:
        values = {text_of(leaf) for leaf in leaves_of(field, event)} - {None}
        # the index says an absent one as an empty one
        if field == "EventName":
            values -= {""}
        counts.update(values)
        without += not values
    return counts, without


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("width", [60, 3600, 86_400])
def test_a_summary_is_what_python_counts(big_server, records, filters, width):
    scope = distinct(e for e in records if e.scope == BIG)
    start, end = scope[0].time, scope[-1].time
    # as many buckets as may be
    start = max(start, end - width * 9_000)
    expected = [e for e in scope if start <= e.time <= end and passes(filters, e)]
    with Client(big_server) as client:
        answer = summarize(
            client, filters=filters_of(filters), start_time=at(start), end_time=at(end),
            bucket={"seconds": width}, top_fields=FIELDS, top_values=25,
        )
    assert [s.state for s in answer.scopes] == [COMPLETE]
    assert answer.event_count == len(expected) > 0
    assert answer.bucket.seconds == width
    starts = [bucket.start_time.seconds for bucket in answer.buckets]
    assert starts == list(range(start // width * width, end + 1, width))
    assert not any(bucket.is_partial for bucket in answer.buckets)
    by_time = collections.Counter(e.time // width * width for e in expected)
    assert {s: b.count for s, b in zip(starts, answer.buckets) if b.count} == by_time
    assert [top.field for top in answer.top] == FIELDS
    for top in answer.top:
        counts, without = counted(expected, top.field)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
        assert [(v.value, v.count) for v in top.values] == ranked[:25]
        assert not any(v.is_cut for v in top.values)
        assert (top.distinct_values, top.events_without) == (len(counts), without)
        assert (top.is_truncated, top.uncounted) == (False, 0)


def test_many_scopes_are_counted_as_one(wide_server, wide_scopes, records):
    accounts, regions = wide_scopes
    counts = counted_in_regions(
        [e for e in records if e.account in accounts and e.region in regions])
    with Client(wide_server) as client:
        answer = summarize(client, top_fields=["awsRegion"], top_values=100)
        assert answer.event_count == counts.total()
        assert {v.value: v.count for v in answer.top[0].values} == counts
        assert len(answer.buckets) <= 101
        assert sum(bucket.count for bucket in answer.buckets) == counts.total()


def test_what_a_limit_leaves_out_is_not_counted(simulator, records):
    scope = distinct(e for e in records if e.scope == BIG)
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            chance = random.Random(5)
            while True:
                answer = summarize(
                    client, max_upstream_calls=chance.randint(1, 20), start_time=at(scope[0].time),
                    bucket={"seconds": 86_400}, top_fields=["EventName"], top_values=1000,
                    max_staleness={"seconds": 3600},
                )
                [status] = answer.scopes
                searched = [e for e in scope if status.HasField("searched_from")
                            and e.time >= status.searched_from.seconds]
                assert answer.event_count == len(searched)
                counts, _ = counted(searched, "EventName")
                assert {v.value: v.count for v in answer.top[0].values} == counts
                if status.state == COMPLETE:
                    break
                assert status.reason == "UPSTREAM_CALL_LIMIT"
                assert answer.buckets[0].is_partial
            assert answer.event_count == len(scope)


def test_scopes_say_what_is_held(simulator, records):
    names = ["eu-central-1", BIG[1]]
    with Server(simulator=simulator, accounts=[BIG[0]], regions=names, rate=0) as server:
        with Client(server) as client:
            request = scopes.ListScopesRequest()
            found = client.scopes.ListScopes(request, timeout=PATIENCE).scopes
            assert [(s.account_id, s.region) for s in found] == [(BIG[0], name) for name in names]
            assert {s.state for s in found} == {scopes.SCOPE_STATE_NOT_ASKED}
            before = simulator_requests(simulator, names[1])
            client.all(page_size=1000)
            request = scopes.ListScopesRequest(regions=[BIG[1]])
            [big] = client.scopes.ListScopes(request, timeout=PATIENCE).scopes
            assert big.state == scopes.SCOPE_STATE_OK and not big.last_error
            assert big.collector_state == scopes.COLLECTOR_STATE_NONE
            expected = distinct(e for e in records if e.scope == BIG)
            assert big.coverage.events >= len(expected)
            assert big.coverage.stretches == 1
            assert big.coverage.oldest_time.seconds <= expected[0].time
            assert big.requests_bought == simulator_requests(simulator, names[1]) - before > 0
            request = scopes.ListScopesRequest(regions=["xx-nowhere-1"])
            refused = refusal(lambda: client.scopes.ListScopes(request, timeout=PATIENCE))
            assert refused.info.reason == "UNKNOWN_SCOPE"


def simulator_requests(simulator, region):
    return simulator.operation(BIG[0], region)["requests"]


def test_insights_are_a_history_of_their_own(big_server):
    with Client(big_server) as client:
        # the records have none
        question = {"event_category": event_pb2.EVENT_CATEGORY_INSIGHT}
        assert client.all(**question) == []
        answer = summarize(client, top_fields=["EventName"], **question)
        assert answer.event_count == 0 and answer.top[0].distinct_values == 0
        assert client.page(page_size=1).events
