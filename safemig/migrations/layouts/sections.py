"""What dbmate, goose and sql-migrate share: both ways in one file, between lines that begin with `--` and a mark."""

from __future__ import annotations

import re
from pathlib import Path

from safemig.errors import MigrationError
from safemig.migrations.files import Migration

_FIRST_READ = 4000  # bytes: the mark comes before the first statement


def is_marked(folder: Path, mark: re.Pattern[str]) -> bool:
    """Tell whether the first migration in a folder bears a tool's mark."""
    for path in sorted(folder.glob("*.sql")):
        try:
            with path.open("rb") as file:
                return bool(mark.search(file.read(_FIRST_READ).decode(errors="replace")))
        except OSError:
            return False
    return False


def with_down(migration: Migration, up: re.Pattern[str], down: re.Pattern[str], words: tuple[str, str]) -> Migration:
    """Return a migration with its way down apart; lines of it stay where they were.

    Raises:
        MigrationError: it does not say which part is the way up, or says so twice.
    """
    from dataclasses import replace

    ways = list(up.finditer(migration.sql))
    if len(ways) != 1:
        raise MigrationError(
            f'no line "{words[0]}" is in it' if not ways else f'the line "{words[0]}" is in it {len(ways)} times',
            where=str(migration.path),
            next=f'begin the way up with the line "{words[0]}", once, and the way down with "{words[1]}"',
        )
    back = down.search(migration.sql, ways[0].end())
    if back is None:
        return migration
    return replace(migration, down=migration.sql[back.end() :].strip("\n"))
