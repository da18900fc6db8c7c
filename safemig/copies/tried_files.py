"""Migration files tried one after the other on a copy with rows: what works after each, what it locks and rewrites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import psycopg

from safemig.copies.behaviour import (
    MAY_NOT,
    Outcome,
    Trial,
    attempt,
    attempt_again,
    concerned,
    in_words,
    is_worse,
    judge,
    reaches_out,
    runs,
    trials,
)
from safemig.copies.drawn_rows import Rows
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.pretences import adapter
from safemig.results import Behaviour, Gap
from safemig.schema import Schema, Statement
from safemig.schema.model import Id
from safemig.sql import parse
from safemig.sql.locks import LockMode

OBJECTS = 150  # that are tried at most
WHICH_TABLES_ARE_THERE = """
SELECT c.oid::int8, format('%I.%I', n.nspname, c.relname), c.relfilenode::int8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
WHICH_LOCKS_WE_HOLD = """
SELECT DISTINCT relation::int8, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted AND relation = ANY (%s)
"""
_OF_ROWS = ("22", "23")  # SQLSTATE classes: the statement is right, and a row does not fit
_SHOWN = LockMode.SHARE_UPDATE_EXCLUSIVE  # weaker ones are those of every reader and writer


@dataclass(frozen=True, slots=True)
class File:
    """The live statements of a migration file, and whether they share a transaction.

    numbers: of the change that each statement is part of.
    """

    name: str
    is_atomic: bool
    statements: tuple[Statement, ...]
    numbers: tuple[int, ...] = ()


@dataclass
class _Run:
    copy: Connection
    tables: dict[int, tuple[str, int]]
    rows: Rows
    rewritten: set[str] = field(default_factory=set)
    unfit: list[str] = field(default_factory=list)
    locks: list[tuple[tuple[str, str], ...]] = field(default_factory=list)


def try_files(
    copy: Connection,
    source: Connection | None,
    files: Sequence[File],
    base: Schema,
    target: Schema,
    also: Iterable[str] = (),
    only: Iterable[str] | None = None,
) -> Behaviour:
    """Try what `files` touch before the first and after each of them. `copy` holds `base`; rows are drawn from `source`.

    also: further objects that they touch, such as tables by the names that they had.
    only: these objects, and what stands on them, in place of what the files touch.

    Guarantee: `source` is only read. The copy is changed.
    """
    names = tuple(file.name for file in files)
    try:
        return _tried(copy, source, files, base, target, _touched(files) | set(also) if only is None else set(only))
    except psycopg.Error as error:
        return Behaviour(names, (), not_tried=(f"nothing was tried: {words_of(error)}",))


def _tried(
    copy: Connection, source: Connection | None, files: Sequence[File], base: Schema, target: Schema, names: set[str]
) -> Behaviour:
    old, new = _objects(base, target, names)
    rows = Rows(copy, source)
    counts = rows.fill(_tables(base, old[:OBJECTS]))
    before = {trial: attempt(copy, trial) for trial in trials(rows, old[:OBJECTS], base)}
    tried = {trial: [outcome] for trial, outcome in before.items() if outcome.works}
    run = _Run(copy, _tables_there(copy), rows)
    within: list[Gap] = []
    for number, file in enumerate(files):
        steps: dict[Trial, list[Outcome]] = {}

        def see(at: int, file: File = file, steps: dict[Trial, list[Outcome]] = steps) -> None:
            if at == len(file.statements) - 1:
                return  # all is tried after the file
            about = {each.dotted for each in concerned(base, target, file.statements[at].objects)}
            for trial, outcomes in tried.items():
                then = steps.setdefault(trial, outcomes[-1:])
                del then[at + 1 :]  # of a run that drawn rows stopped
                then.append(_again(run, trial) if trial.object in about else then[-1])

        if not _run(run, file, counts, None if file.is_atomic else see):
            break
        for trial, outcomes in tried.items():
            outcomes.append(_again(run, trial))
            within += _gaps_within(number + 1, trial, outcomes[0], [*steps.get(trial, ()), outcomes[-1]])
        if number == len(files) - 1:
            for trial in trials(Rows(copy, None), new[:OBJECTS], target, is_new=True):
                nothing = [Outcome(False, "")] * len(files)
                tried[trial] = [*nothing, attempt(copy, trial)]
    done = min((len(outcomes) - 1 for outcomes in tried.values()), default=len(files))
    found = judge(tried, [file.name for file in files[:done]])
    return replace(
        found,
        files=tuple(file.name for file in files),
        gaps=(*found.gaps, *within),
        not_tried=(
            *(
                f"{trial.what}{f' as {trial.role}' if trial.role else ''}: {outcome.words}"
                for trial, outcome in before.items()
                if not (outcome.works or (trial.role and outcome.words.endswith(MAY_NOT)))
            ),
            *(f"{each.kind} {each.dotted}" for each in (*old[OBJECTS:], *new[OBJECTS:])),
            *(f"foreign table {each.dotted}" for each in old[:OBJECTS] if reaches_out(each, base)),
            *(f"foreign table {each.dotted}" for each in new[:OBJECTS] if reaches_out(each, target)),
        ),
        locks=tuple(run.locks),
        rewritten=tuple(_rewritten(run)),
        unfit=tuple(run.unfit),
        rows=sum(counts.values()),
    )


