"""What the chart comes to: valid objects that fit each other."""

import json
import shutil

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from chart import (
    CASES, CHART, ELSE, EVERYTHING, INSECURE, JWKS, check_golden, merge, only, render, render_texts, server_config,
)

# the oldest that the chart takes, and the newest that is known
KUBERNETES = ["1.30", "1.37"]
CUSTOM = {"ServiceMonitor", "PrometheusRule", "GRPCRoute", "BackendTLSPolicy", "Certificate"}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_lint_finds_nothing(case):
    for version in KUBERNETES:
        report = helm.lint(CHART, case, strict=True, kube_version=f"v{version}.0")
        # there is no icon, which is information
        assert [m for m in report["messages"] if m["severity"] > 1] == []
        assert report["errors"] == []


def test_the_chart_itself_lints():
    report = helm.lint(CHART, strict=True)
    assert report["errors"] == [] and all(m["severity"] <= 1 for m in report["messages"])


@pytest.mark.parametrize("version", KUBERNETES)
def test_objects_are_what_kubernetes_knows(case, version):
    objects = render(case)
    for (kind, _), value in objects.items():
        if kind not in CUSTOM:
            kubernetes_validate.validate(value, version, strict=True)
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount", "Pod"} <= {kind for kind, _ in objects}


def test_what_is_not_known_would_be_seen():
    deployment = only(render(INSECURE), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


def test_no_key_comes_twice(case):
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice in {keys}"
        return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value)}

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for path, text in render_texts(case).items():
        if not path.endswith("NOTES.txt"):
            list(yaml.load_all(text, Strict))


def test_defaults_are_golden():
    check_golden("defaults.txt", "".join(f"# {path}\n{text.strip()}\n" for path, text in render_texts(INSECURE).items()))


def test_custom_resources_are_golden():
    texts = render_texts(EVERYTHING)
    names = ["servicemonitor", "prometheusrule", "grpcroute", "backendtlspolicy", "certificate"]
    check_golden("custom.txt", "".join(f"# {name}\n{texts[f'templates/{name}.yaml'].strip()}\n" for name in names))


def test_production_is_golden():
    texts = render_texts(CASES["production"])
    left_out = {"templates/prometheusrule.yaml", "templates/dashboard.yaml"}
    check_golden("production.txt", "".join(f"# {p}\n{t.strip()}\n" for p, t in texts.items() if p not in left_out))


def test_selectors_find_the_servers_and_nothing_else(case):
    objects = render(case)
    pods = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    test = only(objects, "Pod")["metadata"]["labels"]
    selectors = {}
    for (kind, name), value in objects.items():
        spec = value.get("spec", {})
        if kind == "Service":
            selectors[kind, name] = spec["selector"]
        elif kind in ("Deployment", "PodDisruptionBudget"):
            selectors[kind, name] = spec["selector"]["matchLabels"]
        elif kind == "NetworkPolicy":
            selectors[kind, name] = spec["podSelector"]["matchLabels"]
    assert len(selectors) >= 3
    for name, selector in selectors.items():
        assert selector.items() <= pods.items(), name
        assert not selector.items() <= test.items(), name


@pytest.mark.parametrize("labels", [{"trailgate-client": None}, None])
def test_without_a_network_policy_no_label_is_needed(labels):
    objects = render(merge(INSECURE, {"networkPolicy": {"enabled": False, "clientLabels": labels}}))
    kubernetes_validate.validate(only(objects, "Pod"), KUBERNETES[-1], strict=True)


def test_ports_lead_to_where_the_server_listens(case):
    objects = render(case)
    container = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    config = server_config(objects)
    assert ports == {
        "grpc": int(config["listen"].rsplit(":", 1)[1]),
        "http": int(config["http_listen"].rsplit(":", 1)[1]),
    }
    for (kind, _), value in objects.items():
        if kind == "Service":
            assert all(port["targetPort"] in ports for port in value["spec"]["ports"])
        if kind == "NetworkPolicy":
            grpc, *metrics = value["spec"]["ingress"]
            assert [port["port"] for port in grpc["ports"]] == [ports["grpc"]]
            assert all(port["port"] == ports["http"] for rule in metrics for port in rule["ports"])


