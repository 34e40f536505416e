"""Analysis, beside DuckDB and Spark: see docs/benchmarks.md. `run` starts it."""

import argparse
import json
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import asking
import loading
import memory
from engines import ROOT, Server, bare_environment
from measured import run

# what every engine computes on, and Spark has tasks for
CORES = 2


@dataclass
class Size:
    """How much of everything: log files of the 160, rounds of loading and of questions, and limits of memory."""

    files: int
    loading: int
    asking: int
    of_spark: int
    backfill: tuple
    # of --sql-memory in MB, and --sql-queries
    server: tuple


WHOLE = Size(files=160, loading=1, asking=11, of_spark=2, backfill=(192, 256, 512, 1000), server=(128, 4))
# that everything runs, and that all answer alike: no time is looked at
SMALL = Size(files=6, loading=1, asking=1, of_spark=1, backfill=(192,), server=(16, 1))


@dataclass
class Made:
    """Log files: where, and what is in them."""

    folder: Path
    records: int
    json: int
    gzip: int


def make(generator, folder, files):
    text, _ = run(generator, folder, files)
    return Made(folder, **json.loads(text))


def table(rows):
    """As Markdown has it: names to the left, figures to the right."""
    first, *rest = rows
    rule = ["---"] + ["---:"] * (len(first) - 1)
    print("\n".join("| " + " | ".join(row) + " |" for row in (first, rule, *rest)), end="\n\n", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="benches/analysis/run", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few files, to see that everything works")
    parser.add_argument("--scratch", type=Path, help="where files are made; they are left there")
    given = parser.parse_args()
    size = SMALL if given.small else WHOLE
    binary = Path(os.environ.get("TRAILGATE_BIN") or ROOT / "target/release/trailgate").absolute()
    generator = binary.parent / "examples/log_files"
    for path in (binary, generator, binary.parent / "examples/questions"):
        if not path.exists():
            raise SystemExit(f"no {path}: build it by cargo build --features sql --bins --examples")
    with tempfile.TemporaryDirectory(prefix="trailgate-analysis-") as temporary:
        scratch = (given.scratch or Path(temporary)).resolve()
        shutil.rmtree(scratch / "log-files", ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        measure(binary, make(generator, scratch / "log-files", size.files), scratch, size)


def measure(binary, made, scratch, size):
    is_small = size is SMALL
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; {versions()}")
    print(
        f"{made.records:,} records of {size.files} log files: {made.json / 1e6:.1f} MB of JSON,"
        f" {made.gzip / 1e6:.1f} MB packed\n"
    )
    print("Log files to Parquet\n")
    table(loading.told(loading.load(binary, made, scratch, CORES, size.loading, is_small), made))
    archive = scratch / "archive"
    merged = loading.merge(binary, made, archive)
    print(
        f"The archive's files merged (`backfill --compact`): {merged.files} files,"
        f" {merged.bytes / made.records:.0f} bytes/record, {(merged.bytes - merged.record) / made.records:.0f} less"
        f" `record`; {merged.took.cpu:.1f} s of a processor, {merged.took.peak / 1e6:,.0f} MB at most\n"
    )
    print("Questions, warm, over the archive's files\n")
    with Server(binary, archive, "--sql-threads", CORES) as server:
        asked_of, asked, answers = asking.ask_all(binary, server, archive, CORES, size.asking)
    of_2015 = asking.ask_spark(
        asked_of, asked, answers, archive, made.folder, scratch / "spark", CORES, size.of_spark, is_small
    )
    table(asking.told(asked, of_2015))
    first = next(question for question in asked_of if question.is_of_2015)
    own, inferring, query = asked[first.name].seconds["trailgate"], of_2015.inferring, of_2015.seconds[first.name]
    print(
        f"Spark on JSON as in 2015: {inferring:.1f} s to infer the schema, {query:.1f} s for the first question:"
        f" {(inferring + query) / own:,.0f} times trailgate's, {query / own:,.0f} without the inference\n"
    )
    print("Memory of backfill\n")
    table(memory.told_backfill(memory.backfill(binary, made, scratch, size.backfill)))
    limit, queries = size.server
    print(f"Memory of a server with --sql-memory {limit}MB --sql-queries {queries}: {limit // queries} MB a query\n")
    table(memory.told_server(memory.server(binary, archive, limit, queries, CORES, made.records)))


def processor():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions():
    """Of the engines."""
    import duckdb
    import pyspark

    return f"DuckDB {duckdb.__version__}, Spark {pyspark.__version__}"


if __name__ == "__main__":
    main()
