"""`trailgate backfill`: log files of trails that are found, with CloudTrail and S3 as
MiniStack has them, on their way into the archive."""

import gzip
import json
import random
import subprocess
import tempfile
import time
import uuid
from collections import Counter

import boto3
import pytest
from botocore.config import Config

import archive
from ministack import ACCOUNT, CREDENTIALS, REGION, MiniStack, program
from processes import DATA, PATIENCE, bare_environment, binary, run, wait_for
from proxy import Proxy
from test_queue import LOGS, identity, wanted

OTHER = "eu-west-1"
MEMBERS = ("111122223333", "444455556666")

needs_ministack = pytest.mark.skipif(
    not program().exists(), reason="no MiniStack: tests/clients/venv.sh installs it"
)


@pytest.fixture(scope="module")
def stack():
    with MiniStack() as stack:
        yield stack


def client(stack, service, region=REGION, key="test"):
    """A client; MiniStack tells accounts apart by keys that are their ids."""
    return boto3.client(
        service, endpoint_url=stack.url, region_name=region,
        aws_access_key_id=key, aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}, read_timeout=PATIENCE, proxies={}),
    )


@pytest.fixture
def s3(stack):
    return client(stack, "s3")


@pytest.fixture
def trails(stack):
    """Makes trails; they are gone after the test."""
    made = []

    def make(name, region, bucket, **more):
        client(stack, "cloudtrail", region).create_trail(Name=name, S3BucketName=bucket, **more)
        made.append((name, region))

    yield make
    for name, region in made:
        client(stack, "cloudtrail", region).delete_trail(Name=name)


@pytest.fixture
def bucket(s3):
    return lambda region=REGION: new_bucket(s3, region)


def new_bucket(s3, region):
    name = f"trail-{uuid.uuid4()}"
    where = {} if region == REGION else {
        "CreateBucketConfiguration": {"LocationConstraint": region}
    }
    s3.create_bucket(Bucket=name, **where)
    return name


def event_id(n):
    return f"00000000-0000-4000-8000-{n:012}"


def log_file(account, region, day, ids):
    """A log file of these events; its key below a root, and its bytes."""
    records = [
        {"eventVersion": "1.09", "eventID": event_id(n), "eventTime": f"{day}T01:00:00Z",
         "eventName": "Made", "awsRegion": region, "recipientAccountId": account}
        for n in ids
    ]
    digits, path = day.replace("-", ""), day.replace("-", "/")
    name = f"{account}_CloudTrail_{region}_{digits}T0105Z_{ids[0]:016}.json.gz"
    key = f"{account}/CloudTrail/{region}/{path}/{name}"
    return key, gzip.compress(json.dumps({"Records": records}).encode())


def put(s3, bucket, root, *file):
    key, body = log_file(*file)
    s3.put_object(Bucket=bucket, Key=f"{root}{key}", Body=body)
    return f"{root}{key}"


def backfill(stack, root, *args, code=0, url=None):
    """Runs it to its end; what it tells."""
    done = run(
        "backfill", "--archive", root, "--aws-endpoint-url", url or stack.url, "-o", "json",
        *args, env=CREDENTIALS,
    )
    assert done.returncode == code, (done.returncode, done.stderr)
    return (json.loads(done.stdout) if done.stdout else None), done.stderr


def ids_of(root):
    """The numbers of events, each as often as it is there."""
    return Counter(int(row["eventID"][-12:]) for row in archive.rows(root, ["eventID"]))


def once(numbers):
    return Counter(dict.fromkeys(numbers, 1))


