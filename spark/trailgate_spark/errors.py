"""What can be wrong. Each says what it was, with which value, and what to do."""


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


def brief(error):
    """The first line of what Spark says: a stack trace stands behind it."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
