"""What a Supabase project's own folder says of it: its name, its PostgreSQL, and the project that it is linked to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = Path("supabase") / "config.toml"
_REFERENCE = re.compile(r"[a-z]{20}")  # which the CLI's `link` writes
_POOLER = re.compile(r"@(?P<host>[\w.-]+\.pooler\.supabase\.com)")


@dataclass(frozen=True, slots=True)
class SupabaseProject:
    """A Supabase CLI project; texts are "" and numbers 0 where its files do not say."""

    name: str
    major: int
    reference: str  # of the linked project
    pooler: str  # the host of its pooler

    @property
    def advice(self) -> str:
        """Return what a settings file says of its databases, as comments; holds no password."""
        about = f' "{self.name}"' if self.name else ""
        version = f", PostgreSQL {self.major}" if self.major else ""
        lines = [
            f"Supabase project{about}{version}. In the dashboard under Connect, take the direct connection or, without IPv6, the",
            "session pooler (port 5432). The transaction pooler (port 6543) loses what a deployment sets.",
        ]
        if self.reference:
            lines.append(f"Linked project, direct: postgresql://postgres@db.{self.reference}.supabase.co:5432/postgres")
        if self.reference and self.pooler:
            lines.append(f"Session pooler: postgresql://postgres.{self.reference}@{self.pooler}:5432/postgres")
        return "".join(f"# {line}\n" for line in lines)


def folder_of_project(folder: Path) -> Path:
    """Return where a project's settings belong: beside the folder supabase, also for who stands in that folder."""
    if folder.name == CONFIG.parent.name and (folder / CONFIG.name).is_file():
        return folder.parent
    return folder


def is_supabase_project(home: Path, files: Iterable[Path] = ()) -> bool:
    """Tell whether `home` is a Supabase project, or one of the `files` lies in a project's folder supabase/migrations."""
    folders = {folder.resolve().parent for folder in {file.parent for file in files}}
    return (home / CONFIG).is_file() or any(
        folder.name == CONFIG.parent.name and (folder / CONFIG.name).is_file() for folder in folders
    )


def read_supabase_project(home: Path) -> SupabaseProject | None:
    """Return what is known of the Supabase project in `home`; None where there is none. Reads files only."""
    import tomllib

    file = home / CONFIG
    if not file.is_file():
        return None
    config: dict[str, Any] = {}
    # Of a file that is not right the CLI tells itself; where its migrations are is known all the same.
    with suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):
        config = tomllib.loads(file.read_text(encoding="utf-8"))
    database = config.get("db")
    major = database.get("major_version") if isinstance(database, dict) else None
    name = config.get("project_id")
    reference = _REFERENCE.fullmatch(_first_line(home / "supabase" / ".temp" / "project-ref"))
    pooler = _POOLER.search(_first_line(home / "supabase" / ".temp" / "pooler-url"))
    return SupabaseProject(
        " ".join(name.split()) if isinstance(name, str) else "",
        major if isinstance(major, int) else 0,
        reference[0] if reference else "",
        pooler["host"] if pooler else "",
    )


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip().partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""
