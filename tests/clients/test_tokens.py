"""Callers who are known by bearer tokens."""

import http.server
import json
import signal
import ssl
import threading
import time
import urllib.error
import urllib.request

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from processes import Server, run, wait_for
from rpc import DENIED, Client, code, event_service_pb2, refusal

ISSUER, AUDIENCE = "https://issuer.example.org", "trailgate"
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED

POLICY = """
rules:
  - {subjects: ['system:serviceaccount:security:*'], methods: ['*']}
  - {claims: {groups: [reporting]}, methods: [LookupEvents], record: false}
"""


class Key:
    """A key of the issuer's."""

    def __init__(self, name, algorithm):
        self.name, self.algorithm = name, algorithm
        kind = jwt.get_algorithm_by_name(algorithm)
        self.private = {
            "RS": lambda: rsa.generate_private_key(65537, 2048),
            "PS": lambda: rsa.generate_private_key(65537, 2048),
            "ES": lambda: ec.generate_private_key(
                ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1()),
            "Ed": ed25519.Ed25519PrivateKey.generate,
        }[algorithm[:2]]()
        public = json.loads(kind.to_jwk(self.private.public_key()))
        self.public = {**public, "kid": name, "use": "sig"}

    def sign(self, subject="system:serviceaccount:security:alerts", **claims):
        """A token, as Kubernetes writes one."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": [AUDIENCE], "sub": subject, "iat": now, "nbf": now,
            "exp": now + 3600, "kubernetes.io": {"namespace": "security"}, **claims,
        }
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.name})


def bearer(token):
    """What stands beside a call."""
    return [("authorization", f"Bearer {token}")]


def ask(client, token, **question):
    """One page, asked with a token."""
    request = event_service_pb2.LookupEventsRequest(page_size=1, **question)
    return client.events.LookupEvents(request, metadata=bearer(token), timeout=60)


ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


@pytest.fixture(scope="module")
def keys():
    return {algorithm: Key(algorithm.lower(), algorithm) for algorithm in ALGORITHMS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("tokens")
    publish(folder, keys.values())
    (folder / "policy.yaml").write_text(POLICY)
    return folder


def publish(folder, keys):
    (folder / "keys.json").write_text(json.dumps({"keys": [key.public for key in keys]}))


@pytest.fixture(scope="module")
def serve(folder):
    return lambda keys=folder: Server(
        "--demo", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE,
        "--jwt-keys", keys / "keys.json", "--policy", folder / "policy.yaml",
    )


@pytest.fixture(scope="module")
def server(serve):
    with serve() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server) as client:
        yield client


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_has_a_token_is_answered(client, keys, algorithm):
    assert ask(client, keys[algorithm].sign()).events[0].record


def test_rights_are_those_of_subject_and_claims(client, keys):
    key = keys["ES256"]
    reporting = key.sign("bob", groups=["dev", "reporting"])
    assert not ask(client, reporting, view="EVENT_VIEW_BASIC").events[0].record
    assert refusal(lambda: ask(client, reporting)).info.reason == "RECORD_NOT_ALLOWED"
    assert code(lambda: ask(client, key.sign("bob"))) == DENIED
    assert refusal(lambda: client.page()).info.reason == "UNAUTHENTICATED"


def test_a_token_that_is_not_taken_says_why(client, keys):
    key, now = keys["RS256"], int(time.time())
    other = Key("rs256", "RS256")
    secret = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "root", "exp": now + 60}, "x" * 32, "HS256",
        headers={"kid": "rs256"},
    )
    unsigned = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "root", "exp": now + 60}, None, "none")
    for token, word in [
        (key.sign(exp=now - 90), "expired"),
        (key.sign(nbf=now + 90), "does not hold before"),
        (key.sign(iss="https://evil.example.org"), "another issuer"),
        (key.sign(aud="kubernetes"), '"trailgate"'),
        (other.sign(), "signature is wrong"),
        (secret, "not signed by"),
        (unsigned, "not signed by"),
        (Key("new", "RS256").sign(), "does not have"),
        ("garbage", "no JSON Web Token"),
        ("a.b.c", "no JSON Web Token"),
        (key.sign(more="x" * 8000), "at most 8192"),
        (key.sign(exp=None), 'claim "exp"'),
        (key.sign(exp="tomorrow"), 'claim "exp"'),
        (key.sign(None), 'claim "sub"'),
    ]:
        refused = refusal(lambda: ask(client, token))
        assert (refused.code, refused.info.reason) == (UNAUTHENTICATED, "INVALID_TOKEN"), token
        assert word in refused.message, refused.message
        assert token not in refused.message
    basic = [("authorization", "Basic cm9vdDpyb290")]
    request = event_service_pb2.LookupEventsRequest()
    refused = refusal(lambda: client.events.LookupEvents(request, metadata=basic, timeout=60))
    assert refused.info.reason == "INVALID_TOKEN"


def test_who_runs_the_server_is_told_why_a_token_is_not_taken(folder, keys, tmp_path):
    audit = tmp_path / "audit.jsonl"
    token = keys["ES256"].sign(exp=int(time.time()) - 90)
    with Server(
        "--demo", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE,
        "--jwt-keys", folder / "keys.json", "--audit-log", audit, "--log-level", "debug",
    ) as server, Client(server) as client:
        refused = [refusal(lambda: ask(client, token)) for _ in range(2)]

        def said():
            return [line for line in server.stderr().splitlines() if "a call was not let in" in line]

        # the first of a minute at info, each at debug
        wait_for("it is said", lambda: len(said()) == 2)
        assert "INFO" in said()[0] and "DEBUG" in said()[1]
        for line in said():
            assert "the token expired" in line and "LookupEvents" in line and "127.0.0.1" in line
        wait_for("it is written", lambda: len(audit.read_text().splitlines()) == 2)
        lines = map(json.loads, audit.read_text().splitlines())
        assert [line["reason"] for line in lines] == [it.message for it in refused]
        assert token not in server.stderr() + audit.read_text()


def test_metrics_are_shown_to_who_has_a_token(server, keys):
    def status(token):
        request = urllib.request.Request(f"{server.http}/metrics")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    key = keys["EdDSA"]
    assert status(key.sign()) == 200
    assert status(None) == status("garbage") == 401
    assert status(key.sign("bob")) == 403


def test_a_rotated_key_is_picked_up_without_a_restart(serve, tmp_path, keys):
    new = Key("next", "ES256")
    publish(tmp_path, keys.values())
    with serve(tmp_path) as server, Client(server) as client:
        assert ask(client, keys["ES256"].sign())
        assert code(lambda: ask(client, new.sign())) == UNAUTHENTICATED
        (tmp_path / "keys.json").write_text("{")
        wait_for("it is said", lambda: "the keys of tokens stay" in server.stderr())
        assert ask(client, keys["ES256"].sign())
        publish(tmp_path, [new])
        wait_for("the new key is known", lambda: code(
            lambda: ask(client, new.sign())) == grpc.StatusCode.OK)
        assert code(lambda: ask(client, keys["ES256"].sign())) == UNAUTHENTICATED
        # nothing of a token is in the log
        assert new.sign()[:20] not in server.stderr()


def test_commands_send_tokens(server, keys, tmp_path):
    file = tmp_path / "token"
    file.write_text(keys["ES256"].sign() + "\n")
    said = run("lookup", "--endpoint", server.endpoint, "--token-file", file, "--limit", 1)
    assert said.returncode == 0, said.stderr
    file.write_text("garbage")
    said = run("lookup", "--endpoint", server.endpoint, "--token-file", file, "--limit", 1)
    assert said.returncode != 0 and "no JSON Web Token" in said.stderr
    said = run("lookup", "--endpoint", server.endpoint, "--token-file", tmp_path / "none")
    assert said.returncode != 0 and "--token-file" in said.stderr and "none" in said.stderr


class Issuer:
    """Publishes keys by HTTPS."""

    def __init__(self, authority, folder):
        issuer = self
        self.keys, self.asked, self.status = [], 0, 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                text = json.dumps({"keys": [key.public for key in issuer.keys]}).encode()
                self.send_response(issuer.status if self.path == "/keys" else 404)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        cert, key = authority.files(folder, "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/keys"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_keys_behind_a_url_are_followed(authority, tmp_path, keys):
    first, second = keys["RS256"], keys["ES256"]
    ca = tmp_path / "authority.pem"
    ca.write_bytes(authority.pem)
    with Issuer(authority, tmp_path) as issuer:
        issuer.keys = [first]
        settings = [
            "--demo", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE,
            "--jwt-keys", issuer.url,
        ]
        with Server(*settings, "--jwt-keys-ca", ca) as server, Client(server) as client:
            assert ask(client, first.sign()).events
            asked = issuer.asked
            assert asked == 1
            # a token of a key that is not there is refused, and has the issuer asked soon
            issuer.keys = [second]
            assert code(lambda: ask(client, second.sign())) == UNAUTHENTICATED
            server.process.send_signal(signal.SIGHUP)
            wait_for("the new key is in force", lambda: code(
                lambda: ask(client, second.sign())) == grpc.StatusCode.OK)
            assert code(lambda: ask(client, first.sign())) == UNAUTHENTICATED
            # an issuer that does not answer leaves the keys, aloud
            issuer.status = 503
            server.process.send_signal(signal.SIGHUP)
            wait_for("it is said", lambda: "the keys of tokens stay as they were" in server.stderr())
            assert "503" in server.stderr() and issuer.url in server.stderr()
            assert ask(client, second.sign()).events
        # a certificate of nobody that this machine trusts
        issuer.status = 200
        with Server(*settings) as server, Client(server) as client:
            assert "no token is taken until there are keys" in server.stderr()
            assert code(lambda: ask(client, second.sign())) == UNAUTHENTICATED


def test_urls_of_keys_that_cannot_be_used_are_refused(tmp_path):
    for keys, says in [
        (["--jwt-keys", "http://issuer.example.org/keys"], "https URL"),
        (["--jwt-keys", "keys.json", "--jwt-keys-ca", tmp_path], "goes with a URL"),
        (["--jwt-keys", "https://issuer.example.org", "--jwt-keys-ca", tmp_path / "x"], "--jwt-keys-ca"),
    ]:
        ended = run(
            "config", "check", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, *map(str, keys))
        assert ended.returncode == 64 and says in ended.stderr, ended.stderr
