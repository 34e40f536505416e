"""What a client is told when a question cannot be answered."""

import grpc
import pytest

from conftest import BIG
from oracle import distinct
from processes import PATIENCE, Server, Simulator
from rpc import COMPLETE, FAILED, Client, at, event_service_pb2, filters_of, refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def match(**parts):
    return {"filters": filters_of([[{"field": "eventName", "values": ["x"], **parts}]])}


def raw_operator(number):
    filters = match()["filters"]
    filters[0].matches[0].operator = number
    return {"filters": filters}


FIRST = "filters[0].matches[0]"


@pytest.mark.parametrize(("question", "field", "says"), [
    (match(field="eventname"), f"{FIRST}.field", ['"eventname"', 'did you mean "eventName"?']),
    (match(field="Usernmae"), f"{FIRST}.field", ['did you mean "Username"?']),
    (match(field="bucketName"), f"{FIRST}.field", ["requestParameters.bucketName"]),
    (match(field=""), f"{FIRST}.field", ["empty"]),
    (match(field="eventName."), f"{FIRST}.field", ["empty segment"]),
    (match(field="eventName\\x"), f"{FIRST}.field", ["backslash"]),
    (raw_operator(99), f"{FIRST}.operator", ["99"]),
    (match(values=[]), f"{FIRST}.values", ["at least one"]),
    (match(values=["x"] * 1001), f"{FIRST}.values", ["1001", "1000"]),
    (match(values=["ok", "x" * 2001]), f"{FIRST}.values[1]", ["2001", "2000"]),
    (match(operator="EXISTS"), f"{FIRST}.values", ["EXISTS"]),
    (match(operator="REGEX", values=["ok", "(x"]), f"{FIRST}.values[1]", ["(x", "unclosed group"]),
    (match(operator="REGEX", values=["(?:x{1000}){1000}"]), f"{FIRST}.values[0]", ["bytes"]),
    (match(operator="GLOB", values=["x\\"]), f"{FIRST}.values[0]", ["backslash"]),
    (match(operator="CIDR", values=["10.0.0.0/33"]), f"{FIRST}.values[0]", ["10.0.0.0/8"]),
    (match(operator="CIDR", values=["10.0.0"]), f"{FIRST}.values[0]", ["no network"]),
    ({"filters": filters_of([[]] * 33)}, "filters", ["33", "32"]),
    ({"start_time": at(2), "end_time": at(1)}, "start_time", ["after end_time"]),
    ({"start_time": at(10**15)}, "start_time", ["1000000000000000"]),
    ({"end_time": {"seconds": 1, "nanos": -1}}, "end_time", ["-1"]),
    ({"page_size": -1}, "page_size", ["-1", "1000"]),
    ({"page_size": 1001}, "page_size", ["1001", "1000"]),
    ({"max_upstream_calls": -1}, "max_upstream_calls", ["-1"]),
    ({"max_staleness": {"seconds": -1}}, "max_staleness", ["-1"]),
    ({"order": 7}, "order", ["7"]),
    ({"view": 7}, "view", ["7"]),
    ({"event_category": 7}, "event_category", ["7"]),
    ({"account_ids": [BIG[0], "999988887777"]}, "account_ids[1]", ["999988887777", BIG[0]]),
    ({"regions": ["eu-central-1"]}, "regions[0]", ["eu-central-1", BIG[1]]),
    ({"page_token": "no token"}, "page_token", []),
    ({"page_token": "x" * 100_000}, "page_token", []),
])
def test_a_question_that_makes_no_sense_is_refused_with_its_field(
    big_server, simulator, question, field, says
):
    before = simulator.requests()
    with Client(big_server) as client:
        refused = client.refusal(**question)
    assert refused.code == INVALID, refused
    assert [v.field for v in refused.bad_request.field_violations] == [field]
    described = refused.bad_request.field_violations[0].description
    for words in says:
        assert words in described, described
    assert described and described in refused.message
    assert len(refused.message) < 1000
    assert refused.info.domain == "trailgate" and refused.info.reason
    # and cost nothing
    assert simulator.requests() == before


def test_a_token_belongs_to_its_question(big_server):
    with Client(big_server) as client:
        token = client.page(page_size=5).next_page_token
        assert token
        decrypt = filters_of([[{"field": "EventName", "values": ["Decrypt"]}]])
        for other in ({"filters": decrypt}, {"order": 2}, {"start_time": at(1)}, {"view": 1},
                      {"end_time": at(1800000000)}, {"event_category": 2}):
            refused = client.refusal(page_token=token, page_size=5, **other)
            assert refused.code == INVALID, other
            assert refused.info.reason == "INVALID_PAGE_TOKEN"
            assert refused.bad_request.field_violations[0].field == "page_token"
        for broken in (token[:-1], token[1:], token[:-4] + "AAAA", token + "A", token.swapcase()):
            assert client.refusal(page_token=broken, page_size=5).code == INVALID, broken
        # what may differ from page to page
        assert client.page(page_token=token, page_size=7, max_upstream_calls=3).events


