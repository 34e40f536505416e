"""Subscriptions of Python's gRPC client: everything, once, as it arrives."""

import concurrent.futures
import json
import random
import signal
import time

import grpc
import pytest

from conftest import BIG
from oracle import distinct, passes
from processes import PATIENCE, Simulator, wait_for
from rpc import (
    OLDEST_FIRST, Client, Refusal, at, event_pb2, filters_of, refusal, scope_service_pb2,
)
from streams import (
    ACCOUNT, REGIONS, SCOPES, SHORT, Gateway, Stream, assert_once, assert_repeats_are_said,
    assert_whole, expired, making, records_of,
)
from test_filters import Fields, Maker
from test_lookup import assert_exactly

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="module")
def live():
    """Events of a day in two scopes, and new ones, that are told late, out of order
    and twice; and it fails now and then."""
    faults = [x for f in ("duplicate=0.2", "short-page=0.1", "5xx=0.02") for x in ("--fault", f)]
    with making(8, "--synthetic", 3_000, "--days", 1, "--delay", "1s", *faults) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def live_server(live):
    with Gateway(live) as server:
        yield server


@pytest.fixture(scope="module")
def replayed(wide_server, records):
    """All that is told of the records."""
    with Client(wide_server) as client:
        stream = Stream(client, start_time=at(min(e.time for e in records)), max_batch_events=1000)
        stream.replay()
        stream.cancel()
        return stream


def test_what_happens_is_told_once_and_as_it_was(live, live_server):
    with Client(live_server) as client:
        stream = Stream(client)
        first = stream.next()
        assert list(stream.marks) == SCOPES and not stream.is_replaying
        assert first.WhichOneof("payload") == "progress"
        since = int(time.time()) + 1
        stream.until(lambda: stream.settled > since + 3)
        assert_whole(stream.events, live, since, stream.marks)
        assert_once(stream.events)
        assert len(stream.events) > 20 and not stream.doubtful
        # what was there before is not new: of 3,000 in a day a minute has two
        assert sum(event.event_time.seconds < since - 10 for event in stream.events) < 10
        marks = [tuple(w.watermark.seconds for w in r.progress.watermarks)
                 for r in stream.responses if r.HasField("progress")]
        assert len(set(marks)) >= 4
        states = {w.collector_state for w in stream.responses[-1].progress.watermarks}
        assert states == {scope_service_pb2.COLLECTOR_STATE_COLLECTING}


def test_history_is_told_whole_and_the_oldest_first(replayed, wide_scopes, records):
    accounts, regions = wide_scopes
    servable = [e for e in records if e.account in accounts and e.region in regions]
    # each identity once, its record as AWS gave it, in the documented order
    assert_exactly(replayed.events, distinct(servable), OLDEST_FIRST)
    # those that reuse an id are events of the records too
    assert set(records_of(replayed.events)) <= {e.record for e in servable}
    assert not replayed.doubtful
    assert {(account, region) for account in accounts for region in regions} == set(replayed.marks)


def test_history_is_what_a_lookup_finds(wide_server, replayed):
    with Client(wide_server) as client:
        found = client.all(page_size=1000, order=OLDEST_FIRST)
    assert replayed.events == found


def test_a_start_is_included_to_the_second(big_server, records):
    scope = distinct(e for e in records if e.scope == BIG)
    start = scope[-100].time
    with Client(big_server) as client:
        found = Stream(client, start_time=at(start)).replay().events
    assert_exactly(found, [e for e in scope if e.time >= start], OLDEST_FIRST)


def test_filters_pass_what_a_loop_finds(wide_server, replayed, records):
    by_record = {e.record: e for e in records}
    fields = Fields([by_record[record] for record in records_of(replayed.events)])
    start = at(min(e.time for e in records))
    found_some = 0
    with Client(wide_server) as client:
        for seed in range(8):
            filters = Maker(fields, seed).filters()
            wanted = [r for r in records_of(replayed.events) if passes(filters, by_record[r])]
            stream = Stream(client, start_time=start, filters=filters_of(filters), max_batch_events=1000)
            assert records_of(stream.replay().events) == wanted, f"seed {seed}: {filters}"
            stream.cancel()
            found_some += 0 < len(wanted) < len(replayed.events)
    assert found_some > 2


