"""What the tests stand on: an archive, and servers that answer SQL over it."""

import gzip
import json
import os
from pathlib import Path

import pytest

from processes import Server, run

# nothing of this machine's settings may decide a test
for name in list(os.environ):
    if name.startswith(("AWS_", "TRAILGATE_")) and not name.startswith("TRAILGATE_BIN"):
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

OWN, OTHER = "111122223333", "444455556666"
REGIONS = ["eu-west-1", "us-east-1"]
DAYS = ["2026-01-02", "2026-01-03"]


def record(number):
    """One of a few dozen records, in two accounts, two Regions and two days."""
    account, region, day = [OWN, OTHER][number % 2], REGIONS[number // 2 % 2], DAYS[number // 4 % 2]
    who = ["ann", "bob", "cem"][number % 3]
    return {
        "eventVersion": "1.11", "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": f"{day}T03:{number % 60:02}:05Z", "eventSource": "s3.amazonaws.com",
        "eventName": ["GetObject", "PutObject", "DeleteBucket"][number % 3], "awsRegion": region,
        "recipientAccountId": account, "sourceIPAddress": "192.0.2.7", "readOnly": number % 3 == 0,
        "userIdentity": {
            "type": "IAMUser", "userName": who, "accountId": account,
            "arn": f"arn:aws:iam::{account}:user/{who}",
        },
        "requestParameters": {"bucketName": f"bucket-{number % 5}", "n": number},
    }


RECORDS = [record(number) for number in range(48)]


def log_files(folder, records):
    """Records as a trail delivers them."""
    files = {}
    for one in records:
        account, region, day = one["recipientAccountId"], one["awsRegion"], one["eventTime"][:10]
        files.setdefault((account, region, day), []).append(one)
    for (account, region, day), found in files.items():
        path = Path(folder, "AWSLogs", account, "CloudTrail", region, *day.split("-"))
        path.mkdir(parents=True)
        name = f"{account}_CloudTrail_{region}_{day.replace('-', '')}T0400Z_aaaaaaaaaaaaaaaa.json.gz"
        (path / name).write_bytes(gzip.compress(json.dumps({"Records": found}).encode()))


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """An archive of the records."""
    folder = tmp_path_factory.mktemp("sql")
    log_files(folder, RECORDS)
    loaded = run("backfill", "--archive", folder / "archive", folder / "AWSLogs")
    assert loaded.returncode == 0, loaded.stderr
    return folder / "archive"


def server_of(archive, *args, **more):
    """A server of an archive, which asks AWS for nothing."""
    return Server(
        "--archive", archive, "--poll", "off", "--aws-endpoint-url", "http://127.0.0.1:9",
        *args, accounts=[OWN, OTHER], regions=REGIONS, **more,
    )


@pytest.fixture(scope="module")
def server(archive):
    with server_of(archive) as server:
        yield server
