"""The records, read in Python, and what filters mean, said in Python: what
answers are compared with. Nothing in here is taken from the program."""

import collections
import functools
import gzip
import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass, field

from processes import RECORDS

ATTRIBUTES = [
    "AccessKeyId", "EventId", "EventName", "EventSource",
    "ReadOnly", "ResourceName", "ResourceType", "Username",
]
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Number(str):
    """A number of a record: the text it has there."""


def parse(text):
    """JSON whose numbers keep their text."""
    return json.loads(text, parse_int=Number, parse_float=Number)


@dataclass(frozen=True, eq=False)
class Event:
    """One line of the records."""

    api: dict
    record: str
    fields: dict = field(repr=False)

    @classmethod
    def of(cls, line):
        api = json.loads(line)
        record = api["CloudTrailEvent"]
        return cls(api, record, parse(record))

    @property
    def id(self):
        return self.api["EventId"]

    @property
    def time(self):
        return self.api["EventTime"]

    @property
    def account(self):
        given = self.fields.get("recipientAccountId")
        return given or self.fields["userIdentity"]["accountId"]

    @property
    def region(self):
        return self.fields["awsRegion"]

    @property
    def scope(self):
        return self.account, self.region

    @functools.cached_property
    def digest(self):
        return hashlib.sha256(self.record.encode()).digest()

    @property
    def order(self):
        """Its place in the documented order."""
        return self.time, self.account, self.region, self.id, self.digest

    def attribute(self, key):
        """What LookupEvents finds it by: a list, since resources are many."""
        if key in ("ResourceName", "ResourceType"):
            found = [resource.get(key) for resource in self.api.get("Resources") or []]
        else:
            found = [self.api.get(key)]
        return [value for value in found if value is not None]


@functools.cache
def events():
    """All events of the records, in the file's order."""
    # other line ends than \n may stand in strings
    with gzip.open(RECORDS, "rt", encoding="utf-8", newline="\n") as file:
        return tuple(Event.of(line) for line in file)


def is_servable(scope):
    """Whether a server can be configured for it."""
    account, region = scope
    return bool(re.fullmatch(r"\d{12}", account) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", region))


@functools.cache
def ambiguous():
    """UUIDs that stand for differing records of one scope. Which of them is
    the event is nobody's to say: they are left out of comparisons."""
    records = {}
    for event in events():
        if UUID.fullmatch(event.id):
            records.setdefault((event.scope, event.id.lower()), set()).add(event.record)
    return {key for key, found in records.items() if len(found) > 1}


def is_ambiguous(account, region, event_id):
    return ((account, region), event_id.lower()) in ambiguous()


def distinct(found):
    """Each event once, by the documented order, oldest first; ambiguous ones
    left out."""
    kept = {e.order: e for e in found if not is_ambiguous(e.account, e.region, e.id)}
    return [kept[order] for order in sorted(kept)]


def counted_in_regions(found):
    """How many events these are in each Region: of ambiguous ones each UUID is
    one event a second, whichever of its records that is."""
    counts = collections.Counter(e.region for e in distinct(found))
    reused = {(e.scope, e.time, e.id.lower()) for e in found
              if is_ambiguous(e.account, e.region, e.id)}
    counts.update(region for (_, region), _, _ in reused)
    return counts


# Filters: a filter is a list of alternatives, each a list of matches, each a
# dict with the names of the contract.


def passes(filters, event):
    return not filters or any(all(holds(m, event) for m in matches) for matches in filters)


def holds(match, event):
    leaves = leaves_of(match["field"], event)
    return any(leaf_holds(match, leaf) for leaf in leaves) != match.get("negate", False)


def leaves_of(name, event):
    """Everything at the end of a field that is not null."""
    if name in ATTRIBUTES:
        found = event.attribute(name)
        if not found and name == "AccessKeyId":
            return leaves_of("userIdentity.accessKeyId", event)
        return found
    found = [event.fields]
    for key in split(name.removeprefix("record.")):
        found = flat(value.get(key) for value in flat(found) if isinstance(value, dict))
    return found


def split(path):
    keys = re.findall(r"((?:[^.\\]|\\.)+)(?:\.|$)", path)
    return [re.sub(r"\\(.)", r"\1", key) for key in keys]


def join(keys):
    return ".".join(re.sub(r"([.\\])", r"\\\1", key) for key in keys)


def flat(values):
    out = []
    for value in values:
        if isinstance(value, list):
            out += flat(value)
        elif value is not None:
            out.append(value)
    return out


def text_of(leaf):
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    return None if isinstance(leaf, dict) else str(leaf)


def leaf_holds(match, leaf):
    operator = match.get("operator", "EQUALS")
    if operator == "EXISTS":
        return True
    text = text_of(leaf)
    if text is None:
        return False
    if operator == "CIDR":
        return any(in_network(text, network) for network in match["values"])
    if operator == "REGEX":
        flags = re.IGNORECASE if match.get("ignore_case") else 0
        # $ is the very end there, and \Z is how Python writes that
        return any(re.search(re.sub(r"\$$", r"\\Z", v), text, flags) for v in match["values"])
    fold = str.lower if match.get("ignore_case") else str
    compare = {
        "EQUALS": str.__eq__,
        "PREFIX": str.startswith,
        "SUFFIX": str.endswith,
        "CONTAINS": str.__contains__,
        "GLOB": glob_fits,
    }[operator]
    return any(compare(fold(text), fold(value)) for value in match["values"])


def glob_fits(text, glob):
    pattern = []
    signs = iter(glob)
    for sign in signs:
        if sign == "\\":
            pattern.append(re.escape(next(signs)))
        else:
            pattern.append({"*": ".*", "?": "."}.get(sign) or re.escape(sign))
    return re.fullmatch("".join(pattern), text, re.DOTALL) is not None


def in_network(text, network):
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    network = ipaddress.ip_network(network, strict=False)
    return address.version == network.version and address in network
