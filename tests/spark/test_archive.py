"""Which files of an archive count, and what is said of one that is not as it should be."""

import json
import shutil

import deltalake
import pytest

import archives
import engines
import reading
import trailgate_spark
from archives import PROTOCOL, checkpoint, commit, metadata, remove, write_files
from trailgate_spark import DamagedArchive, NewerArchive, NotAnArchive


@pytest.fixture(scope="module")
def few(own):
    """Rows enough for some partitions."""
    return own[:6] + own[60:64]


def count(spark, root):
    return trailgate_spark.table(spark, root).count()


def test_the_tests_archive_is_a_delta_table(archive, rows):
    # what another reader of Delta tables makes of what the tests write
    table = deltalake.DeltaTable(str(archive.root))
    assert table.version() == archive.version
    assert sum(table.get_add_actions().column("num_records").to_pylist()) == len(rows)
    assert len(table.file_uris()) == len(archive.files)


def test_the_files_of_the_newest_version(spark, archive):
    found = trailgate_spark.snapshot(spark, f"{archive.root}/")
    assert (found.version, found.files) == (archive.version, archive.files)


def test_partitions_can_be_left_out(spark, archive, rows):
    def asked(**narrowed):
        frame = trailgate_spark.table(spark, archive.root, **narrowed)
        return frame.count(), len(frame.inputFiles())

    everything = len(archive.files)
    of_account = [row for row in rows if row["account_id"] == "111122223333"]
    of_region = [row for row in of_account if row["region"] == "eu-central-1"]
    late = [row for row in of_region if "2026-03-10" <= str(row["date"]) <= "2026-03-12"]
    number, files = asked(accounts=["111122223333"])
    assert number == len(of_account) and files < everything
    number, files = asked(accounts=["111122223333"], regions=["eu-central-1"], since="2026-03-10", until="2026-03-12")
    assert number == len(late) > 0 and files < 10
    assert asked(regions=["mars-1"])[0] == 0
    for wrong in ({"accounts": "111122223333"}, {"since": "10 March"}):
        with pytest.raises(TypeError):
            trailgate_spark.table(spark, archive.root, **wrong)


def test_a_checkpoint_in_parts_and_no_commit_before_it(spark, few, tmp_path):
    first, second = write_files(tmp_path, few), write_files(tmp_path, few)
    commit(tmp_path, 8, first)
    checkpoint(tmp_path, 7, [PROTOCOL, metadata()])
    checkpoint(tmp_path, 9, [PROTOCOL, metadata(), *second, *(remove(add) for add in first)], parts=3)
    commit(tmp_path, 9, second)
    # half of one that is being written
    checkpoint(tmp_path, 10, [PROTOCOL, metadata()], parts=2)
    (tmp_path / "_delta_log" / f"{10:020}.checkpoint.{1:010}.{2:010}.parquet").unlink()
    commit(tmp_path, 10, [remove(second[0]), {"commitInfo": {}}])
    lost = json.loads(second[0]["add"]["stats"])["numRecords"]
    assert count(spark, tmp_path) == len(few) - lost


def test_an_archive_of_no_event(spark, tmp_path):
    commit(tmp_path, 0, [PROTOCOL, metadata()])
    assert count(spark, tmp_path) == 0
    assert spark.table("console_logins").count() == 0


def test_odd_partitions_are_what_the_log_says(spark, own, tmp_path):
    texts = {"a/b c:%{}": "x=y", "ü'\\": None, "000000000012": "1e3", "long" * 50: "eu-central-1"}
    rows = [row | {"account_id": account, "region": region} for row, (account, region) in zip(own, texts.items())]
    adds = write_files(tmp_path, rows)
    # a value that is too long for a directory's name stands in the log alone
    long = adds[-1]["add"]
    old, new = f"account_id={'long' * 50}", "account_id=long...200"
    assert old in long["path"]
    (tmp_path / old).rename(tmp_path / new)
    long["path"] = long["path"].replace(old, new)
    commit(tmp_path, 0, [PROTOCOL, metadata(), *adds])
    told = engines.ask_spark(trailgate_spark.table(spark, tmp_path))
    assert sorted(told, key=engines.key) == sorted(engines.plain_rows(rows), key=engines.key)


def test_columns_of_a_later_version_are_there_too(spark, few, tmp_path):
    later = json.loads(metadata()["metaData"]["schemaString"])
    later["fields"].insert(5, {"name": "somethingNew", "type": "long", "nullable": True, "metadata": {}})
    more = metadata()
    more["metaData"]["schemaString"] = json.dumps(later)
    commit(tmp_path, 0, [PROTOCOL, metadata(), *write_files(tmp_path, few)])
    commit(tmp_path, 1, [more])
    table = trailgate_spark.table(spark, tmp_path)
    assert table.selectExpr("count(somethingNew) AS n", "count(*) AS rows").first() == (0, len(few))


