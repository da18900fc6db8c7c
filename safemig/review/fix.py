"""Rewrite migrations in their safer form, where that is mechanical: same schema at the end, nobody blocked on the way.

A file becomes several where the safer form needs it: what cannot run in a transaction stands alone, and what must
not share a transaction with what came before (VALIDATE) comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from safemig.review.examine import Placed
from safemig.review.scene import clause_span
from safemig.sql.clauses import each_token
from safemig.sql.parsing import ParsedStatement, SourceFile
from safemig.sql.tree import node

OWN_MIGRATION = "-- in a migration of its own:\n"
# DETACH ... CONCURRENTLY is not here: it leaves a CHECK on the partition, which plain DETACH does not (measured).
_ONE_STATEMENT = frozenset(("index-not-concurrent", "drop-index", "reindex"))
_IN_PHASES = frozenset(("add-check-validates", "add-foreign-key-validates", "set-not-null"))
_INDEX_FIRST = "add-unique-builds-index"
_IN_ALTER = _ONE_STATEMENT | _IN_PHASES | {_INDEX_FIRST, "validate-in-same-file", "missing-guard"}
_ADD_COLUMN = re.compile(r"(?is)\Aadd\s+(?:column\s+)?")
_CREATE_TABLE = re.compile(r"(?is)\A(create\s+(?:unlogged\s+)?table)\s+")
_CREATE_INDEX = re.compile(r"(?is)\A(create\s+(?:unique\s+)?index)\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """SQL that takes a statement's place: in its file, alone in one, or in the first or second file after it."""

    sql: str
    place: Literal["here", "alone", "next", "after next"]


def pieces(statement: ParsedStatement, placed: Sequence[Placed]) -> list[Piece] | None:
    """Return what takes the statement's place; None where it stays as it is."""
    open_ones = [one for one in placed if not one.origin]
    kind, body = node(statement.tree)
    if kind == "AlterTableStmt":
        return _of_alter(statement, open_ones, len(body.get("cmds", ())))
    found = [one for one in open_ones if one.rule.name in _ONE_STATEMENT and _is_runnable(one.hit.safer)]
    if kind == "DropStmt" and (len(found) != len(body.get("objects", ())) or body.get("behavior") == "DROP_CASCADE"):
        return None
    if found:
        return [Piece(one.hit.safer.rstrip(";"), "alone") for one in found]
    if any(one.rule.name == "missing-guard" for one in open_ones):
        pattern = _CREATE_TABLE if kind == "CreateStmt" else _CREATE_INDEX
        guarded = pattern.sub(r"\1 IF NOT EXISTS ", statement.sql, count=1)
        return [Piece(guarded, "here")] if guarded != statement.sql else None
    return None


def _is_runnable(safer: str) -> bool:
    return bool(safer) and "\n" not in safer and "…" not in safer


def _of_alter(statement: ParsedStatement, placed: list[Placed], count: int) -> list[Piece] | None:
    """Return the commands of an ALTER TABLE as statements of their own, those in their safer form that have one."""
    if not any(one.rule.name in _IN_ALTER for one in placed):
        return None
    sql = statement.sql
    spans = [clause_span(sql, number, count) for number in range(count)]
    if spans[0][0] == 0:
        return None
    head = sql[: spans[0][0]].rstrip()
    found: list[Piece] = []
    changed = False
    for number, (start, end) in enumerate(spans):
        text = sql[start:end]
        of_this = [one for one in placed if one.clause and one.clause[0] == number]
        made = _of_command(of_this)
        if made:
            found.extend(made)
            changed = True
            continue
        if any(one.rule.name == "missing-guard" for one in of_this):
            text = _ADD_COLUMN.sub("ADD COLUMN IF NOT EXISTS ", text, count=1)
            changed = True
        found.append(Piece(f"{head} {text}", "here"))
    if not changed:
        return None
    if all(piece.place == "here" for piece in found):
        joined = ",\n    ".join(piece.sql.removeprefix(head).strip() for piece in found)
        return [Piece(f"{head} {joined}", "here")]
    return found


def _of_command(placed: list[Placed]) -> list[Piece]:
    for one in placed:
        safer = one.hit.safer
        if "…" in safer or not safer:
            continue
        if one.rule.name in _ONE_STATEMENT and _is_runnable(safer):
            return [Piece(safer.rstrip(";"), "alone")]
        if one.rule.name == "validate-in-same-file":
            return [Piece(safer.removeprefix(OWN_MIGRATION).rstrip(";"), "next")]
        phases = [part.strip().rstrip(";") for part in safer.split(OWN_MIGRATION)]
        if one.rule.name in _IN_PHASES:
            places: tuple[Literal["here", "next", "after next"], ...] = ("here", "next", "after next")
            return [Piece(sql, place) for sql, place in zip(phases, places, strict=False)]
        if one.rule.name == _INDEX_FIRST:
            return [Piece(phases[0], "alone"), Piece(phases[1], "here")]
    return []


