"""What something takes: time, processor time, memory at most."""

import contextlib
import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass


# seconds between looks at what a process has resident
LOOK = 0.005


@dataclass
class Taken:
    """Seconds by the clock, seconds of all processors, and the most resident bytes."""

    wall: float
    cpu: float
    peak: int


class Measured:
    """A stretch of this process: its threads', and of a process that it started, if that is given."""

    def __init__(self, other=None):
        self.other = other

    def _now(self):
        own = resource.getrusage(resource.RUSAGE_SELF)
        cpu = own.ru_utime + own.ru_stime
        return time.perf_counter(), cpu + (cpu_of(self.other) if self.other else 0)

    def __enter__(self):
        self._begun = self._now()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = (after - before for after, before in zip(self._now(), self._begun))

    def told(self):
        """As a process tells the one that asked it."""
        # not ru_maxrss, which has what the process was that this one was forked from
        peak = peak_of(os.getpid())
        return {"wall": self.wall, "cpu": self.cpu, "peak": peak + (peak_of(self.other) if self.other else 0)}


def cpu_of(pid):
    """The processor time that a process has had, in seconds."""
    with open(f"/proc/{pid}/stat") as file:
        # after the name, which may have spaces
        fields = file.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid):
    """The most that was resident of a process, in bytes."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def run(*args, env=None, is_text=True):
    """Runs a command to its end: what it wrote, if that is text, and what it took from its start on."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen([*map(str, args)], stdin=subprocess.DEVNULL, stdout=out, stderr=said, env=env)
        peak, ended = 0, 0
        while not ended:
            # it only grows: what is missed is that of the last moment
            with contextlib.suppress(OSError, StopIteration):
                peak = max(peak, peak_of(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0 if ended else LOOK)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, said):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode != 0:
        raise SystemExit(f"{args[0]} {args[1]} ended with {process.returncode}: {texts[1][-2000:]}")
    return texts[0] if is_text else None, Taken(wall, used.ru_utime + used.ru_stime, peak)
