"""Random filters against what a loop over the records finds."""

import os
import random
import re

import pytest

from oracle import (
    ATTRIBUTES, ambiguous, distinct, flat, in_network, is_ambiguous, join, passes, text_of,
)
from processes import Server
from rpc import NEWEST_FIRST, OLDEST_FIRST, Client, at, filters_of

COUNT = int(os.environ.get("TRAILGATE_TEST_FILTERS", "100"))
OPERATORS = ["EQUALS", "EQUALS", "PREFIX", "SUFFIX", "CONTAINS", "GLOB", "REGEX", "CIDR", "EXISTS"]
# what no record has
STRANGE = ["", "no record has this", "ÄÖÜ", "0", "true", "*", "a\\b", "😀", "İ"]


class Fields:
    """Every field of the records, with every value it has."""

    def __init__(self, records):
        self.values = {key: [] for key in ATTRIBUTES}
        for event in records:
            for key in ATTRIBUTES:
                self.values[key] += event.attribute(key)
            self._walk(event.fields, [])
        self.values = {field: sorted(set(values)) for field, values in self.values.items()}
        self.names = sorted(self.values)
        self.addresses = [f for f in self.names
                          if any(in_network(v, "0.0.0.0/0") for v in self.values[f])]

    def _walk(self, value, keys):
        if keys:
            # a field that is null everywhere is a field all the same
            self.values.setdefault(join(keys), [])
        for item in flat([value]):
            text = text_of(item)
            if text is not None:
                self.values[join(keys)].append(text)
                continue
            for key, inner in item.items():
                # no path can name an empty key
                if key:
                    self._walk(inner, [*keys, key])


