"""The text of generated migration files: the heading with its checklist, and the change sets of each part."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from safemig import __version__
from safemig.approval.plan import identify
from safemig.migrations import Migration
from safemig.migrations.change_set_text import locks_of, render_change_set, tables_of
from safemig.operations.generate_cut import Parts, parts_of
from safemig.operations.generate_proof import UNCHECKED, Compared, Proof, counted
from safemig.results import Behaviour, Check, DisabledChange, Moved
from safemig.schema import Schema, SchemaDiff, Statement
from safemig.schema.difference import is_atomic
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_name
from safemig.sql.kinds import NO_TRANSACTION
from safemig.sql.locks import LockMode

_BODY = re.compile(r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) ")
_SHOWN = 3  # lines of a list in the file's heading, which fits on one screen; the whole list is in the result
_LINE = 150  # characters that a list may have
_LINES = 400  # that the outcome of one disabled change may have
_SHOWN_ALONE = 5  # disabled changes
_WIDTH = 120  # of a line


def checklist_of(
    diff: SchemaDiff,
    proof: Proof,
    behaviour: Behaviour,
    disabled: Sequence[DisabledChange],
    base: Schema,
    not_compared: str,
) -> tuple[Check, ...]:
    """Return what was seen on the copies, and what only a person can say."""
    existing = _existing(base)
    enabled = [one for each in diff.change_sets if each.disabled is None for one in each.statements]
    rewritten = sorted(
        {table for one in enabled if one.rewrites for table in tables_of(one, existing)} | {*behaviour.rewritten}
    )
    gaps = [
        f"{name} between part {drop} and part {create}"
        for each in diff.change_sets
        for drop, create, name in each.missing
    ]
    gaps += [gap.words for gap in behaviour.gaps]
    numbers = ", ".join(str(each.number) for each in disabled)
    lacking = f"disabled: change{'s' if len(disabled) > 1 else ''} {numbers}"
    first = [each.why.splitlines()[0].rstrip(":") for each in disabled if "first" in each.why]
    tried = f"{counted(len(behaviour.tried), 'statement')} tried, with {counted(behaviour.rows, 'row')}"
    moved = f"; {_some([each.words for each in behaviour.moved])}" if behaviour.moved else ""
    untold = f"; not tried: {_some(behaviour.not_tried)}" if behaviour.not_tried else ""
    return (
        Check("no live statement destroys data", "ok", lacking if disabled else "none disabled"),
        *_each_alone(disabled),
        Check("the files make staging's schema", "failed" if proof.remaining else "ok", proof.words),
        *((Check("all that staging has was compared", "failed", not_compared),) if not_compared else ()),
        Check("no table is rewritten", "failed" if rewritten else "ok", _some(rewritten)),
        Check("tables locked are known", "ok", _some(_locks(behaviour, enabled, existing))),
        Check("nothing fails between two files", "failed" if gaps else "ok", (_some(gaps) if gaps else tried + untold) + moved),
        Check("statements of before work after the last file", "failed" if behaviour.broken else "ok",
              _some([each.words for each in behaviour.broken]) if behaviour.broken else tried),
        Check("existing rows fit", "not done" if behaviour.unfit or first else "ok",
              _some([*behaviour.unfit, *first]) if behaviour.unfit or first else
              f"{counted(behaviour.rows, 'drawn row')} did; the rehearsal tries production's"),
        Check("renames are said, not guessed", "failed" if diff.rename_questions else "ok",
              _some(diff.rename_questions, _LINES) if diff.rename_questions else "none likely"),
        Check("reviewed: safemig review says SAFE TO DEPLOY", "not done", "yours to do"),
        Check("the application's new version works with it", "not done", "yours to do"),
    )  # fmt: skip


def _each_alone(disabled: Sequence[DisabledChange]) -> Iterator[Check]:
    """Yield a line for each disabled change, up to what a screen holds; all of it is in the result."""
    for each in disabled[:_SHOWN_ALONE]:
        words = _some(each.words.split("; "), _LINES)
        yield Check(f"change {each.number} alone", "failed" if each.problem else "ok", words)
    if more := disabled[_SHOWN_ALONE:]:
        failing = [str(each.number) for each in more if each.problem]
        words = f"these do not run by themselves: {', '.join(failing)}" if failing else "each runs by itself"
        yield Check(f"{len(more)} more disabled changes", "failed" if failing else "ok", f"{words}; see the record")


def _locks(behaviour: Behaviour, enabled: Sequence[Statement], existing: Mapping[str, int]) -> list[str]:
    """Return what the files were seen to lock of the tables that exist, the strongest lock first; else what they should."""
    if not behaviour.locks:
        return locks_of(enabled, existing)
    strongest: dict[str, LockMode] = {}
    for table, mode in (each for file in behaviour.locks for each in file):
        lock = LockMode(mode)
        strongest[table] = max(strongest.get(table, lock), lock, key=lambda one: one.strength)
    return [
        f"{mode.value} on {', '.join(tables)}"
        for mode in reversed(LockMode)
        if (tables := sorted(table for table, lock in strongest.items() if lock is mode))
    ]


def _existing(base: Schema) -> dict[str, int]:
    """Return the tables and materialized views (their names as SQL), and how many partitions and child tables each has."""
    found = {Id("table", *name) for name in base.tables} | {item for item, _ in base.of_kind("materialized view")}
    return {quote_name(item.schema, item.name): len(base.descendants(item)) for item in found}


@dataclass(frozen=True, slots=True)
class Head:
    """What the comment at the head of each file says. `platform`: which base the migrations were replayed on."""

    description: str
    migrations: Sequence[Migration]
    compared: Compared
    platform: str
    proof: Proof
    behaviour: Behaviour
    checklist: Sequence[Check]


def heading(head: Head, parts: Parts, number: int) -> str:
    """Return the comment at the head of a file; the checklist stands in the first one alone."""
    source, proof, gaps = head.compared.source, head.proof, head.behaviour.gaps
    notes = dict.fromkeys((*proof.notes, *head.compared.diff.warnings))
    held = list(parts.values())[number]
    idle = [str(each.number) for each, _ in held] if all(each.disabled is not None for each, _ in held) else []
    checksum = identify(
        {"migrations": [each.sha256 for each in head.migrations], "schema": head.compared.base.fingerprint}
    )
    title = " ".join(head.description.split()) + (f" (part {number + 1} of {len(parts)})" if len(parts) > 1 else "")
    lines = [
        f"-- {title}",
        *(_wrapped("-- ", _nothing_runs(idle)) if idle else ()),
        "--",
        f"-- Source:    {source.environment} (database {_plain(source.database)}, PostgreSQL {source.server_version})",
        f"-- Generated: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by safemig {__version__}",
        f"-- Base:      {counted(len(head.migrations), 'migration')}, checksum {checksum}",
        *(_wrapped("-- Platform:  ", head.platform) if head.platform else ()),
        *_wrapped("-- Proof:     ", proof.words),
        *_first([_some([_plain(each)]) for each in proof.remaining], ""),
        *_first([gap.words for gap in gaps], "Gap:"),
        *_first([_some([note]) for note in notes], "Note:"),
    ]
    if number == 0:
        lines += ["--", "-- Safety checklist"]
        marks = {"ok": "x", "failed": "!"}
        for check in head.checklist:
            lines += _wrapped(f"--   [{marks.get(check.state, ' ')}] ", f"{check.name}: {check.found}")
    if not is_atomic(list(parts)[number]):
        lines += [
            "--",
            f"-- {NO_TRANSACTION}: each statement runs by itself; migrate-prod --resume goes on at one that failed",
        ]
    return "\n".join([*lines, ""])


def _first(words: Sequence[str], name: str) -> Iterator[str]:
    """Yield the first of several as comment lines, and how many more the record has."""
    for each in words[:_SHOWN]:
        yield from _wrapped(f"-- {name:<10} ", each)
    if len(words) > _SHOWN:
        yield f"--            and {len(words) - _SHOWN} more, in the record"


def _nothing_runs(numbers: Sequence[str]) -> str:
    which = f"change {numbers[0]} is" if len(numbers) == 1 else f"changes {', '.join(numbers)} are"
    enable = " or ".join(f"--enable {number}" for number in numbers[:2])
    return (
        f"Nothing in this file runs: {which} disabled. Before it is deployed, enable what you want"
        f" (safemig generate {enable}), or delete the file."
    )


def _wrapped(lead: str, text: str) -> list[str]:
    """Return a text as comment lines that a screen holds, the first behind `lead`, the others below it."""
    more = "--".ljust(len(lead))
    plain = " ".join(text.split())
    return textwrap.wrap(
        plain, _WIDTH, initial_indent=lead, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )


def body_of(diff: SchemaDiff, part: int, names: Mapping[int, str], base: Schema, moved: Sequence[Moved] = ()) -> str:
    """Return the change sets of one part as SQL, each with its heading. names: the file of each part."""
    existing = _existing(base)
    held = parts_of(diff)[part]
    pieces = []
    if any(_BODY.match(one.sql) for each, statements in held if each.disabled is None for one in statements):
        pieces.append(f"{UNCHECKED};\n")
    for each, statements in held:
        others = [names[other] for other, _ in each.parts if other != part]
        locks = locks_of(statements, existing)
        waits = next((f"earlier, {one.what} would fail until then" for one in moved if one.number == each.number), "")
        total = len(diff.change_sets)
        pieces.append(render_change_set(each, statements, total=total, locks=locks, others=others, waits=waits))
    return "\n".join(pieces)


def _some(words: Sequence[str], most: int = _LINE) -> str:
    """Return as much of a list as a line holds; all of it is in the result."""
    shown: list[str] = []
    for word in words:
        if shown and len("; ".join([*shown, word])) > most:
            return f"{'; '.join(shown)}; and {len(words) - len(shown)} more"
        shown.append(word if len(word) <= most else f"{word[:most]}...")
    return "; ".join(shown) or "none"


def _plain(text: str) -> str:
    return " ".join(text.split())
