"""What the server itself says to what the chart renders."""

import re
import ssl
import urllib.error
import urllib.request

import pytest

from chart import CASES, SECURE, main_container, merge, metrics, only, render, server_config
from pod import Pod

# as it says on the command line
USAGE = 64
UNAVAILABLE = 69

# made-up events, for who shows a certificate and may
ASKED = merge(SECURE, {
    "config": {"demo": True},
    "policy": {"rules": [{"callers": ["prometheus.example.org"], "methods": ["Metrics"]}]},
    "networkPolicy": {"metricsClients": [{"podSelector": {}}]},
    "serviceMonitor": {"enabled": True, "clientCertificate": {"secretName": "prometheus-tls"}},
})


@pytest.mark.parametrize("case", CASES)
def test_settings_and_files_can_be_used_as_they_are(case, tmp_path):
    done = Pod(render(CASES[case]), tmp_path).check()
    assert done.returncode == 0, done.stderr
    listen = server_config(render(CASES[case]))["listen"]
    assert f"gRPC on {listen}" in done.stdout


def test_files_that_cannot_be_used_would_be_seen(tmp_path):
    pod = Pod(render(CASES["everything"]), tmp_path)
    for name, text in [("policy.yaml", "rules: 1"), ("jwks.json", "{}"), ("tls/tls.key", ""), ("tls/client-ca.crt", "")]:
        file = pod.folder / name
        before = file.read_text()
        file.write_text(text)
        done = pod.check()
        assert done.returncode == USAGE and str(file) in done.stderr, name
        file.write_text(before)
    assert pod.check().returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_settings_are_taken(case, tmp_path):
    """They are checked before AWS is asked, which is not there: who asks first
    for the account of the credentials gets no further, the others are served."""
    pod = Pod(render(CASES[case]), tmp_path)
    s = "s" if "tls_cert" in pod.settings() else ""
    with pod.serve() as server:
        try:
            is_serving = server.stdout.readline().startswith(f"listening on grpc{s}://127.0.0.1:")
        finally:
            server.terminate()
        _, errors = server.communicate(timeout=60)
    assert is_serving or "NoCredentials" in errors, errors
    assert server.returncode == (0 if is_serving else UNAVAILABLE)
    assert is_serving or case not in ("try", "else")


def test_listening_as_in_a_pod_is_what_is_meant(tmp_path):
    pod = Pod(render(CASES["try"]), tmp_path)
    assert pod.settings()["insecure"] is True
    # port 0, lest another process has them
    with pod.serve(TRAILGATE_LISTEN="0.0.0.0:0", TRAILGATE_INSECURE="false") as server:
        _, errors = server.communicate(timeout=60)
    assert server.returncode == USAGE and "reachable from elsewhere" in errors


def ask(url, context):
    """Status and text of a URL, asked as Prometheus asks."""
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(urllib.request.Request(url, headers=openmetrics), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_probes_and_prometheus_are_answered_as_the_chart_has_them_ask(tmp_path):
    objects = render(ASKED)
    pod = Pod(objects, tmp_path)
    # the kubelet checks nothing and shows nothing
    kubelet = ssl._create_unverified_context()
    prometheus = ssl.create_default_context(cadata=pod.authority.cert_pem.bytes().decode())
    issued = pod.authority.issue_cert("prometheus.example.org")
    with issued.private_key_and_cert_chain_pem.tempfile() as file:
        prometheus.load_cert_chain(file)
    (endpoint,) = only(objects, "ServiceMonitor")["spec"]["endpoints"]
    with pod.serve() as server:
        try:
            https = server.stdout.readline().split(" and ")[1].strip()
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                get = main_container(objects)[probe]["httpGet"]
                assert https.startswith(f"{get['scheme'].lower()}://")
                assert ask(https + get["path"], kubelet) == (200, "ok\n"), probe
            assert https.startswith(f"{endpoint['scheme']}://")
            metrics = https + endpoint["path"]
            status, text = ask(metrics, kubelet)
            assert status == 401 and "who calls is not known" in text
            status, text = ask(metrics, prometheus)
            assert status == 200 and text.endswith("# EOF\n")
        finally:
            server.terminate()
        server.communicate(timeout=60)


def test_metrics_have_the_names_that_are_read_from_the_source(tmp_path):
    with Pod(render(CASES["try"]), tmp_path).serve() as server:
        try:
            address = server.stdout.readline().split(" and ")[1].strip()
            status, text = ask(f"{address}/metrics", None)
            # the ports open one after the other; a test that waits too long is ended
            while "trailgate_grpc_calls_total" not in text:
                status, text = ask(f"{address}/metrics", None)
        finally:
            server.terminate()
        server.communicate(timeout=60)
    told = set(re.findall(r"^(trailgate_\w+)[ {]", text, re.M))
    # queues and daily allowances are told of where there are some
    assert status == 200 and len(told) > 20 and told <= metrics()
