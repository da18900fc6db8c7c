"""init: a new project's settings file and folders; nothing that exists is written over."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from safemig.errors import SettingsError
from safemig.execution.layout import layout_for
from safemig.migrations import slug, write_new
from safemig.migrations.layouts import SUPABASE, Found, find
from safemig.migrations.layouts.base import no_files
from safemig.operations.supabase_project import folder_of_project, read_supabase_project
from safemig.results import FileText, Initialised
from safemig.settings import load_settings, settings_of
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


def init(folder: str | Path = ".", *, first_migration: str = "", dry_run: bool = False) -> Initialised:
    """Write `safemig.toml` and the folders of a project, and an empty first migration if its description is given.

    In a folder of the Supabase CLI, or its folder supabase, the settings are for that project and its migrations. With
    `dry_run` nothing is written, and the result holds the files.

    Raises:
        SettingsError: the folder cannot be written.
        MigrationError: the description makes no file name.
    """
    home = folder_of_project(Path(folder).resolve())
    supabase = read_supabase_project(home)
    found = find(home) if home.is_dir() else ()
    file = home / FILE_NAME
    files: list[FileText] = []
    if file.exists():
        settings = load_settings(home)
    else:
        text = _SETTINGS.replace("{about}", supabase.advice if supabase else "")
        text = text.replace("{rows}", _ROWS if supabase else "")
        text = text.replace("{migrations}", _where_migrations_are(home, found))
        files.append(FileText(file, text))
        settings = settings_of(tomllib.loads(text), home, file)
    folders = [settings.path(name) for name in ("migrations", "checks", "backups", "records")]
    kept = [FILE_NAME] * file.exists() + [f"{_shown(path, home)}/" for path in folders if path.is_dir()]
    created = [FILE_NAME] * (not file.exists()) + [f"{_shown(path, home)}/" for path in folders if not path.is_dir()]
    ignored = settings.path("backups") / ".gitignore"
    if not ignored.exists():
        files.append(FileText(ignored, _IGNORED))
    of = layout_for(settings)
    if first_migration:
        existing = of.read() if of.folder.is_dir() else ()
        (path,) = of.layout.new_files(of.folder, existing, slug(first_migration), 1, datetime.now(UTC))
        text = f"-- {' '.join(first_migration.split())}\n"
        first = of.layout.texts(path, text, "", atomic=True)
        files += [FileText(each, content) for each, content in first.items()]
        created += [_shown(each, home) for each in first]
    if not dry_run:
        _write(home, folders, settings.path("backups"), files)
    platform = "" if supabase is None else f"Supabase project {supabase.name}".rstrip()
    others = tuple(f"{each.layout.tool}: {_shown(each.folder, home)}" for each in found if each.layout is not SUPABASE)
    next_ = [each.layout for each in found if each.layout.is_code]
    return Initialised(
        home,
        tuple(created),
        tuple(kept),
        platform,
        others,
        next_[0].command if next_ else "",
        of.layout.tool if of.layout.new_files is no_files else "",
        tuple(files) if dry_run else (),
    )


def _write(home: Path, folders: Sequence[Path], private: Path, files: Sequence[FileText]) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        for path in folders:
            path.mkdir(mode=0o700 if path == private else 0o755, parents=True, exist_ok=True)
        for each in files:
            each.path.parent.mkdir(exist_ok=True)
            write_new(each.path, each.text)
    except OSError as error:
        raise SettingsError(
            f"the project's folder cannot be written: {error.strerror}", where=str(home), next="correct its permissions"
        ) from None


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
