"""A gRPC client whose stubs are generated from the project's protos."""

import functools
import sys
import tempfile
from pathlib import Path

import grpc
import grpc_tools
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

from processes import PATIENCE, ROOT

# what a server sends is at most 3 MiB of events with a little beside them:
# gRPC's own limit of 4 MiB is left in place
CHANNEL = [("grpc.enable_http_proxy", 0)]


@functools.cache
def _generated():
    out = tempfile.mkdtemp(prefix="trailgate-stubs-")
    proto = ROOT / "proto"
    files = [str(path.relative_to(proto)) for path in sorted(proto.rglob("*.proto"))]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{proto}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    assert protoc.main(["protoc", *arguments, *files]) == 0, "protoc failed"
    sys.path.insert(0, out)


_generated()

from trailgate.v1 import (  # noqa: E402
    event_pb2, event_service_pb2, event_service_pb2_grpc, filter_pb2, scope_service_pb2,
    scope_service_pb2_grpc,
)

NEWEST_FIRST = event_pb2.ORDER_NEWEST_FIRST
OLDEST_FIRST = event_pb2.ORDER_OLDEST_FIRST
DENIED = grpc.StatusCode.PERMISSION_DENIED
COMPLETE = event_service_pb2.SEARCH_STATE_COMPLETE
PARTIAL = event_service_pb2.SEARCH_STATE_PARTIAL
FAILED = event_service_pb2.SEARCH_STATE_FAILED


def at(second):
    """A time of the contract."""
    return Timestamp(seconds=second)


def filters_of(filters):
    """Filters of the oracle as messages."""
    return [
        filter_pb2.EventFilter(matches=[
            filter_pb2.Match(
                field=m["field"],
                operator=f"OPERATOR_{m['operator']}" if "operator" in m else None,
                values=m.get("values", []),
                negate=m.get("negate", False),
                ignore_case=m.get("ignore_case", False),
            )
            for m in matches
        ])
        for matches in filters
    ]


class Client:
    """A client of one server, by TLS if it is given credentials."""

    def __init__(self, server, credentials=None):
        target = getattr(server, "target", server)
        self.channel = (
            grpc.secure_channel(target, credentials, CHANNEL)
            if credentials
            else grpc.insecure_channel(target, CHANNEL)
        )
        self.events = event_service_pb2_grpc.EventServiceStub(self.channel)
        self.scopes = scope_service_pb2_grpc.ScopeServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def page(self, timeout=PATIENCE, **question):
        """One page."""
        request = event_service_pb2.LookupEventsRequest(**question)
        return self.events.LookupEvents(request, timeout=timeout)

    def pages(self, **question):
        """All pages."""
        while True:
            page = self.page(**question)
            yield page
            if not page.next_page_token:
                return
            question["page_token"] = page.next_page_token

    def all(self, **question):
        """The events of all pages; every scope must have been searched."""
        found = []
        page = None
        for page in self.pages(**question):
            found += page.events
        states = {(s.account_id, s.region): s.state for s in page.scopes}
        assert set(states.values()) == {COMPLETE}, states
        return found

    def refusal(self, **question):
        """The error that a question gets."""
        return refusal(lambda: self.page(**question))


class Refusal:
    """An error with its details."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        self.info = self.bad_request = self.retry = None
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            for name, kind in (
                ("info", error_details_pb2.ErrorInfo),
                ("bad_request", error_details_pb2.BadRequest),
                ("retry", error_details_pb2.RetryInfo),
            ):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    setattr(self, name, message)

    def __repr__(self):
        return f"{self.code}: {self.message} ({self.info}, {self.bad_request})"


def refusal(call):
    """The error that a call ends with."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return Refusal(error)
    raise AssertionError(f"not refused: {str(answer)[:1000]}")


def code(call):
    """What a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