@needs_ministack
def test_trails_of_two_regions_are_found_and_loaded_once(stack, s3, trails, bucket, tmp_path):
    central, own = bucket(), bucket(OTHER)
    # one of an organization and all Regions, a twin of it, and one of one Region
    trails("org", REGION, central, S3KeyPrefix="p", IsMultiRegionTrail=True)
    trails("twin", REGION, central, S3KeyPrefix="p")
    trails("own", OTHER, own)
    n = 0
    for account in MEMBERS:
        for region in (REGION, OTHER):
            for day in ("2024-01-31", "2024-02-01"):
                put(s3, central, "p/AWSLogs/o-example/", account, region, day, [n, n + 1])
                n += 2
    for day in ("2024-02-01", "2024-02-02"):
        put(client(stack, "s3", OTHER), own, "AWSLogs/", ACCOUNT, OTHER, day, [n])
        n += 1
    s3.put_object(Bucket=central, Key="p/AWSLogs/o-example/CloudTrail/x.txt", Body=b"not one")
    root = tmp_path / "archive"
    told, _ = backfill(stack, root)
    assert {one["place"]: len(one["trails"]) for one in told["deliveries"]} == {
        f"s3://{central}/p/": 2, f"s3://{own}/": 1,
    }
    assert (told["files"], told["files_failed"], told["new_events"]) == (10, 0, n)
    assert ids_of(root) == once(range(n))
    rows = archive.rows(root, ["eventID"])
    scopes = Counter((row["account_id"], row["region"]) for row in rows)
    assert scopes[(ACCOUNT, OTHER)] == 2 and scopes[(MEMBERS[0], REGION)] == 4

    again, _ = backfill(stack, root)
    assert (again["files"], again["new_events"]) == (0, 0)
    all_again, _ = backfill(stack, root, "--again")
    assert (all_again["files"], all_again["new_events"], all_again["known_events"]) == (10, 0, n)
    assert ids_of(root) == once(range(n))

    put(s3, central, "p/AWSLogs/o-example/", MEMBERS[0], REGION, "2024-02-03", [n])
    more, _ = backfill(stack, root)
    assert (more["files"], more["new_events"]) == (1, 1)
    assert ids_of(root) == once(range(n + 1))


@needs_ministack
def test_what_is_chosen_alone_is_loaded_and_the_rest_later(stack, s3, bucket, tmp_path):
    place = bucket()
    days = [f"2024-01-{day:02}" for day in range(1, 11)]
    n, where = 0, {}
    for account in MEMBERS:
        for region in (REGION, OTHER):
            for day in days:
                put(s3, place, "AWSLogs/", account, region, day, [n])
                where[n] = (account, region, day)
                n += 1
    root = tmp_path / "archive"
    url = f"s3://{place}/AWSLogs/"
    chosen = ["--account", MEMBERS[1], "--region", OTHER, "--since", "2024-01-03", "--until", "2024-01-05"]
    dry, _ = backfill(stack, root, "--dry-run", url)
    assert dry["files"] == 40 and not root.exists()
    told, _ = backfill(stack, root, *chosen, url)
    expected = {
        n for n, (account, region, day) in where.items()
        if (account, region) == (MEMBERS[1], OTHER) and "2024-01-03" <= day <= "2024-01-05"
    }
    assert told["files"] == len(expected) == 3
    assert ids_of(root) == once(expected)
    dry, _ = backfill(stack, root, "--dry-run", url)
    assert (dry["files"], dry["sampled_files"], dry["events"]) == (37, 37, 37)
    assert dry["seconds"] > 0 and dry["bytes"] > 0
    assert ids_of(root) == once(expected)
    told, _ = backfill(stack, root, url)
    assert told["files"] == 37
    assert ids_of(root) == once(range(n))


@needs_ministack
def test_a_region_that_fails_is_said_and_passed(stack, s3, trails, bucket, tmp_path):
    one, other = bucket(), bucket()
    trails("one", REGION, one)
    trails("other", OTHER, other)
    put(s3, one, "AWSLogs/", ACCOUNT, REGION, "2024-01-01", [1])
    put(s3, other, "AWSLogs/", ACCOUNT, OTHER, "2024-01-01", [2])
    denied = (400, b'{"__type":"AccessDeniedException","message":"no"}')

    def fails(asked):
        return denied if (asked.region, asked.service) == (OTHER, "cloudtrail") else None

    root = tmp_path / "archive"
    with Proxy(stack.port, fails) as proxy:
        told, said = backfill(stack, root, url=proxy.url, code=2)
    assert told["not_told"] == [
        {"account": ACCOUNT, "region": OTHER, "code": "AccessDeniedException"}
    ]
    assert f"{ACCOUNT}: trails are not told in {OTHER} [AccessDeniedException]" in said
    assert ids_of(root) == once([1])
    told, _ = backfill(stack, root)
    assert told["new_events"] == 1
    assert ids_of(root) == once([1, 2])
    def fails_everywhere(asked):
        return denied if asked.service == "cloudtrail" else None

    with Proxy(stack.port, fails_everywhere) as proxy:
        told, said = backfill(stack, root, url=proxy.url, code=1)
    assert told is None and "nobody told of trails" in said


