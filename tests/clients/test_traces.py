"""Traces by OTLP: one from the caller to each request to AWS, and what they cost
where nobody takes them."""

import json
import re
import secrets
import time

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from collector import Collector
from processes import Server, Simulator, get, run, wait_for
from rpc import Client, at, event_service_pb2

ACCOUNT, REGION = "111122223333", "us-east-1"
METHOD = "trailgate.v1.EventService/LookupEvents"
ATTEMPT = "CloudTrail/LookupEvents"
SERVER, CLIENT = 2, 3
ERROR = 2


@pytest.fixture(scope="module")
def throttling():
    """Half of all requests are throttled, and tried again."""
    with Simulator(
        "--synthetic", 2000, "--account", ACCOUNT, "--region", REGION,
        "--fault", "throttle=0.5", "--seed", 3, records=[],
    ) as simulator:
        yield simulator


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


def serve(simulator, collector, *args, env=None):
    to = ["--otlp-endpoint", getattr(collector, "url", collector)] if collector else []
    return Server(
        *to, *args, simulator=simulator, accounts=[ACCOUNT], regions=[REGION], env=env)


def ask(client, trace=None, sampled=True, **question):
    """One page, asked within a trace; its id, and the caller's span."""
    trace, span = trace or secrets.token_hex(16), secrets.token_hex(8)
    parent = [("traceparent", f"00-{trace}-{span}-{'01' if sampled else '00'}")]
    request = event_service_pb2.LookupEventsRequest(page_size=20, **question)
    client.events.LookupEvents(request, metadata=parent, timeout=60)
    return trace, span


def window(days):
    """A day, so many days ago: read by nobody before."""
    now = int(time.time())
    return {"start_time": at(now - 86_400 * (days + 1)), "end_time": at(now - 86_400 * days)}


def whole(collector, trace):
    """The trace's spans, once its call's is there: it ends last."""
    return wait_for("the call's span", lambda: (
        collector.spans(trace, METHOD) and collector.spans(trace)))


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_trace_goes_from_the_caller_to_each_attempt(throttling, collector, form):
    with serve(
        throttling, collector, "--log-format", form, "--log-level", "debug",
        env={"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
             "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=audit"},
    ) as server, Client(server) as client:
        first = 40 if form == "text" else 60
        # by the simulator's seed one of them has it
        for days in range(first, first + 20):
            trace, caller = ask(client, **window(days))
            spans = whole(collector, trace)
            outcomes = [span.attributes.get("error.type") for span in spans if span.name == ATTEMPT]
            if outcomes[:2] == ["ThrottlingException", None]:
                break
        else:
            raise AssertionError("nothing was throttled once")
        call, = collector.spans(trace, METHOD)
        assert (call.parent, call.kind) == (caller, SERVER)
        assert call.attributes["rpc.method"] == "LookupEvents"
        assert call.attributes["rpc.grpc.status_code"] == 0
        assert call.resource["service.name"] == "trailgate"
        assert call.resource["service.version"]
        assert call.resource["deployment.environment.name"] == "test"
        assert collector.headers[0]["x-tenant"] == "audit"
        page = collector.spans(trace, "page")[0]
        assert page.parent == call.id
        assert page.attributes["trailgate.class"] == "interactive"
        inside = [span for span in spans if span.parent == page.id]
        # it waits, is throttled, waits for its turn again, and has its page
        assert [span.name for span in inside][:4] == ["quota", ATTEMPT, "quota", ATTEMPT]
        waited, refused, _, answered = inside[:4]
        assert waited.end <= refused.start <= refused.end <= answered.start
        for number, attempt in [(1, refused), (2, answered)]:
            said = attempt.attributes
            assert attempt.kind == CLIENT
            assert (said["cloud.account.id"], said["cloud.region"]) == (ACCOUNT, REGION)
            assert said["trailgate.attempt"] == number
            assert re.fullmatch(r"[0-9a-f-]{36}", said["aws.request_id"])
        assert refused.status == ERROR and answered.status != ERROR
        assert answered.attributes["trailgate.events"] > 0
        assert refused.attributes["aws.request_id"] != answered.attributes["aws.request_id"]
        # and so do the lines
        lines = [line for line in server.stderr().splitlines() if trace in line]
        assert {"request bought", "cloudtrail refused, trying again", "call ended"} <= {
            said for said in ("request bought", "cloudtrail refused, trying again", "call ended")
            for line in lines if said in line
        }
        for line in lines:
            ids = {span.id for span in spans}
            if form == "json":
                line = json.loads(line)
                assert line["trace_id"] == trace and line["span_id"] in ids
            else:
                found = re.search(r" trace_id=([0-9a-f]{32}) span_id=([0-9a-f]{16})$", line)
                assert found[1] == trace and found[2] in ids
        # what is outside of a trace says nothing of one
        started = next(line for line in server.stderr().splitlines() if "serving" in line)
        assert "trace_id" not in started