def test_accounts_and_regions_are_chosen(wide_server, replayed, records):
    accounts, regions = ["111111111111", "123456789012"], ["us-east-1", "us-west-2"]
    start = at(min(e.time for e in records))
    with Client(wide_server) as client:
        stream = Stream(client, start_time=start, account_ids=accounts, regions=regions)
        stream.replay()
    assert stream.events == [e for e in replayed.events
                             if e.account_id in accounts and e.region in regions]
    assert set(stream.marks) == {(a, r) for a in accounts for r in regions}


def test_the_basic_view_is_the_same_without_records(big_server):
    with Client(big_server) as client:
        full = Stream(client, start_time=at(0)).replay().events
        basic = Stream(client, start_time=at(0), view=event_pb2.EVENT_VIEW_BASIC).replay().events
    assert full
    for event in full:
        event.record = ""
    assert basic == full


def test_a_stream_resumes_exactly_wherever_it_was_cut(big_server):
    chance = random.Random(5)
    with Client(big_server) as client:
        whole = Stream(client, start_time=at(0)).replay()
        for response in chance.sample(whole.responses, 3):
            before = sum(len(r.batch.events) for r in
                         whole.responses[: whole.responses.index(response) + 1])
            rest = Stream(client, resume_token=response.resume_token)
            # the token that it begins with stands where that one did
            assert rest.next().WhichOneof("payload") == "progress"
            again = Stream(client, after=rest)
            for stream in (rest, again):
                assert stream.replay().events == whole.events[before:] and not stream.doubtful
                stream.cancel()
        # by many, one behind the other
        events, start, cuts = [], {"start_time": at(0)}, 0
        while True:
            most = chance.choice([1, 20, 70])
            stream = Stream(client, **start, max_batch_events=most)
            for _ in range(chance.randrange(1, 8)):
                stream.next()
                if not stream.is_replaying:
                    break
            stream.cancel()
            events += stream.events
            start, cuts = {"after": stream}, cuts + 1
            assert not stream.doubtful
            if not stream.is_replaying:
                break
        assert events == whole.events and cuts > 3


def test_a_live_stream_resumes_exactly_wherever_it_was_cut(live, live_server):
    chance = random.Random(6)
    since = int(time.time()) - 7200
    with Client(live_server) as client:
        events, start, cuts = [], {"start_time": at(since)}, 0
        stream = end = None
        while end is None or stream.settled <= end:
            stream = Stream(client, **start, max_batch_events=chance.choice([1, 3, 50]))
            responses = chance.randrange(1, 10)
            stream.until(lambda: len(stream.responses) >= responses)
            stream.cancel()
            events += stream.events
            start, cuts = {"after": stream}, cuts + 1
            assert not stream.doubtful
            if end is None and not stream.is_replaying:
                end = int(time.time()) + 2
        assert_once(events)
        assert_whole(events, live, since, stream.marks)
        assert cuts > 5


def test_a_killed_server_loses_nothing_and_says_what_may_come_again(live):
    since = int(time.time()) - 6 * 3600
    with Gateway(live) as server:
        events, start = [], {"start_time": at(since)}
        # in history, then live
        for enough in (
            lambda stream: len(stream.events) >= 100,
            lambda stream: len(stream.events) >= 300,
            lambda stream: stream.settled > time.time() - 5 and len(stream.events) > 20,
            lambda stream: stream.settled > time.time() - 5 and len(stream.events) > 5,
        ):
            with Client(server) as client:
                stream = Stream(client, **start)
                stream.until(lambda: enough(stream))
                server.kill()
                assert refusal(lambda: list(stream.call)).code == UNAVAILABLE
            assert_repeats_are_said(events, stream)
            events += stream.events
            start = {"after": stream}
            server.start()
        with Client(server) as client:
            stream = Stream(client, **start)
            resumed = int(time.time())
            stream.until(lambda: stream.settled > resumed + 3)
            # what happens now cannot have been told before
            assert stream.doubtful and not stream.responses[-1].may_repeat
            assert not any(event.event_time.seconds > resumed for event in stream.doubtful)
            assert_repeats_are_said(events, stream)
            assert_whole([*events, *stream.events], live, since, stream.marks)


