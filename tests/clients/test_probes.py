"""Health, reflection, probes and metrics."""

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from conftest import BIG
from processes import PATIENCE, Server, Simulator, get
from rpc import Client, refusal
from test_metrics import scrape

SERVICES = {"trailgate.v1.EventService", "trailgate.v1.ScopeService"}


def test_health_is_serving(big_server):
    with Client(big_server) as client:
        health = health_pb2_grpc.HealthStub(client.channel)
        for name in ["", *SERVICES]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        unknown = health_pb2.HealthCheckRequest(service="nothing")
        assert refusal(lambda: health.Check(unknown)).code == grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


def test_a_connection_has_two_watches_and_they_end_with_its_age():
    with Server("--demo", "--max-connection-age", "2s", "--shutdown-grace", "100ms") as server:
        with Client(server) as client:
            health = health_pb2_grpc.HealthStub(client.channel)

            def watch():
                return health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)

            watches = [watch(), watch()]
            for one in watches:
                assert next(one).status == health_pb2.HealthCheckResponse.SERVING
            refused = refusal(lambda: next(watch()))
            assert (refused.code, refused.info.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
            assert health.Check(health_pb2.HealthCheckRequest()).status
            for one in watches:
                ended = refusal(lambda: next(one))
                assert (ended.code, ended.info.reason) == (
                    grpc.StatusCode.UNAVAILABLE, "CONNECTION_AGE")
            # and over another connection it goes on
            assert next(watch()).status == health_pb2.HealthCheckResponse.SERVING


def reflect(channel, **question):
    """One question to reflection, v1: grpcio's own messages are those of
    v1alpha, which are the same on the wire."""
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return next(call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=60))


def test_reflection_tells_the_contract(big_server):
    with Client(big_server) as client:
        listed = reflect(client.channel, list_services="").list_services_response.service
        assert {s.name for s in listed} >= {
            *SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"
        }
        files = reflect(client.channel, file_containing_symbol="trailgate.v1.EventService")
        found = {}
        wanted = list(files.file_descriptor_response.file_descriptor_proto)
        while wanted:
            file = descriptor_pb2.FileDescriptorProto.FromString(wanted.pop())
            if file.name not in found:
                found[file.name] = file
                for name in file.dependency:
                    answer = reflect(client.channel, file_by_filename=name)
                    wanted += answer.file_descriptor_response.file_descriptor_proto
        pool = DescriptorPool()
        added = set()

        def add(name):
            """Adds a file, what it depends on first."""
            if name not in added:
                added.add(name)
                for dependency in found[name].dependency:
                    add(dependency)
                pool.Add(found[name])

        for name in found:
            add(name)
        service = pool.FindServiceByName("trailgate.v1.EventService")
        assert {m.name for m in service.methods} == {
            "LookupEvents", "ExportEvents", "GetEvent", "SummarizeEvents", "SubscribeEvents",
                "IngestEvents",
        }


def metrics(server):
    """Samples by name and labels; the whole text must be OpenMetrics."""
    text = scrape(server, accept="application/openmetrics-text; version=1.0.0")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(name, **labels):
    return name, frozenset(labels.items())


def test_probes_and_metrics_count_what_happened(records):
    with Simulator() as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
            assert get(f"{server.http}/livez") == (200, "ok\n")
            assert get(f"{server.http}/readyz") == (200, "ok\n")
            assert get(f"{server.http}/nothing")[0] == 404
            # a server that has done nothing can be scraped too
            assert metrics(server)
            with Client(server) as client:
                pages = list(client.pages(page_size=500))
                assert client.refusal(page_size=-1).code == grpc.StatusCode.INVALID_ARGUMENT
            found = metrics(server)
            method = "trailgate.v1.EventService/LookupEvents"
            calls = "trailgate_grpc_calls_total"
            assert found[labelled(calls, method=method, code="OK")] == len(pages)
            assert found[labelled(calls, method=method, code="INVALID_ARGUMENT")] == 1
            count = labelled("trailgate_grpc_call_duration_seconds_count", method=method)
            assert found[count] == len(pages) + 1
            bought = labelled(
                "trailgate_upstream_requests_total", account=BIG[0], region=BIG[1],
                **{"class": "interactive"})
            told = sum(page.stats.upstream_calls for page in pages)
            assert found[bought] == told == simulator.operation(*BIG)["requests"]
            assert found[labelled("trailgate_cache_bytes")] > sum(
                len(event.record) for page in pages for event in page.events
            )


def test_probes_do_not_depend_on_aws(records):
    with Simulator("--fault", "throttle=1") as simulator:
        with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]], rate=2) as server:
            with Client(server) as client:
                # nothing could be searched: no page that promises nothing
                error = refusal(lambda: client.page(timeout=3))
                assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert error.info.reason == "QUOTA_EXHAUSTED"
                assert error.retry is not None
            assert get(f"{server.http}/readyz")[0] == 200
            throttled = labelled("trailgate_upstream_throttled_total", account=BIG[0], region=BIG[1])
            assert metrics(server)[throttled] == simulator.operation(*BIG)["throttled"] > 0
