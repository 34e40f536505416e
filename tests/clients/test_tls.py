"""TLS, and callers who are known by their certificates."""

import ssl
import urllib.error

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from google.protobuf.duration_pb2 import Duration

from certificates import Authority, get
from processes import PATIENCE, Server, Simulator, run, wait_for
from rpc import Client, Refusal, event_service_pb2, refusal
from test_probes import reflect

ACCOUNT, REGION = "111122223333", "us-east-1"


@pytest.fixture(scope="module")
def alerts(authority, folder):
    """What a caller shows."""
    return authority.files(folder, "alerts.example.org")


@pytest.fixture(scope="module")
def server(authority, folder):
    """A server that asks for certificates; a caller may buy two requests a day."""
    cert, key = authority.files(folder, "127.0.0.1")
    with Simulator(
        "--account", ACCOUNT, "--region", REGION, "--synthetic", 2000, records=()
    ) as simulator, Server(
        "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", folder / "ca.pem",
        "--caller-daily-requests", 2,
        simulator=simulator, accounts=[ACCOUNT], regions=[REGION],
    ) as server:
        yield server


def has_spent_all(client):
    """Whether a caller may buy nothing more; else it buys one request."""
    try:
        page = client.page(max_staleness=Duration(), page_size=1)
    except grpc.RpcError as error:
        return Refusal(error).info.reason == "DAILY_ALLOWANCE_SPENT"
    return page.scopes[0].reason == "DAILY_ALLOWANCE_SPENT"


def test_who_shows_a_certificate_is_answered_by_its_name(server, authority, folder, alerts):
    with Client(server, authority.credentials(alerts)) as client:
        assert len(client.page(page_size=5).events) == 5
        # the allowance is the name's, not the address's
        wait_for("the allowance is spent", lambda: has_spent_all(client))
    others = authority.files(folder, "reports.example.org")
    with Client(server, authority.credentials(others)) as client:
        assert not has_spent_all(client)


def test_who_shows_none_learns_that_the_server_is_healthy_and_nothing_else(server, authority):
    with Client(server, authority.credentials()) as client:
        health = health_pb2_grpc.HealthStub(client.channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        unknown = client.channel.unary_unary("/trailgate.v1.EventService/Nothing")
        for call in [
            lambda: client.page(),
            lambda: next(client.events.SubscribeEvents(
                event_service_pb2.SubscribeEventsRequest(), timeout=PATIENCE)),
            lambda: reflect(client.channel, list_services=""),
            lambda: unknown(b"", timeout=PATIENCE),
        ]:
            refused = refusal(call)
            assert refused.code == grpc.StatusCode.UNAUTHENTICATED
            assert refused.info.reason == "UNAUTHENTICATED"
            assert "client certificate" in refused.message
    for path, status in [("livez", 200), ("readyz", 200), ("metrics", 401)]:
        assert get(f"{server.http}/{path}", authority) == status, path


def test_metrics_are_shown_to_who_is_known(server, authority, alerts):
    assert get(f"{server.http}/metrics", authority, alerts) == 200


def test_a_certificate_of_another_authority_ends_the_connection(server, authority, folder):
    other = Authority()
    stranger = other.files(folder, "stranger.example.org")
    with Client(server, authority.credentials(stranger)) as client:
        assert refusal(lambda: client.page()).code == grpc.StatusCode.UNAVAILABLE
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        get(f"{server.http}/livez", authority, stranger)
    # nor does a caller trust a server of one that it does not know
    with Client(server, other.credentials()) as client:
        assert refusal(lambda: client.page()).code == grpc.StatusCode.UNAVAILABLE
    # who speaks no TLS is not answered
    with Client(server) as client:
        assert refusal(lambda: client.page()).code == grpc.StatusCode.UNAVAILABLE
    assert "no TLS handshake" in server.stderr()


def test_commands_show_certificates(server, authority, folder, alerts, tmp_path):
    cert, key = alerts
    endpoint = f"https://{server.target}"
    known = ["--ca-cert", folder / "ca.pem", "--client-cert", cert, "--client-key", key]
    ran = run("scopes", "--endpoint", endpoint, *known)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ACCOUNT in ran.stdout
    ran = run("scopes", "--endpoint", endpoint, *known[:2])
    assert ran.returncode != 0 and "client certificate" in ran.stderr
    # one that this machine does not trust
    ran = run("scopes", "--endpoint", endpoint)
    assert ran.returncode != 0 and "name that one with --ca-cert" in ran.stderr, ran.stderr
    assert "trailgate serve" not in ran.stderr
    # in plain text, and with a certificate of an authority that the server does not know
    ran = run("scopes", "--endpoint", server.target)
    assert ran.returncode != 0 and "https://" in ran.stderr, ran.stderr
    cert, key = Authority().files(tmp_path, "stranger.example.org")
    shown = ["--client-cert", cert, "--client-key", key]
    ran = run("scopes", "--endpoint", endpoint, *known[:2], *shown)
    assert ran.returncode != 0 and "(--client-cert)" in ran.stderr, ran.stderr
    assert "its log says why" in ran.stderr
    ran = run("scopes", "--endpoint", endpoint, "--ca-cert", folder / "nothing.pem")
    assert ran.returncode != 0 and "--ca-cert" in ran.stderr and "nothing.pem" in ran.stderr


def test_certificates_are_not_left_out_silently(folder, alerts):
    cert, key = alerts
    ended = run(
        "lookup", "--endpoint", "http://127.0.0.1:1", "--client-cert", cert, "--client-key", key)
    assert ended.returncode != 0 and "give https://" in ended.stderr


def test_a_new_certificate_is_picked_up_without_a_restart(authority, tmp_path):
    cert, key = authority.files(tmp_path, "127.0.0.1")
    with Server("--demo", "--tls-cert", cert, "--tls-key", key) as server:
        address = server.target.split(":")

        def shown():
            return ssl.get_server_certificate((address[0], int(address[1])))

        before = shown()
        with Client(server, authority.credentials()) as client:
            assert client.page(page_size=1).events
            # one that cannot be used stays out
            whole = cert.read_bytes()
            cert.write_bytes(b"none")
            wait_for("it is said", lambda: "the certificates stay" in server.stderr())
            assert shown() == before
            cert.write_bytes(whole)
            authority.files(tmp_path, "127.0.0.1")
            wait_for("another certificate is shown", lambda: shown() != before)
            # connections that were there go on
            assert client.page(page_size=1).events
        with Client(server, authority.credentials()) as client:
            assert client.page(page_size=1).events
