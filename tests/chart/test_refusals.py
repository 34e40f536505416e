"""What is refused, and that the line says what to do."""

import json

import pytest

from chart import INSECURE, SECURE, TOKENS, merge, refusal, render

ROLE = "arn:aws:iam::{account}:role/TrailgateReader"
TWO = ["111122223333", "444455556666"]
QUEUE = ["https://sqs.eu-central-1.amazonaws.com/111122223333/trailgate"]
ANYONE = [{"podSelector": {}}]


def config(**settings):
    return merge(INSECURE, {"config": settings})


def surge(most, **more):
    """A rolling update with so many servers more."""
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": most}}} | more


def audit(path, *mounts):
    """The audit log there, with these mounted."""
    mounts = [{"name": f"v{n}", **mount} for n, mount in enumerate(mounts)]
    volumes = [{"name": mount["name"], "emptyDir": {}} for mount in mounts]
    return merge(config(audit_log=path), {"extraVolumes": volumes, "extraVolumeMounts": mounts})


TLS_ALONE = {"tls": {"secretName": "trailgate-tls"}}
WITHOUT_TLS = {"config": {"insecure": True}, "tls": {"secretName": ""}}
MONITOR = {"serviceMonitor": {"enabled": True}, "networkPolicy": {"metricsClients": ANYONE}}


