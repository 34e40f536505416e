"""TLS, and who may call: what is mounted, probed and told to others."""

import re

import pytest
import yaml

from chart import (
    CASES, ELSE, EVERYTHING, INSECURE, JWKS, SECURE, TOKENS, main_container, merge, only, render, render_texts,
    server_config, sources,
)

MOUNT = "/etc/trailgate"
FILES = ["tls_cert", "tls_key", "tls_client_ca", "jwt_keys", "policy"]
# a gateway's route, and what the name in its certificate may
GATEWAY = {
    "grpcRoute": {"enabled": True, "parentRefs": [{"name": "a"}]},
    "networkPolicy": {"clients": [{"podSelector": {}}]},
    "policy": {"configMap": "policy"},
}
TLS = {name for name, values in CASES.items() if values.get("tls")}


def ports(objects, name="demo-trailgate"):
    return {port["name"]: port for port in objects["Service", name]["spec"]["ports"]}


def notes(values):
    return render_texts(values)["templates/NOTES.txt"]


@pytest.mark.parametrize("case", CASES)
def test_every_file_that_a_setting_names_is_mounted(case):
    objects = render(CASES[case])
    mounted = []
    for kind, name, items in sources(objects):
        if items:
            mounted += items.values()
        else:
            mounted += objects["ConfigMap", name]["data"]
    assert len(mounted) == len(set(mounted))
    config = server_config(objects)
    named = {config[setting] for setting in FILES if setting in config}
    # what fetches keys has a volume of its own
    assert named - {"/keys/jwks.json"} | {f"{MOUNT}/trailgate.yaml"} == {f"{MOUNT}/{path}" for path in mounted}
    mounts = {mount["mountPath"]: mount for mount in main_container(objects)["volumeMounts"]}
    assert mounts[MOUNT]["readOnly"] is True
    # what is mounted by a subPath never changes
    assert all("subPath" not in mount for mount in mounts.values())


def test_where_files_come_from():
    assert sources(render(EVERYTHING)) == [
        ("configMap", "demo-trailgate", {}),
        ("secret", "demo-trailgate-tls", {"tls.crt": "tls/tls.crt", "tls.key": "tls/tls.key"}),
        ("secret", "callers", {"bundle.pem": "tls/client-ca.crt"}),
        ("secret", "issuer", {"jwks.json": "jwks.json"}),
        ("configMap", "policy", {"rules.yaml": "policy.yaml"}),
    ]
    objects = render(ELSE)
    assert sources(objects) == [("configMap", "demo-trailgate", {}), ("configMap", "demo-trailgate-access", {})]
    data = objects["ConfigMap", "demo-trailgate-access"]["data"]
    assert data["jwks.json"].strip() == JWKS
    assert yaml.safe_load(data["policy.yaml"]) == {"rules": ELSE["policy"]["rules"]}
    # its zero stays, for YAML of another reader as well
    assert '"012345678901"' in data["policy.yaml"]


@pytest.mark.parametrize("case", CASES)
def test_probes_speak_what_the_ports_speak(case):
    container = main_container(render(CASES[case]))
    live = container["livenessProbe"]["httpGet"]
    assert (live["path"], live["port"]) == ("/livez", "http")
    if case in TLS:
        assert live["scheme"] == "HTTPS"
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"] == {"path": "/readyz", "port": "http", "scheme": "HTTPS"}
            assert "grpc" not in container[probe]
    else:
        assert "scheme" not in live
        grpc = next(port["containerPort"] for port in container["ports"] if port["name"] == "grpc")
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["grpc"] == {"port": grpc} and "httpGet" not in container[probe]


def test_services_say_what_they_speak():
    plain, secure = render(INSECURE), render(SECURE)
    assert ports(plain)["grpc"]["appProtocol"] == "kubernetes.io/h2c"
    assert ports(plain)["http"]["appProtocol"] == "http"
    assert {port["appProtocol"] for port in ports(secure).values()} == {"https"}
    assert ports(secure, "demo-trailgate-headless")["grpc"]["appProtocol"] == "https"
    assert ports(render(ELSE))["grpc"]["appProtocol"] == "grpc"


def test_the_certificate_has_the_names_that_it_is_called_by():
    values = {"config": {"region": ["us-east-1"]}, "tls": {
        "certificate": {"enabled": True, "issuerRef": {"name": "internal"}, "dnsNames": ["localhost", "demo-trailgate"]},
        "clientCA": {"configMap": "callers-ca"},
    }}
    spec = only(render(values), "Certificate")["spec"]
    names = spec["dnsNames"]
    assert len(names) == len(set(names)) == 9
    for service in ("demo-trailgate", "demo-trailgate-headless"):
        ends = ["", ".audit", ".audit.svc", ".audit.svc.cluster.local"]
        assert {service + end for end in ends} <= set(names)
    assert spec["issuerRef"] == {"name": "internal", "kind": "Issuer", "group": "cert-manager.io"}
    assert spec["usages"] == ["digital signature", "server auth"] and "duration" not in spec
    assert ("secret", spec["secretName"], {"tls.crt": "tls/tls.crt", "tls.key": "tls/tls.key"}) in sources(render(values))
    less = merge(values, {"service": {"headless": {"enabled": False}}, "tls": {"certificate": {"clusterDomain": ""}, "secretName": "x"}})
    spec = only(render(less), "Certificate")["spec"]
    assert spec["dnsNames"] == ["demo-trailgate", "demo-trailgate.audit", "demo-trailgate.audit.svc", "localhost"]
    assert spec["secretName"] == "x"


