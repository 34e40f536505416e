"""The chart, rendered by Helm's own engine."""

import json
import os
import re
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
EXAMPLES = {path.stem: path for path in sorted((CHART / "examples").glob("*.yaml"))}
GOLDEN = Path(__file__).parent / "golden"

# what a user has to say at least
INSECURE = {"config": {"insecure": True}}

# a key that RFC 7517 has as an example (A.1)
JWKS = json.dumps({"keys": [{
    "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}]})

# TLS, and callers who show a certificate
SECURE = {"tls": {"secretName": "trailgate-tls", "clientCA": {"configMap": "callers-ca"}}}
# and those who send a token
TOKENS = {
    "config": {"jwt_issuer": "https://issuer.example.org", "jwt_audience": ["trailgate"]},
    "jwt": {"keys": {"inline": JWKS}},
}

# everything that is off unless it is asked for
EVERYTHING = {
    "config": {
        "jwt_issuer": "https://issuer.example.org",
        "jwt_audience": ["trailgate", "audit"],
        "account": ["012345678901", "111122223333"],
        "assume_role_arn": "arn:aws:iam::{account}:role/TrailgateReader",
        "region": ["eu-central-1"],
        "rate": 0.5,
        "cache_size": 300000000,
        "listen": "[::]:50052",
        "shutdown_grace": "1m30s",
    },
    "replicaCount": 3,
    "tls": {
        "certificate": {
            "enabled": True,
            "issuerRef": {"name": "internal", "kind": "ClusterIssuer"},
            "dnsNames": ["localhost"],
            "duration": "2160h",
            "renewBefore": "720h",
            "algorithm": "RSA",
            "labels": {"k": "l"},
            "annotations": {"m": "n"},
        },
        "clientCA": {"secret": "callers", "key": "bundle.pem"},
        "serverCA": {"configMap": "internal-ca"},
        "serverName": "trailgate.example.com",
    },
    "jwt": {"keys": {"secret": "issuer"}},
    "policy": {"configMap": "policy", "key": "rules.yaml"},
    "commonLabels": {"team": "audit"},
    "image": {"repository": "registry.example.com/trailgate", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "externalIdSecret": {"name": "trailgate"},
    "existingSecrets": ["more"],
    "extraEnv": [{"name": "AWS_CA_BUNDLE", "value": "/etc/ca/ca.crt"}],
    "extraEnvFrom": [{"configMapRef": {"name": "aws"}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraInitContainers": [{
        "name": "wait",
        "image": "registry.example.com/wait",
        "resources": {"limits": {"memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
    }],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/trailgate"}},
    "service": {"port": 443, "annotations": {"a": "b"}},
    "podLabels": {"c": "d"},
    "podAnnotations": {"e": "f"},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "audit", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]}
    ]}}},
    "topologySpreadConstraints": [{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "trailgate"}},
    }],
    "priorityClassName": "important",
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {
        "clientNamespaceLabels": {"audit": "yes"},
        "clients": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}],
        "metricsClients": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 4566, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {
        "enabled": True,
        "scrapeTimeout": "10s",
        "labels": {"release": "prometheus"},
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "labeldrop", "regex": "instance"}],
        "clientCertificate": {"secretName": "prometheus-tls"},
        "bearerToken": {"secretName": "prometheus-token"},
    },
    "prometheusRule": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "disabled": ["TrailgateAllowanceSpent"],
        "runbookUrl": "https://example.com/operations",
    },
    "dashboard": {"enabled": True, "annotations": {"grafana_folder": "audit"}},
    "grpcRoute": {
        "enabled": True,
        "labels": {"g": "h"},
        "annotations": {"i": "j"},
        "parentRefs": [{"name": "internal", "namespace": "gateways"}],
        "hostnames": ["trailgate.example.com"],
        "matches": [{"method": {"service": "trailgate.v1.EventService"}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}],
    },
}