def test_who_reads_slowly_is_told_everything():
    """Of a feed that holds nearly nothing, the rest is read from history."""
    # one Region: in another one nothing may happen for a while
    regions = REGIONS[:1]
    with (
        making(200, regions=regions) as simulator,
        Gateway(simulator, *SHORT, "--feed-size", "64KB", regions=regions) as server,
        Client(server) as client,
    ):
        stream = Stream(client)
        stream.next()
        since = int(time.time()) + 1
        # more than the connection holds
        wait_for("the feed has moved on", lambda: server.metric("feed_events_total") > 600)
        now = int(time.time())
        stream.until(lambda: stream.events and stream.events[-1].event_time.seconds > now + 1)
        assert server.metric("feed_entries") < len(stream.events) / 3
        assert_once(stream.events)
        assert_whole(stream.events, simulator, since, {SCOPES[0]: now})


def test_fifty_at_once_are_told_the_same_at_the_price_of_one():
    with making(8) as simulator, Gateway(simulator) as server:
        before, begun = simulator.requests(), time.monotonic()
        clients = [Client(server) for _ in range(50)]
        streams = [Stream(client) for client in clients]
        for stream in streams:
            stream.next()
        since = int(time.time()) + 1
        with concurrent.futures.ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(lambda s: s.until(lambda: s.settled > since + 2), streams))
        bought, took = simulator.requests() - before, time.monotonic() - begun
        # five polls a second of each scope, and what was there before
        assert bought <= (took * 5 + 3) * len(SCOPES)
        until = min(stream.settled for stream in streams)
        told = [{e.record for e in stream.events if since <= e.event_time.seconds < until}
                for stream in streams]
        assert told[0] and all(one == told[0] for one in told)
        for stream in streams:
            assert_once(stream.events)
        assert_whole(streams[0].events, simulator, since, streams[0].marks)
        for client in clients:
            client.channel.close()


def test_a_shutdown_ends_streams_and_says_how_to_go_on(live):
    with Gateway(live) as server:
        with Client(server) as client:
            streams = [Stream(client) for _ in range(3)]
            for stream in streams:
                stream.next()
            since = int(time.time()) + 1
            streams[0].until(lambda: len(streams[0].events) > 3)
            server.process.process.send_signal(signal.SIGTERM)
            for stream in streams:
                with pytest.raises(grpc.RpcError) as ended:
                    while True:
                        stream.next()
                refused = Refusal(ended.value)
                assert refused.code == UNAVAILABLE
                assert (refused.info.domain, refused.info.reason) == ("trailgate", "SHUTTING_DOWN")
                assert "resume_token" in refused.message and refused.retry.retry_delay.seconds == 1
        assert server.process.process.wait(PATIENCE) == 0
        # each goes on elsewhere
        server.start()
        with Client(server) as client:
            for stream in streams:
                rest = Stream(client, after=stream)
                rest.until(lambda: rest.settled > since + 2)
                assert_whole([*stream.events, *rest.events], live, since, rest.marks)
                assert_repeats_are_said(stream.events, rest)


