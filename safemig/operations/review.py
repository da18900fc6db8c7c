"""review: every pending migration, or the files named, as one sequence against what the target holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safemig.errors import MigrationError, SettingsError, UnreachableError
from safemig.migrations import Migration, read_migrations, stand
from safemig.operations.databases import open_environment
from safemig.postgres.facts import read_target_facts
from safemig.postgres.history import read_history
from safemig.review import Acceptance, Review, TargetFacts
from safemig.review import review as review_sources
from safemig.settings import PRODUCTION, Settings
from safemig.sql import SourceFile


def review(
    settings: Settings,
    files: Sequence[str | Path] = (),
    *,
    environment: str = PRODUCTION,
    accept: Sequence[str] = (),
) -> Review:
    """Review what is pending for an environment, or the `files` named. Reads only.

    Without a reachable target every migration of the folder counts as pending where no file is named, nothing is
    known of sizes, and the review's assumptions say so.

    Raises:
        MigrationError: the folder or a file is not as it must be; files and history contradict each other.
        SettingsError: an acceptance is not `rule:object: reason`.
    """
    acceptances = [Acceptance.parse(text) for text in (*settings.accept, *accept)]
    facts: TargetFacts | None = None
    applied: tuple[Migration, ...] = ()
    pending: tuple[Migration, ...] = ()
    try:
        with open_environment(settings, environment) as connection:
            facts = read_target_facts(connection, environment)
            if not files:
                standing = stand(read_migrations(settings.path("migrations")), read_history(connection))
                standing.require_consistent(environment)
                applied, pending = standing.applied, standing.pending
    except (UnreachableError, SettingsError):
        if not files:
            pending = read_migrations(settings.path("migrations"))
    sources = [_source(Path(name)) for name in files] or [SourceFile(each.file, each.sql) for each in pending]
    return review_sources(
        sources,
        applied=[SourceFile(each.file, each.sql) for each in applied],
        target=facts,
        accept=acceptances,
    )


def _source(path: Path) -> SourceFile:
    try:
        return SourceFile(str(path), path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise MigrationError(f"not UTF-8 at byte {error.start}", where=str(path), next="save it as UTF-8") from None
    except OSError as error:
        raise MigrationError(
            f"the file cannot be read: {error.strerror}", where=str(path), next="name an existing SQL file"
        ) from None
