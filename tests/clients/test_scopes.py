"""An organisation, by AWS's own client and by the server before it."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import BIG
from processes import Server, Simulator, run

BASE = BIG[0]
OTHERS = [f"{n:012}" for n in range(1, 25)]
GONE = "999999999999"
ROLE = "arn:{partition}:iam::{account}:role/Reader"


def client(simulator, service, account=BASE, region="us-east-1"):
    return boto3.client(
        service,
        endpoint_url=simulator.url,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


@pytest.fixture(scope="module")
def organization():
    """A simulator of made-up events in 25 accounts, and one that is suspended."""
    args = [x for account in [BASE, *OTHERS] for x in ("--account", account)]
    with Simulator(
        *args, "--region", "us-east-1", "--region", "eu-west-1", "--synthetic", 5000,
        "--suspended-account", GONE, "--management-account", BASE,
        "--account-regions", f"{OTHERS[0]}=eu-west-1", "--external-id", "the:id",
        "--fault", f"denied-role={OTHERS[1]}", records=[],
    ) as simulator:
        yield simulator


def code(call, **arguments):
    """The code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_boto3_sees_an_organization(organization):
    pages = list(client(organization, "organizations").get_paginator("list_accounts").paginate())
    assert [len(page["Accounts"]) for page in pages] == [20, 6]
    states = {a["Id"]: a["State"] for page in pages for a in page["Accounts"]}
    assert states == {BASE: "ACTIVE", **dict.fromkeys(OTHERS, "ACTIVE"), GONE: "SUSPENDED"}
    member = client(organization, "organizations", OTHERS[0])
    assert code(member.list_accounts) == "AccessDeniedException"
    assert code(client(organization, "cloudtrail", GONE).lookup_events) == "UnrecognizedClientException"


def test_boto3_assumes_roles_as_they_trust(organization):
    sts = client(organization, "sts")

    def assume(account, **more):
        return sts.assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/Reader", RoleSessionName="test", **more
        )

    assert assume(OTHERS[0], ExternalId="the:id")["Credentials"]["AccessKeyId"] == OTHERS[0]
    assert code(assume, account=OTHERS[0]) == "AccessDenied"
    assert code(assume, account=OTHERS[0], ExternalId="another") == "AccessDenied"
    assert code(assume, account=OTHERS[1], ExternalId="the:id") == "AccessDenied"
    assert code(assume, account=GONE, ExternalId="the:id") == "AccessDenied"


def test_boto3_sees_the_regions_of_an_account(organization):
    regions = client(organization, "account", OTHERS[0]).list_regions()["Regions"]
    assert {r["RegionName"]: r["RegionOptStatus"] for r in regions} == {
        "eu-west-1": "ENABLED_BY_DEFAULT", "us-east-1": "DISABLED",
    }
    shut = client(organization, "cloudtrail", OTHERS[0])
    assert code(shut.lookup_events) == "UnrecognizedClientException"


def test_a_server_reads_the_organization(organization):
    env = {
        "AWS_ACCESS_KEY_ID": BASE, "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true", "TRAILGATE_ORGANIZATION": "true",
        "TRAILGATE_ASSUME_ROLE_ARN": ROLE, "TRAILGATE_ASSUME_ROLE_EXTERNAL_ID": "the:id",
    }
    with Server("--all-regions", simulator=organization, env=env) as server:
        done = run("lookup", "--endpoint", server.endpoint, "--limit", "all", "-o", "jsonl",
                   "--event-name", "AssumeRole", env=env)
        # one account is shut, and that is told
        assert done.returncode == 2, done.stderr
        assert OTHERS[1] in done.stderr
        assert "the:id" not in server.stderr()
        found = set()
        for line in done.stdout.splitlines():
            event = json.loads(line)
            found.add((event["account_id"], event["region"]))
    expected = {(a, r) for a in [BASE, *OTHERS] for r in ("us-east-1", "eu-west-1")}
    expected -= {(OTHERS[0], "us-east-1")} | {s for s in expected if s[0] == OTHERS[1]}
    assert found and found <= expected
    asked = {
        (s["account"], s["region"]) for s in organization.stats()["scopes"]
        if s["operations"].get("LookupEvents", {}).get("requests")
    }
    assert expected <= asked
