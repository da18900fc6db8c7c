"""base: what an environment has and the migrations do not make, as reviewed SQL in the project."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from safemig import __version__, live
from safemig.copies.base import changes_since, read_base, roles_as_sql, stored_base, text_of, write_base
from safemig.execution.environment import open_environment
from safemig.execution.layout import files_of
from safemig.postgres.connection.connect import read_target
from safemig.results import BaseFile, FileText
from safemig.settings import STAGING, Settings


@live.act("base")
def base(settings: Settings, environment: str = STAGING, *, dry_run: bool = False) -> BaseFile:
    """Write the project's base, or refresh it, from an environment. Reads the database only.

    From then on copies begin with what the file says, and plans are bound to it: review it like a migration. With
    `dry_run` nothing is written, and the result holds the file.

    Raises:
        UnreachableError: the environment cannot be reached.
        MigrationError: the migrations cannot be read.
        SettingsError: the file that is there is no SQL, or cannot be written.
    """
    path = settings.path("base")
    with open_environment(settings, environment) as source:
        target = read_target(source, environment)
        with live.stage(f"read what {environment} has beyond the migrations"):
            found = read_base(source, files_of(settings))
            roles = roles_as_sql(source)
    before = stored_base(settings, found.platform, edited=True)
    changes = changes_since(before, found) if before else ()
    rewritten = bool(before and before.file and not before.file.is_as_written)
    not_written: tuple[FileText, ...] = ()
    if before is None or changes or rewritten:
        head = (
            f"The base: what {environment} has and the migrations do not make. Copies start with it; review it like a migration.",
            f"Read from {environment} (database {target.database}, PostgreSQL {target.server_version}), "
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}, by safemig {__version__}",
            f"Platform: {found.platform.name or 'none that is known by name'}",
            "Refresh it: safemig base. To start over, delete it first.",
        )
        text = text_of(head, roles, found)
        if dry_run:
            not_written = (FileText(path, text),)
        else:
            write_base(path, text)
    state: Literal["written", "refreshed", "unchanged"] = (
        "written" if before is None else "refreshed" if changes or rewritten else "unchanged"
    )
    return BaseFile(
        path=path,
        state=state,
        source=target,
        platform=found.platform.name,
        statements=len(found.statements),
        extensions=tuple(sorted(found.extensions)),
        schemas=tuple(sorted(found.platform.schemas)),
        changes=changes,
        not_written=not_written,
    )