@pytest.mark.parametrize(("question", "field", "reason", "says"), [
    ({"start_time": at(4_000_000_000)}, "start_time", "INVALID_START_TIME", "in the future"),
    ({"resume_token": "no token"}, "resume_token", "INVALID_RESUME_TOKEN", "not a resume token"),
    ({"resume_token": "x" * 100_000}, "resume_token", "INVALID_RESUME_TOKEN", "not a resume token"),
    ({"max_batch_events": -1}, "max_batch_events", "INVALID_BATCH_SIZE", "-1"),
    ({"max_batch_events": 1001}, "max_batch_events", "INVALID_BATCH_SIZE", "1000"),
    ({"max_batch_wait": {"seconds": -1}}, "max_batch_wait", "INVALID_DURATION", "-1"),
    ({"max_batch_wait": {"seconds": 61}}, "max_batch_wait", "INVALID_DURATION", "60"),
    ({"progress_interval": {}}, "progress_interval", "INVALID_DURATION", "0.1"),
    ({"progress_interval": {"seconds": 3601}}, "progress_interval", "INVALID_DURATION", "1 h"),
    ({"account_ids": [ACCOUNT, "999988887777"]}, "account_ids[1]", "UNKNOWN_SCOPE", "999988887777"),
    ({"regions": ["eu-central-1"]}, "regions[0]", "UNKNOWN_SCOPE", "eu-central-1"),
    ({"view": 7}, "view", None, "7"),
    ({"filters": filters_of([[]] * 33)}, "filters", "INVALID_FILTER", "32"),
    ({"filters": filters_of([[{"field": "eventname", "values": ["x"]}]])},
     "filters[0].matches[0].field", "INVALID_FILTER", 'did you mean "eventName"'),
    ({"filters": filters_of([[{"field": "eventName", "operator": "REGEX", "values": ["("]}]])},
     "filters[0].matches[0].values[0]", "INVALID_FILTER", "unclosed group"),
])
def test_what_cannot_be_subscribed_to_is_refused_with_its_field(
    live_server, question, field, reason, says
):
    with Client(live_server) as client:
        refused = refusal(Stream(client, **question).next)
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT, refused
    assert refused.info.domain == "trailgate" and refused.info.reason
    assert reason in (None, refused.info.reason)
    [violation] = refused.bad_request.field_violations
    assert violation.field == field and says in violation.description, refused
    assert violation.description in refused.message and len(refused.message) < 1000


def test_a_token_belongs_to_its_question(live_server):
    decrypt = filters_of([[{"field": "EventName", "values": ["Decrypt"]}]])
    with Client(live_server) as client:
        stream = Stream(client)
        token = stream.next().resume_token
        for other in ({"filters": decrypt}, {"account_ids": [ACCOUNT]}, {"regions": REGIONS}):
            refused = refusal(Stream(client, resume_token=token, **other).next)
            assert refused.code == grpc.StatusCode.INVALID_ARGUMENT, other
            assert refused.info.reason == "INVALID_RESUME_TOKEN"
            assert "as they were" in refused.message
        for broken in (token[:-1], token[1:], token[:-4] + "AAAA", token + "A", token.swapcase()):
            refused = refusal(Stream(client, resume_token=broken).next)
            assert refused.info.reason == "INVALID_RESUME_TOKEN", broken
        # what may differ
        Stream(client, resume_token=token, view=event_pb2.EVENT_VIEW_BASIC, max_batch_events=7,
               max_batch_wait={"seconds": 1}).next()


def test_a_token_from_before_history_has_expired(live):
    with Gateway(live, history="1s") as server:
        with Client(server) as client:
            token = Stream(client).next().resume_token
        server.kill()
        server.start()
        refused = expired(server, token)
        assert refused.code == grpc.StatusCode.OUT_OF_RANGE
        assert refused.info.reason == "RESUME_TOKEN_EXPIRED"
        assert refused.bad_request.field_violations[0].field == "resume_token"


def record(second, name, event_id):
    return {
        "eventVersion": "1.08", "eventName": name, "eventSource": "s3.amazonaws.com",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)),
        "eventID": event_id, "awsRegion": REGIONS[0], "recipientAccountId": ACCOUNT,
    }


def test_an_id_that_comes_back_is_the_same_event(tmp_path):
    reused = "0a0a0a0a-0000-4000-8000-000000000001"
    now = int(time.time())
    happen = [record(now + second, name, reused) for second, name in
              [(-100, "old"), (3, "first"), (4, "second")]]
    happen.append(record(now + 5, "last", "x"))
    path = tmp_path / "reused.jsonl"
    path.write_text("\n".join(map(json.dumps, happen)))
    with Simulator(records=path) as simulator, Gateway(simulator, regions=REGIONS[:1]) as server:
        with Client(server) as client:
            def told(**start):
                stream = Stream(client, **start)
                stream.until(lambda: any(e.event_name == "last" for e in stream.events))
                return [event.event_name for event in stream.events]

            assert told() == ["first", "last"]
            assert told(start_time=at(now - 1000)) == ["first", "last"]