def _lines(root, version, change):
    path = root / "_delta_log" / f"{version:020}.json"
    path.write_text(change(path.read_text()))


def _of_meta(**changed):
    told = metadata()
    told["metaData"] |= changed
    return told


_OTHER = json.dumps({"type": "struct", "fields": [{"name": "a", "type": "long", "nullable": True, "metadata": {}}]})
_TYPED = json.dumps(reading.SCHEMA).replace('"name": "readOnly", "type": "boolean"', '"name": "readOnly", "type": "string"')

# how each is broken, and what is said
BROKEN = {
    "no directory": (NotAnArchive, "has no _delta_log", lambda root: shutil.rmtree(root)),
    "no log": (NotAnArchive, "has no _delta_log", lambda root: shutil.rmtree(root / "_delta_log")),
    "no commit": (NotAnArchive, "has no commit", lambda root: [p.unlink() for p in (root / "_delta_log").iterdir()]),
    "another table": (NotAnArchive, "has no column eventTime", lambda root: commit(root, 2, [_of_meta(schemaString=_OTHER)])),
    "other partitions": (NotAnArchive, "partitions are date", lambda root: commit(root, 2, [_of_meta(partitionColumns=["date"])])),
    "a newer protocol": (
        NewerArchive,
        "wants reader version 3 and this is 1",
        lambda root: commit(root, 2, [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["v2Checkpoint"]}}]),
    ),
    "another type": (NewerArchive, "column readOnly of .* is string and not boolean", lambda root: commit(root, 2, [_of_meta(schemaString=_TYPED)])),
    "a commit that is missing": (DamagedArchive, "lacks version 2, though it has version 3", lambda root: commit(root, 3, [PROTOCOL])),
    "the first commit is missing": (DamagedArchive, "lacks version 0", lambda root: (root / "_delta_log" / f"{0:020}.json").unlink()),
    "half a line": (DamagedArchive, "version 1 .* is not what a commit is", lambda root: _lines(root, 1, lambda text: text[: len(text) // 2])),
    "no line": (DamagedArchive, "version 1 .* is empty", lambda root: _lines(root, 1, lambda text: "\n")),
    "no object": (DamagedArchive, "version 1 .* is not what a commit is", lambda root: _lines(root, 1, lambda text: "[1]\n5\n")),
    "a file without a path": (DamagedArchive, "version 1 .* is not what a commit is", lambda root: _lines(root, 1, lambda text: text.replace('"path"', '"pat"'))),
    "a schema that is none": (DamagedArchive, "schema in the log", lambda root: commit(root, 2, [_of_meta(schemaString="{}")])),
    "no protocol": (DamagedArchive, "has no protocol", lambda root: _lines(root, 0, lambda text: "".join(text.splitlines(True)[1:]))),
    "no metadata": (DamagedArchive, "has no metaData", lambda root: _lines(root, 0, lambda text: text.splitlines(True)[0])),
    "a checkpoint that is none": (
        DamagedArchive,
        "checkpoint of version 1 .* cannot be read",
        lambda root: (root / "_delta_log" / f"{1:020}.checkpoint.parquet").write_bytes(b"PAR1 and no more"),
    ),
    "a file that is gone": (
        DamagedArchive,
        "a file of version 1 is not there .*part-.*call table again",
        lambda root: next(root.glob("account_id=*/*/*/*.parquet")).unlink(),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_named(name, spark, few, tmp_path):
    kind, said, damage = BROKEN[name]
    root = tmp_path / "archive"
    commit(root, 0, [PROTOCOL, metadata(), *write_files(root, few)])
    commit(root, 1, write_files(root, few))
    damage(root)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(kind, match=said) as told:
        trailgate_spark.table(spark, root)
    assert str(root) in str(told.value) or "part-" in str(told.value)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_checkpoints_of_a_newer_kind_alone(spark, tmp_path):
    commit(tmp_path, 3, [PROTOCOL])
    (tmp_path / "_delta_log" / f"{2:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json").write_text("{}")
    with pytest.raises(NewerArchive, match="newer kind"):
        trailgate_spark.table(spark, tmp_path)


def test_a_file_that_is_not_whole_fails_the_query(spark, few, tmp_path):
    adds = archives.write_files(tmp_path, few)
    commit(tmp_path, 0, [PROTOCOL, metadata(), *adds])
    next(tmp_path.glob("account_id=*/*/*/*.parquet")).write_bytes(b"PAR1 and no more")
    with pytest.raises(Exception, match="part-"):
        trailgate_spark.table(spark, tmp_path).collect()