def _again(run: _Run, trial: Trial) -> Outcome:
    outcome = attempt_again(run.rows, trial)
    return replace(outcome, rows=None) if run.unfit else outcome


def _gaps_within(file: int, trial: Trial, before: Outcome, steps: Sequence[Outcome]) -> Iterator[Gap]:
    """Yield what fails after a statement of one file and works after a later one: `steps` begin before the first."""
    for fails, works in runs([is_worse(each, before) for each in steps]):
        if fails > 0 and works < len(steps):
            yield Gap(trial.what, trial.role, file, file, in_words(steps[fails], before), (fails, works))


def find_causes(
    copy: Connection,
    source: Connection | None,
    files: Sequence[File],
    base: Schema,
    target: Schema,
    also: Iterable[str],
    gaps: Sequence[Gap],
) -> dict[Gap, int]:
    """Return the number of the change that opens each gap: after it in its file, what worked before fails.

    `copy` holds `base`, with no file run yet. A gap that does not show again, with other rows, is left out.

    Guarantee: `source` is only read. The copy is changed.
    """
    old, _ = _objects(base, target, _touched(files) | set(also))
    rows = Rows(copy, source)
    counts = rows.fill(_tables(base, old[:OBJECTS]))
    named = {(gap.what, gap.role): gap for gap in gaps}
    before = {
        trial: attempt(copy, trial) for trial in trials(rows, old[:OBJECTS], base) if (trial.what, trial.role) in named
    }
    run = _Run(copy, _tables_there(copy), rows)
    found: dict[Gap, int] = {}
    for at, file in enumerate(files, 1):
        here = {trial: gap for trial in before if (gap := named[trial.what, trial.role]).start == at}
        works = dict.fromkeys(here, True)

        def see(
            place: int, file: File = file, here: Mapping[Trial, Gap] = here, works: dict[Trial, bool] = works
        ) -> None:
            number, *following = file.numbers[place : place + 2]
            if following == [number]:
                return  # the change goes on
            for trial, gap in here.items():
                fails = is_worse(_again(run, trial), before[trial])
                if fails and works[trial]:
                    found[gap] = number
                works[trial] = not fails

        if not _run(run, file, counts, see if here else None):
            break
    return found


def _touched(files: Sequence[File]) -> set[str]:
    return {name for file in files for each in file.statements for name in each.objects}


def _objects(base: Schema, target: Schema, names: set[str]) -> tuple[list[Id], list[Id]]:
    """Return what has one of these names or stands on that: what is there before, and what is new."""
    objects = concerned(base, target, names)
    return [each for each in objects if each in base.facts], [each for each in objects if each not in base.facts]


