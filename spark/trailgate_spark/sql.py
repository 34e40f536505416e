"""The SQL files and what their headers say."""

import datetime
import difflib
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .errors import BadParameter, UnknownReport

UTC = datetime.timezone.utc

# principal_activity first: the others stand on it
VIEWS = ("principal_activity", "console_logins", "root_usage", "denied_calls", "iam_changes")

_HEADER = re.compile(r"--\s*(title|about|param|functions|needs):\s*(.*)")
# with the only values that it may have, if there are such, and its default, if there is one
_PARAMETER = re.compile(
    r"(?P<name>\w+)\s+(?P<type>timestamp|string|integer)(?:\s+of\s+(?P<values>'[^']*'(?:\s*,\s*'[^']*')*))?"
    r"(?:\s*=\s*(?P<default>.*?))?\s+--\s*(?P<about>.*)"
)
# what stands for a default, as src/sql/defaults.rs reads it: a moment is now or that of a parameter before it;
# Spark itself is not asked, as its days have 23 hours in some zones
_DEFAULT = re.compile(
    r"(?P<moment>now\(\)|:(?P<name>\w+))(?: - interval '(?P<days>\d+)' day)?"
    r"|TIMESTAMP '(?P<time>[^']*)'|'(?P<text>[^']*)'|(?P<number>\d+)"
)
# of which the first has to be before the second, as src/sql/order.rs has it
_ORDER = (("compare_from", "since"), ("since", "until"), ("known_since", "unused_since"))
_AGO = re.compile(r"(\d{1,9})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Parameter:
    """What a report is told. Without a default it has to be; with values it is one of them."""

    name: str
    type: str
    default: str | None
    about: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A report: its SQL, and what the head of its file says."""

    name: str
    title: str
    about: str
    parameters: tuple[Parameter, ...]
    functions: tuple[str, ...]
    sql: str


def _root():
    """In the package when it was built, in the checkout that it runs in otherwise."""
    packed = resources.files(__package__) / "sql"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "sql"


def schema():
    """The schema of the table `cloudtrail`, as JSON that Spark and Delta write."""
    return json.loads((_root() / "schema.json").read_text(encoding="utf-8"))


def view(name):
    return (_root() / "views" / f"{name}.sql").read_text(encoding="utf-8")


def reports():
    """Every report, by name in order."""
    files = (_root() / "reports").iterdir()
    names = sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))
    return {name: _report(name) for name in names}


def find(name):
    """The report of that name."""
    found = reports()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(str(name), found, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownReport(f"no report is called {name!r}: {hint}there are {', '.join(found)}")


def _report(name):
    sql = (_root() / "reports" / f"{name}.sql").read_text(encoding="utf-8")
    told = {"title": "", "about": "", "functions": ""}
    parameters = []
    last = None
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        header = _HEADER.fullmatch(line)
        if header is None:
            if last == "about":
                told["about"] += " " + line[2:].strip()
            continue
        last, text = header.groups()
        if last == "param":
            said = _PARAMETER.fullmatch(text).groupdict()
            said["values"] = tuple(re.findall("'([^']*)'", said["values"] or ""))
            parameters.append(Parameter(**said))
        else:
            told[last] = text
    functions = tuple(function.strip() for function in told["functions"].split(",") if function.strip())
    return Report(name, told["title"], told["about"], tuple(parameters), functions, sql)


def complete(report, given, now=None):
    """The values of all parameters: those given, and defaults where nothing is said. All times are of one now."""
    now = now or datetime.datetime.now(UTC)
    values = dict(given)
    for each in report.parameters:
        if each.default is not None and each.name not in values:
            values[each.name] = _default(each.default, now, values)
    return values


def _default(text, now, known):
    told = _DEFAULT.fullmatch(text)
    if told["moment"]:
        moment = known[told["name"]] if told["name"] else now
        try:
            return moment - datetime.timedelta(days=int(told["days"] or 0))
        except OverflowError:
            # the first moment that there is
            return datetime.datetime.min.replace(tzinfo=UTC)
    if told["time"]:
        return datetime.datetime.fromisoformat(told["time"]).replace(tzinfo=UTC)
    return int(told["number"]) if told["number"] else told["text"]


def usual(text):
    """A default in words, as it may be given: 7d, or 90 days before since."""
    told = _DEFAULT.fullmatch(text)
    if not told["moment"]:
        return told["time"] or told["number"] or told["text"]
    if told["name"]:
        return f"{told['days']} days before {told['name']}" if told["days"] else told["name"]
    return f"{told['days']}d" if told["days"] else "now"


def check(report, given, now=None):
    """The values that were given for a report's parameters, each as its type has it."""
    known = {parameter.name: parameter for parameter in report.parameters}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadParameter(f"report {report.name} has no parameter {name!r}: {hint}it takes {', '.join(known)}")
    for parameter in known.values():
        if parameter.default is None and given.get(parameter.name) is None:
            raise BadParameter(
                f"report {report.name} wants {parameter.name} ({parameter.about}): "
                f"give it as {parameter.name}=..."
            )
    now = now or datetime.datetime.now(UTC)
    values = {name: value_of(known[name], value, now) for name, value in given.items() if value is not None}
    _ordered(values, complete(report, values, now))
    return values


def _ordered(given, values):
    """Refuses times between which there is none: the answer would be empty, or everything new."""
    for first, second in _ORDER:
        if first in values and second in values and values[first] >= values[second]:
            name, other, how = (first, second, "before") if first in given else (second, first, "after")
            by_default = "" if other in given else "by default "
            raise BadParameter(
                f"{name} cannot be {_shown(values[name])}: "
                f"it is not {how} {other} ({by_default}{_shown(values[other])}); "
                f"give an earlier {first} or a later {second}"
            )


def _shown(time):
    return time.replace(tzinfo=None).isoformat() + "Z"


def value_of(parameter, value, now):
    """A value as a parameter's type has it: a time zone's absence is UTC."""
    try:
        if parameter.type == "timestamp":
            return _time(value, now)
        if parameter.type == "integer":
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            return _bounded(int(value))
        if not isinstance(value, str) or (parameter.values and value not in parameter.values):
            raise ValueError
        return value
    except (ValueError, OverflowError, TypeError):
        wanted = {
            "timestamp": "a datetime, a timedelta before now, or text such as 2026-01-31, 2026-01-31T12:00:00Z or 7d",
            "integer": "a whole number from 0 to 2147483647",
            "string": " or ".join(map(repr, parameter.values)) or "text",
        }[parameter.type]
        raise BadParameter(f"{parameter.name} cannot be {value!r}: it is {wanted}") from None


def _bounded(number):
    # what LIMIT takes in Spark
    if not 0 <= number <= 2**31 - 1:
        raise ValueError
    return number


def _time(value, now):
    if isinstance(value, str):
        text = value.strip()
        ago = _AGO.fullmatch(text)
        if ago:
            value = datetime.timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        else:
            # before 3.11 Python does not read the Z
            value = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)
    if isinstance(value, datetime.timedelta):
        value = now - value
    if not isinstance(value, datetime.datetime):
        if not isinstance(value, datetime.date):
            raise ValueError
        value = datetime.datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC)
