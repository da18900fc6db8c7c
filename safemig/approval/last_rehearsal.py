"""What the last rehearsal on this machine found, in a file for the plans after it, which have no copy of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from safemig.commands import command_on
from safemig.errors import FileError
from safemig.results import Plan
from safemig.settings import Settings
from safemig.whole_files import write_atomically

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LastRehearsal(Generic[T]):
    """One such file: its name, what it is about in words, and how what it holds is read."""

    name: str
    about: str
    read_from: Callable[[datetime, Mapping[str, Any]], T]

    def keep(self, settings: Settings, environment: str, plan: Plan, at: datetime, found: Mapping[str, Any]) -> None:
        """Keep what a rehearsal of `plan` found at that time.

        Raises:
            FileError: the file cannot be written.
        """
        head = {"rehearsed_at": at.isoformat(timespec="seconds"), "migrations": _identity(plan)}
        path = self._path(settings, environment)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, (json.dumps({**head, **found}, ensure_ascii=False, indent=1) + "\n").encode())
        except OSError as error:
            raise FileError(
                f"{self.about} cannot be kept for the plan: {error.strerror}",
                where=str(path),
                next="correct the folder's permissions, or free disk space",
            ) from None

    def read(self, settings: Settings, environment: str, plan: Plan) -> T | None:
        """Return what was found; None where nothing is kept, or was of other migrations than the plan's.

        Raises:
            FileError: the file is damaged.
        """
        path = self._path(settings, environment)
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = self.read_from(datetime.fromisoformat(content["rehearsed_at"]).astimezone(UTC), content)
            return found if content["migrations"] == _identity(plan) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"{self.about}, as the last rehearsal found it, cannot be read: {error}",
                where=str(path),
                next=f"remove the file, and rehearse again: {command_on(environment, 'rehearse')}",
            ) from None

    def _path(self, settings: Settings, environment: str) -> Path:
        return settings.path("backups") / environment / self.name


def _identity(plan: Plan) -> list[list[str]]:
    return [[each.version, each.sha256] for each in plan.migrations]
