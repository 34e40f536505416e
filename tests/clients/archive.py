"""Reads an archive as its format says, with pyarrow for its files alone."""

import json
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as parquet


def files(root):
    """The data files of the newest version, with their partitions' values. Of the log
    all commits are read: none is cleaned up within a day."""
    found = {}
    for commit in sorted(Path(root, "_delta_log").glob("*.json")):
        if not commit.stem.isdigit():
            continue
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                assert action["add"]["path"] not in found, "a file is added twice"
                found[action["add"]["path"]] = action["add"]["partitionValues"]
            if "remove" in action:
                del found[action["remove"]["path"]]
    return found


def rows(root, columns=None):
    """The rows of the newest version."""
    found = []
    for path, partition in files(root).items():
        table = parquet.ParquetFile(Path(root, unquote(path))).read(columns)
        found += [{**row, **partition} for row in table.to_pylist()]
    return found
