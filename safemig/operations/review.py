"""review: every pending migration, or the files named, as one sequence against what the target holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safemig.errors import MigrationError, NoSuchFileError, SettingsError
from safemig.operations.review_baseline import baseline_acceptances, write_baseline
from safemig.operations.supabase_project import is_supabase_project
from safemig.operations.write_fixes import write_fixed
from safemig.review import Acceptance, Evidence, FixedReview, Proof, Review
from safemig.review import review as review_sources
from safemig.sql import SourceFile

if TYPE_CHECKING:
    from safemig.migrations import Migration
    from safemig.operations.review_target import Choice
    from safemig.settings import Settings

STDIN = "-"


def review(
    settings: Settings,
    files: Sequence[str | Path] = (),
    *,
    text: SourceFile | None = None,
    environment: str | None = None,
    no_target: bool = False,
    accept: Sequence[str] = (),
) -> Review:
    """Review what is pending for an environment, or the `files` or the `text` given. Reads only.

    The target is read, or the review ends with an error. Without one is reviewed where `no_target` says so, and where
    files or a text are given, `environment` is not, and production's variable does not exist; the review then says so,
    and takes each file as if all before it were applied. Files named that are applied are not reviewed.

    Raises:
        MigrationError: the folder or a file is not as it must be; files and history contradict each other.
        NoSuchFileError: a file named is not there.
        SettingsError: an acceptance is not `rule:object: reason`; the environment is unknown or not set.
        UnreachableError: the target cannot be read.
    """
    from safemig.operations.review_target import choose

    acceptances = [Acceptance.parse(each) for each in (*settings.accept, *accept)]
    choice = choose(settings, environment, is_given=bool(files or text), no_target=no_target)
    given = [text] if text else [source(name) for name in files]
    acceptances += baseline_acceptances(settings.folder, given)
    if not choice.environment:
        return _without_target(settings, given, choice, acceptances, _platform(settings.folder, files))
    return _with_target(settings, choice.environment, files, given, text, acceptances)


def _with_target(
    settings: Settings,
    environment: str,
    files: Sequence[str | Path],
    given: Sequence[SourceFile],
    text: SourceFile | None,
    acceptances: Sequence[Acceptance],
) -> Review:
    from safemig import live
    from safemig.operations.review_target import earlier, read_facts, split, with_seen

    with live.act("review"):
        with live.stage(f"read {environment}"):
            facts, standing = read_facts(settings, environment, given)
        if not given:
            from safemig.execution.layout import require_sql

            require_sql(settings)
            standing.require_consistent(environment)
            pending_files = [_of(each) for each in standing.pending]
            with live.stage("review what is pending"):
                made = review_sources(
                    pending_files,
                    applied=[_of(each) for each in standing.applied],
                    target=facts,
                    level=settings.review_level,
                    accept=[*acceptances, *baseline_acceptances(settings.folder, pending_files)],
                    evidence=Evidence(environment, not_recognised=() if standing.files else _not_recognised(settings)),
                )
        else:
            pending, done = split(files, standing, environment)
            with live.stage("review what was given"):
                made = review_sources(
                    [text] if text else [each for each in given if each.name not in done],
                    target=facts,
                    level=settings.review_level,
                    accept=acceptances,
                    evidence=Evidence(environment, applied=tuple(done)),
                    before=[_of(each) for each in earlier(pending, standing)],
                )
        return with_seen(settings, environment, made)


def _without_target(
    settings: Settings, given: Sequence[SourceFile], choice: Choice, acceptances: Sequence[Acceptance], platform: str
) -> Review:
    left_over: tuple[str, ...] = ()
    if not given:
        from safemig.execution.layout import layout_for, require_sql

        require_sql(settings)
        given = [_of(each) for each in layout_for(settings).read()]
        left_over = () if given else _not_recognised(settings)
        acceptances = [*acceptances, *baseline_acceptances(settings.folder, given)]
    return review_sources(
        given,
        level=settings.review_level,
        accept=acceptances,
        evidence=Evidence(no_target=choice.reason, not_recognised=left_over),
        by_themselves=len(given) > 1,
        platform=platform,
    )


def _platform(home: Path, files: Sequence[str | Path]) -> str:
    """Return whose database the files are for, as far as the folders tell."""
    paths = (Path(name) for name in files if name != STDIN)
    return "Supabase" if is_supabase_project(home, paths) else ""


def accept_history(
    settings: Settings, files: Sequence[str | Path] = (), *, environment: str | None = None, no_target: bool = False
) -> tuple[Review, Path, int]:
    """Accept every finding of the files, or of what is pending, as it stands, once: in `review_baseline.txt`.

    Return the review after that, the file written, and how many findings it accepts.

    Raises:
        SettingsError: there is a baseline already; further as `review` does.
    """
    made = review(settings, files, environment=environment, no_target=no_target)
    if files:
        texts = [source(name) for name in files]
    else:
        from safemig.execution.layout import layout_for

        texts = [_of(each) for each in layout_for(settings).read()]
    path, number = write_baseline(settings.folder, texts, made)
    return review(settings, files, environment=environment, no_target=no_target), path, number


def _is_stamped(settings: Settings) -> bool:
    from safemig.execution.layout import layout_for

    return layout_for(settings).layout.name in ("supabase", "timestamped")


def _not_recognised(settings: Settings) -> tuple[str, ...]:
    from safemig.migrations import not_recognised

    return not_recognised(settings.path("migrations"))


def fix(
    settings: Settings | None,
    files: Sequence[str | Path] = (),
    *,
    text: SourceFile | None = None,
    environment: str | None = None,
    no_target: bool = False,
    accept: Sequence[str] = (),
    prove: bool | None = None,
    write: bool = True,
) -> FixedReview:
    """Bring what is pending, or the `files` or the `text` given, into its safer form where that is mechanical, and review the result.

    `prove` runs both forms on a throwaway server and keeps only what does not prove different; None: where this machine
    has one. With `write` the files are replaced. What an environment has applied is never rewritten.

    Raises:
        MigrationError: a file is applied already, or cannot be written; further as `review` does.
        ToolError: a proof is asked for, and there is no PostgreSQL on this machine.
    """

    def again(names: Sequence[str | Path]) -> Review:
        if settings is None:
            return review_files(names, accept=accept)
        return review(settings, names, text=text, environment=environment, no_target=no_target, accept=accept)

    made = again(files)
    if done := made.evidence.applied:
        raise MigrationError(
            f"{Path(done[0]).name} is applied to {made.target} already: an applied file is not rewritten",
            where=str(Path(done[0]).parent),
            next="fix only files that are pending",
        )
    if settings is None or files:
        paths = {str(name): Path(name) for name in files}
    else:
        paths = {file.name: settings.path("migrations") / file.name for file in made.files}
    originals = (text,) if text else tuple(SourceFile(name, source(path).sql) for name, path in paths.items())
    made, proofs = _proven(made, originals, prove, (settings, made.target) if settings and made.target else None)
    if text or not write:
        accepted = [Acceptance.parse(each) for each in (*(settings.accept if settings else ()), *accept)]
        alone = Evidence(no_target="the safer form is reviewed by itself")
        platform = _platform(settings.folder if settings else Path(), files)
        level = settings.review_level if settings else "default"
        reviewed = review_sources(made.fixed_files, accept=accepted, evidence=alone, platform=platform, level=level)
        return FixedReview(originals, made, reviewed, proofs)
    every, written = write_fixed(made, paths, takes_parts=settings is None or _is_stamped(settings))
    return FixedReview(originals, made, again(every if files else ()), proofs, written)


def _proven(
    made: Review, originals: Sequence[SourceFile], prove: bool | None, base: tuple[Settings, str] | None
) -> tuple[Review, tuple[Proof, ...]]:
    if prove is False or tuple(made.fixed_files) == tuple(originals):
        return made, ()
    from safemig.operations.prove_fixes import can_prove, prove_fixes

    return prove_fixes(made, originals, base) if prove or can_prove() else (made, ())


def review_files(files: Sequence[str | Path], *, no_target: bool = False, accept: Sequence[str] = ()) -> Review:
    """Review files where there is no project: no settings, no target. Raises as `review` does."""
    return review_sources(
        [source(name) for name in files],
        accept=[Acceptance.parse(text) for text in accept],
        evidence=Evidence(no_target="--no-target" if no_target else "PRODUCTION_DATABASE_URL is not set"),
        by_themselves=len(files) > 1,
        platform=_platform(Path(), files),
    )


def _of(migration: Migration) -> SourceFile:
    return SourceFile(migration.file, migration.sql)


PROGRAMS = (".py", ".rb", ".js", ".ts", ".cjs", ".mjs", ".go")  # what a tool runs


def source(path: str | Path) -> SourceFile:
    """Read one file to be reviewed; `-` is standard input."""
    try:
        if path == STDIN:
            return SourceFile("<stdin>", _lines(_standard_input()))
        if str(path).endswith(PROGRAMS):
            raise MigrationError(
                "a program, not SQL",
                where=str(path),
                next="let its tool print the SQL, such as: alembic upgrade --sql CURRENT:head | safemig review -",
            )
        # 1,500 files: Path costs as much as reading, and text mode as much again
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return SourceFile(str(path), _lines(file.read()))
    except OSError as error:
        raise NoSuchFileError(
            f"the file cannot be read: {error.strerror}", where=str(path), next="name an existing SQL file"
        ) from None


def _standard_input() -> bytes:
    """Return what was piped in; nothing at all is mostly a command before the pipe that failed."""
    content = b"" if sys.stdin is None else sys.stdin.buffer.read()
    if content.strip():
        return content
    raise SettingsError(
        "standard input is empty", where="safemig review -", next="check the command that writes the migration"
    )


def _lines(content: bytes) -> str:
    # What is no UTF-8 stays in the text as lone surrogates, which the parser refuses: a finding of that file alone.
    text = content.decode(errors="surrogateescape").removeprefix("\ufeff")
    return text if "\r" not in text else text.replace("\r\n", "\n").replace("\r", "\n")
