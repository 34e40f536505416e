"""SIGTERM while a call is under way."""

import json
import signal

import grpc

from conftest import BIG
from processes import PATIENCE, Server, Simulator, get, wait_for
from rpc import Client, event_service_pb2, refusal


def test_a_call_under_way_ends_well(records):
    with Simulator("--fault", "slow=1", "--slow-by", "5s") as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
            with Client(server) as client:
                assert get(f"{server.http}/readyz") == (200, "ok\n")
                request = event_service_pb2.LookupEventsRequest(page_size=10)
                call = client.events.LookupEvents.future(request, timeout=PATIENCE)
                wait_for("the request at the simulator", simulator.requests)
                server.process.send_signal(signal.SIGTERM)
                wait_for("not ready", lambda: get(f"{server.http}/readyz")[0] == 503)
                assert get(f"{server.http}/livez")[0] == 200

                def is_refused():
                    with Client(server) as late:
                        return late.refusal(timeout=5).code == grpc.StatusCode.UNAVAILABLE

                # a moment after it said so
                wait_for("nobody new is let in", is_refused)
                refused = refusal(lambda: client.page(timeout=5))
                assert refused.code == grpc.StatusCode.UNAVAILABLE
                assert not call.done(), "the call did not outlast the checks"
                page = call.result()
                assert len(page.events) == 10 and page.stats.upstream_calls == 1
            assert server.process.wait(PATIENCE) == 0


def test_the_grace_is_bounded(records, tmp_path):
    audit = tmp_path / "audit.jsonl"
    with Simulator("--fault", "slow=1", "--slow-by", "60s") as simulator:
        with Server(
            "--shutdown-grace", "200ms", "--audit-log", audit,
            simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]],
        ) as server:
            with Client(server) as client:
                request = event_service_pb2.LookupEventsRequest()
                call = client.events.LookupEvents.future(request, timeout=PATIENCE)
                wait_for("the request at the simulator", simulator.requests)
                # well before the simulator answers
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(30) == 0
                assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
            assert "cut off" in server.stderr()
    [line] = map(json.loads, audit.read_text().splitlines())
    assert (line["phase"], line["code"]) == ("end", "CANCELLED")


def test_told_twice_it_ends_at_once(records):
    with Simulator("--fault", "slow=1", "--slow-by", "60s") as simulator:
        server = Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]])
        with Client(server) as client:
            request = event_service_pb2.LookupEventsRequest()
            call = client.events.LookupEvents.future(request, timeout=PATIENCE)
            wait_for("the request at the simulator", simulator.requests)
            server.process.send_signal(signal.SIGTERM)
            wait_for("not ready", lambda: get(f"{server.http}/readyz")[0] == 503)
            assert server.stop(signal.SIGINT) == 130
            assert call.code() == grpc.StatusCode.UNAVAILABLE


def test_an_idle_server_stops_at_once_on_either_signal(records):
    for how in (signal.SIGTERM, signal.SIGINT):
        with Simulator() as simulator:
            with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
                with Client(server) as client:
                    # an open connection without calls is nothing to wait for
                    client.page(page_size=1)
                    assert server.stop(how) == 0