@pytest.mark.parametrize("case", sorted(TLS))
def test_whoever_the_chart_has_call_checks_the_certificate(case):
    objects = render(CASES[case])
    if any(kind == "Certificate" for kind, _ in objects):
        names = only(objects, "Certificate")["spec"]["dnsNames"]
    else:
        names = ["demo-trailgate.audit.svc"]
    pod = only(objects, "Pod")["spec"]
    (container,) = pod["containers"]
    args = dict(arg.lstrip("-").partition("=")[::2] for arg in container["args"])
    assert args["tls"] == "" and args["tls-server-name"] in names
    assert "tls-no-verify" not in args
    ca = None
    if "tls-ca-cert" in args:
        (source,) = pod["volumes"][0]["projected"]["sources"]
        ((kind, named),) = source.items()
        ((item,),) = [named["items"]]
        assert args["tls-ca-cert"] == f"{container['volumeMounts'][0]['mountPath']}/{item['path']}"
        # never the server's key
        assert item["key"] not in ("tls.key", "tls.crt")
        ca = kind, named["name"], item["key"]
    else:
        assert "volumes" not in pod
    for kind, value in ((kind, value) for (kind, _), value in objects.items()):
        if kind == "ServiceMonitor":
            (endpoint,) = value["spec"]["endpoints"]
            assert endpoint["scheme"] == "https" and endpoint["tlsConfig"]["serverName"] in names
            found = endpoint["tlsConfig"].get("ca")
            assert found == (ca and {ca[0]: {"name": ca[1], "key": ca[2]}})
        if kind == "BackendTLSPolicy":
            validation = value["spec"]["validation"]
            assert validation["hostname"] in names
            (ref,) = validation["caCertificateRefs"]
            assert (ref["kind"], ref["name"]) == ({"configMap": "ConfigMap", "secret": "Secret"}[ca[0]], ca[1])


def test_public_authorities_are_those_of_the_system():
    policy = only(render(merge(SECURE, GATEWAY)), "BackendTLSPolicy")["spec"]
    assert policy["validation"] == {"hostname": "demo-trailgate.audit.svc", "wellKnownCACertificates": "System"}
    (target,) = policy["targetRefs"]
    assert (target["name"], target["sectionName"]) == ("demo-trailgate", "grpc")
    for off in (INSECURE, SECURE | {"grpcRoute": {"backendTLSPolicy": False}}):
        assert not any(kind == "BackendTLSPolicy" for kind, _ in render(merge(GATEWAY, off)))


def test_prometheus_shows_who_it_is():
    (endpoint,) = only(render(EVERYTHING), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["tlsConfig"]["cert"] == {"secret": {"name": "prometheus-tls", "key": "tls.crt"}}
    assert endpoint["tlsConfig"]["keySecret"] == {"name": "prometheus-tls", "key": "tls.key"}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"name": "prometheus-token", "key": "token"}}
    (endpoint,) = only(render(ELSE), "ServiceMonitor")["spec"]["endpoints"]
    assert not {"scheme", "tlsConfig", "authorization"} & set(endpoint)


@pytest.mark.parametrize("values, said, unsaid", [
    (INSECURE, ["Whoever gets there may read every event", "nothing is encrypted", "http://127.0.0.1"], ["by TLS"]),
    (SECURE, ["gRPC by TLS", "known by certificates. There is no policy", "--client-cert"], ["Whoever"]),
    (merge(SECURE, TOKENS), ["known by certificates and bearer tokens"], []),
    (CASES["production"], ["known by certificates, and may ask what the policy says"], ["no policy"]),
    (CASES["gateway"], ["known by bearer tokens, and may", "--token-file"], ["--client-cert", "The gateway ends TLS"]),
    (merge(SECURE, GATEWAY), ["The gateway ends TLS: callers who come through it have the name"], []),
    (
        merge(merge(SECURE, TOKENS), GATEWAY),
        ["The gateway ends TLS: callers who come through it and send no token have the name"], [],
    ),
    (SECURE | {"policy": GATEWAY["policy"]}, [], ["The gateway ends TLS"]),
    (
        merge(INSECURE, {"tls": {"secretName": "a"}}),
        ["Whoever gets there may read every event: nobody is asked who they are."], ["encrypted"],
    ),
])
def test_notes_say_who_may_call(values, said, unsaid):
    text = notes(values)
    assert all(part in text for part in said), text
    assert not any(part in text for part in unsaid), text
    assert not re.search(r"\n{3}| \n", text), text
