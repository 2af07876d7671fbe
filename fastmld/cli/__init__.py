"""The command line: the verbs are registered here, and each has a file of its own."""

from typing import Annotated

import typer

from fastmld import __version__
from fastmld.cli import bench, demo, replay, run

app = typer.Typer(
    help="IPv6 Multicast Listener Discovery for interfaces that no kernel stands behind.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fastmld {__version__}")
        raise typer.Exit()


@app.callback()
def fastmld(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Errors with a traceback. May stand anywhere.")] = False,
) -> None:
    """IPv6 Multicast Listener Discovery for interfaces that no kernel stands behind."""


app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("demo")(demo.demo)
app.add_typer(bench.app, name="bench")
