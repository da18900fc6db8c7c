"""Which database a review rests on. To review without one is a choice that someone makes, never what is left over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safemig.errors import MigrationError, SettingsError, UnreachableError
from safemig.settings import PRODUCTION
from safemig.sql import SourceFile

if TYPE_CHECKING:
    from safemig.migrations import Migration, Standing
    from safemig.review import Review, TargetFacts
    from safemig.settings import Settings

NO_TARGET = "--no-target"
_NEXT = "or review without a target: safemig review --no-target"


@dataclass(frozen=True, slots=True)
class Choice:
    """The environment to read; where that is empty, `reason` says why none is read."""

    environment: str
    reason: str = ""


def choose(settings: Settings, environment: str | None, *, is_given: bool, no_target: bool) -> Choice:
    """Return which environment a review reads; `is_given` where files or a text were given to it.

    Without `environment` it is production's, which need not be set where something was given.

    Raises:
        SettingsError: there is no such environment, its variable is missing or empty, or both were asked for.
    """
    if no_target:
        if environment is not None:
            raise SettingsError(
                f"--target {environment} and {NO_TARGET} exclude each other", next="leave out one of the two"
            )
        return Choice("", NO_TARGET)
    name = environment or PRODUCTION
    known = settings.environment(name)
    if is_given and environment is None and not known.is_set:
        return Choice("", f"{(known.url or '').removeprefix('env:')} is not set")
    with or_without_target():
        known.conninfo(name)
    return Choice(name)


@contextmanager
def or_without_target() -> Iterator[None]:
    """Let what keeps a target from being read say that a review without one can be asked for."""
    try:
        yield
    except (SettingsError, UnreachableError) as error:
        next_ = f"{error.next}; {_NEXT}" if error.next else _NEXT
        raise type(error)(error.what, where=error.where, next=next_) from None


def read_facts(settings: Settings, environment: str, texts: Sequence[SourceFile] = ()) -> tuple[TargetFacts, Standing]:
    """Read what a review wants to know of a database, and how the project's files stand to its history. Reads only.

    For the `texts`, else for what is pending, NULLs and duplicates in their way are counted, for 3 s at most.

    Raises:
        UnreachableError: the database cannot be read.
        MigrationError: the migrations folder is not as it must be.
    """
    from safemig.execution.environment import open_environment
    from safemig.execution.layout import layout_for, read_history
    from safemig.migrations import stand
    from safemig.postgres.catalog.configuration import parse_table
    from safemig.postgres.target_facts import read_target_facts
    from safemig.postgres.target_questions import answers
    from safemig.review.questions import questions

    of = layout_for(settings)
    with or_without_target(), open_environment(settings, environment) as connection:
        facts = read_target_facts(connection, environment)
        if settings.configuration_rows:
            tables = frozenset(parse_table(each)[:2] for each in settings.configuration_rows)
            facts = replace(facts, configuration_tables=tables)
        files = of.read() if of.folder.is_dir() else ()
        standing = stand(files, read_history(settings, connection, files))
        asked = questions(facts, texts or [SourceFile(each.file, each.sql) for each in standing.pending])
        return replace(facts, answers=answers(connection, asked)) if asked else facts, standing


def with_seen(settings: Settings, environment: str, review: Review) -> Review:
    """Return the review with who uses what it is about, where the environment's statements were collected.

    Raises:
        FileError: the workload file is damaged.
    """
    path = settings.workload_file(environment)
    if not review.findings or not path.is_file():
        return review
    from safemig.workload.file import read_workload
    from safemig.workload.usage import with_usage

    return with_usage(review, read_workload(path))


def split(named: Iterable[str | Path], standing: Standing, environment: str) -> tuple[list[str | Path], list[str]]:
    """Return which of the files named are to be reviewed, and which are applied already.

    Raises:
        MigrationError: one that is applied was edited since.
    """
    applied = {each.path.resolve(): each for each in standing.applied}
    pending: list[str | Path] = []
    done: list[str] = []
    for name in named:
        found = applied.get(Path(name).resolve()) if str(name) != "-" else None
        if found is None:
            pending.append(name)
            continue
        if found in standing.edited:
            raise MigrationError(
                f"applied to {environment}, but edited since: {found.file}",
                where=str(found.path.parent),
                next="restore the applied version of the file (git), and put the change into a new migration",
            )
        done.append(str(name))
    return pending, done


def earlier(named: Iterable[str | Path], standing: Standing) -> list[Migration]:
    """Return the pending migrations that come before the last of those named, and are not among them."""
    paths = {Path(name).resolve() for name in named if str(name) != "-"}
    own = [at for at, each in enumerate(standing.pending) if each.path.resolve() in paths]
    before = standing.pending[: max(own, default=0)]
    return [each for each in before if each.path.resolve() not in paths]
