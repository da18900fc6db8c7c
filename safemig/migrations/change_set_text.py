"""Change sets as text in migration files: each stated in words, the disabled ones under one mark that is easy to remove."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from safemig.schema import ChangeSet, Statement
from safemig.sql.locks import LockMode

_START = "safemig: change {number} is disabled"
_REACHES_CHILDREN = re.compile(
    r"ALTER TABLE (?!ONLY ).* ((ADD|ALTER|DROP) COLUMN|(ADD|DROP|VALIDATE) CONSTRAINT) |CREATE (UNIQUE )?INDEX (?!.* ON ONLY )"
    r"|CREATE (OR REPLACE )?(CONSTRAINT )?TRIGGER ",
    re.DOTALL,
)
_WIDTH = 120  # of a line
_MARKED = re.compile(r"^(?P<open>/\*|--) safemig: change (?P<number>\d+) is disabled\b.*$", re.MULTILINE)


def render_change_set(
    each: ChangeSet,
    statements: Sequence[Statement],
    *,
    total: int,
    locks: Iterable[str],
    others: Sequence[str],
    waits: str = "",
) -> str:
    """Return one part of a change set as SQL with its heading.

    total: how many change sets there are. locks: what it locks, in words. others: the files that hold its other parts.
    waits: why it stands in no earlier file.
    """
    state = "" if each.disabled is None else ", DISABLED"
    head = [f"Change {each.number} of {total}{state}: {each.title}"]
    if each.disabled is not None:
        head += [f"Why: {line}" if at == 0 else f"  {line}" for at, line in enumerate(each.disabled.splitlines())]
    head += [f"Locks: {'; '.join(locks)}"] if locks else []
    losses = dict.fromkeys(one.why for one in statements if one.destructive and one.why != each.disabled)
    head += [f"Loses: {_one_line(why)}" for why in losses]
    notes = dict.fromkeys(
        one.why for one in statements if one.why and not one.destructive and (one.rewrites or one.rule)
    )
    head += [f"Note: {_one_line(why)}" for why in notes]
    head += [f"Waits: {waits}"] if waits else []
    head += [f"Also in: {', '.join(others)}"] if others else []
    heading = "".join(f"-- {line}\n" for text in head for line in _wrapped(text))
    body = "\n".join(f"{statement.sql};" for statement in statements) + "\n"
    return heading + (body if each.disabled is None else _disable(each.number, body, others))


def _wrapped(text: str) -> list[str]:
    """Return a line of a heading as lines that a screen holds; what is set in is a template, and stays as it is."""
    more = "" if text.startswith(" ") else "  "
    return (
        [text]
        if not more
        else textwrap.wrap(text, _WIDTH - 3, subsequent_indent=more, break_long_words=False, break_on_hyphens=False)
    )


def _disable(number: int, body: str, others: Sequence[str]) -> str:
    also = f" here and in {', '.join(others)}" if others else ""
    end = f"-- safemig: end of change {number}"
    start = _START.format(number=number)
    if "/*" in body or "*/" in body:  # a comment around it would end too early
        lines = "".join(f"-- {line}".rstrip() + "\n" for line in body.splitlines())
        return f"-- {start}: run safemig generate --enable {number}\n{lines}{end}\n"
    return f"/* {start}; to enable it, delete this line{also}, or run: safemig generate --enable {number}\n{body}{end} */\n"


def disabled_in(text: str) -> list[int]:
    """Return the numbers of the change sets that a migration file holds disabled."""
    return [int(mark["number"]) for mark in _MARKED.finditer(text)]


def enable(text: str, number: int) -> str:
    """Return a migration file's text with that change set enabled; other text stays byte for byte."""
    for mark in _MARKED.finditer(text):
        if int(mark["number"]) != number:
            continue
        after = text[mark.end() :].removeprefix("\n")
        if mark["open"] == "/*":
            return _heading_enabled(text[: mark.start()], number) + after
        end = after.index(f"-- safemig: end of change {number}")
        lines = [line.removeprefix("--").removeprefix(" ") for line in after[:end].splitlines(keepends=True)]
        return _heading_enabled(text[: mark.start()], number) + "".join(lines) + after[end:]
    return text


def _heading_enabled(text: str, number: int) -> str:
    return re.sub(rf"^(-- Change {number} of \d+), DISABLED:", r"\1, enabled:", text, flags=re.MULTILINE)


def locks_of(statements: Iterable[Statement], existing: Mapping[str, int]) -> list[str]:
    """Return what statements lock of the relations that exist already, the strongest lock first.

    existing: their names as SQL, with how many partitions and child tables each has.
    """
    found: dict[str, LockMode] = {}
    rewritten: set[str] = set()
    throughout: set[str] = set()
    for statement in statements:
        if _REACHES_CHILDREN.match(statement.sql):
            throughout |= {table for table in tables_of(statement, existing) if existing[table]}
        locked = [(table, statement.lock) for table in tables_of(statement, existing) if statement.lock is not None]
        for table, lock in (*locked, *((table, LockMode.ROW_SHARE) for table in statement.shares if table in existing)):
            found[table] = max(found.get(table, lock), lock, key=lambda mode: mode.strength)
        if statement.rewrites:
            rewritten |= tables_of(statement, existing)

    def said(table: str) -> str:
        children = existing[table] if table in throughout else 0
        along = f" with its {children} child table{'s' if children > 1 else ''}" if children else ""
        return f"{table}{along}{' (rewritten)' if table in rewritten else ''}"

    return [
        f"{mode.value} on {', '.join(map(said, tables))}"
        for mode in reversed(LockMode)
        if (tables := sorted(table for table, lock in found.items() if lock is mode))
    ]


def tables_of(statement: Statement, existing: Collection[str]) -> set[str]:
    """Return the existing tables that a statement is about: each object's own name, or the table that it is part of."""
    names = (name[:end] for name in statement.objects for end in (*_dots(name), len(name)))
    return {name for name in names if name in existing}


def _dots(name: str) -> Iterator[int]:
    return (at for at, character in enumerate(name) if character == ".")


def _one_line(text: str) -> str:
    return " ".join(text.split())