# what excludes the above
ELSE = {
    "config": TOKENS["config"] | {"insecure": True, "demo": True, "replicas": 6, "log_level": "debug"},
    "jwt": TOKENS["jwt"],
    "policy": {"rules": [
        {"subjects": ["system:serviceaccount:security:*"], "methods": ["*"]},
        {
            "claims": {"groups": ["reports"]}, "methods": ["LookupEvents", "ListScopes"], "record": False,
            "accounts": ["012345678901"], "regions": ["us-east-1"], "event_sources": ["iam.amazonaws.com"],
        },
        {"anonymous": True, "methods": ["Metrics"]},
    ]},
    "autoscaling": {
        "enabled": True,
        "maxReplicas": 6,
        "metrics": [{"type": "Pods", "pods": {
            "metric": {"name": "subscriptions"}, "target": {"type": "AverageValue", "averageValue": "100"},
        }}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
    },
    "networkPolicy": {"enabled": False},
    "serviceMonitor": {"enabled": True},
    "service": {"appProtocol": "grpc"},
}


def merge(values, more):
    """These values, and over them those, as Helm merges files."""
    if not isinstance(values, dict) or not isinstance(more, dict):
        return more
    return values | {key: merge(values.get(key), value) for key, value in more.items()}


def example(name):
    """The values of an example."""
    return yaml.safe_load(EXAMPLES[name].read_text())


# what must be right whatever is set
CASES = {"least": INSECURE, "everything": EVERYTHING, "else": ELSE} | {name: example(name) for name in EXAMPLES}


def render_texts(values, name="demo", namespace="audit"):
    """What each template came to, without those that came to nothing."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name=name, namespace=namespace)
    return {path.removeprefix("trailgate/"): text for path, text in sorted(texts.items()) if text.strip()}


def render(values, **how):
    """The objects, by kind and name."""
    objects = {}
    for path, text in render_texts(values, **how).items():
        if path.endswith("NOTES.txt"):
            continue
        for document in yaml.safe_load_all(text):
            key = document["kind"], document["metadata"]["name"]
            assert key not in objects, f"twice: {key}"
            objects[key] = document
    return objects


def only(objects, kind):
    """The one object of a kind."""
    found = [value for (a_kind, _), value in objects.items() if a_kind == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def main_container(objects):
    """The server's container."""
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return container


def sources(objects):
    """What is mounted for the server: kind and name, and paths by keys, or nothing
    where each key is its own path."""
    (volume,) = [v for v in only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"] if v["name"] == "config"]
    found = []
    for source in volume["projected"]["sources"]:
        ((kind, named),) = source.items()
        items = {item["key"]: item["path"] for item in named.get("items", [])}
        found.append((kind, named["name"], items))
    return found


def server_config(objects):
    """The settings that the server reads."""
    return yaml.safe_load(objects["ConfigMap", "demo-trailgate"]["data"]["trailgate.yaml"])


def refusal(values):
    """What Helm says when it does not render these values."""
    try:
        render_texts(values)
    except helm.HelmError as error:
        return str(error)
    raise AssertionError("it was rendered")


def check_golden(name, text):
    """Compares with the golden file, or writes it if that is asked for."""
    path = GOLDEN / name
    if os.environ.get("TRAILGATE_TEST_WRITE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} differs; TRAILGATE_TEST_WRITE_GOLDEN=1 writes it anew"


def metrics():
    """Names of the server's samples, out of the source that names them."""
    files = sorted((ROOT / "src/telemetry").glob("*.rs"))
    source = "".join(file.read_text() for file in files)
    kinds = dict(re.findall(r"^    (\w+): (?:Family<\w+, )?(Counter|Histogram)\b", source, re.M))
    found = set()

    def add(name, kind):
        ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
        found.update(f"trailgate_{name}{end}" for end in ends[kind])

    for name, field in re.findall(r'registry\.register\(\s*"(\w+)",\s*"[^"]+",\s*(\w+)\.clone\(\)', source):
        add(name, kinds[field].lower())
    for kind, name in re.findall(r'out\.(counter|gauge)s?\(\s*"(\w+)"', source):
        add(name, kind)
    (table,) = re.findall(r"let counters: .*?= \[(.*?)\n        \];", source, re.S)
    for name in re.findall(r'\(\s*"(\w+)",\s*"', table):
        add(name, "counter")
    return found
