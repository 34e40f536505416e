"""What a policy takes out of events, and what of the server it lets callers use."""

import base64
import hashlib
import json
import time

import grpc
import pytest

from certificates import get
from processes import PATIENCE, Server, Simulator, wait_for
from rpc import DENIED, Client, Refusal, code, event_service_pb2, filters_of, refusal, scope_service_pb2

pb = event_service_pb2

ACCOUNT, REGION = "111122223333", "eu-west-1"
COUNT = 120

POLICY = """
rules:
  - callers: [all.example.org]
    methods: ['*']
  - callers: [some.example.org]
    methods: ['*']
    redact: [requestParameters.password, userIdentity.arn, sourceIPAddress]
  - callers: [basic.example.org]
    methods: ['*']
    record: false
    redact: [userAgent]
  - callers: [few.example.org]
    methods: ['*']
    subscriptions: 1
    exports: 1
    calls_per_second: 3
  - callers: [poor.example.org]
    methods: ['*']
    daily_requests: 1
"""
HIDDEN = ["pass-word", "assumed-role", "192.0.2.7", "alice"]


def lookup_object(number):
    event_id = f"00000000-0000-4000-8000-{number:012}"
    record = {
        "eventID": event_id, "eventName": "CreateThing", "eventSource": "iam.amazonaws.com",
        "eventTime": f"2026-01-02T03:{number // 60:02}:{number % 60:02}Z", "awsRegion": REGION,
        "recipientAccountId": ACCOUNT, "sourceIPAddress": "192.0.2.7",
        "userAgent": "a user agent of some length",
        "userIdentity": {
            "type": "AssumedRole", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/R/alice",
        },
        "requestParameters": {
            "name": "n", "password": f"pass-word-{number}", "list": [{"password": 1}],
        },
        "eventCategory": "Management", "readOnly": False, "eventVersion": "1.11",
    }
    return {
        "EventId": event_id, "EventName": "CreateThing", "EventTime": record["eventTime"],
        "EventSource": record["eventSource"], "ReadOnly": "false", "Username": "alice",
        "Resources": [{"ResourceType": "AWS::IAM::User", "ResourceName": "pass-word"}],
        "CloudTrailEvent": json.dumps(record),
    }


@pytest.fixture(scope="module")
def simulator(folder):
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(lookup_object(n)) + "\n" for n in range(COUNT)))
    with Simulator(records=records) as simulator:
        yield simulator


