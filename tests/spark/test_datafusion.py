"""Views and reports on DataFusion, beside the oracle."""

import pytest

import engines
import oracle
import questions


@pytest.mark.parametrize("name", oracle.VIEWS)
def test_views(name, fusion, events):
    told = engines.ask_datafusion(fusion, f"SELECT * FROM {name}")
    wanted = engines.plain_rows(oracle.VIEWS[name](events))
    assert len(wanted) > 0
    assert sorted(told, key=engines.key) == sorted(wanted, key=engines.key)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, asked in questions.QUESTIONS.items() for number in range(len(asked))]
)
def test_reports(name, number, fusion, events, reports):
    asked = questions.QUESTIONS[name][number]
    told = engines.ask_datafusion(fusion, reports[name].sql, asked)
    assert told == questions.expected(name, events, asked)
