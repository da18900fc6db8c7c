"""The demo's walk: generate, review, migrate_prod, db_status by their runbooks, and then its own look at the result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from safemig.demo.proof import lost_rows, read_content, schema_differences
from safemig.demo.shop import Shop, exported
from safemig.project import Project
from safemig.records import run_runbook

Echo = Callable[[str], None]
DESCRIPTION = "add user preferences table"


class Story:
    """Says what the demo does, each line with the seconds since its start."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._start = time.monotonic()

    def say(self, line: str) -> None:
        """Say one line."""
        self._echo(f"{time.monotonic() - self._start:5.1f} s  {line}")

    def add(self, line: str = "") -> None:
        """Say a line that belongs to the one before."""
        self._echo(f"         {line}".rstrip())


def walk(folder: Path, echo: Echo, *, keep: bool) -> int:
    """Go the whole way in a new project at `folder`; return 0 where the result was proven, else 1."""
    story = Story(echo)
    story.say("making a shop: a PostgreSQL server of its own, staging and production, a project")
    with Shop.start(folder, keep=keep) as shop, exported(shop.variables):
        _put_play_notebook(shop.folder)
        before = read_content(shop.production)
        rows = sum(content.rows for content in before.values())
        story.say(f"PostgreSQL {shop.server.programs.version}; production has {len(before)} tables with {rows:,} rows")
        story.add(f"project: {shop.folder}")
        shop.change_staging_by_hand()
        story.say("staging was changed by hand: a table, a column, an index, an enum value, a function, a view,")
        story.add("and a column was dropped")
        project = Project.open(shop.folder)
        _run(story, project, "generate", description=DESCRIPTION)
        _run(story, project, "review")
        _run(story, project, "migrate_prod", approve=project.plan().id)
        _run(story, project, "db_status")
        problems = lost_rows(before, shop.production)
        story.say(
            f"own check: {rows:,} rows of {len(before)} tables compared by content with what they held before: "
            + ("none lost, none changed" if not problems else "NOT EQUAL")
        )
        differences = schema_differences(shop.staging, shop.production, shop.server.major)
        story.say(
            "own check: pg_dump of production's schema against staging's: "
            + ("equal, but for users.fax_number, which was kept" if not differences else "NOT EQUAL")
        )
        for line in (*problems, *differences):
            story.add(f"  {line}")
    _tell_where_to_look(echo, project)
    return 1 if problems or differences else 0
