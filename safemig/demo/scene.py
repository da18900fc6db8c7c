"""What a demo plays in: a project, its servers, and what is particular about them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from safemig.errors import RefusedError
from safemig.postgres.server.throwaway import ThrowawayServer


class Scene(Protocol):
    """A running demo. Use it as a context manager, or call `stop`: its servers end with this process anyway."""

    folder: Path  # the project
    server: ThrowawayServer  # of production
    staging: str  # a URL that holds no password, as `production`
    production: str
    seen: tuple[str, str]  # staging and production as a superuser sees them
    title: str
    by_hand: tuple[str, ...]  # what change_staging_by_hand does, in words
    kept: str  # the column that staging dropped and production keeps
    kept_lines: tuple[str, ...]  # the same in pg_dump's words, each behind a `-`
    try_this: str  # SQL to review in the notebook

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables under which safemig finds both databases."""

    def change_staging_by_hand(self) -> None:
        """Do to staging what a developer would."""

    def stop(self) -> None:
        """End the servers. Safe to call again."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""


def new_folder(folder: str | Path) -> Path:
    """Make `folder`, which must be new or empty, and return it as an absolute path.

    Raises:
        RefusedError: it holds something already.
    """
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(
            "the demo wants a new or an empty folder",
            where=str(folder),
            next=f"safemig demo --serve {folder} starts a demo that is there already; or name another folder",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Put `variables` into this process's environment, which kernels inherit, for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
