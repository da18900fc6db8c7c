"""What a shell offers for a word: environments, migrations, scripts, backups. Reads settings and folders, no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from safemig.errors import SafemigError
from safemig.settings import Settings, load_settings

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completing(words: Callable[[Settings, click.Context], Iterator[str]]) -> Complete:
    """Return a completion of what `words` yields; nothing is offered where the settings cannot be read."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(SafemigError, OSError):
            settings = load_settings(str(context.find_root().params.get("folder") or "."))
            return [CompletionItem(word) for word in words(settings, context) if word.startswith(incomplete)]
        return []

    return complete


def environments(settings: Settings, _: click.Context) -> Iterator[str]:
    """Yield the environments' names."""
    yield from sorted(settings.environments)


def versions(settings: Settings, _: click.Context) -> Iterator[str]:
    """Yield the versions of the migration files, as far as their names say them."""
    for path in sorted(settings.path("migrations").glob("*.sql")):
        yield path.name.partition("_")[0]


def scripts(settings: Settings, context: click.Context) -> Iterator[str]:
    """Yield the rollback scripts of the target, newest first."""
    yield from _newest(settings, context, "rollback_*.sql")


def backups(settings: Settings, context: click.Context) -> Iterator[str]:
    """Yield the timestamps of the target's backups, newest first."""
    for path in _newest(settings, context, "manifest_*.json"):
        yield Path(path).stem.removeprefix("manifest_")


def what_a_plan_is_of(settings: Settings, context: click.Context) -> Iterator[str]:
    """Yield what NAME of `plan` can be: scripts of rollback-prod, backups of restore-prod."""
    of = {"rollback-prod": scripts, "restore-prod": backups}.get(str(context.params.get("verb")))
    if of is not None:
        yield from of(settings, context)


def _newest(settings: Settings, context: click.Context, pattern: str) -> Iterator[str]:
    folder = settings.path("backups") / str(context.params.get("target") or "production")
    here = Path.cwd()
    for path in sorted(folder.glob(pattern), reverse=True):
        yield str(path.relative_to(here) if path.is_relative_to(here) else path)