def _tables(schema: Schema, objects: Iterable[Id]) -> list[str]:
    """Return the tables among `objects` that hold rows of their own, partitions by way of their parents."""
    found = [each for each in objects if each.kind == "table" and schema.facts[each].relkind in "rp"]
    return [each.dotted for each in found if Id("partition", each.schema, each.name) not in schema.facts]


def _tables_there(copy: Connection) -> dict[int, tuple[str, int]]:
    return {oid: (name, node) for oid, name, node in copy.execute(WHICH_TABLES_ARE_THERE.encode()).fetchall()}


def _rewritten(run: _Run) -> list[str]:
    """Return what the files rewrote so far."""
    now = _tables_there(run.copy)
    run.rewritten |= {name for oid, (name, node) in run.tables.items() if oid in now and now[oid][1] != node}
    return sorted(run.rewritten)


def _run(run: _Run, file: File, filled: Mapping[str, int], see: Callable[[int], None] | None = None) -> bool:
    """Run a file; where drawn rows are in its way, note it and run it without rows. Tell whether it ran.

    see: called after each statement, with its place in the file.
    """
    start = 0
    for attempt_ in range(2):
        try:
            held = _run_once(run, file, see, start)
        except _StatementError as failed:
            start = 0 if file.is_atomic else failed.place  # what ran before it is committed
            whose = "" if run.rows.has_drawn else "a made-up row: "
            run.unfit.append(f"{whose}{failed.words} at {failed.sql}, in {file.name}")
            if attempt_ or not failed.is_of_rows:
                return False
            there = {name for name, _ in _tables_there(run.copy).values()} & filled.keys()
            if there:
                _rewritten(run)  # TRUNCATE gives a table another file as well, and rewrites nothing
                run.copy.execute(f"TRUNCATE {', '.join(sorted(there))} CASCADE".encode())
                run.tables |= {oid: each for oid, each in _tables_there(run.copy).items() if oid in run.tables}
            continue
        run.locks.append(
            tuple(sorted((table, mode.value) for table, mode in held.items() if mode.strength >= _SHOWN.strength))
        )
        return True
    return False


class _StatementError(Exception):
    def __init__(self, statement: Statement, place: int, error: psycopg.Error) -> None:
        self.place = place
        self.sql = " ".join(statement.sql.split())[:200]
        self.is_of_rows = (error.sqlstate or "").startswith(_OF_ROWS)
        self.words = f"{type(error).__name__} ({error.sqlstate})"


def _run_once(run: _Run, file: File, see: Callable[[int], None] | None, start: int) -> dict[str, LockMode]:
    run.copy.execute("SET check_function_bodies = off")
    if not file.is_atomic:
        _run_from(run, file, see, start)
        held: dict[str, LockMode] = {}
        there = {name for name, _ in run.tables.values()}
        for statement in file.statements:
            if statement.lock is not None:
                for name in there & set(statement.objects):
                    held[name] = max(held.get(name, statement.lock), statement.lock, key=lambda mode: mode.strength)
        return held
    with run.copy.transaction():
        _run_from(run, file, see, start)
        return _held(run)


def _run_from(run: _Run, file: File, see: Callable[[int], None] | None, start: int) -> None:
    """Run the statements of a file from one place on."""
    for place, statement in enumerate(file.statements[start:], start):
        _execute(run, statement, place)
        if see is not None:
            see(place)


def _execute(run: _Run, statement: Statement, place: int) -> None:
    adapt = adapter(run.copy)
    pieces = [statement.sql] if adapt is None else [part for one in parse(statement.sql) for part in adapt(one.sql)]
    try:
        for piece in pieces:
            run.copy.execute(piece.encode())
    except psycopg.Error as error:
        raise _StatementError(statement, place, error) from error


def _held(run: _Run) -> dict[str, LockMode]:
    held: dict[str, LockMode] = {}
    for oid, mode in run.copy.execute(WHICH_LOCKS_WE_HOLD, (list(run.tables),)).fetchall():
        name, lock = run.tables[oid][0], LockMode.from_pg_locks(mode)
        held[name] = max(held.get(name, lock), lock, key=lambda one: one.strength)
    return held
