"""Metrics as Prometheus reads them: Debian's own, which .ci/run installs."""

import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from processes import PATIENCE, Server, get, get_json, wait_for
from rpc import Client, event_service_pb2
from test_tokens import AUDIENCE, ISSUER, Key, bearer, publish

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="no prometheus; apt-get install prometheus")

# what a dashboard may count on, whatever was done
SERIES = {
    "trailgate_build_info", "trailgate_grpc_calls_total",
    "trailgate_grpc_call_duration_seconds_bucket", "trailgate_cache_hits_total",
    "trailgate_cache_misses_total", "trailgate_scanned_events_total", "trailgate_cache_bytes",
    "trailgate_cache_evictions_total", "trailgate_upstream_requests_total",
    "trailgate_upstream_refused_total", "trailgate_upstream_throttled_total",
    "trailgate_upstream_wait_seconds_total", "trailgate_upstream_waiting",
    "trailgate_upstream_rate", "trailgate_upstream_denied", "trailgate_late_events_total",
    "trailgate_feed_bytes", "trailgate_feed_events_total", "trailgate_feed_gaps_total",
    "trailgate_subscription_gaps_total", "trailgate_subscription_lag_entries",
    "trailgate_subscriptions", "trailgate_watermark_lag_seconds", "trailgate_polled_scopes",
    "trailgate_polls_total", "trailgate_collector_scopes", "trailgate_last_reload_successful",
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
    "process_open_fds", "process_max_fds", "process_start_time_seconds",
}


def scrape(server, authority=None, shown=None, accept=None):
    """Metrics as text."""
    request = urllib.request.Request(f"{server.http}/metrics")
    if accept:
        request.add_header("Accept", accept)
    handlers = [urllib.request.ProxyHandler({})]
    if authority:
        context = ssl.create_default_context(cadata=authority.pem.decode())
        if shown:
            context.load_cert_chain(*shown)
        handlers.append(urllib.request.HTTPSHandler(context=context))
    with urllib.request.build_opener(*handlers).open(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def server():
    """One of whose methods some were called, and that someone subscribes to."""
    with Server("--demo", "--poll-interval", "1s") as server, Client(server) as client:
        assert client.page(page_size=1).events
        assert client.page(page_size=1).events
        stream = client.events.SubscribeEvents(
            event_service_pb2.SubscribeEventsRequest(), timeout=600)
        wait_for("an event", lambda: next(stream).WhichOneof("payload") == "batch")
        yield server
        stream.cancel()


def test_promtool_finds_nothing_wrong(server):
    text = scrape(server)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_both_texts_say_the_same(server):
    text, open_text = scrape(server), scrape(server, accept="application/openmetrics-text")
    assert open_text.endswith("# EOF\n") and "# EOF" not in text

    def samples(families):
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in families for sample in family.samples
        }

    said = samples(classic(text))
    assert said == samples(openmetrics(open_text))
    assert SERIES <= {name for name, _ in said}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in classic(text) for sample in family.samples
    }
    assert values["trailgate_cache_hits_total",] >= 1 <= values["trailgate_cache_misses_total",]
    assert 0 <= time.time() - values["process_start_time_seconds",] < 3600
    assert values["process_resident_memory_bytes",] > 1e6
    assert values["trailgate_last_reload_successful", "settings"] == 1


class Prometheus:
    """Debian's, scraping one server twice a second."""

    def __init__(self, folder, server, **how):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = "http://127.0.0.1:%d" % free.getsockname()[1]
        scheme, target = server.http.split("://")
        job = {
            "job_name": "trailgate", "scheme": scheme,
            "static_configs": [{"targets": [target]}], **how,
        }
        config = folder / "prometheus.yml"
        # JSON is YAML
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [job],
        }))
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={self.url.removeprefix('http://')}"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )

    def query(self, query):
        """The series that it has: labels, and the value."""
        assert self._process.poll() is None, "prometheus ended"
        try:
            answer = get_json(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        except (OSError, AssertionError):
            return []
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()


def test_a_prometheus_scrapes_the_server(server, tmp_path):
    with Prometheus(tmp_path, server) as prometheus:
        wait_for("the target is up", lambda: prometheus.query("up == 1"))
        found = {labels["__name__"] for labels, _ in prometheus.query('{job="trailgate"}')}
        assert SERIES <= found, SERIES - found
        calls = prometheus.query(
            'trailgate_grpc_calls_total{method="trailgate.v1.EventService/LookupEvents",code="OK"}')
        assert [value for _, value in calls] == [2]
        spent = prometheus.query("sum by (class) (trailgate_upstream_requests_total)")
        spent = {labels["class"]: value for labels, value in spent}
        assert spent.keys() == {"interactive", "subscription", "backfill"}
        assert spent["interactive"] > 0 and spent["subscription"] > 0
        # what it knows of the names: counters are counters
        known = get_json(f"{prometheus.url}/api/v1/metadata")["data"]
        assert known["trailgate_grpc_calls"][0]["type"] == "counter"
        assert known["trailgate_grpc_call_duration_seconds"][0]["type"] == "histogram"


def test_a_prometheus_scrapes_by_tls_with_a_token(authority, folder, tmp_path):
    cert, key_file = authority.files(tmp_path, "127.0.0.1")
    key = Key("one", "ES256")
    publish(tmp_path, [key])
    token = tmp_path / "token"
    token.write_text(key.sign("prometheus"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules:\n  - {subjects: [prometheus], methods: [Metrics]}\n")
    with Server(
        "--demo", "--tls-cert", cert, "--tls-key", key_file, "--jwt-issuer", ISSUER,
        "--jwt-audience", AUDIENCE, "--jwt-keys", tmp_path / "keys.json", "--policy", policy,
    ) as server:
        tls = {"tls_config": {"ca_file": str(folder / "ca.pem")}}
        with Prometheus(tmp_path, server, **tls) as prometheus:
            # whoever shows nothing is told nothing
            wait_for("it was asked", lambda: prometheus.query("up == 0"))
        (tmp_path / "known").mkdir()
        known = {"authorization": {"credentials_file": str(token)}}
        with Prometheus(tmp_path / "known", server, **tls, **known) as prometheus:
            wait_for("the target is up", lambda: prometheus.query("up == 1"))
            reloads = prometheus.query("trailgate_last_reload_successful")
            assert {labels["kind"]: value for labels, value in reloads} == {
                "settings": 1, "certificates": 1, "keys": 1, "policy": 1}
            (_, expiry), = prometheus.query("trailgate_tls_certificate_expiry_timestamp_seconds")
            not_after = ssl._ssl._test_decode_cert(str(cert))["notAfter"]
            assert expiry == ssl.cert_time_to_seconds(not_after)
            # a file that cannot be used shows
            policy.write_text("rules: [")
            server.process.send_signal(1)
            wait_for("it shows", lambda: any(
                labels["kind"] == "policy" and value == 0
                for labels, value in prometheus.query("trailgate_last_reload_successful")))
            assert bearer(key.sign("prometheus"))[0][1].split()[1] not in server.stderr()
