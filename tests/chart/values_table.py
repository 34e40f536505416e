#!/usr/bin/env python3
"""The table of values in the chart's README, out of values.yaml and the comment
above each value. Run it after a change; a test sees if it was forgotten."""

import json
import re
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm"
BEGIN = "<!-- values: written by tests/chart/values_table.py -->\n"
END = "<!-- end of values -->\n"


def comments(text):
    """Comments right above keys, by the keys' paths."""
    found, path, comment = {}, [], []
    for line in text.splitlines():
        if match := re.match(r"^( *)# ?(.*)$", line):
            comment.append(match[2])
            continue
        if match := re.match(r"^( *)([\w-]+):(?: |$)", line):
            path[len(match[1]) // 2:] = [match[2]]
            if comment:
                found[tuple(path)] = " ".join(comment)
        comment = []
    return found


def rows(values, said, path=()):
    """Path, default and description of each value. A map whose values are
    described has no default of its own."""
    for name, value in values.items():
        here = (*path, name)
        has_rows = isinstance(value, dict) and any(key[:-1] == here for key in said)
        if here in said:
            yield ".".join(here), "" if has_rows else f"`{json.dumps(value)}`", said[here]
        elif not isinstance(value, dict):
            raise SystemExit(f"{'.'.join(here)} has no comment in values.yaml")
        if has_rows or here not in said:
            yield from rows(value, said, here)


def table():
    text = (CHART / "values.yaml").read_text()
    said = comments(text)
    lines = ["| value | default | is |\n", "| --- | --- | --- |\n"]
    for name, default, what in rows(yaml.safe_load(text), said):
        what = what.replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {what} |\n")
    return "".join(lines)


def readme():
    """The README as it is, and as it should be."""
    text = (CHART / "README.md").read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return text, f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme()[1])
