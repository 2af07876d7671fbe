"""Processes of a trial: each in its namespace and on its core, told what to do in lines of JSON."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fastmld_bench.wire.namespace import Namespace


class WorkerEnded(Exception):
    """A worker ended, or kept silent for too long; the message is its last word."""


class Worker:
    """Our side: `python -m fastmld_bench.wire.MODULE ARGUMENTS`, started in a namespace on a core."""

    def __init__(self, namespace: Namespace, core: int, module: str, *arguments: str) -> None:
        self._module = module
        self._process = namespace.start(sys.executable, "-m", f"{__package__}.{module}", str(core), *arguments)
        self.pid = self._process.pid
        self._last_word: str | None = None
        self.hear()

    def ask(self, do: str, within_s: float = 30, **what: Any) -> Any:
        """Have it do something; its answer. Raises WorkerEnded."""
        if self._last_word is None:
            with suppress(BrokenPipeError):  # hear tells why
                self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
                self._process.stdin.flush()
        return self.hear(within_s)

    def hear(self, within_s: float = 30) -> Any:
        """The next answer. Raises WorkerEnded."""
        if self._last_word is None:
            line = ""
            if select.select([self._process.stdout], [], [], within_s)[0]:
                line = self._process.stdout.readline()
            if line:
                return json.loads(line)
            self._process.kill()
            _, said = self._process.communicate()
            self._last_word = (said.strip().splitlines() or ["no answer"])[-1]
        raise WorkerEnded(f"{self._module}: {self._last_word}")


def begin() -> list[str]:
    """The worker's side: go to its core, say that it is there; its other arguments."""
    core, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    answer("here")
    return arguments


def answer(what: Any) -> None:
    """Answer."""
    print(json.dumps(what), flush=True)


def request() -> dict[str, Any]:
    """What to do next. When nobody is there any more this process ends."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit
    return dict(json.loads(line))


def serve(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Do what is asked, one after another."""
    while True:
        what = request()
        answer(commands[what.pop("do")](**what))