@pytest.fixture
def audit(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def server(authority, folder, simulator, audit):
    cert, key = authority.files(folder, "127.0.0.1")
    policy = folder / "redaction.yaml"
    policy.write_text(POLICY)
    with Server(
        "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", folder / "ca.pem",
        "--policy", policy, "--audit-log", audit, simulator=simulator, accounts=[ACCOUNT],
        regions=[REGION],
    ) as server:
        yield server


def subscribed(client, **question):
    """All events of a subscription from the beginning."""
    stream = client.events.SubscribeEvents(pb.SubscribeEventsRequest(
        start_time={"seconds": 1767322800}, **question), timeout=PATIENCE)
    events = []
    for response in stream:
        events += response.batch.events
        if len(events) >= COUNT:
            stream.cancel()
            return events


def ways(client, **question):
    """All events, in each of the ways that there are to be told them."""
    one = client.events.GetEvent(pb.GetEventRequest(
        event_id=lookup_object(7)["EventId"], **question), timeout=PATIENCE)
    export = client.events.ExportEvents(pb.ExportEventsRequest(**question), timeout=PATIENCE)
    return {
        "LookupEvents": client.all(**question),
        "ExportEvents": [event for response in export for event in response.events],
        "SubscribeEvents": subscribed(client, **question),
        "GetEvent": [one.event],
    }


def test_what_is_taken_out_is_told_in_no_way_and_marked(as_who):
    every, some = as_who("all.example.org"), as_who("some.example.org")
    for question in ({}, {"view": "EVENT_VIEW_BASIC"}):
        whole, cut = ways(every, **question), ways(some, **question)
        for way, events in cut.items():
            assert len(events) == (1 if way == "GetEvent" else COUNT), way
            for event in events:
                text = str(event)
                assert event.record_redacted, way
                assert not any(hidden in text for hidden in HIDDEN), (way, text)
                assert not (event.username or event.resources or event.source_ip_address), way
                assert not (event.identity.arn or event.identity.session_name), way
                assert event.event_name == "CreateThing" and event.identity.type == "AssumedRole"
            if not question:
                record = json.loads(events[0].record)
                assert record["requestParameters"] == {
                    "name": "n", "password": "REDACTED", "list": [{"password": 1}],
                }
        # who asks the same, and may see it, sees it
        for way, events in whole.items():
            assert not any(event.record_redacted for event in events), way
            assert all(event.username == "alice" for event in events), way


def test_fields_that_would_tell_of_it_are_refused(as_who):
    some, basic = as_who("some.example.org"), as_who("basic.example.org")
    for field in [
        "requestParameters.password", "requestParameters", "record.requestParameters.password",
        "requestParameters.password.inner", "userIdentity", "userIdentity.arn", "Username",
        "ResourceName", "ResourceType", "sourceIPAddress",
    ]:
        by = filters_of([[{"field": field, "operator": "EXISTS"}]])
        for call in [
            lambda: some.page(filters=by),
            lambda: next(some.events.ExportEvents(
                pb.ExportEventsRequest(filters=by), timeout=PATIENCE)),
            lambda: next(some.events.SubscribeEvents(
                pb.SubscribeEventsRequest(filters=by), timeout=PATIENCE)),
            lambda: some.events.SummarizeEvents(
                pb.SummarizeEventsRequest(top_fields=[field]), timeout=PATIENCE),
        ]:
            refused = refusal(call)
            assert (refused.code, refused.info.reason) == (DENIED, "FIELD_NOT_ALLOWED"), field
    # what is beside it is not
    by = filters_of([[{"field": "requestParameters.name", "operator": "EXISTS"}]])
    assert len(some.all(filters=by)) == COUNT
    by = filters_of([[{"field": "userAgent", "operator": "EXISTS"}]])
    assert code(lambda: basic.page(filters=by, view="EVENT_VIEW_BASIC")) == DENIED
    page = basic.page(view="EVENT_VIEW_BASIC")
    assert all(event.record_redacted and not event.user_agent for event in page.events)


def test_a_share_bounds_streams_and_calls(as_who):
    few = as_who("few.example.org")
    first = few.events.SubscribeEvents(pb.SubscribeEventsRequest(
        progress_interval={"nanos": 100_000_000}), timeout=PATIENCE)
    next(first)
    refused = refusal(lambda: next(few.events.SubscribeEvents(
        pb.SubscribeEventsRequest(), timeout=PATIENCE)))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.info.reason == "TOO_MANY_SUBSCRIPTIONS" and "1 of this caller's" in refused.message
    first.cancel()

    start, served, refused = time.monotonic(), 0, []
    # on a slow machine thirty calls may take longer than they may
    while not refused:
        calls = [few.events.GetEvent.future(
            pb.GetEventRequest(event_id="x"), timeout=PATIENCE) for _ in range(30)]
        ended = [Refusal(call.exception()) for call in calls]
        served += sum(end.code == grpc.StatusCode.NOT_FOUND for end in ended)
        refused += [end for end in ended if end.code != grpc.StatusCode.NOT_FOUND]
    for end in refused:
        assert (end.code, end.info.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, "CALL_RATE_EXCEEDED")
        assert "3 calls a second" in end.message and end.retry
    # those of a second at once, and as many a second
    assert served <= 3 + 3 * (time.monotonic() - start)
    # others call as they like
    other = as_who("all.example.org")
    for _ in range(30):
        other.page(page_size=1)


def test_a_daily_allowance_of_ones_own(as_who):
    poor = as_who("poor.example.org")
    page = poor.page(page_size=1000)
    assert 0 < len(page.events) <= 50
    assert {scope.reason for scope in page.scopes} == {"DAILY_ALLOWANCE_SPENT"}
    assert len(as_who("all.example.org").all(page_size=1000)) == COUNT


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_call_is_written_with_who_asked_what_and_what_it_cost(
    as_who, audit, server, authority, folder
):
    every, some, nobody = as_who("all.example.org"), as_who("some.example.org"), as_who(None)
    by = filters_of([[{"field": "EventName", "operator": "EQUALS", "values": ["CreateThing"]}]])
    every.page(filters=by, page_size=10)
    # out of the cache
    assert len(every.all()) == COUNT
    some.refusal(filters=filters_of([[{"field": "userIdentity.arn", "operator": "EXISTS"}]]))
    code(lambda: nobody.page())
    subscribed(some)
    assert get(f"{server.http}/metrics", authority) == 401
    assert get(f"{server.http}/metrics", authority, authority.files(folder, "all.example.org")) == 200

    def ended():
        return [line for line in lines(audit) if line["phase"] == "end"]

    wait_for("the stream's end is written", lambda: any(
        "Subscribe" in line["method"] for line in ended()))
    written = lines(audit)
    first = written[0]
    assert first["method"] == "trailgate.v1.EventService/LookupEvents"
    assert (first["caller"], first["identity"]) == ("all.example.org", "certificate")
    assert (first["phase"], first["code"], first["events"]) == ("end", "OK", 10)
    assert first["asked"]["filters"][0]["matches"][0]["values"] == ["CreateThing"]
    assert first["asked"]["pageSize"] == 10 and first["seconds"] > 0
    denied = [line for line in written if line.get("code") == "PERMISSION_DENIED"]
    assert [line["caller"] for line in denied] == ["some.example.org"]
    assert denied[0]["events"] == 0
    assert denied[0]["asked"]["filters"][0]["matches"][0]["field"] == "userIdentity.arn"
    unknown = [line for line in written if line.get("code") == "UNAUTHENTICATED"]
    assert {line["method"] for line in unknown} == {
        "trailgate.v1.EventService/LookupEvents", "/metrics",
    }
    assert all(line["identity"] == "anonymous" and "caller" not in line for line in unknown)
    stream = [line for line in written if "Subscribe" in line["method"]]
    assert [line["phase"] for line in stream] == ["begin", "end"]
    assert (stream[1]["events"], stream[1]["code"]) == (COUNT, "CANCELLED")
    # whatever was bought stands by some call; a subscription's own looks are everybody's
    scopes = every.scopes.ListScopes(scope_service_pb2.ListScopesRequest(), timeout=PATIENCE)
    bought = sum(scope.requests_bought for scope in scopes.scopes)
    paid = sum(line["requests"] for line in written)
    assert 3 <= paid <= bought


def test_streams_that_share_what_they_tell_are_counted_each(audit):
    with Server("--demo", "--audit-log", audit) as server, Client(server) as client:
        streams = [
            client.events.SubscribeEvents(pb.SubscribeEventsRequest(), timeout=PATIENCE)
            for _ in range(2)
        ]
        # both stand at the end of the log before the next event comes
        read = [0, 0]
        while min(read) < 3:
            for number, stream in enumerate(streams):
                read[number] += len(next(stream).batch.events)
        for stream in streams:
            stream.cancel()
        wait_for("both ends are written", lambda: sum(
            line["phase"] == "end" for line in lines(audit)) == 2)
        told = [line["events"] for line in lines(audit) if line["phase"] == "end"]
        assert sorted(told) >= sorted(read) and min(told) >= 3


def hash_of(event):
    """What a token has of the record of an event."""
    return hashlib.sha256(event.record.encode()).digest()[:16]


def decoded(token):
    """The bytes of a token."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


@pytest.mark.parametrize("order", ["ORDER_NEWEST_FIRST", "ORDER_OLDEST_FIRST"])
def test_tokens_tell_nothing_of_what_was_taken_out(as_who, order):
    every, some = as_who("all.example.org"), as_who("some.example.org")
    whole = {event.event_id: event for event in every.all(order=order)}
    seen, token = [], ""
    while True:
        page = some.page(page_size=7, order=order, page_token=token)
        seen += [event.event_id for event in page.events]
        token = page.next_page_token
        if not token:
            break
        assert hash_of(whole[page.events[-1].event_id]) not in decoded(token)
    # and lose nothing
    assert sorted(seen) == sorted(whole) and len(seen) == COUNT
    page = every.page(page_size=7, order=order)
    assert hash_of(whole[page.events[-1].event_id]) in decoded(page.next_page_token)
