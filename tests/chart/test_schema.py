"""The schema of the values, beside the source and the values themselves."""

import json
import os
import re
import subprocess

import pytest
import yaml

from chart import CHART, INSECURE, ROOT, merge, refusal, render
from pod import binary

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SETTINGS = (ROOT / "src/config/settings.rs").read_text()

# a field's type in Rust, and what the schema says of it
TYPES = {
    "bool": {"type": "boolean"},
    "SocketAddr": {"$ref": "#/definitions/address"},
    "Span": {"$ref": "#/definitions/span"},
    "History": {"$ref": "#/definitions/history"},
    "Size": {"$ref": "#/definitions/size"},
    "PathBuf": {"$ref": "#/definitions/path"},
}


def settings():
    """Names and types of the settings that a file may have."""
    (body,) = re.findall(r"pub struct Settings \{\n(.*?)\n\}", SETTINGS, re.S)
    found = {}
    for attributes, name, kind in re.findall(r"((?:^    (?!pub ).*\n|^\n)*)^    pub (\w+): (.+),$", body, re.M):
        if "#[serde(skip)]" not in attributes:
            found[name] = re.sub(r"^Option<(.*)>$", r"\1", kind)
    return found


def resolved(schema):
    """A schema with the definition that it refers to."""
    name = schema.get("$ref", "").removeprefix("#/definitions/")
    return SCHEMA["definitions"][name] if name else schema


def test_settings_are_those_of_the_server():
    assert len(settings()) > 30
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(settings())


@pytest.mark.parametrize("name", settings())
def test_settings_have_the_servers_types(name):
    kind = settings()[name]
    schema = SCHEMA["properties"]["config"]["properties"][name]
    if name == "jwt_keys":
        # or a URL
        assert schema["pattern"] == "^(/.|https://.)"
    elif name == "audit_log":
        # or standard output
        assert schema == {"type": "string", "pattern": "^(-$|/.)"}
    elif name == "trace_sample":
        assert schema == {"type": "number", "minimum": 0, "maximum": 1}
    elif kind in TYPES:
        assert schema == TYPES[kind]
    elif kind == "Vec<String>":
        assert resolved(schema)["type"] == "array"
    elif kind == "String":
        assert resolved(schema)["type"] == "string"
    elif kind in ("u64", "u32", "usize"):
        assert resolved(schema)["type"] == "integer"
    elif kind == "f64":
        assert {"type": "number", "minimum": 0.001} in schema["anyOf"]
    else:
        (variants,) = re.findall(rf"pub enum {kind} \{{\n(.*?)\n\}}", SETTINGS, re.S)
        assert schema == {"enum": [name.lower() for name in re.findall(r"^    (\w+),$", variants, re.M)]}


# maps whose keys are the user's or Kubernetes's
FREE = {
    "global", "strategy.rollingUpdate", "resources.requests", "resources.limits", "podSecurityContext",
    "securityContext", "affinity", "autoscaling.behavior",
}


def objects(schema, path=""):
    """Every object of the schema that has no list of its keys."""
    schema = resolved(schema)
    for one in schema.get("anyOf", []):
        yield from objects(one, path)
    if schema.get("type") == "object":
        if isinstance(schema.get("additionalProperties"), dict):
            texts = {"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}
            assert schema["additionalProperties"] in texts, path
        elif "properties" in schema:
            assert schema["additionalProperties"] is False, path
        else:
            yield path
        for name, value in schema.get("properties", {}).items():
            yield from objects(value, f"{path}.{name}".lstrip("."))


def test_only_what_is_free_takes_any_key():
    assert set(objects(SCHEMA)) == FREE


def test_values_and_schema_have_the_same_keys():
    def compare(values, schema, path):
        known = resolved(schema).get("properties")
        if known is None or not isinstance(values, dict):
            return
        # settings have the server's defaults; the others are for charts around this one
        optional = set(known) if path in ("config", "resources", "strategy") else {"global", "enabled", "initialDelaySeconds"}
        assert set(values) - set(known) == set(), path
        assert set(known) - set(values) - optional == set(), path
        for name, value in values.items():
            compare(value, known[name], f"{path}.{name}".lstrip("."))

    compare(VALUES, SCHEMA, "")


def test_a_policys_rules_are_those_of_the_server():
    source = (ROOT / "src/policy/file.rs").read_text()
    (body,) = re.findall(r"struct Written \{\n(.*?)\n\}", source, re.S)
    fields = re.findall(r"^    (\w+): ", body, re.M)
    rule = SCHEMA["definitions"]["rule"]
    assert list(rule["properties"]) == fields
    methods = re.findall(r"Self::\w+ => \"(\w+)\",", (ROOT / "src/policy/mod.rs").read_text())
    assert len(methods) >= 10
    assert rule["properties"]["methods"]["items"]["enum"] == ["*", *methods]


def rule(**parts):
    """Values with one rule, that is right but for these parts."""
    return {"policy": {"rules": [{"anonymous": True, "methods": ["*"]} | parts]}}


# what the server refuses as well, and what it takes
NOT_TAKEN = [
    "", ".", "a..b", ".a", "a.", "record.", "a\\b", "a\\", "a" * 1025, "record." + ".".join("a" * 33), "Username", "record", "a", "sourceIpAddress", "eventTimes", "EventId", "eventTime",
    "record.eventID", "awsRegion.x", "recipientAccountId", "eventSource",
]
TAKEN = [
    "sourceIPAddress", "requestParameters.password", "record.userIdentity.arn", "requestParameters.tags.a\\.b\\\\",
    "requestParameters.eventID", "record.eventTimes", "record." + ".".join("a" * 32), "record.Username", "record." + "a" * 1017,
]


def test_paths_that_are_taken_out_are_those_that_the_server_takes(tmp_path):
    assert render(merge(INSECURE, rule(redact=TAKEN)))
    path = tmp_path / "policy.yaml"

    def check(taken):
        path.write_text(yaml.safe_dump(rule(redact=[taken])["policy"]))
        command = [binary(), "config", "check", "--demo", "--policy", str(path)]
        return subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60)

    for taken in TAKEN:
        assert check(taken).returncode == 0, taken
    for taken in NOT_TAKEN:
        done = check(taken)
        assert done.returncode != 0 and "rules[0].redact[0]" in done.stderr, taken


