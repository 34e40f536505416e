"""Log files as the table, beside plain Python's reading of them."""

import gzip
import json

import pytest

import archives
import engines
import reading
import trailgate_spark
import world
from conftest import SHARED

# what Spark spells in its own way: not the record itself
RESPELT = "requestParameters responseElements additionalEventData serviceEventDetails tlsDetails".split()


def told(frame):
    return {_key(row): row for row in engines.ask_spark(frame)}


def _key(row):
    return (row["account_id"], row["region"], row["date"], row["identity"])


def wanted(paths):
    return {_key(row): row for row in engines.plain_rows(reading.rows(paths))}


def same_json(one, other):
    """The same but for white space, escapes, the way numbers are written and quotes round a text."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    return json.loads(one) in (other, _loaded(other))


def _loaded(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def differing(row, other):
    """The columns in which two rows are not the same."""
    return {
        name
        for name, value in row.items()
        if not (same_json(value, other[name]) if name in RESPELT else value == other[name])
    }


def test_records_of_every_shape(spark, log_directory):
    found = told(trailgate_spark.log_files(spark, log_directory))
    rows = wanted(reading.log_files(log_directory))
    assert found.keys() == rows.keys()
    differences = {row["eventID"]: differing(row, found[key]) for key, row in rows.items()}
    assert {event: names for event, names in differences.items() if names} == {}
    # as they stand: white space, escapes, digits, members that come twice
    assert [found[key]["record"] for key in rows] == [row["record"] for row in rows.values()]
    # and what Spark spells anew
    twice = next(row for row in found.values() if row["eventID"] == "e-2")
    assert '"a":1.50,"big":12345678901234567890.10,"e":1E5, "esc":"\\u00fc\\/"' in twice["record"]
    assert twice["requestParameters"] == '{"a":1.5,"big":1.2345678901234567E19,"e":100000.0,"esc":"ü/"}'
    tags = next(row for row in found.values() if '"tag":{' in row["record"])
    assert '"Tag":{"Tag":2,"tag":3}' in tags["record"]


def test_events_that_two_files_have(spark, log_directory):
    every = trailgate_spark.log_files(spark, str(log_directory), deduplicate=False)
    files = reading.log_files(log_directory)
    assert every.count() == sum(len(reading.records(path)) for path in files if "Digest" not in str(path))
    assert "file" not in every.columns
    one = trailgate_spark.log_files(spark, [files[0], files[0]])
    assert one.count() == len(wanted(files[:1]))


def test_a_correction_counts_before_what_it_corrects(spark, tmp_path):
    old = {"eventTime": "2026-03-01T00:00:00Z", "eventID": "0a1b2c3d-0000-4000-8000-00000000000f", "eventName": "Old"}
    new = old | {"eventName": "New", "addendum": {"reason": "UPDATED_DATA"}}
    no = old | {"eventName": "No", "addendum": "text"}
    archives.write_log_file(tmp_path, "111122223333", "eu-west-1", "20260301T0005Z", map(json.dumps, (no, old, new)))
    frame = trailgate_spark.log_files(spark, tmp_path)
    assert [row.eventName for row in frame.collect()] == ["New"]


def test_what_a_record_does_not_say_its_file_does(spark, tmp_path):
    archives.write_log_file(
        tmp_path, "111122223333", "eu-west-1", "20260301T0005Z",
        ['{"eventName":"Timeless"}', '{"eventTime":"yesterday"}', '{"eventTime":"2026"}', "5", '"text"', "[1]", "null"],
    )
    rows = engines.ask_spark(trailgate_spark.log_files(spark, f"{tmp_path}/*/*/CloudTrail"))
    # of a text Spark gives what it says
    assert sorted(row["record"] for row in rows) == sorted(
        ['{"eventName":"Timeless"}', '{"eventTime":"yesterday"}', '{"eventTime":"2026"}', "5", "text", "[1]", "null"]
    )
    at = engines.micros(world.at(0, 0, 5))
    for row in rows:
        assert (row["eventTime"], row["timeInferred"], row["date"]) == (at, True, "2026-03-01")
        assert (row["account_id"], row["region"], row["userIdentity"]) == ("111122223333", "eu-west-1", None)


def test_files_that_are_not_whole(spark, tmp_path):
    good = '{"eventTime":"2026-03-01T00:00:00Z","eventName":"Good"}'
    where = archives.write_log_file(tmp_path, "111122223333", "eu-west-1", "20260301T0005Z", [good]).parent
    whole = gzip.compress(('{"Records":[' + ",".join([good] * 500) + "]}").encode())
    damaged = {
        "cut.json.gz": whole[: len(whole) // 2],
        "text.json.gz": gzip.compress(b'{"Records":[{"eventTime":"2026-03-01T00:00:00Z"},{"eventN'),
        "none.json.gz": b"\x1f\x8b and nothing that is gzip",
    }
    for name, content in damaged.items():
        (where / name).write_bytes(content)
        with pytest.raises(Exception, match=name):
            trailgate_spark.log_files(spark, where).collect()
        skipping = trailgate_spark.log_files(spark, where, damaged="skip")
        assert {row.eventName for row in skipping.collect()} == {"Good"}
        (where / name).unlink()
    # in plain, over several lines
    (where / "plain.json").write_text('\n{"Records" : [\n' + good.replace("Good", "Plain") + "\n] }\n")
    assert {row.eventName for row in trailgate_spark.log_files(spark, where).collect()} == {"Good", "Plain"}


def test_what_cannot_be(spark, tmp_path):
    with pytest.raises(trailgate_spark.Error, match="there is nothing at .*/nowhere"):
        trailgate_spark.log_files(spark, f"{tmp_path}/nowhere")
    with pytest.raises(trailgate_spark.Error, match='"fail" or "skip"'):
        trailgate_spark.log_files(spark, tmp_path, damaged="ignore")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no log files lie beside the project")
def test_log_files_of_the_world(spark):
    found = told(trailgate_spark.log_files(spark, SHARED))
    rows = wanted(reading.log_files(SHARED))
    assert found.keys() == rows.keys()
    assert {key: differing(row, found[key]) for key, row in rows.items() if differing(row, found[key])} == {}
    assert sum(row["record"] == found[key]["record"] for key, row in rows.items()) == len(rows)


def test_log_files_by_connect(connected, log_directory):
    found = {_key(row): row for row in connected["logs"]}
    rows = wanted(reading.log_files(log_directory))
    assert found.keys() == rows.keys()
    assert [differing(row, found[key]) for key, row in rows.items()] == [set()] * len(rows)