@needs_ministack
def test_each_account_is_asked_by_its_role_and_lends_it_for_its_bucket(stack, tmp_path):
    gone = "777788889999"
    buckets = {}
    for n, account in enumerate(MEMBERS):
        def of(service):
            return client(stack, service, key=account)

        bucket = buckets[account] = new_bucket(of("s3"), REGION)
        of("cloudtrail").create_trail(Name="own", S3BucketName=bucket, IsMultiRegionTrail=True)
        put(of("s3"), bucket, "AWSLogs/", account, OTHER, "2024-01-01", [n])

    def fails(asked):
        if asked.service == "sts" and gone.encode() in asked.body:
            return 403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        if asked.service == "s3" and asked.key == "test" and buckets[MEMBERS[1]] in asked.path:
            return 403, b"<Error><Code>AccessDenied</Code></Error>"
        return None

    root = tmp_path / "archive"
    accounts = [x for account in (*MEMBERS, gone) for x in ("--account", account)]
    with Proxy(stack.port, fails) as proxy:
        told, said = backfill(
            stack, root, "--assume-role-arn", "arn:aws:iam::{account}:role/Reader", *accounts,
            "--region", REGION, "--region", OTHER, url=proxy.url, code=2,
        )
    assert {one["place"] for one in told["deliveries"]} == {
        f"s3://{bucket}/" for bucket in buckets.values()
    }
    assert {one["account"] for one in told["not_told"]} == {gone}
    assert said.count(gone) == 1 and "AssumeRole.AccessDenied" in said
    assert ids_of(root) == once([0, 1])


@needs_ministack
def test_a_bucket_that_is_asked_too_much_is_asked_again(stack, s3, bucket, tmp_path):
    place = bucket()
    for n in range(30):
        put(s3, place, "AWSLogs/", ACCOUNT, REGION, f"2024-01-{1 + n % 9:02}", [n])
    slow_down = (
        503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    )
    chance = random.Random(7)

    def fails(asked):
        is_read = asked.service == "s3" and asked.method == "GET" and place in asked.path
        return slow_down if is_read and chance.random() < 0.3 else None

    root = tmp_path / "archive"
    with Proxy(stack.port, fails) as proxy:
        told, _ = backfill(stack, root, f"s3://{place}/AWSLogs", url=proxy.url)
    assert (told["files"], told["files_failed"]) == (30, 0)
    assert ids_of(root) == once(range(30))


@needs_ministack
def test_files_that_cannot_be_read_are_named_and_block_nothing(stack, s3, bucket, tmp_path):
    place = bucket()
    for n in range(5):
        put(s3, place, "AWSLogs/", ACCOUNT, REGION, "2024-01-01", [n])
    key, body = log_file(ACCOUNT, REGION, "2024-01-01", [5, 6])
    s3.put_object(Bucket=place, Key=f"AWSLogs/{key}", Body=body[:-9])
    digest = key.replace("CloudTrail", "CloudTrail-Digest").replace("_000", "_t_us-east-1_000")
    s3.put_object(Bucket=place, Key=f"AWSLogs/{digest}", Body=b"no records")
    root = tmp_path / "archive"
    told, said = backfill(stack, root, f"s3://{place}/", code=2)
    assert [(fault["file"], fault["fault"]) for fault in told["faults"]] == [
        (f"s3://{place}/AWSLogs/{key}", "TRUNCATED")
    ]
    assert f"s3://{place}/AWSLogs/{key}: " in said
    assert set(range(5)) <= set(ids_of(root))
    s3.put_object(Bucket=place, Key=f"AWSLogs/{key}", Body=body)
    told, _ = backfill(stack, root, f"s3://{place}/")
    assert told["files"] == 1
    assert ids_of(root) == once(range(7))


