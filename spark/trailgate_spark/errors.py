"""What can be wrong. Each says what it was, with which value, and what to do."""

from pyspark.errors import PySparkException


class Error(Exception):
    """Anything that this package refuses."""


class NotAnArchive(Error):
    """The path is not an archive of trailgate's."""


class NewerArchive(Error):
    """The archive needs a reader that knows more than this one."""


class DamagedArchive(Error):
    """The archive's log, or a file that it names, is not whole."""


class NoTable(Error):
    """There is no table cloudtrail yet, or a function is missing that a report needs."""


class UnknownReport(Error, ValueError):
    """No report has that name."""


class BadParameter(Error, ValueError):
    """A report has no such parameter, wants one, or cannot take its value."""


def condition(error):
    """Spark's name of what went wrong: classic and Connect raise different classes."""
    for name in ("getCondition", "getErrorClass"):
        if hasattr(error, name):
            return getattr(error, name)() or ""
    return ""


def is_of_spark(error):
    """Whether Spark raised it: on a classic session tasks that fail are Py4J's to tell, which Connect does not have."""
    return isinstance(error, PySparkException) or type(error).__name__ == "Py4JJavaError"


def brief(error):
    """The first line that says something: a stack trace stands behind it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if type(error).__name__ == "Py4JJavaError":
        # the first says which method of Java's was called
        lines = [line.removeprefix(": ") for line in lines[1:2]] or lines
    return lines[0]