@dataclass(slots=True)
class _Parts:
    """The files that one file becomes, in order."""

    name: str
    done: list[str] = field(default_factory=list)
    open: str = ""
    next: list[str] = field(default_factory=list)
    after_next: list[str] = field(default_factory=list)

    def close(self) -> None:
        if _has_code(self.open):
            self.done.append(self.open.strip() + "\n")
            self.open = ""

    def put(self, piece: Piece) -> None:
        if piece.place == "here":
            self.open += f"{piece.sql};"
        elif piece.place == "alone":
            self.close()
            self.done.append(f"{self.open.strip()}\n{piece.sql};\n".lstrip("\n"))
            self.open = ""
        elif piece.place == "next":
            self.next.append(f"{piece.sql};\n")
        else:
            self.after_next.append(f"{piece.sql};\n")

    def files(self) -> list[str]:
        self.close()
        rest = ["".join(later) for later in (self.next, self.after_next) if later]
        if self.open.strip() and self.done:
            self.done[-1] = f"{self.done[-1].rstrip()}\n{self.open.strip()}\n"
        elif self.open.strip():
            self.done.append(self.open)
        return [*self.done, *rest]


def _has_code(sql: str) -> bool:
    return any(token.kind != "comment" for token in each_token(sql))


def _after_semicolon(sql: str, end: int) -> int:
    semicolon = next((token for token in each_token(sql, end) if token.kind != "comment"), None)
    return semicolon.end if semicolon else len(sql)


def fixed(
    file: SourceFile, statements: Sequence[ParsedStatement], made: Sequence[list[Piece] | None]
) -> list[SourceFile]:
    """Return the files that take the file's place; `made` has what takes each statement's place."""
    made = _without_wrapper(statements, made)
    if all(one is None for one in made):
        return [file]
    parts = _Parts(file.name)
    at = 0
    for number, (statement, one) in enumerate(zip(statements, made, strict=True)):
        end = statement.start + len(statement.sql)
        parts.open += file.sql[at : statement.start]
        at = end + 1 if file.sql.startswith(";", end) else _after_semicolon(file.sql, end)
        if one is None or (
            any(piece.place in ("next", "after next") for piece in one) and _moves(statement, statements[number + 1 :])
        ):
            if not statement.transactional:
                parts.close()
                parts.done.append(f"{parts.open.strip()}\n{statement.sql};\n".lstrip("\n"))
                parts.open = ""
            else:
                parts.open += file.sql[statement.start : at]
            continue
        for piece in one:
            parts.put(piece)
            parts.open += "\n" if piece.place == "here" and piece is not one[-1] else ""
    parts.open += file.sql[at:]
    texts = parts.files()
    return [SourceFile(part_name(file.name, number), text) for number, text in enumerate(texts)]


def _without_wrapper(
    statements: Sequence[ParsedStatement], made: Sequence[list[Piece] | None]
) -> Sequence[list[Piece] | None]:
    """Leave out a BEGIN that opens the file and the COMMIT that closes it: the runner's transaction does that."""
    controls = [number for number, one in enumerate(statements) if one.is_transaction_control]
    if len(controls) != 2:
        return made
    kinds = [statements[number].kind for number in controls]
    if kinds[0] not in ("BEGIN", "START TRANSACTION") or kinds[1] != "COMMIT":
        return made
    return [[] if number in controls else one for number, one in enumerate(made)]


def _moves(statement: ParsedStatement, later: Sequence[ParsedStatement]) -> bool:
    """Tell whether a later statement renames, moves or drops a table of this one: then nothing can wait behind it."""
    for other in later:
        kind, body = node(other.tree)
        drops = kind == "AlterTableStmt" and any(
            item.get("AlterTableCmd", {}).get("subtype") in ("AT_DropColumn", "AT_DropConstraint")
            for item in body.get("cmds", ())
        )
        if (kind in ("RenameStmt", "AlterObjectSchemaStmt", "DropStmt", "DoStmt") or drops) and (
            kind == "DoStmt" or set(other.tables) & set(statement.tables)
        ):
            return True
    return False


_NO_MARKS = str.maketrans("", "", "-:T")
_VERSIONED = re.compile(r"(?P<folder>.*?)(?P<version>\d{14})(?P<rest>_?.*?)(?P<suffix>\.[^./]+)?", re.DOTALL)


def _later(version: str, seconds: int) -> str:
    """Return a version that is a time so many seconds later; one that is no time, or the last one, is counted up."""
    try:
        later = datetime.fromisoformat(f"{version[:8]}T{version[8:]}") + timedelta(seconds=seconds)
        return later.isoformat().translate(_NO_MARKS)
    except (ValueError, OverflowError):
        return f"{int(version) + seconds:014d}"


def part_name(name: str, number: int) -> str:
    """Return the name of a file's part: the first keeps its name, later ones sort after it."""
    if number == 0:
        return name
    found = _VERSIONED.fullmatch(name)
    if found:
        version = _later(found["version"], number)
        return f"{found['folder']}{version}{found['rest']}_part_{number + 1}{found['suffix'] or ''}"
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_part_{number + 1}.{suffix}" if dot else f"{name}_part_{number + 1}"
