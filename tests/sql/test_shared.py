"""Real log files, loaded and asked: each event once, character for character, and the
answers of a plain pass over the files, which shares no code with the program."""

import datetime
import gzip
import hashlib
import json
import re
from collections import Counter

import pytest

from processes import DATA, run

LOGS = DATA / "AWSLogs"
ALTERED = DATA / "altered_records.json.gz"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

needs_logs = pytest.mark.skipif(not LOGS.is_dir(), reason=f"no log files in {DATA}")
needs_altered = pytest.mark.skipif(not ALTERED.is_file(), reason=f"no {ALTERED}")


# a plain pass


def raw(path):
    """The records of a log file, and their characters."""
    text = gzip.decompress(path.read_bytes()).decode()
    decoder = json.JSONDecoder()
    at = text.index("[", text.index('"Records"')) + 1
    while True:
        while text[at] in ", \t\r\n":
            at += 1
        if text[at] == "]":
            return
        record, end = decoder.raw_decode(text, at)
        yield record, text[at:end]
        at = end


def scalar(value):
    """A value as a column of text has it, if it is neither an object nor a list."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def member(value, *names):
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def day_of(record):
    """The day of its time in UTC; None: it has none that is an instant."""
    try:
        time = datetime.datetime.fromisoformat(record["eventTime"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if time.tzinfo is None else time.astimezone(datetime.timezone.utc).date().isoformat()


def place_of(path, record):
    """The account and the Region: what the record says, else where its file lies."""
    parts = path.parts
    at = next(i for i, part in enumerate(parts) if part.startswith("CloudTrail"))
    account = scalar(record.get("recipientAccountId")) or scalar(member(record, "userIdentity", "accountId"))
    return account or parts[at - 1], scalar(record.get("awsRegion")) or parts[at + 1]


def identity_of(record, text):
    event_id = scalar(record.get("eventID")) or ""
    if UUID.fullmatch(event_id):
        return "00" + event_id.replace("-", "").lower()
    return "01" + hashlib.sha256(text.encode()).hexdigest()[:32]


def passed(paths):
    """Each event once, by where it is kept: the record, and all texts that it has."""
    events = {}
    for path in paths:
        for record, text in raw(path):
            key = (*place_of(path, record), day_of(record), identity_of(record, text))
            events.setdefault(key, (record, {}))[1][text] = record
    return events


# the archive


def loaded(archive, *places):
    done = run("backfill", "--archive", archive, "-o", "json", *places)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def ask(archive, query, *options):
    """The rows of an answer."""
    done = run("sql", "--archive", archive, "-o", "json", *options, query)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kept(archive):
    """Records by where they are kept."""
    found = {}
    for row in ask(archive, "select account_id, region, date, identity, record from cloudtrail"):
        key = (row["account_id"], row["region"], row["date"], row["identity"])
        assert key not in found, key
        found[key] = row["record"]
    return found


@pytest.fixture(scope="module")
def real():
    """The events of the log files."""
    events = passed(sorted(LOGS.rglob("*.json.gz")))
    assert len(events) > 3000
    return events


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive of the log files, and what was said of them."""
    place = tmp_path_factory.mktemp("shared") / "archive"
    return place, loaded(place, LOGS)[0]


@pytest.fixture(scope="module")
def there(archive):
    return kept(archive[0])


@pytest.fixture(scope="module")
def events(there, real):
    """Each event's record. Examples in documentation have one id for several: which one is kept is told by
    the archive, as files are read at once."""
    assert sum(len(texts) > 1 for _, texts in real.values()) < 20
    return {key: real[key][1][text] for key, text in there.items()}


def counted(rows):
    """Rows as groups and their sizes."""
    sizes = {}
    for row in rows:
        *group, size = row.values()
        assert tuple(group) not in sizes, group
        sizes[tuple(group)] = size
    return sizes


@needs_logs
def test_each_event_is_there_once_character_for_character(archive, there, real):
    assert there.keys() == real.keys()
    assert all(text in real[key][1] for key, text in there.items())
    said = archive[1]
    assert said["new_events"] == len(real) and said["files_failed"] == 0 and said["broken"] == []
    assert said["records"] == said["new_events"] + said["known_events"]


@needs_logs
def test_what_is_loaded_again_is_not_there_twice(archive, real):
    said, _ = loaded(archive[0], "--again", LOGS)
    assert (said["new_events"], said["known_events"]) == (0, archive[1]["records"])
    assert ask(archive[0], "select count(*) n from cloudtrail") == [{"n": len(real)}]


