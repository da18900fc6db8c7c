"""review: every pending migration, or the files named, as one sequence against what the target holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safemig.errors import MigrationError, SettingsError, UnreachableError
from safemig.operations.parallel_review import read_in_two
from safemig.operations.write_fixes import write_fixed
from safemig.review import Acceptance, Review
from safemig.review import review as review_sources
from safemig.sql import SourceFile

if TYPE_CHECKING:
    from safemig.migrations import Migration
    from safemig.review import TargetFacts
    from safemig.settings import Settings


def review(
    settings: Settings,
    files: Sequence[str | Path] = (),
    *,
    environment: str = "production",
    accept: Sequence[str] = (),
    in_two: bool = False,
) -> Review:
    """Review what is pending for an environment, or the `files` named. Reads only.

    Without a reachable target every migration of the folder counts as pending where no file is named, nothing is
    known of sizes, and the review's assumptions say so. `in_two` lets a long sequence be read by two processes, which
    is for a process without threads only.

    Raises:
        MigrationError: the folder or a file is not as it must be; files and history contradict each other.
        SettingsError: an acceptance is not `rule:object: reason`.
    """
    acceptances = [Acceptance.parse(text) for text in (*settings.accept, *accept)]
    from safemig.migrations import read_migrations, stand  # which a review of files named does not need

    facts: TargetFacts | None = None
    applied: tuple[Migration, ...] = ()
    pending: tuple[Migration, ...] = ()
    try:
        settings.conninfo(environment)  # where it is not set, nothing that talks to a server is loaded
        from safemig.execution.environment import open_environment
        from safemig.postgres.history import read_history
        from safemig.postgres.target_facts import read_target_facts

        with open_environment(settings, environment) as connection:
            facts = read_target_facts(connection, environment)
            if not files:
                standing = stand(read_migrations(settings.path("migrations")), read_history(connection))
                standing.require_consistent(environment)
                applied, pending = standing.applied, standing.pending
    except (UnreachableError, SettingsError):
        if not files:
            pending = read_migrations(settings.path("migrations"))
    return review_sources(
        [_source(name) for name in files] or [SourceFile(each.file, each.sql) for each in pending],
        applied=[SourceFile(each.file, each.sql) for each in applied],
        target=facts,
        accept=acceptances,
        reader=read_in_two if in_two else None,
    )


def fix(
    settings: Settings | None,
    files: Sequence[str | Path] = (),
    *,
    environment: str = "production",
    accept: Sequence[str] = (),
) -> tuple[Review, tuple[Path, ...]]:
    """Write what is pending, or the `files` named, in its safer form where that is mechanical, and review the result.

    Returns that review, and the files that were written. What an environment has applied is never rewritten.

    Raises:
        MigrationError: a file is applied already, or cannot be written; further as `review` does.
    """
    if settings is None:
        made, paths = review_files(files, accept=accept), {str(name): Path(name) for name in files}
    else:
        made = review(settings, files, environment=environment, accept=accept)
        folder = settings.path("migrations")
        paths = {file.name: Path(file.name) if files else folder / file.name for file in made.files}
        if files:
            _refuse_applied(settings, environment, [Path(name) for name in files])
    every, written = write_fixed(made, paths)
    if settings is None:
        return review_files(every, accept=accept), written
    return review(settings, every if files else (), environment=environment, accept=accept), written


def _refuse_applied(settings: Settings, environment: str, files: Sequence[Path]) -> None:
    try:
        settings.conninfo(environment)
        from safemig.execution.environment import open_environment
        from safemig.postgres.history import read_history

        with open_environment(settings, environment) as connection:
            applied = {each.version for each in read_history(connection)}
    except (UnreachableError, SettingsError):
        return
    if found := [file for file in files if file.name[:14] in applied]:
        raise MigrationError(
            f"{found[0].name} is applied to {environment} already: an applied file is not rewritten",
            where=str(found[0].parent),
            next="fix only files that are pending",
        )


def review_files(files: Sequence[str | Path], *, accept: Sequence[str] = ()) -> Review:
    """Review files where there is no project: no settings, no target. Raises as `review` does."""
    return review_sources(
        [_source(name) for name in files], accept=[Acceptance.parse(text) for text in accept], reader=read_in_two
    )


def _source(path: str | Path) -> SourceFile:
    try:
        # 1,500 files: Path costs as much as reading, and text mode as much again
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            text = file.read().decode().removeprefix("\ufeff")
        return SourceFile(str(path), text if "\r" not in text else text.replace("\r\n", "\n").replace("\r", "\n"))
    except UnicodeDecodeError as error:
        raise MigrationError(f"not UTF-8 at byte {error.start}", where=str(path), next="save it as UTF-8") from None
    except OSError as error:
        raise MigrationError(
            f"the file cannot be read: {error.strerror}", where=str(path), next="name an existing SQL file"
        ) from None
