"""What is written about the chart, and the image that it runs."""

import json
import re

import yaml

import values_table
from chart import CHART, EXAMPLES, ROOT, example


def test_the_table_of_values_is_current():
    is_, should_be = values_table.readme()
    assert is_ == should_be, "run tests/chart/values_table.py"


def test_every_example_is_told_of():
    text = (CHART / "README.md").read_text()
    assert set(re.findall(r"\(examples/(\w[\w-]*)\.yaml\)", text)) == set(EXAMPLES)


def test_examples_know_who_calls():
    """But for the one with made-up events."""
    for name in EXAMPLES:
        config = example(name)["config"]
        assert config.get("insecure", False) is (name == "try") is config.get("demo", False), name


def test_policies_are_json_with_actions():
    blocks = re.findall(r"```json\n(.*?)```", (CHART / "README.md").read_text(), re.S)
    assert len(blocks) == 6
    actions = set()
    for block in blocks:
        policy = json.loads(block)
        for statement in policy if isinstance(policy, list) else policy["Statement"]:
            assert statement["Effect"] == "Allow"
            named = statement["Action"]
            actions.update([named] if isinstance(named, str) else named)
    # what the project's README has, and how a pod comes to its role
    known = set(re.findall(r'"(\w+:\w+)"', (ROOT / "README.md").read_text().split("### Policies")[1].split("\n## ")[0]))
    pods = {"sts:TagSession", "sts:AssumeRoleWithWebIdentity"}
    assert actions == {action for action in known if action.split(":")[0].islower() and action != "sts:ExternalId"} | pods


def megabytes(text):
    """The sizes in a text, added up."""
    units = {"MB": 1, "GB": 1000, "MiB": 1.048576, "GiB": 1073.741824, "Mi": 1.048576}
    found = re.findall(r"([\d.,]*\d) ?(MB|GB|MiB|GiB|Mi)\b", text)
    return sum(float(number.replace(",", "")) * units[unit] for number, unit in found)


def column(text, number):
    """A column of a table of sizes: its rows, and what it says they come to."""
    rows = [line.split("|")[1:] for line in text.splitlines() if line.startswith("|")]
    # what comes behind a colon is what it comes to
    *sizes, total = [megabytes(row[number].split(": ")[-1]) for row in rows if megabytes(row[number])]
    return sizes, total


def test_memory_adds_up_and_is_what_the_chart_goes_by():
    _, holds, calls, give, _ = re.split(r"^## ", (ROOT / "docs/memory.md").read_text(), flags=re.M)
    held, called = column(holds, 1)[1], column(calls, 1)[1]
    for text, number, nearly in [(holds, 1, 5), (holds, 2, 10), (calls, 1, 50), (give, 1, 1), (give, 2, 100)]:
        sizes, total = column(text, number)
        assert abs(sum(sizes) - total) < nearly, (text, sizes)
    assert column(give, 1)[0][0] == column(holds, 2)[1] and column(give, 2)[0] == [held, called]
    pages = column(give, 1)[0][1]
    least = f"{held + pages:.0f} MB: the {held:.0f} MB, those {pages:.0f} MB, and 40 MB more for each queue"
    assert least in give
    # beside the usual sizes of cache and feed
    beside = held - 256 - 64 + pages
    assert f"$beside := add {beside:.0f} (mul 40 " in (CHART / "templates/_checks.tpl").read_text()
    resources = yaml.safe_load((CHART / "values.yaml").read_text())["resources"]
    assert held <= megabytes(resources["requests"]["memory"]) < held + pages
    (limit,) = re.findall(r"^- \*\*([\d.]+ GiB)\*\* with the usual settings", give, re.M)
    assert megabytes(resources["limits"]["memory"]) == megabytes(limit)
    operations = (ROOT / "docs/operations.md").read_text().split("## Limits")[0]
    for size in (column(holds, 2)[1], held, pages, column(give, 1)[1], held + pages):
        assert f"{size:.0f} MB" in operations, size
    assert f"{column(give, 2)[1] / 1000} GB" in operations and limit in operations


def test_links_lead_somewhere():
    for page in (CHART / "README.md", ROOT / "docs/operations.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / target).exists(), target


def test_versions_go_together():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    cargo = (ROOT / "Cargo.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', cargo, re.M)
    assert chart["appVersion"] == version


def instructions():
    """The Dockerfile's lines, joined where they go on."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_what_the_chart_expects():
    cargo = (ROOT / "Cargo.toml").read_text()
    (rust,) = re.findall(r'^rust-version = "(.+)"$', cargo, re.M)
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert stages[0].startswith(f"rust:{rust}-")
    # what was linked against one Debian's C library runs on the same
    assert stages[0].split(" ")[0].endswith("bookworm") and "debian12" in stages[1]
    context = yaml.safe_load((CHART / "values.yaml").read_text())["podSecurityContext"]
    assert ["USER", f"{context['runAsUser']}:{context['runAsGroup']}"] in instructions()
    assert instructions()[-1] == ["ENTRYPOINT", '["/usr/local/bin/trailgate"]']


def test_the_build_sees_what_cargo_needs_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*" and all(rule.startswith("!") for rule in rules[1:])
    seen = {rule[1:] for rule in rules[1:]}
    # cargo looks for the benchmarks and tests that its manifest names
    assert seen == {"Cargo.toml", "Cargo.lock", "build.rs", "proto", "src", "sql", "benches", "examples", "tests/it"}
    for name in seen:
        assert (ROOT / name).exists(), name
