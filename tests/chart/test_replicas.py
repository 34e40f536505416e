"""Several servers: what they share, and how they come and go."""

import pytest

from chart import CASES, ELSE, INSECURE, merge, only, render, server_config


def deployment(values):
    return only(render(values), "Deployment")["spec"]


def test_no_second_server_comes_before_the_first_is_gone():
    assert deployment(INSECURE)["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("case", ["ha", "production", "everything", "else"])
def test_there_are_never_more_than_share_the_quota(case):
    strategy = deployment(CASES[case])["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("values, replicas, age", [
    ({}, None, None),
    ({"replicaCount": 2}, 2, "1h"),
    ({"replicaCount": 64}, 64, "1h"),
    # others have a part of it, too
    ({"replicaCount": 2, "config": {"replicas": 5}}, 5, "1h"),
    ({"config": {"replicas": 2}}, 2, None),
    ({"config": {"max_connection_age": "30m"}}, None, "30m"),
    ({"replicaCount": 2, "config": {"max_connection_age": "12h"}}, 2, "12h"),
    ({"autoscaling": {"enabled": True, "maxReplicas": 3}, "config": {"replicas": 3}}, 3, "1h"),
])
def test_each_server_knows_how_many_share_the_quota(values, replicas, age):
    config = server_config(render(merge(INSECURE, values)))
    assert config.get("replicas") == replicas and config.get("max_connection_age") == age


def test_an_autoscaler_alone_says_how_many_there_are():
    objects = render(ELSE)
    assert "replicas" not in only(objects, "Deployment")["spec"]
    scaler = only(objects, "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-trailgate"}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, server_config(objects)["replicas"])
    assert [metric["type"] for metric in scaler["metrics"]] == ["Pods"]
    scaler = only(render(merge(ELSE, {"autoscaling": {"metrics": []}})), "HorizontalPodAutoscaler")["spec"]
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