def test_metrics_are_read_once():
    objects = render(EVERYTHING)
    monitor = only(objects, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (endpoint,) = monitor["endpoints"]
    found = [
        name for (kind, name), value in objects.items()
        if kind == "Service" and wanted <= value["metadata"]["labels"].items()
        and any(port["name"] == endpoint["port"] for port in value["spec"]["ports"])
    ]
    assert found == ["demo-trailgate"]
    rules = only(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
    # the operator's job is the Service's name
    assert all('namespace="audit", job="demo-trailgate"' in rule["expr"] for rule in rules)


def test_settings_reach_the_server_as_they_were_written():
    objects = render(EVERYTHING)
    config = server_config(objects)
    defaults = {"http_listen": "0.0.0.0:8080", "log_format": "json", "insecure": False}
    known = {
        "replicas": 3,
        "max_connection_age": "1h",
        "tls_cert": "/etc/trailgate/tls/tls.crt",
        "tls_key": "/etc/trailgate/tls/tls.key",
        "tls_client_ca": "/etc/trailgate/tls/client-ca.crt",
        "jwt_keys": "/etc/trailgate/jwks.json",
        "policy": "/etc/trailgate/policy.yaml",
    }
    assert config == defaults | known | EVERYTHING["config"]
    # YAML of another reader has no number there either
    text = objects["ConfigMap", "demo-trailgate"]["data"]["trailgate.yaml"]
    assert 'account: ["012345678901","111122223333"]' in text
    assert "cache_size: 300000000\n" in text


def test_a_setting_that_changes_renews_the_pods_and_a_chart_version_does_not():
    def template(values):
        return only(render(values), "Deployment")["spec"]["template"]

    before = template(INSECURE)
    assert template(merge(INSECURE, {"config": {"region": ["eu-central-1"]}})) != before
    assert template(INSECURE) == before
    assert "helm.sh/chart" not in before["metadata"]["labels"]


def test_what_the_server_reads_again_renews_no_pods():
    def template(values):
        return only(render(values), "Deployment")["spec"]["template"]

    before = template(ELSE)
    rules = [*ELSE["policy"]["rules"], {"subjects": ["a"], "methods": ["GetEvent"]}]
    keys = JWKS.replace('"kid": "1"', '"kid": "2"')
    for change in (
        {"config": {"log_level": "warn"}},
        {"policy": {"rules": rules}},
        {"jwt": {"keys": {"inline": keys}}},
    ):
        changed = merge(ELSE, change)
        assert template(changed) == before
        assert render(changed) != render(ELSE)
    assert template(merge(ELSE, {"policy": {"rules": []}, "networkPolicy": {"enabled": False}, "serviceMonitor": {"enabled": False}})) != before


@pytest.mark.parametrize("grace, seconds", [
    ("30s", 45), ("1h30m", 5415), ("250ms", 16), ("1s1ms", 17), ("0", 15), ("1d", 86415), ("1w", 604815),
])
def test_pods_are_killed_only_after_the_grace(grace, seconds):
    pod = only(render(merge(INSECURE, {"config": {"shutdown_grace": grace}})), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds


def test_what_is_switched_off_is_not_there():
    off = {
        "serviceAccount": {"create": False},
        "service": {"http": {"enabled": False}, "headless": {"enabled": False}},
        "networkPolicy": {"enabled": False},
        "preStopSleepSeconds": 0,
        "podSecurityContext": {"runAsUser": None},
    }
    objects = render(merge(INSECURE, off))
    assert {kind for kind, _ in objects} == {"ConfigMap", "Deployment", "Service", "Pod"}
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "default"
    assert "lifecycle" not in pod["containers"][0]
    assert "runAsUser" not in pod["securityContext"]
    assert [port["name"] for port in only(objects, "Service")["spec"]["ports"]] == ["grpc"]


@pytest.mark.parametrize("release, values, name", [
    ("demo", {}, "demo-trailgate"),
    ("trailgate", {}, "trailgate"),
    ("demo", {"nameOverride": "gate"}, "demo-gate"),
    ("demo", {"fullnameOverride": "gate"}, "gate"),
    ("r" * 53, {}, "r" * 53),
    ("demo", {"fullnameOverride": "f" * 63}, "f" * 53),
])
def test_names(release, values, name):
    objects = render(merge(EVERYTHING, values), name=release)
    assert ("Deployment", name) in objects
    for (kind, object_name), value in objects.items():
        assert len(object_name) <= 63, kind
        assert value["metadata"]["namespace"] == "audit"
        assert all(len(label) <= 63 for label in value["metadata"]["labels"].values())


def test_the_test_pod_may_call():
    objects = render(INSECURE)
    labels = only(objects, "Pod")["metadata"]["labels"]
    (peer,) = only(objects, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    (container,) = only(objects, "Pod")["spec"]["containers"]
    assert "-addr=demo-trailgate.audit.svc:50051" in container["args"]


def test_a_package_is_whole(tmp_path):
    with helm.Chart.load(CHART) as chart:
        archive = chart.save(tmp_path)
    with helm.Chart.load(archive) as chart:
        texts = chart.render(EVERYTHING, name="demo", namespace="audit")
        files = {file["name"] for file in chart.files}
    assert {path.removeprefix("trailgate/"): text for path, text in sorted(texts.items()) if text.strip()} == render_texts(EVERYTHING)
    assert {"files/alerts.yaml", "files/dashboard.json", "README.md"} <= files
    assert not any(name.startswith("examples/") for name in files)


def test_another_chart_may_depend_on_it(tmp_path):
    shutil.copytree(CHART, tmp_path / "charts/trailgate")
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({
        "apiVersion": "v2", "name": "around", "version": "1.0.0",
        "dependencies": [{"name": "trailgate", "version": "0.1.0", "condition": "trailgate.enabled"}],
    }))
    values = {"global": {"team": "audit"}, "trailgate": merge(INSECURE, {"enabled": True})}
    with helm.Chart.load(tmp_path) as chart:
        texts = chart.render(values, name="demo", namespace="audit")
    deployment = yaml.safe_load(texts["around/charts/trailgate/templates/deployment.yaml"])
    assert deployment["metadata"]["name"] == "demo-trailgate"


def test_the_dashboard_is_json():
    config_map = render(EVERYTHING)["ConfigMap", "demo-trailgate-dashboard"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["trailgate.json"])["title"] == "trailgate"