@needs_ministack
def test_killed_in_the_midst_it_goes_on_and_all_is_there_once(stack, s3, bucket, tmp_path):
    place = bucket()
    files, events = 400, 50
    for n in range(files):
        ids = range(n * events, (n + 1) * events)
        put(s3, place, "AWSLogs/", MEMBERS[n % 2], (REGION, OTHER)[n // 2 % 2],
            f"2024-{1 + n % 12:02}-01", list(ids))
    root = tmp_path / "archive"
    chance = random.Random(11)
    # a bucket that takes its time, so that a kill comes in the midst
    slow = Proxy(stack.port, lambda _: time.sleep(0.01))
    args = [
        "backfill", "--archive", root, "--aws-endpoint-url", slow.url, "--parallel", 4,
        "--memory", "192MB", f"s3://{place}/AWSLogs/",
    ]
    killed = 0
    with slow, tempfile.TemporaryDirectory() as home:
        environment = {**bare_environment(home), **CREDENTIALS}
        for _ in range(5):
            process = subprocess.Popen(
                [binary(), *map(str, args)], env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            time.sleep(chance.uniform(0.2, 2.5))
            killed += process.poll() is None
            process.kill()
            process.wait()
            if root.exists():
                assert max(ids_of(root).values(), default=1) == 1
    assert killed >= 3
    backfill(stack, root, f"s3://{place}/AWSLogs/")
    assert ids_of(root) == once(range(files * events))
    before = len(archive.files(root))
    told, said = backfill(stack, root, "--compact", f"s3://{place}/AWSLogs/")
    assert told["files"] == 0 and "files became" in said
    assert len(archive.files(root)) <= before
    assert ids_of(root) == once(range(files * events))


@needs_ministack
def test_the_archive_may_be_in_a_bucket(stack, s3, bucket, tmp_path):
    logs, kept = bucket(), bucket()
    for n in range(10):
        put(s3, logs, "AWSLogs/", ACCOUNT, REGION, f"2024-01-{1 + n % 3:02}", [n])
    root = f"s3://{kept}/some/archive"
    told, _ = backfill(stack, root, f"s3://{logs}/AWSLogs")
    assert told["new_events"] == 10
    again, _ = backfill(stack, root, f"s3://{logs}/AWSLogs")
    assert again["files"] == 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=kept):
        for found in page["Contents"]:
            path = tmp_path / found["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=kept, Key=found["Key"])["Body"].read())
    assert ids_of(tmp_path / "some" / "archive") == once(range(10))
    denied = (403, b"<Error><Code>AccessDenied</Code></Error>")

    def fails(asked):
        is_write = asked.service == "s3" and asked.method == "PUT"
        return denied if is_write and "account_id" in asked.path else None

    put(s3, logs, "AWSLogs/", ACCOUNT, REGION, "2024-01-04", [10])
    with Proxy(stack.port, fails) as proxy:
        _, said = backfill(stack, root, f"s3://{logs}/AWSLogs", url=proxy.url, code=1)
    assert "the archive took no more: " in said
    last, _ = backfill(stack, root, f"s3://{logs}/AWSLogs")
    assert (last["files"], last["new_events"]) == (1, 1)


@needs_ministack
def test_told_to_stop_it_keeps_what_it_has_read(stack, s3, bucket, tmp_path):
    place = bucket()
    for n in range(200):
        put(s3, place, "AWSLogs/", ACCOUNT, REGION, f"2024-01-{1 + n % 9:02}", [n])
    root = tmp_path / "archive"
    slow = Proxy(stack.port, lambda _: time.sleep(0.05))
    with slow, tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [binary(), "backfill", "--archive", root, "--aws-endpoint-url", slow.url,
             "--parallel", "2", "-o", "json", f"s3://{place}/AWSLogs/"],
            env={**bare_environment(home), **CREDENTIALS}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        reads = lambda: sum(asked.path.endswith(".json.gz") for asked in slow.asked)
        wait_for("some files were read", lambda: reads() > 20)
        process.terminate()
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    told = json.loads(stdout)
    assert told["stopped"] and 0 < told["files"] < 200, told
    assert set(ids_of(root).values()) == {1}
    rest, _ = backfill(stack, root, f"s3://{place}/AWSLogs/")
    assert rest["files"] <= 200 - told["files"]
    assert ids_of(root) == once(range(200))


def of_days():
    """The records of all log files, by identity and day: made-up ones among them share
    ids over days."""
    found = {}
    for which, texts in wanted().items():
        for text in texts:
            day = json.loads(text)["eventTime"][:10]
            found.setdefault((*which, day), set()).add(text)
    return found


@pytest.mark.skipif(not LOGS, reason=f"no log files in {DATA}")
def test_real_log_files_of_a_directory_are_loaded_as_they_are(tmp_path):
    records = of_days()
    root = tmp_path / "archive"
    done = run("backfill", "--archive", root, "-o", "json", DATA / "AWSLogs")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["files"], told["new_events"]) == (len(LOGS), len(records))
    stored = {}
    for row in archive.rows(root, ["eventID", "record"]):
        record = row["record"]
        which = identity(row["account_id"], row["region"], row["eventID"] or "", record)
        which = *which, row["date"]
        assert which not in stored, which
        stored[which] = record
    assert stored.keys() == records.keys()
    assert all(record in records[which] for which, record in stored.items())
    again = json.loads(run("backfill", "--archive", root, "-o", "json", DATA / "AWSLogs").stdout)
    assert again["new_events"] == 0 and again["known_events"] == again["records"]


@needs_ministack
@pytest.mark.skipif(not LOGS, reason=f"no log files in {DATA}")
def test_real_log_files_of_a_bucket_are_the_same(stack, s3, trails, bucket, tmp_path):
    place = bucket()
    trails("real", REGION, place, S3KeyPrefix="a/b")
    for path in LOGS:
        key = f"a/b/{path.relative_to(DATA)}"
        s3.put_object(Bucket=place, Key=key, Body=path.read_bytes())
    root = tmp_path / "archive"
    told, _ = backfill(stack, root, "--region", REGION)
    rest, _ = backfill(stack, root, f"s3://{place}/a/b/AWSLogs/")
    assert 0 < told["files"] < told["files"] + rest["files"] == len(LOGS)
    assert told["new_events"] + rest["new_events"] == len(of_days())


def test_what_is_wrong_is_said(tmp_path):
    def refused(*args, code=64):
        done = run("backfill", *args)
        assert done.returncode == code, done.stderr
        return done.stderr

    assert "--archive" in refused()
    assert "12 digits" in refused("--archive", tmp_path, "--account", "1", tmp_path)
    assert "--since is after --until" in refused(
        "--archive", tmp_path, "--since", "2024-02-01", "--until", "2024-01-01", tmp_path
    )
    assert "cannot be used with" in refused("--archive", tmp_path, "--organization", tmp_path)
    assert "--assume-role-arn" in refused("--archive", tmp_path, "--organization")
    assert "give 192MB or more" in refused("--archive", tmp_path, "--memory", "191MB", tmp_path)
    none = refused("--archive", tmp_path / "a", tmp_path / "none", code=1)
    assert f"{tmp_path / 'none'}: " in none
    (tmp_path / "file").write_text("")
    assert "--archive: cannot use the directory" in refused("--archive", tmp_path / "file", tmp_path, code=1)
    (tmp_path / "empty").mkdir()
    empty = refused("--archive", tmp_path / "a", tmp_path / "empty", code=0)
    assert empty.splitlines()[-1] == "trailgate: no log files there"


def test_what_was_not_chosen_is_told_apart_from_what_is_loaded(tmp_path):
    place = tmp_path / "logs" / "AWSLogs"
    for n, account in enumerate(MEMBERS):
        key, body = log_file(account, REGION, "2024-02-01", [n])
        (place / key).parent.mkdir(parents=True)
        (place / key).write_bytes(body)

    def said(*options):
        done = run("backfill", "--archive", tmp_path / "archive", "-o", "json", *options, place)
        assert done.returncode == 0 and json.loads(done.stdout)["files"] == 0, done.stderr
        return done.stderr

    none = "no log file there was chosen: "
    assert f"{none}--region leaves out what there is" in said("--region", "eu-north-1")
    assert f"{none}--account leaves out" in said("--account", "999999999999")
    assert f"{none}--since leaves out" in said("--since", "2024-03-01")
    assert f"{none}--until leaves out" in said("--until", "2024-01-01")
    both = said("--exclude-account", MEMBERS[0], "--region", "eu-north-1")
    assert f"{none}--exclude-account and --region leave out" in both


def test_files_that_cannot_be_read_are_told_once_each_time(tmp_path):
    place = tmp_path / "logs" / "AWSLogs"
    for n in range(4):
        key, body = log_file(MEMBERS[0], REGION, f"2024-02-0{1 + n}", [n])
        (place / key).parent.mkdir(parents=True)
        (place / key).write_bytes([body, body[:-20], b"neither", body][n])
    for _ in range(3):
        done = run("backfill", "--archive", tmp_path / "archive", "-o", "json", place)
        told = json.loads(done.stdout)
        assert done.returncode == 2 and (told["files"], told["files_failed"]) == (4, 2), told
        assert len({fault["file"] for fault in told["faults"]}) == len(told["faults"]) == 2
        assert len(done.stderr.splitlines()) == 2, done.stderr
