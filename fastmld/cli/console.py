"""Where the verbs draw."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Standard output, or error, for people. With NO_COLOR set it is plain: no colour, no bold, no escape at all.

    width: columns, where there is no terminal to say.
    """
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    file = sys.stderr if stderr else sys.stdout
    return Console(
        color_system=None if plain else "auto", highlight=False, file=file, width=None if file.isatty() else width
    )