def test_a_request_that_is_too_large(big_server):
    with Client(big_server) as client:
        values = ["x" * 1900] * 1000
        refused = client.refusal(**match(values=values))
        assert refused.code == INVALID and refused.info.reason == "REQUEST_TOO_LARGE"
        assert refused.bad_request.field_violations[0].field == "filters"
        assert "1048576" in refused.message
        # the connection goes on
        assert client.page(page_size=1).events


def test_what_is_compressed_is_refused(big_server):
    with Client(big_server) as client:
        request = event_service_pb2.LookupEventsRequest(page_size=1)
        refused = refusal(lambda: client.events.LookupEvents(
            request, timeout=PATIENCE, compression=grpc.Compression.Gzip))
        assert refused.code == grpc.StatusCode.UNIMPLEMENTED
        assert "gzip" in refused.message
        assert client.page(page_size=1).events


def test_what_is_not_there_says_so(big_server):
    with Client(big_server) as client:
        events, requests = client.events, event_service_pb2
        refused = refusal(lambda: events.GetEvent(requests.GetEventRequest()))
        assert refused.code == INVALID
        assert refused.bad_request.field_violations[0].field == "event_id"
        unknown = client.channel.unary_unary("/trailgate.v1.EventService/Nothing")
        assert refusal(lambda: unknown(b"")).code == grpc.StatusCode.UNIMPLEMENTED


def test_a_gateway_that_aws_denies(records):
    with Simulator("--fault", "denied-region=us-east-1") as simulator:
        with Server(simulator=simulator, accounts=["123456789012"], regions=["us-east-1"]) as server:
            with Client(server) as client:
                refused = client.refusal()
                assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
                assert (refused.info.domain, refused.info.reason) == (
                    "trailgate", "UPSTREAM_ACCESS_DENIED"
                )
                assert "AccessDenied" in refused.message and "LookupEvents" in refused.message
                # what AWS says of identities is nobody's business
                assert "arn:" not in str(refused)
        regions = ["us-east-1", "us-west-2"]
        with Server(simulator=simulator, accounts=["123456789012"], regions=regions) as server:
            with Client(server) as client:
                # a scope that fails does not fail the call, and stays failed
                for page in client.pages(page_size=20):
                    denied, searched = page.scopes
                    assert (denied.state, denied.reason) == (FAILED, "UPSTREAM_ACCESS_DENIED")
                    assert {event.region for event in page.events} <= {"us-west-2"}
                assert searched.state == COMPLETE
                only = client.refusal(regions=["us-east-1"])
                assert only.code == grpc.StatusCode.FAILED_PRECONDITION


def test_keys_that_have_expired(records):
    with Simulator("--fault", "expired-credentials=1") as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
            with Client(server) as client:
                refused = client.refusal()
                assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
                assert refused.info.reason == "UPSTREAM_CREDENTIALS"


def test_an_aws_that_is_gone(records):
    simulator = Simulator()
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        with Client(server) as client:
            held = client.page(page_size=100, end_time=at(1689000000))
            assert simulator.stop() == 0
            refused = client.refusal()
            assert refused.code == grpc.StatusCode.UNAVAILABLE
            assert (refused.info.domain, refused.info.reason) == ("trailgate", "UPSTREAM_UNAVAILABLE")
            assert refused.retry is not None
            # what is held and settled is answered all the same
            again = client.page(page_size=100, end_time=at(1689000000))
            assert again.events == held.events and again.stats.upstream_calls == 0


def test_faults_that_pass_are_ridden_out(records):
    faults = ["throttle=0.2", "5xx=0.1", "disconnect=0.1", "expired-token=0.1", "short-page=0.3",
              "duplicate=0.2"]
    arguments = [x for fault in faults for x in ("--fault", fault)]
    expected = [e.record for e in distinct(e for e in records if e.scope == BIG)]
    with Simulator(*arguments) as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
            with Client(server) as client:
                found = client.all(page_size=1000, order=2)
                assert [event.record for event in found] == expected
                counted = simulator.operation(*BIG)
                assert set(counted["errors"]) >= {
                    "ThrottlingException", "Disconnect", "InvalidNextTokenException"
                }
