"""The whole workflow on a throwaway local PostgreSQL with data in it: `safemig demo`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from safemig.demo.serve import how_to_play, serve_until_interrupted
from safemig.demo.shop import Shop
from safemig.demo.supabase_project import SupabaseProject
from safemig.demo.workflow import walk

__all__ = ["Shop", "run_demo"]


def run_demo(
    keep: Path | None = None, serve: bool = False, echo: Callable[[str], None] = click.echo, platform: str = ""
) -> int:
    """Take a shop's schema change from staging to production with the real verbs, and return the exit code.

    With `platform` "supabase", an application's on an imitation of that platform instead.

    0 only where production's schema is what it should be and no row was lost, which the demo checks by itself. The
    project with its records and backups stays: in a new temporary folder, or in `keep` (new or empty) together with
    the server's data. `serve` instead starts the server of the demo that was kept in `keep` again, until Ctrl-C.

    Raises:
        SafemigError: there is no PostgreSQL on this machine to start, `keep` holds something else, or a verb refused.
    """
    if serve:
        return serve_until_interrupted(keep or Path(), echo)
    folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="safemig-demo-"))
    start = SupabaseProject.start if platform == "supabase" else Shop.start
    exit_code = walk(partial(start, folder, keep=keep is not None), echo)
    if keep is not None:
        echo("")
        for line in how_to_play(keep.resolve()):
            echo(line)
    return exit_code