ROUTE = {"grpcRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}, "networkPolicy": {"clients": ANYONE}}


def policy(*rules, **more):
    return {"policy": {"rules": list(rules)}} | more


def keys(*keys, **more):
    """Tokens by these keys."""
    return merge(TOKENS, {"jwt": {"keys": {"inline": json.dumps({"keys": list(keys)})}}}) | more


# what the server would refuse, or what would have nobody known
@pytest.mark.parametrize("values, parts", [
    ({}, ["neither TLS nor anyone asked who they are", "tls.secretName", "config.insecure=true"]),
    (TLS_ALONE, ["nobody is asked who they are", "tls.clientCA", "config.jwt_issuer", "config.insecure=true"]),
    (TOKENS, ["tokens in plain text", "tls.certificate", "config.insecure=true"]),
    (policy({"anonymous": True, "methods": ["*"]}), ["neither TLS", "config.insecure=true"]),
    (merge(SECURE, INSECURE), ["config.insecure is not so", "leave it out"]),
    (merge(TLS_ALONE, merge(TOKENS, INSECURE)), ["config.insecure is not so"]),
    (merge(SECURE, WITHOUT_TLS), ["tls.clientCA", "there is no TLS", "tls.secretName"]),
    (merge(INSECURE, {"tls": {"serverCA": {"secret": "x"}}}), ["tls.serverCA", "there is no TLS"]),
    (merge(SECURE, {"tls": {"clientCA": {"secret": "x"}}}), ["tls.clientCA.configMap and tls.clientCA.secret", "all but one"]),
    (merge(SECURE, {"tls": {"certificate": {"enabled": True}}}), ["tls.certificate.issuerRef.name"]),
    (merge(SECURE, {"config": {"tls_cert": "/a", "tls_key": "/b"}}), ["config.tls_cert and tls say the same"]),
    (merge(SECURE, {"config": {"tls_client_ca": "/a"}}), ["config.tls_client_ca and tls.clientCA say the same"]),
    ({"config": {"tls_cert": "/a", "tls_client_ca": "/c"}}, ["config.tls_cert and config.tls_key go together"]),
    (merge(SECURE, {"config": {"jwt_issuer": "x"}}), ["config.jwt_issuer, config.jwt_audience and jwt.keys", "set all three"]),
    (merge(SECURE, {"config": {"jwt_audience": ["x"]}}), ["set all three"]),
    (merge(SECURE, {"jwt": TOKENS["jwt"]}), ["set all three"]),
    (merge(merge(SECURE, TOKENS), {"config": {"jwt_keys": "/a"}}), ["config.jwt_keys and jwt.keys say the same"]),
    (merge(merge(SECURE, TOKENS), {"jwt": {"keys": {"secret": "x"}}}), ["jwt.keys.inline and jwt.keys.secret"]),
    (merge(SECURE, merge(TOKENS, {"jwt": {"keys": {"inline": "keys"}}})), ["jwt.keys.inline is no JSON Web Key Set", "--set-file"]),
    (merge(SECURE, keys()), ["jwt.keys.inline is no JSON Web Key Set"]),
    (merge(SECURE, keys({"kty": "RSA", "n": "x", "e": "AQAB", "d": "x"})), ["a private key", "public keys alone"]),
    (merge(SECURE, keys({"kty": "oct", "k": "x"})), ["a shared secret"]),
    (merge(SECURE, policy({"subjects": ["a"], "methods": ["*"]})), ["policy.rules[0] is for tokens", "config.jwt_issuer"]),
    (merge(SECURE, policy({"claims": {"a": ["b"]}, "methods": ["*"]})), ["policy.rules[0] is for tokens"]),
    (
        merge(merge(TLS_ALONE, TOKENS), policy({"subjects": ["a"], "methods": ["*"]}, {"callers": ["b"], "methods": ["*"]})),
        ["policy.rules[1] is for callers", "tls.clientCA"],
    ),
    (merge(SECURE, policy({"methods": ["*"]})), ["policy.rules[0] names nobody", "anonymous: true"]),
    (merge(SECURE, policy({"callers": ["b"], "methods": ["*"]}, config={"policy": "/x"})), ["config.policy and policy say the same"]),
    (merge(SECURE, MONITOR), ["those alone whom it knows", "serviceMonitor.clientCertificate", "anonymous"]),
    (merge(merge(TLS_ALONE, TOKENS), MONITOR), ["serviceMonitor.bearerToken"]),
    (
        merge(merge(SECURE, MONITOR), policy({"callers": ["a"], "methods": ["LookupEvents"]})),
        ["policy.rules let nobody read the metrics", "methods: [Metrics]"],
    ),
    (
        merge(merge(SECURE, MONITOR), policy({"callers": ["a"], "methods": ["Metrics"]})),
        ["who shows nothing", "serviceMonitor.clientCertificate", "anonymous: true"],
    ),
    (
        # the first rule for whoever shows nothing says all that they may
        merge(merge(SECURE, MONITOR), policy({"anonymous": True, "methods": ["LookupEvents"]}, {"anonymous": True, "methods": ["*"]})),
        ["who shows nothing"],
    ),
    (
        merge(INSECURE, merge(MONITOR, {"serviceMonitor": {"clientCertificate": {"secretName": "x"}}})),
        ["serviceMonitor.clientCertificate is shown to a server that asks for none"],
    ),
    (
        merge(SECURE, merge(MONITOR, {"serviceMonitor": {"bearerToken": {"secretName": "x"}}})),
        ["serviceMonitor.bearerToken is sent to a server that takes none"],
    ),
])
def test_callers_that_cannot_be_known(values, parts):
    check(refusal(values), parts)


@pytest.mark.parametrize("values", [
    SECURE,
    merge(TLS_ALONE, TOKENS),
    merge(SECURE, TOKENS),
    merge(TLS_ALONE, INSECURE),
    merge(TOKENS, INSECURE),
    {"config": {"tls_cert": "/a", "tls_key": "/b", "tls_client_ca": "/c"}},
    {"config": TOKENS["config"] | {"jwt_keys": "/d"}, "tls": TLS_ALONE["tls"]},
    # one rule for both kinds, of which one is there
    merge(SECURE, policy({"callers": ["a"], "subjects": ["b"], "methods": ["*"]})),
    merge(INSECURE, policy({"anonymous": True, "methods": ["LookupEvents"], "record": False})),
    # what it has cannot be told
    merge(merge(SECURE, MONITOR), {"policy": {"secret": "x"}}),
    merge(merge(SECURE, MONITOR), policy({"callers": ["a"], "methods": ["*"]}, {"anonymous": True, "methods": ["Metrics"]})),
    merge(SECURE, merge(MONITOR, {"serviceMonitor": {"clientCertificate": {"secretName": "x"}}})),
    # through a gateway
    merge(merge(TLS_ALONE, TOKENS), ROUTE),
    merge(merge(SECURE, ROUTE), policy({"callers": ["gateway"], "methods": ["*"]})),
    merge(merge(merge(SECURE, TOKENS), ROUTE), {"policy": {"secret": "x"}}),
])
def test_callers_that_can_be_known(values):
    assert render(values)


def check(message, parts):
    """It has these parts, and is one line as the server's are."""
    for part in parts:
        assert part in message
    line = message.split("): ", 1)[1]
    assert "\n" not in line and not line.endswith(".") and line[0].islower(), line


@pytest.mark.parametrize("values, parts", [
    (config(listen="127.0.0.1:50051"), ["config.listen 127.0.0.1:50051", "0.0.0.0:50051"]),
    (config(http_listen="[::1]:8080"), ["config.http_listen [::1]:8080", "0.0.0.0:8080"]),
    (config(http_listen="0.0.0.0:50051"), ["both port 50051"]),
    ({"service": {"port": 8080}}, ["service.port and service.http.port"]),
    (config(demo=True, aws_endpoint_url="https://example.com"), ["leave config.aws_endpoint_url out"]),
    (config(demo=True, organization=True, assume_role_arn=ROLE), ["config.demo", "config.organization"]),
    (config(demo=True, profile=["a"]), ["config.demo", "config.profile"]),
    (config(demo=True, all_regions=True), ["leave config.all_regions out"]),
    (config(credentials="simulator", profile=["a"]), ["config.credentials simulator", "config.profile"]),
    (config(profile=["a"], account=TWO), ["config.profile", "config.account"]),
    (config(organization=True), ["config.assume_role_arn"]),
    (config(assume_role_arn=ROLE), ["config.account", "config.organization=true"]),
    (config(assume_role_external_id="abc"), ["config.assume_role_external_id", "config.assume_role_arn"]),
    (config(assume_role_session_name="abc"), ["config.assume_role_session_name", "config.assume_role_arn"]),
    (config(assume_role_in_own_account=True), ["config.assume_role_in_own_account", "config.assume_role_arn"]),
    ({"externalIdSecret": {"name": "x"}}, ["externalIdSecret", "config.assume_role_arn"]),
    (config(account=TWO), ["2 accounts", "config.assume_role_arn"]),
    (
        merge(config(account=TWO, assume_role_arn=ROLE, assume_role_external_id="abc"), {"externalIdSecret": {"name": "x"}}),
        ["leave out either"],
    ),
    (config(all_regions=True, region=["us-east-1"]), ["config.exclude_region"]),
    (config(scope_refresh="1h"), ["config.scope_refresh does nothing"]),
    (config(trail=["s3://bucket"]), ["config.trail goes with a queue", "config.queue"]),
    (config(rate=0), ["config.rate 0", "at most 2"]),
    (merge(config(replicas=2), {"replicaCount": 3}), ["replicaCount 3 with config.replicas 2", "set config.replicas=3"]),
    ({"replicaCount": 65}, ["replicaCount 65", "64 servers"]),
    (merge(config(queue=QUEUE), {"replicaCount": 2}), ["replicaCount 2 would share config.queue", "set replicaCount=1"]),
    ({"replicaCount": 2, "strategy": {"type": "Recreate"}}, ["leave strategy out"]),
    ({"autoscaling": {"enabled": True}}, ["1/config.replicas of every quota", "set config.replicas=4"]),
    (merge(config(replicas=3), {"autoscaling": {"enabled": True}}), ["autoscaling.maxReplicas 4 with config.replicas 3"]),
    (merge(config(replicas=9), {"autoscaling": {"enabled": True, "minReplicas": 5}}), ["autoscaling.minReplicas 5 is more"]),
    (
        merge(config(replicas=9, queue=QUEUE), {"autoscaling": {"enabled": True}}),
        ["autoscaling.maxReplicas 4 would share config.queue"],
    ),
    # a new server before an old one is gone: a quarter more, unless it is said
    (merge(config(queue=QUEUE), surge(1)), ["both take from config.queue", "leave strategy out", "maxSurge=0"]),
    (merge(config(queue=QUEUE, replicas=2), {"strategy": {"type": "RollingUpdate"}}), ["both take from config.queue"]),
    (surge(1), ["strategy has 2 servers while they are renewed", "maxSurge=0", "config.replicas=2"]),
    (surge(None), ["strategy has 2 servers"]),
    ({"strategy": {"rollingUpdate": {"maxUnavailable": 0}}}, ["strategy has 2 servers"]),
    (surge(3, replicaCount=3), ["strategy has 6 servers", "config.replicas=6"]),
    (surge("50%", replicaCount=3), ["strategy has 5 servers"]),
    (merge(config(replicas=5), surge(None, autoscaling={"enabled": True, "maxReplicas": 5})), ["strategy has 7 servers"]),
    (config(max_connection_age="0s"), ["config.max_connection_age 0s", "leave it out"]),
    (
        merge(config(replicas=4), {"autoscaling": {"enabled": True}, "podDisruptionBudget": {"enabled": True, "minAvailable": 2, "maxUnavailable": None}}),
        ["minAvailable 2 of 2 lets"],
    ),
    (
        {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
        ["both minAvailable and maxUnavailable", "null"],
    ),
    (
        {"podDisruptionBudget": {"enabled": True, "minAvailable": 1, "maxUnavailable": None}},
        ["minAvailable 1 of 1 lets no node be drained"],
    ),
    ({"podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}}, ["no node be drained", "maxUnavailable=1"]),
    ({"terminationGracePeriodSeconds": 35}, ["terminationGracePeriodSeconds 35", "35 seconds", "null"]),
    (config(cache_size="2GiB"), ["resources.limits.memory 1536Mi", "config.cache_size", "2731 MB"]),
    ({"resources": {"limits": {"memory": "0.8G"}}}, ["resources.limits.memory 0.8G", "520 MB", "840 MB"]),
    (
        merge(config(queue=QUEUE + QUEUE), {"resources": {"limits": {"memory": "919M"}}}),
        ["600 MB", "920 MB"],
    ),
    (
        {"serviceMonitor": {"enabled": True}, "service": {"http": {"enabled": False}}},
        ["service.http.enabled=true"],
    ),
    ({"serviceMonitor": {"enabled": True}}, ["networkPolicy.metricsClients"]),
    ({"grpcRoute": {"enabled": True}}, ["grpcRoute.parentRefs"]),
    (
        {
            "grpcRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}, "networkPolicy": {"clients": ANYONE},
            "tls": {"secretName": "a", "serverCA": {"configMap": "b", "key": "c"}},
        },
        ["tls.serverCA.key c", "ca.crt", "grpcRoute.backendTLSPolicy=false"],
    ),
    ({"grpcRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}}, ["networkPolicy.clients"]),
    ({"networkPolicy": {"clientLabels": {"trailgate-client": None}}}, ["networkPolicy.clientLabels"]),
    (config(aws_endpoint_url="http://simulator:4599"), ["port 4599 of config.aws_endpoint_url", "networkPolicy.egress"]),
    (config(queue_endpoint_url="http://simulator"), ["port 80 of config.queue_endpoint_url"]),
    (config(otlp_endpoint="http://collector:4317"), ["port 4317 of config.otlp_endpoint", "networkPolicy.egress"]),
    (
        config(jwt_issuer="https://issuer", jwt_audience=["a"], jwt_keys="https://issuer:8443/keys"),
        ["port 8443 of config.jwt_keys", "networkPolicy.egress"],
    ),
    (audit("/var/log/trailgate/audit.jsonl"), ["config.audit_log /var/log", "extraVolumeMounts", 'config.audit_log="-"']),
    (audit("/var/logs/audit.jsonl", {"mountPath": "/var/log"}), ["is in no volume"]),
    (audit("/etc/trailgate/audit.jsonl"), ["is in /etc/trailgate, which is mounted readOnly"]),
    (audit("/a/b/audit.jsonl", {"mountPath": "/a/b/", "readOnly": True}, {"mountPath": "/a"}), ["is in /a/b/, which is mounted readOnly"]),
    (
        {"tls": SECURE["tls"], "config": {"insecure": False}} | ROUTE,
        ["grpcRoute's gateway", "policy.rules", "leave tls.clientCA out"],
    ),
    (
        merge(merge(SECURE, TOKENS), {"config": {"insecure": False}} | ROUTE),
        ["sends no token", "without a policy may ask everything"],
    ),
])
def test_contradictions(values, parts):
    check(refusal(merge(INSECURE, values)), parts)


@pytest.mark.parametrize("values", [
    config(demo=True, account=["111122223333"]),
    config(account=TWO, assume_role_arn=ROLE),
    config(account=TWO, aws_endpoint_url="https://example.com"),
    config(rate=0, aws_endpoint_url="https://example.com:443/x"),
    config(profile=["111122223333=a", "b"]),
    config(organization=True, all_regions=True, scope_refresh="10m", assume_role_arn=ROLE),
    config(queue=QUEUE, trail=["s3://bucket/prefix"]),
    {"replicaCount": 3},
    merge(config(replicas=8), {"replicaCount": 3}),
    merge(config(replicas=4), {"autoscaling": {"enabled": True}}),
    merge(config(demo=True), {"replicaCount": 2}),
    merge(config(), {"replicaCount": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": "50%", "maxUnavailable": None}}),
    {"terminationGracePeriodSeconds": 36},
    {"resources": {"limits": {"memory": "840M"}}},
    merge(config(queue=QUEUE + QUEUE), {"resources": {"limits": {"memory": "920M"}}}),
    {"resources": {"limits": None}},
    merge(config(aws_endpoint_url="http://simulator:4599"), {"networkPolicy": {"enabled": False}}),
    merge(config(otlp_endpoint="http://collector:4317"), {"networkPolicy": {"egress": [{"ports": [{"port": 4317}]}]}}),
    # a number that is no port
    config(otlp_endpoint="https://collector2", aws_endpoint_url="https://192.0.2.1"),
    config(jwt_issuer="https://issuer", jwt_audience=["a"], jwt_keys="/keys/jwks2"),
    config(jwt_issuer="https://issuer", jwt_audience=["a"], jwt_keys="https://issuer/keys"),
    merge(config(queue=QUEUE), surge(0)),
    merge(config(queue=QUEUE), {"strategy": {"type": "Recreate"}}),
    merge(config(replicas=2), surge(1)),
    merge(config(replicas=5), surge("50%", replicaCount=3)),
    surge("0%"),
    audit("-"),
    audit("/audit/log/audit.jsonl", {"mountPath": "/audit/"}),
    audit("/audit.jsonl", {"mountPath": "/audit.jsonl", "subPath": "audit.jsonl"}),
    audit("/a/b/audit.jsonl", {"mountPath": "/a/b"}, {"mountPath": "/a", "readOnly": True}),
    # names that nobody is asked about are no identity
    ROUTE,
    {"serviceMonitor": {"enabled": True}, "networkPolicy": {"metricsClients": ANYONE}},
])
def test_what_goes_together_is_rendered(values):
    assert render(merge(INSECURE, values))