@pytest.mark.parametrize("values, part", [
    ({"replica": 2}, "'replica' not allowed"),
    ({"replicaCount": 0}, "/replicaCount"),
    ({"config": {"replicas": 65}}, "/config/replicas"),
    ({"config": {"max_connection_age": "never"}}, "/config/max_connection_age"),
    ({"config": {"tls_cert": "tls.crt"}}, "/config/tls_cert"),
    ({"config": {"jwt_audience": "trailgate"}}, "/config/jwt_audience"),
    ({"tls": {"cert": "x"}}, "'cert' not allowed"),
    ({"tls": {"secretName": "Not A Name"}}, "/tls/secretName"),
    ({"tls": {"certificate": {"duration": "90d"}}}, "/tls/certificate/duration"),
    ({"tls": {"certificate": {"algorithm": "DSA"}}}, "/tls/certificate/algorithm"),
    ({"tls": {"clientCA": {"inline": "x"}}}, "'inline' not allowed"),
    ({"jwt": {"keys": {"inline": {"keys": []}}}}, "/jwt/keys/inline"),
    (rule(methods=["LookupEvent"]), "/policy/rules/0/methods/0"),
    (rule(method=["*"]), "'method' not allowed"),
    ({"policy": {"rules": [{"anonymous": True}]}}, "'methods'"),
    (rule(callers=["a*b"]), "/policy/rules/0/callers/0"),
    (rule(subjects=[""]), "/policy/rules/0/subjects/0"),
    (rule(claims={"groups": []}), "/policy/rules/0/claims/groups"),
    (rule(claims={"groups": "security"}), "/policy/rules/0/claims/groups"),
    (rule(accounts=["1"]), "/policy/rules/0/accounts/0"),
    (rule(accounts=[]), "/policy/rules/0/accounts"),
    (rule(regions=[]), "/policy/rules/0/regions"),
    (rule(event_sources=["*.amazonaws.com"]), "/policy/rules/0/event_sources/0"),
    (rule(event_sources=["a"] * 1001), "/policy/rules/0/event_sources"),
    (rule(calls_per_second=1 << 32), "/policy/rules/0/calls_per_second"),
    (rule(record="no"), "/policy/rules/0/record"),
    *((rule(redact=[path]), "/policy/rules/0/redact/0") for path in NOT_TAKEN),
    ({"config": {"cachesize": "1GB"}}, "'cachesize' not allowed"),
    # the command line's names, and those that a file may have as well
    ({"config": {"cache-size": "1GB"}}, "'cache-size' not allowed"),
    ({"config": {"regions": ["us-east-1"]}}, "'regions' not allowed"),
    ({"config": {"config": "/x"}}, "'config' not allowed"),
    ({"config": {"insecure": "true"}}, "/config/insecure"),
    ({"config": {"account": ["123"]}}, "/config/account/0"),
    # without quotes its zeros are lost
    ({"config": {"account": [111122223333]}}, "/config/account/0"),
    ({"config": {"region": ["Ireland"]}}, "/config/region/0"),
    ({"config": {"listen": "50051"}}, "/config/listen"),
    ({"config": {"listen": "0.0.0.0:0"}}, "/config/listen"),
    ({"config": {"shutdown_grace": "soon"}}, "/config/shutdown_grace"),
    ({"config": {"shutdown_grace": 30}}, "/config/shutdown_grace"),
    ({"config": {"cache_size": "1.5GB"}}, "/config/cache_size"),
    ({"config": {"rate": -1}}, "/config/rate"),
    ({"config": {"rate": 1e-9}}, "/config/rate"),
    ({"config": {"poll": "sometimes"}}, "/config/poll"),
    ({"config": {"log_format": "JSON"}}, "/config/log_format"),
    ({"config": {"max_upstream_calls": 0}}, "/config/max_upstream_calls"),
    ({"config": {"trail": ["bucket/prefix"]}}, "/config/trail/0"),
    ({"config": {"queue": ["trailgate"]}}, "/config/queue/0"),
    ({"image": {"digest": "latest"}}, "/image/digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    ({"service": {"port": 70000}}, "/service/port"),
    ({"service": {"type": "LoadBalancer"}}, "'type' not allowed"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "app.kubernetes.io/name"),
    ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
    ({"prometheusRule": {"disabled": ["TrailgateGone"]}}, "/prometheusRule/disabled/0"),
    ({"extraEnv": [{"value": "x"}]}, "/extraEnv/0"),
    ({"networkPolicy": {"ingress": []}}, "'ingress' not allowed"),
])
def test_typing_errors_are_refused(values, part):
    message = refusal(merge(INSECURE, values))
    assert "specifications of the schema" in message
    assert part in message
