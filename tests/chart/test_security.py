"""Every pod passes Pod Security "restricted", as Kubernetes's documentation has
its rules."""

import re

import pytest

from chart import CASES, EVERYTHING, only, render

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}


def faults(pod):
    """What of a pod's spec "restricted" does not allow."""
    found = []

    def check(holds, what):
        if not holds:
            found.append(what)

    for name in ("hostNetwork", "hostPID", "hostIPC"):
        check(not pod.get(name), name)
    for volume in pod.get("volumes", []):
        check(set(volume) - {"name"} <= VOLUMES, f"volume {volume['name']}")
    outer = pod.get("securityContext", {})
    check("sysctls" not in outer, "sysctls")
    for container in pod["containers"] + pod.get("initContainers", []):
        inner = container.get("securityContext", {})

        def either(name):
            return inner.get(name, outer.get(name))

        check(not inner.get("privileged"), "privileged")
        check(inner.get("allowPrivilegeEscalation") is False, "allowPrivilegeEscalation")
        capabilities = inner.get("capabilities", {})
        check("ALL" in capabilities.get("drop", []), "capabilities dropped")
        check(set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}, "capabilities added")
        check(either("runAsNonRoot") is True, "runAsNonRoot")
        check(either("runAsUser") != 0, "runAsUser")
        check((either("seccompProfile") or {}).get("type") in ("RuntimeDefault", "Localhost"), "seccompProfile")
        check(inner.get("procMount", "Default") == "Default", "procMount")
        check("seLinuxOptions" not in inner and "seLinuxOptions" not in outer, "seLinuxOptions")
        check("appArmorProfile" not in inner and "appArmorProfile" not in outer, "appArmorProfile")
        check(all(not port.get("hostPort") for port in container.get("ports", [])), "hostPort")
        handlers = [container.get(probe, {}) for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
        handlers += container.get("lifecycle", {}).values()
        for handler in handlers:
            for how in ("httpGet", "tcpSocket"):
                check("host" not in handler.get(how, {}), f"host of {how}")
    return found


def pods(values):
    objects = render(values)
    return {"server": only(objects, "Deployment")["spec"]["template"]["spec"], "test": only(objects, "Pod")["spec"]}


@pytest.mark.parametrize("case", CASES)
def test_pods_are_restricted(case):
    for name, pod in pods(CASES[case]).items():
        assert faults(pod) == [], name
        for container in pod["containers"] + pod.get("initContainers", []):
            # beyond what it asks
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_what_is_not_restricted_would_be_seen():
    assert len(faults({"containers": [{}], "hostNetwork": True, "volumes": [{"name": "a", "hostPath": {}}]})) == 6


def test_the_external_id_comes_from_its_secret():
    (container,) = pods(EVERYTHING)["server"]["containers"]
    assert container["env"][0] == {
        "name": "TRAILGATE_ASSUME_ROLE_EXTERNAL_ID",
        "valueFrom": {"secretKeyRef": {"name": "trailgate", "key": "external-id"}},
    }
    assert container["envFrom"] == [{"secretRef": {"name": "more"}}, {"configMapRef": {"name": "aws"}}]


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_in_a_config_map(case):
    """What the chart writes down is public: keys of tokens are, and who may ask what."""
    for (kind, name), value in render(CASES[case]).items():
        assert kind != "Secret", name
        if kind == "ConfigMap":
            assert not re.search(r"PRIVATE KEY|\"(d|k)\":|external_id", "".join(value["data"].values())), name


@pytest.mark.parametrize("case", CASES)
def test_only_who_is_named_gets_in_and_only_what_is_needed_out(case):
    objects = render(CASES[case])
    if not any(kind == "NetworkPolicy" for kind, _ in objects):
        assert CASES[case]["networkPolicy"]["enabled"] is False
        return
    policy = only(objects, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule["from"] and all(rule["from"]) for rule in policy["ingress"])
    dns, aws, agent = policy["egress"][:3]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert aws == {"ports": [{"port": 443, "protocol": "TCP"}]}
    assert [peer["ipBlock"]["cidr"] for peer in agent["to"]] == ["169.254.170.23/32", "fd00:ec2::23/128"]
    assert agent["ports"] == [{"port": 80, "protocol": "TCP"}]
