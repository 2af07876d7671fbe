"""What a bench leaves behind, as JSON: rows, series, goals, environment, seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1

Report = dict[str, Any]


def read(path: Path) -> Report:
    """A report that page.write wrote. Raises ValueError, which says what is wrong, or OSError."""
    try:
        report = json.loads(path.read_bytes())
        keys = {"id", "what", "value", "spread", "unit", "valid"}
        if report["format"] == FORMAT and all(keys <= row.keys() for row in report["rows"]):
            return dict(report)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"{path} is not a report of fastmld bench")
