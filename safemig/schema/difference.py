"""The result of a comparison: what differs, and the statements that make one schema the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from safemig.result import Result
from safemig.sql.locks import LockMode


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words."""

    kind: str
    name: str
    action: Literal["add", "change", "remove"]
    detail: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the script, with all that a careful reader asks about it.

    `rule` is the name of the review's hazard; `why` says for a destructive statement what would be lost.
    `blocked` names, for a statement that is left out together with a destructive one, that one's reason. `shares` are
    the tables that it locks in ROW SHARE only, beside those of `lock`.
    """

    sql: str
    reverse_sql: str | None
    objects: tuple[str, ...]
    destructive: bool
    why: str
    rule: str | None
    transactional: bool
    lock: LockMode | None
    rewrites: bool
    blocked: str | None = None
    shares: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Statements that are one change: all of them are live, or all are disabled.

    `parts` are (part, statements) in order; `is_atomic` tells which parts are one transaction. `recreated` is what is
    dropped and created again on the way; `missing` are (part, part, object) where a commit stands between the two.
    """

    number: int
    title: str
    parts: tuple[tuple[int, tuple[Statement, ...]], ...]
    disabled: str | None = None
    recreated: tuple[str, ...] = ()
    missing: tuple[tuple[int, int, str], ...] = ()  # between these parts this object is missing
    is_doubtful: bool = False  # it may be a rename; the answer makes another change of it

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All statements, in order."""
        return tuple(statement for _, statements in self.parts for statement in statements)


def is_atomic(part: int) -> bool:
    """Tell whether the statements of that part of a migration run in one transaction; else each stands alone."""
    return part % 2 == 1


def without_idle_parts(sets: Sequence[ChangeSet]) -> tuple[ChangeSet, ...]:
    """Return the change sets with no part that holds disabled ones alone, where another part can hold them as well.

    A statement that is all of its change there may stand alone in the part beside it. Several stay together: they wait
    for the next part of one transaction, unless one between them may need them.
    """
    found = list(sets)
    live = {part for each in sets if each.disabled is None for part, _ in each.parts}
    for part in sorted({part for each in sets for part, _ in each.parts} - live):
        held = {at: [each for each in found if at in dict(each.parts)] for at in range(part - 1, part + 3)}
        alone = all(len(dict(each.parts)[part]) == 1 for each in held[part])
        to = next((to for to in (part - 1, part + 1) if is_atomic(part) and alone and held[to]), None)
        if to is None and is_atomic(part) and held[part + 2]:
            to = part + 2 if all(each.disabled is None for each in held[part + 1]) else None
        if to is not None:
            found = [_moved(each, part, to) for each in found]
    return tuple(found)


def _moved(each: ChangeSet, part: int, to: int) -> ChangeSet:
    parts = dict(each.parts)
    if part not in parts:
        return each
    parts[to] = (*parts.get(to, ()), *parts.pop(part)) if to < part else (*parts.pop(part), *parts.get(to, ()))
    missing = [
        (to if drop == part else drop, to if create == part else create, what) for drop, create, what in each.missing
    ]
    return replace(each, parts=tuple(sorted(parts.items())), missing=tuple(one for one in missing if one[0] != one[1]))


_SIGNS: tuple[tuple[Literal["add", "change", "remove"], str], ...] = (("add", "+"), ("change", "~"), ("remove", "-"))


@dataclass(frozen=True, repr=False)
class SchemaDiff(Result):
    """What turns the base schema into the target schema.

    `statements` run in one transaction, or in two with a COMMIT between them where `compare` was allowed one;
    `online_statements` is the same way with the least blocking, in which some statements cannot run inside a
    transaction (`segments`). Both are empty when the schemas are equal.
    """

    kind: ClassVar[str] = "schema_diff"

    changes: tuple[Change, ...]
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...] = ()
    rename_questions: tuple[str, ...] = ()
    online_statements: tuple[Statement, ...] = ()
    change_sets: tuple[ChangeSet, ...] = ()  # of the online statements, where they were asked for

    @property
    def is_empty(self) -> bool:
        """True when nothing differs that is modelled (`warnings` may still name what is not)."""
        return not self.changes and not self.statements

    @property
    def sql(self) -> str:
        """The complete script, destructive statements live, for one transaction (or two, with the COMMIT in it)."""
        return self.render(destructive=True, online=False)

    @property
    def safe_sql(self) -> str:
        """The script for one transaction with every destructive statement, and what needs it, commented out."""
        return self.render(destructive=False, online=False)

    @property
    def segments(self) -> tuple[tuple[bool, tuple[Statement, ...]], ...]:
        """The online statements in runs: (True, those of one transaction) or (False, one that must stand alone)."""
        found: list[tuple[bool, tuple[Statement, ...]]] = []
        run: list[Statement] = []
        for statement in self.online_statements:
            if statement.transactional:
                run.append(statement)
                continue
            if run:
                found.append((True, tuple(run)))
                run = []
            found.append((False, (statement,)))
        if run:
            found.append((True, tuple(run)))
        return tuple(found)

    @property
    def summary(self) -> str:
        """One line such as `3 changes: +1 column, ~1 type, -1 index`."""
        if not self.changes:
            return "no changes"
        counted = Counter((change.action, change.kind) for change in self.changes)
        parts = [
            f"{sign}{number} {kind if number == 1 else _plural(kind)}"
            for action, sign in _SIGNS
            for (of, kind), number in sorted(counted.items())
            if of == action
        ]
        total = len(self.changes)
        return f"{total} {'change' if total == 1 else 'changes'}: {', '.join(parts)}"

    def render(
        self, form: Literal["text", "html"] = "text", *, destructive: bool | None = None, online: bool = True
    ) -> str:
        """Return the script as SQL when `destructive` is said, else the report in `form`.

        destructive: True keeps statements that lose data live, False comments them out, with their reason.
        online: with the least blocking (CONCURRENTLY, NOT VALID and VALIDATE), or fit for one transaction.
        """
        if destructive is None:
            return Result.render(self, form)
        text = script(self.online_statements if online else self.statements, destructive=destructive)
        if destructive or not self.rename_questions:
            return text
        return "".join(f"-- Question: {_one_line(question)}\n" for question in self.rename_questions) + "\n" + text


def _plural(kind: str) -> str:
    if kind.endswith(("s", "x")):
        return kind if kind.endswith(("es", "cs")) else kind + "es"
    return kind[:-1] + "ies" if kind.endswith("y") and not kind.endswith("key") else kind + "s"


def script(statements: Sequence[Statement], *, destructive: bool) -> str:
    """Return statements as one SQL text; with `destructive` False, those that lose data are commented out."""
    parts: list[str] = []
    for statement in statements:
        commented = not destructive and (statement.destructive or statement.blocked is not None)
        if not commented:
            comment = f"-- {_one_line(statement.why)}\n" if statement.destructive or _worth_saying(statement) else ""
            parts.append(f"{comment}{statement.sql};\n")
            continue
        if statement.destructive:
            head = f"-- DESTRUCTIVE ({statement.rule or 'data loss'}): {_one_line(statement.why)}\n"
            head += "-- To do it, take the comment marks off the statement below.\n"
        else:
            head = f"-- Left out with the destructive statement that it needs: {_one_line(statement.blocked or '')}\n"
        body = "\n".join(f"-- {line}".rstrip() for line in f"{statement.sql};".split("\n"))
        parts.append(f"{head}{body}\n")
    return "\n".join(parts)


def _worth_saying(statement: Statement) -> bool:
    return bool(statement.why) and (statement.rewrites or statement.rule is not None)


def _one_line(text: str) -> str:
    return " ".join(text.split())