def test_who_joins_a_page_links_to_it(collector):
    with Simulator(
        "--synthetic", 2000, "--account", ACCOUNT, "--region", REGION,
        "--fault", "slow=1", "--slow-by", "1s", records=[],
    ) as simulator, serve(simulator, collector) as server, Client(server) as client:
        days = window(30)
        parents = [secrets.token_hex(16) for _ in range(2)]
        calls = [
            client.events.LookupEvents.future(
                event_service_pb2.LookupEventsRequest(page_size=1, **days),
                metadata=[("traceparent", f"00-{trace}-{'1' * 16}-01")], timeout=60)
            for trace in parents
        ]
        for call in calls:
            call.result()
        spans = [whole(collector, trace) for trace in parents]
        pages = [span for of in spans for span in of if span.name == "page"]
        joined = [span for of in spans for span in of if span.name == "joined page"]
        assert joined, "both asked for the same page"
        assert all(link in {(page.trace, page.id) for page in pages}
                   for span in joined for link in span.links)
        assert all(span.links and span.trace != span.links[0][0] for span in joined)


def test_who_calls_decides_and_the_sample_for_the_rest(throttling, collector):
    with serve(throttling, collector, "--trace-sample", 0) as server, Client(server) as client:
        health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        client.events.LookupEvents(event_service_pb2.LookupEventsRequest(page_size=1), timeout=60)
        unsampled, _ = ask(client, sampled=False)
        sampled, _ = ask(client)
        whole(collector, sampled)
        assert not collector.spans(unsampled)
        assert {span.trace for span in collector.spans()} == {sampled}


def test_what_was_begun_is_exported_at_the_end(throttling, collector):
    with serve(throttling, collector) as server, Client(server) as client:
        traces = [ask(client)[0] for _ in range(20)]
    assert {span.trace for span in collector.spans(name=METHOD)} == set(traces)


def counted(server):
    """Spans by what became of them."""
    text = get(f"{server.http}/metrics")[1]
    found = re.findall(r'^trailgate_trace_spans_total\{outcome="(\w+)"\} (\S+)$', text, re.M)
    return {outcome: float(spans) for outcome, spans in found}


def test_a_collector_that_is_away_costs_nothing_but_spans(throttling):
    with Collector() as collector:
        port = collector.port
    with serve(throttling, f"http://127.0.0.1:{port}") as server, Client(server) as client:
        for _ in range(50):
            ask(client)
        wait_for("spans that failed", lambda: counted(server)["failed"] > 0)
        for _ in range(50):
            ask(client)
        with Collector(port) as collector:
            wait_for("spans that arrived", lambda: (
                ask(client) and counted(server)["exported"] > 0))
            assert collector.spans(name=METHOD)
            said = server.stderr()
            assert said.count("the collector does not take spans") == 1, said
            wait_for("it is said", lambda: "takes spans again" in server.stderr())
    # and the end does not wait for it: the server's exit is looked at above
    with serve(throttling, f"http://127.0.0.1:{port}") as server, Client(server) as client:
        ask(client)


def test_without_a_collector_there_are_no_traces(throttling):
    with serve(throttling, None, "--log-level", "debug") as server, Client(server) as client:
        trace, _ = ask(client)
        assert trace not in server.stderr()
        assert not counted(server)


def test_a_level_that_is_read_again_leaves_traces_alone(throttling, collector, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("log_level: error\n")
    with serve(throttling, collector, "--config", file) as server, Client(server) as client:
        trace, _ = ask(client)
        whole(collector, trace)
        assert server.stderr() == ""
        file.write_text("log_level: debug\n")
        server.process.send_signal(1)
        wait_for("it is read", lambda: "settings were read again" in server.stderr())
        trace, _ = ask(client)
        whole(collector, trace)
        assert f"trace_id={trace}" in server.stderr()


@pytest.mark.parametrize("args, word", [
    (["--otlp-endpoint", "collector:4317"], "http://127.0.0.1:4317"),
    (["--otlp-endpoint", "http://"], "--otlp-endpoint"),
    (["--otlp-endpoint", "http://me:secret@collector:4317"], "OTEL_EXPORTER_OTLP_HEADERS"),
    (["--otlp-endpoint", "http://a:1", "--trace-sample", "2"], "0 to 1"),
    (["--trace-sample", "0.5"], "--otlp-endpoint"),
])
def test_what_is_no_setting_is_refused(args, word):
    said = run("serve", "--demo", *args)
    assert said.returncode == 64 and word in said.stderr, said.stderr
    assert "secret" not in said.stderr