class Maker:
    """Makes filters; the same seed makes the same ones."""

    def __init__(self, fields, seed):
        self.fields = fields
        self.chance = random.Random(seed)

    def filters(self):
        alternatives = self.chance.choices([0, 1, 2, 3], [1, 12, 4, 2])[0]
        return [[self.match() for _ in range(self.chance.choices([0, 1, 2, 3], [1, 12, 8, 3])[0])]
                for _ in range(alternatives)]

    def match(self):
        chance = self.chance
        operator = chance.choice(OPERATORS)
        names = self.fields.names
        if operator == "CIDR":
            names = self.fields.addresses
        elif chance.random() < 0.4:
            names = ATTRIBUTES
        name = chance.choice(names)
        known = [v for v in self.fields.values[name] if len(v) <= 2000]
        match = {"field": name, "operator": operator}
        if name not in ATTRIBUTES and chance.random() < 0.1:
            match["field"] = f"record.{name}"
        if operator != "EXISTS":
            values = [self.value(operator, known) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
            match["values"] = values
        if chance.random() < 0.25:
            match["negate"] = True
        if chance.random() < 0.25:
            match["ignore_case"] = True
        return match

    def value(self, operator, known):
        chance = self.chance
        text = chance.choice(known) if known and chance.random() < 0.9 else chance.choice(STRANGE)
        if chance.random() < 0.15:
            text = text.swapcase()
        start = chance.randrange(len(text) + 1)
        end = chance.randrange(start, len(text) + 1)
        if operator == "EQUALS":
            return text
        if operator == "PREFIX":
            return text[:end]
        if operator == "SUFFIX":
            return text[start:]
        if operator == "CONTAINS":
            return text[start:end]
        if operator == "GLOB":
            return self.glob(text, start, end)
        if operator == "REGEX":
            return self.regex(text[:200], start, end)
        return self.network(known)

    def glob(self, text, start, end):
        escape = lambda part: "".join(f"\\{c}" if c in "*?\\" else c for c in part)
        middle = "?" * (end - start) if end - start < 6 and self.chance.random() < 0.5 else "*"
        return self.chance.choice([
            escape(text[:start]) + middle + escape(text[end:]),
            "*" + escape(text[start:end]) + "*",
            escape(text),
        ])

    def regex(self, text, start, end):
        literal = re.escape(text[start:end])
        return self.chance.choice([
            literal,
            "^" + re.escape(text[:end]),
            re.escape(text[start:]) + "$",
            f"^{re.escape(text[:start])}.+$",
            f"(?:{literal}|nothing)",
            "^[A-Z][a-z]+[A-Z]",
            "[0-9]{3,}",
            f"{re.escape(text[:1])}[^:/]*{re.escape(text[end:end + 1])}",
        ])

    def network(self, known):
        addresses = [v for v in known if in_network(v, "0.0.0.0/0") or in_network(v, "::/0")]
        address = self.chance.choice([*addresses, "192.0.2.1", "2001:db8::1"])
        bits = 128 if ":" in address else 32
        return self.chance.choice([address, f"{address}/{self.chance.randrange(bits + 1)}"])


@pytest.fixture(scope="module")
def servable(records, wide_scopes):
    accounts, regions = wide_scopes
    return [e for e in records if e.account in accounts and e.region in regions]


def test_random_filters_find_what_a_loop_finds(all_server, all_scopes, records):
    accounts, regions = all_scopes
    servable = [e for e in records if e.account in accounts and e.region in regions]
    assert len({e.scope for e in servable}) > 60
    fields = Fields(servable)
    # the fields are many and of every kind
    assert len(fields.names) > 500 and len(fields.addresses) > 1
    found_some = 0
    wrong = []
    with Client(all_server) as client:
        for seed in range(COUNT):
            maker = Maker(fields, seed)
            filters = maker.filters()
            order = maker.chance.choice([NEWEST_FIRST, OLDEST_FIRST])
            page_size = maker.chance.choice([200, 1000])
            expected = [e.record for e in distinct(e for e in servable if passes(filters, e))]
            found = client.all(filters=filters_of(filters), order=order, page_size=page_size)
            if order == NEWEST_FIRST:
                found.reverse()
            got = [e.record for e in found
                   if not is_ambiguous(e.account_id, e.region, e.event_id)]
            found_some += bool(expected)
            if got != expected:
                wrong.append(
                    f"seed {seed}: {filters}: {len(got)} events, not {len(expected)}; "
                    f"missing {sorted(set(expected) - set(got))[:2]}, "
                    f"too many {sorted(set(got) - set(expected))[:2]}"
                )
    assert not wrong, "\n".join(wrong)
    # a test of nothing would pass too
    assert found_some > COUNT / 3
    assert len(ambiguous()) < 30


def attribute_match(fields, chance):
    """A match that AWS can be asked by."""
    key = chance.choice(ATTRIBUTES)
    value = chance.choice([v for v in fields.values[key] if 0 < len(v) < 1000])
    return {"field": key, "values": [value]}


def test_random_questions_to_a_cold_server(simulator, wide_scopes, servable):
    """A server that holds nothing yet, then bits and pieces: walks by one
    attribute, by none, over random spans, from either end."""
    fields = Fields(servable)
    accounts, regions = wide_scopes
    seconds = sorted(e.time for e in servable)
    found_some = by_attribute = 0
    for seed in range(max(5, COUNT // 10)):
        maker = Maker(fields, f"cold {seed}")
        chance = maker.chance
        with Server(simulator=simulator, accounts=accounts, regions=regions) as server:
            with Client(server) as client:
                for _ in range(10):
                    filters = maker.filters()
                    if chance.random() < 0.7:
                        for matches in filters:
                            matches.append(attribute_match(fields, chance))
                        by_attribute += bool(filters)
                    start, end = sorted(chance.choices(seconds, k=2))
                    # close to events, where off by one shows
                    start, end = start + chance.randint(-1, 1), end + chance.randint(-1, 1)
                    order = chance.choice([NEWEST_FIRST, OLDEST_FIRST])
                    question = {
                        "filters": filters_of(filters), "order": order,
                        "page_size": chance.choice([20, 200, 1000]),
                        "start_time": at(start), "end_time": at(max(start, end)),
                    }
                    if chance.random() < 0.5:
                        scope = chance.choice(servable).scope
                        question |= {"account_ids": [scope[0]], "regions": [scope[1]]}
                    expected = [e.record for e in distinct(
                        e for e in servable
                        if start <= e.time <= max(start, end) and passes(filters, e)
                        and ("regions" not in question or e.scope == scope)
                    )]
                    found = client.all(**question)
                    if order == NEWEST_FIRST:
                        found.reverse()
                    got = [e.record for e in found
                           if not is_ambiguous(e.account_id, e.region, e.event_id)]
                    assert got == expected, f"seed {seed}: {question}"
                    found_some += bool(expected)
    assert found_some > COUNT / 10 and by_attribute > COUNT / 5


def test_numbers_booleans_and_arrays(wide_server, servable):
    """Fields that a random choice may miss."""
    filters = [
        [[{"field": "readOnly", "values": ["true"]}]],
        [[{"field": "managementEvent", "values": ["false"]}]],
        [[{"field": "sessionCredentialFromConsole", "operator": "EXISTS"}]],
        [[{"field": "additionalEventData.bytesTransferredOut", "values": ["142", "375"]}]],
        [[{"field": "additionalEventData.bytesTransferredIn", "values": ["0.0"]}]],
        [[{"field": "resources.ARN", "operator": "PREFIX", "values": ["arn:aws:s3:::"]}]],
        [[{"field": "resources.type", "values": ["AWS::KMS::Key"], "negate": True},
          {"field": "resources", "operator": "EXISTS"}]],
        [[{"field": "sourceIPAddress", "operator": "CIDR", "values": ["10.0.0.0/8"]}]],
        [[{"field": "responseElements", "operator": "EXISTS", "negate": True}]],
        [[{"field": "errorCode", "operator": "GLOB", "values": ["*Denied*"], "ignore_case": True}],
         [{"field": "userIdentity.type", "values": ["Root"]}]],
        [[{"field": "userIdentity.sessionContext.attributes.mfaAuthenticated", "values": ["true"]}]],
    ]
    counts = []
    with Client(wide_server) as client:
        for question in filters:
            expected = [e.record for e in distinct(e for e in servable if passes(question, e))]
            found = client.all(filters=filters_of(question), order=OLDEST_FIRST, page_size=1000)
            got = [e.record for e in found if not is_ambiguous(e.account_id, e.region, e.event_id)]
            assert got == expected, question
            counts.append(len(got))
    assert sum(count > 0 for count in counts) >= 9, counts
