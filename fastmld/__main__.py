"""The `fastmld` command: each way it can end becomes one exit status and, for an error, one line."""

from __future__ import annotations

import os
import sys
import traceback

from fastmld.errors import FastMLDError

EXTRAS = {
    "typer": "cli", "click": "cli", "rich": "cli", "pyroute2": "live",
    "matplotlib": "bench", "scapy": "bench", "dpkt": "bench",
}  # fmt: skip


def main() -> int:
    """Run the command line of this process.

    Returns its exit status: 0 done, 1 a check failed, 2 usage or bad input, 3 the environment refuses.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    status = 0
    try:
        from fastmld.cli import app

        status = app(arguments, prog_name="fastmld", standalone_mode=False) or 0
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        status, line = _explain(error)
        _say(line)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What could not be written would be tried again, and complained about, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not status:
            status = 2
            _say(f"standard output: {error.strerror}")
    return status


def _explain(error: Exception) -> tuple[int, str]:
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return error.exit_code, error.format_message()
    if isinstance(error, FastMLDError):
        return 2, str(error)
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra:
            return 3, f"{error.name} is not installed: pip install 'fastmld[{extra}]'"
    if isinstance(error, OSError):
        return 3, str(error)
    return 1, f"{type(error).__name__}: {error} (--debug shows where)"


def _say(line: str) -> None:
    print("fastmld:", " ".join(line.split()), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