# queries that count, and what a plain pass counts
COUNTS = {
    "select eventName, count(*) n from cloudtrail group by eventName":
        lambda key, record: (scalar(record.get("eventName")),),
    "select eventSource, count(*) n from cloudtrail group by eventSource":
        lambda key, record: (scalar(record.get("eventSource")),),
    "select account_id, region, count(*) n from cloudtrail group by account_id, region":
        lambda key, record: key[:2],
    "select date, count(*) n from cloudtrail group by date":
        lambda key, record: (key[2],),
    # of the time, and not of the partition
    "select cast(eventTime as date) d, count(*) n from cloudtrail group by cast(eventTime as date)":
        lambda key, record: (record["eventTime"][:10],),
    "select userIdentity.type, userIdentity.arn, userIdentity.sessionContext.sessionIssuer.userName, errorCode, count(*) n "
    "from cloudtrail where errorCode is not null group by 1, 2, 3, 4":
        lambda key, record: (
            scalar(member(record, "userIdentity", "type")),
            scalar(member(record, "userIdentity", "arn")),
            scalar(member(record, "userIdentity", "sessionContext", "sessionIssuer", "userName")),
            scalar(record["errorCode"]),
        ) if record.get("errorCode") is not None else None,
    "select readOnly, count(*) n from cloudtrail group by readOnly":
        lambda key, record: ({"true": True, "false": False}.get(scalar(record.get("readOnly"))),),
    "select get_json_object(requestParameters, '$.bucketName') bucket, count(*) n from cloudtrail "
    "where eventSource = 's3.amazonaws.com' group by 1":
        lambda key, record: (scalar(member(record, "requestParameters", "bucketName")),)
        if record.get("eventSource") == "s3.amazonaws.com" else None,
    "select get_json_object(requestParameters, '$.instancesSet.items[0].instanceId') id, count(*) n from cloudtrail "
    "where eventSource = 'ec2.amazonaws.com' group by 1":
        lambda key, record: (first_instance(record),) if record.get("eventSource") == "ec2.amazonaws.com" else None,
    # partitions and statistics leave out most of it
    "select eventName, count(*) n from cloudtrail where date between '2023-07-10' and '2023-07-11' "
    "and account_id = '123837392027' and eventTime >= timestamp '2023-07-10T12:00:00Z' group by eventName":
        lambda key, record: (record["eventName"],)
        if key[0] == "123837392027" and "2023-07-10T12:00:00Z" <= record["eventTime"] < "2023-07-12" else None,
}


def first_instance(record):
    items = member(record, "requestParameters", "instancesSet", "items")
    return scalar(member(items[0], "instanceId")) if isinstance(items, list) and items else None


@needs_logs
@pytest.mark.parametrize("query", COUNTS)
def test_counts_are_those_of_a_plain_pass(query, archive, events):
    groups = (COUNTS[query](key, record) for key, record in events.items())
    wanted = Counter(group for group in groups if group is not None)
    assert len(wanted) > 1
    assert counted(ask(archive[0], query)) == wanted


@needs_logs
def test_one_principals_events_are_those_of_a_plain_pass(archive, there, events):
    who = {key: scalar(member(record, "userIdentity", "arn")) for key, record in events.items()}
    busiest, size = Counter(arn for arn in who.values() if arn).most_common(1)[0]
    assert size > 100
    found = ask(
        archive[0], "select eventTime, eventName, record from cloudtrail where userIdentity.arn = :who "
        "order by eventTime, eventName, record", "--param", f"who={busiest}")
    wanted = sorted(
        (record["eventTime"], record["eventName"], there[key])
        for key, record in events.items() if who[key] == busiest)
    assert [tuple(row.values()) for row in found] == wanted


@needs_altered
def test_records_that_were_changed_to_be_odd_land_or_are_named(tmp_path):
    account, region, day = "111122223333", "eu-west-1", "2026-01-02"
    folder = tmp_path / "AWSLogs" / account / "CloudTrail" / region / day.replace("-", "/")
    folder.mkdir(parents=True)
    path = folder / f"{account}_CloudTrail_{region}_{day.replace('-', '')}T0400Z_aaaaaaaaaaaaaaaa.json.gz"
    path.write_bytes(ALTERED.read_bytes())
    said, _ = loaded(tmp_path / "archive", tmp_path / "AWSLogs")
    read = list(raw(path))
    assert said["records"] == len(read) > 1000
    unread = said["malformed"] + said["unplaced"]
    assert said["records"] == said["new_events"] + said["known_events"] + unread
    there = kept(tmp_path / "archive")
    assert len(there) == said["new_events"]
    # what says no time has that of its file
    wanted = {}
    for (account, region, own_day, identity), (_, texts) in passed([path]).items():
        wanted.setdefault((account, region, own_day or day, identity), set()).update(texts)
    missing = wanted.keys() - there.keys()
    assert len(missing) <= unread and not there.keys() - wanted.keys()
    assert all(text in wanted[key] for key, text in there.items())
