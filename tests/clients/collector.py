"""A collector of traces: it takes spans by OTLP, and keeps them."""

import threading
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """A span, with its ids in hex and its attributes as Python has them."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple
    attributes: dict = field(hash=False)
    status: int
    start: int
    end: int
    resource: dict = field(hash=False)


def _attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """On a free port of loopback, or on one that was free before."""

    def __init__(self, port=0):
        self._lock = threading.Lock()
        self._spans = []
        self.headers = []
        # what came, byte for byte
        self.raw = b""
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def Export(self, request, context):
        with self._lock:
            self.raw += request.SerializeToString()
            self.headers.append(dict(context.invocation_metadata()))
            for of_resource in request.resource_spans:
                resource = _attributes(of_resource.resource.attributes)
                for scope in of_resource.scope_spans:
                    self._spans += [
                        Span(
                            span.name, span.kind, span.trace_id.hex(), span.span_id.hex(),
                            span.parent_span_id.hex(),
                            tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                            _attributes(span.attributes), span.status.code,
                            span.start_time_unix_nano, span.end_time_unix_nano, resource,
                        )
                        for span in scope.spans
                    ]
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self, trace=None, name=None):
        """Those of a trace, and of a name; in the order that they began."""
        with self._lock:
            found = [
                span for span in self._spans
                if trace in (None, span.trace) and name in (None, span.name)
            ]
        return sorted(found, key=lambda span: span.start)

    def stop(self):
        self._server.stop(None).wait()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.stop()
