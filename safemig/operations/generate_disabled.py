"""What the schema lacks without each disabled change, and the result of enabling that one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from safemig.operations.generate_cut import Trials
from safemig.results import Behaviour, DisabledChange, Failure, Gap
from safemig.schema import ChangeSet, Schema, SchemaDiff, compare
from safemig.schema.difference import Change

_WORDS = {"add": "lacks {}", "remove": "still has {}", "change": "has {} as before"}


def disabled_changes(
    trials: Trials, diff: SchemaDiff, behaviour: Behaviour, reached: Schema
) -> Iterator[DisabledChange]:
    """Yield each disabled change of `diff`, tried alone on a copy with rows: enabled as its mark enables it.

    reached: the schema that the live changes make. behaviour: of the files as they stand.
    """
    for each in diff.change_sets:
        if each.disabled is not None:
            yield _tried(trials, diff, each, behaviour, reached)


def _tried(trials: Trials, diff: SchemaDiff, each: ChangeSet, behaviour: Behaviour, reached: Schema) -> DisabledChange:
    about = {name for statement in each.statements for name in statement.objects}
    # What fails as the files stand may work with this change.
    found, made = trials.alone(diff, each.number, about | {failure.object for failure in behaviour.broken})
    tried = {(one.what, one.role) for one in found.tried}
    failing = {(one.what, one.role) for one in _failures(found)}
    known = {(one.what, one.role) for one in _failures(behaviour)}
    until = (
        failure
        for failure in behaviour.broken
        if (failure.what, failure.role) in tried and (failure.what, failure.role) not in failing
    )
    then = _grouped([one for one in _failures(found) if (one.what, one.role) not in known])
    unfit = [words for words in found.unfit if words not in behaviour.unfit]
    problem = ""
    if not found.is_whole:
        problem = unfit.pop() if unfit else "; ".join(found.not_tried) or "its statements did not run"
        problem = f"first answer whether it is a rename: {problem}" if each.is_doubtful else problem
    then += [f"{words}, for rows as they were drawn" for words in unfit]
    changes = compare(reached, replace(made, with_ownership=reached.with_ownership)).changes if found.is_whole else ()
    return DisabledChange(
        each.number,
        each.title,
        each.disabled or "",
        tuple(map(_words, changes)),
        tuple(_grouped(list(until))) if found.is_whole else (),
        tuple(then) if found.is_whole else (),
        problem,
    )


def _failures(found: Behaviour) -> list[Gap | Failure]:
    return [*found.gaps, *found.broken]


def _grouped(failures: Sequence[Gap | Failure]) -> list[str]:
    """Return what fails, such as `read table users, update users: column "x" does not exist (42703)`; each thing once."""
    found: dict[str, dict[str, None]] = {}
    for one in failures:
        when = f" {one.where}" if isinstance(one, Gap) else ""
        found.setdefault(f"{when}: {one.because}", {})[one.what] = None
    return [f"{', '.join(what)}{because}" for because, what in found.items()]


def _words(change: Change) -> str:
    return _WORDS[change.action].format(f"{change.kind} {change.name}")
