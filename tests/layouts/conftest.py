"""A project of any tool's form, with two real databases that its tool has migrated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from safemig.project import Project
from tests.layouts.folders import EXAMPLES, USERS, Example


@dataclass(frozen=True)
class Team:
    """A project folder of one tool, and its production."""

    example: Example
    folder: Path
    production: str

    @property
    def project(self) -> Project:
        """The project, opened again."""
        return Project.open(self.folder)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the tool."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def on(self, sql: str) -> tuple[tuple[object, ...], ...]:
        """Run SQL on production and return the rows, if any."""
        with psycopg.connect(self.production, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return tuple(cursor.fetchall()) if cursor.description else ()


@pytest.fixture
def team(tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Team]:
    """A maker of teams by the name of a layout: one migration applied to production, and one pending."""

    def make(layout: str) -> Team:
        example = EXAMPLES[layout]
        production = new_database()
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", production)
        monkeypatch.delenv("STAGING_DATABASE_URL", raising=False)
        made = Team(example, tmp_path / "shop", production)
        made.write(example.first)
        made.on(f"{USERS} INSERT INTO users SELECT n, 'user' || n FROM generate_series(1, 100) n")
        made.on(example.history)
        Project.init(made.folder)
        made.write(example.second)
        return made

    return make
