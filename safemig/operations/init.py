"""init: a new project's settings file and folders; nothing that exists is written over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from safemig.errors import SettingsError
from safemig.execution.layout import layout_for
from safemig.migrations import slug, write_new
from safemig.migrations.layouts import SUPABASE, Found, find
from safemig.operations.supabase_project import folder_of_project, read_supabase_project
from safemig.results import Initialised
from safemig.settings import load_settings
from safemig.settings_file import FILE_NAME

_SETTINGS = """\
# safemig's settings. Every key has a default; this file may as well be empty.
# Passwords do not belong here: name an environment variable, or a libpq service.

{migrations}backups = "backups"
records = "records"
checks = "checks"            # *.sql, each one query that must return no row after a deployment

rehearsal = "data"           # the copy for the rehearsal: "data" (the whole backup) or "schema"
transaction = "all"          # commit "all" pending migrations at once, or each "file" by itself
lock_timeout_ms = 100        # how long one attempt waits for a lock; the application waits no longer than that
lock_attempts = 30
# compression = "zstd"         # of full backups; needs pip install 'safemig[zstd]'; or "gzip"
# backup_format = "directory"  # a file a table, dumped and restored by backup_jobs at a time
# keep_backups = 30            # remove older good backups; without it, all are kept
# require_staging = true       # refuse to deploy what staging does not have
# required_approvals = 2       # by different people; authors_may_approve = false: by none who wrote the migrations
# deploy_as = "app_owner"      # the role under which migrations run, and which owns what they make

{rows}# Findings that you accept, by rule and object, with the reason:
# accept = ["drop-column:users.legacy: moved to profiles on 2026-10-02"]

# A server for the rehearsal's copy, where this machine cannot start one:
# [scratch]
# url = "env:SCRATCH_DATABASE_URL"   # or: command = "./scratch.sh", which starts one and prints its URL

{about}[environments.staging]
url = "env:STAGING_DATABASE_URL"

[environments.production]
url = "env:PRODUCTION_DATABASE_URL"
"""
_ROWS = """\
# Rows that are configuration: generate, schema-diff and status compare them, too:
# configuration_rows = ["storage.buckets", "cron.job"]

"""
# Backups hold data and records may name people: neither belongs into a repository by accident.
_IGNORED = "*\n"


def init(folder: str | Path = ".", *, first_migration: str = "") -> Initialised:
    """Write `safemig.toml` and the folders of a project, and an empty first migration if its description is given.

    In a folder of the Supabase CLI, or its folder supabase, the settings are for that project and its migrations.

    Raises:
        SettingsError: the folder cannot be written.
        MigrationError: the description makes no file name.
    """
    home = folder_of_project(Path(folder).resolve())
    supabase = read_supabase_project(home)
    found = find(home) if home.is_dir() else ()
    created: list[str] = []
    kept: list[str] = []
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = home / FILE_NAME
        if file.exists():
            kept.append(FILE_NAME)
        else:
            text = _SETTINGS.replace("{about}", supabase.advice if supabase else "")
            text = text.replace("{rows}", _ROWS if supabase else "")
            write_new(file, text.replace("{migrations}", _where_migrations_are(home, found)))
            created.append(FILE_NAME)
        settings = load_settings(home)
        for path in (
            settings.path("migrations"),
            settings.path("checks"),
            settings.path("backups"),
            settings.path("records"),
        ):
            (kept if path.is_dir() else created).append(f"{_shown(path, home)}/")
            path.mkdir(mode=0o700 if path == settings.path("backups") else 0o755, parents=True, exist_ok=True)
        ignored = settings.path("backups") / ".gitignore"
        if not ignored.exists():
            write_new(ignored, _IGNORED)
    except OSError as error:
        raise SettingsError(
            f"the project's folder cannot be written: {error.strerror}", where=str(home), next="correct its permissions"
        ) from None
    if first_migration:
        of = layout_for(settings)
        (path,) = of.layout.new_files(of.folder, of.read(), slug(first_migration), 1, datetime.now(UTC))
        text = f"-- {' '.join(first_migration.split())}\n"
        for each, content in of.layout.texts(path, text, "", atomic=True).items():
            each.parent.mkdir(exist_ok=True)
            write_new(each, content)
            created.append(_shown(each, home))
    platform = "" if supabase is None else f"Supabase project {supabase.name}".rstrip()
    others = tuple(f"{each.layout.tool}: {_shown(each.folder, home)}" for each in found if each.layout is not SUPABASE)
    next_ = [each.layout for each in found if each.layout.is_code]
    return Initialised(home, tuple(created), tuple(kept), platform, others, next_[0].command if next_ else "")


def _where_migrations_are(home: Path, found: Sequence[Found]) -> str:
    """Return the setting for where the migrations are; where several tools' folders are there, one has to be chosen."""
    if not found:
        return 'migrations = "supabase/migrations"\n'
    lines = [
        f'migrations = "{each.folder.relative_to(home).as_posix()}"\nlayout = "{each.layout.name}"  # found by its files\n'
        for each in found
    ]
    if len(found) == 1:
        return lines[0] if found[0].layout is not SUPABASE else 'migrations = "supabase/migrations"\n'
    return "# Migrations of several tools were found; choose the folder and layout that safemig is for:\n" + "".join(
        f"# {line}" for each in lines for line in each.splitlines(keepends=True)
    )


def _shown(path: Path, home: Path) -> str:
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
