"""Log files to Parquet: by trailgate, DuckDB and Spark."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable

from engines import bare_environment
from measured import Taken, run

HERE = Path(__file__).resolve().parent

DUCKDB = "DuckDB, with records"
DUCKDB_TYPED = "DuckDB, without records"
TRAILGATE = "trailgate backfill"
SPARK = "Spark, with records"


@dataclass
class Loaded:
    """What it took (the run in the middle), and what is there then, in bytes."""

    took: Taken
    bytes: int
    record: int
    files: int


def parquet_files(folder):
    """Those that count: of an archive the ones that its log names."""
    if (folder / "_delta_log").exists():
        return map(Path, DeltaTable(str(folder)).file_uris())
    return folder.rglob("*.parquet")


def sizes(folder):
    """Bytes of all files, those of the column `record` in them, and how many files there are."""
    total = record = count = 0
    for path in parquet_files(folder):
        count += 1
        total += path.stat().st_size
        metadata = pq.ParquetFile(path).metadata
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema == "record":
                    record += column.total_compressed_size
    return total, record, count


def trailgate(binary, log_files, to, *args):
    to.mkdir()
    text, took = run(
        binary, "backfill", "--archive", to, "-o", "json", *args, log_files / "AWSLogs", env=bare_environment()
    )
    return json.loads(text)["new_events"], took


def merge(binary, made, archive):
    """Merges the archive's small files, as a server does in passing: what that took, and what is there then."""
    # a file whose events are there already: with nothing to load it would not run
    one = sorted(made.folder.rglob("*.json.gz"))[0]
    text, took = run(
        binary, "backfill", "--archive", archive, "--compact", "-o", "json", one, env=bare_environment()
    )
    if json.loads(text)["new_events"]:
        raise SystemExit("an event that was loaded is new to the archive")
    return Loaded(took, *sizes(archive))


def other(script, *args):
    """A process of Python's tells what its engine took: not its own beginning."""
    text, _ = run(sys.executable, HERE / script, *args)
    told = json.loads(text)
    return told.pop("rows"), Taken(**told)


def load(binary, made, scratch, cores, rounds, is_small):
    """Loads by each, in turns; which leaves trailgate's archive of the last round at `scratch/archive`."""
    ways = {
        TRAILGATE: lambda to: trailgate(binary, made.folder, to),
        DUCKDB: lambda to: other("load_duckdb.py", made.folder, to, cores, "records"),
        DUCKDB_TYPED: lambda to: other("load_duckdb.py", made.folder, to, cores, "typed"),
        SPARK: lambda to: other("load_spark.py", made.folder, to, cores, *(["small"] if is_small else [])),
    }
    taken = {name: [] for name in ways}
    loaded = {}
    for turn in range(rounds):
        for name, way in ways.items():
            # the slowest by far, in a process that begins anew each time
            if name == SPARK and turn > 0:
                continue
            to = scratch / ("archive" if name == TRAILGATE else "other")
            shutil.rmtree(to, ignore_errors=True)
            rows, took = way(to)
            if rows != made.records:
                raise SystemExit(f"{name} has {rows} rows of {made.records} records")
            taken[name].append(took)
            loaded[name] = sizes(to)
    shutil.rmtree(scratch / "other", ignore_errors=True)
    return {name: Loaded(middle(taken[name]), *loaded[name]) for name in ways}


def middle(taken):
    """The run whose processor time is in the middle."""
    return sorted(taken, key=lambda took: took.cpu)[len(taken) // 2]


def told(loaded, made):
    """As a table, each beside DuckDB."""
    base = loaded[DUCKDB].took
    yield ["", "seconds", "CPU s", "records/s", "records/s a core", "beside DuckDB", "peak MB", "bytes/record", "less `record`", "files"]
    for name, one in loaded.items():
        took = one.took
        yield [
            name, f"{took.wall:.1f}", f"{took.cpu:.1f}", f"{made.records / took.wall:,.0f}",
            f"{made.records / took.cpu:,.0f}", f"{base.cpu / took.cpu:.1f}x", f"{took.peak / 1e6:,.0f}",
            f"{one.bytes / made.records:.0f}", f"{(one.bytes - one.record) / made.records:.0f}", str(one.files),
        ]
