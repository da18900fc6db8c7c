"""Rewrite migrations in their safer form, where that is mechanical: same schema at the end, no one blocked on the way.

A file becomes several where the safer form needs it: what cannot run in a transaction stands alone, and what must
not share a transaction with what came before (VALIDATE) comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Literal, NamedTuple, TypeVar

from safemig.review.examine import Placed
from safemig.review.same_effect import comments, why_another
from safemig.review.scene import clause_span
from safemig.sql.clauses import each_token
from safemig.sql.client_text import has_way_down
from safemig.sql.parsing import ParsedStatement, SourceFile, parse
from safemig.sql.tree import Tree, node, strings, walk

_Item = TypeVar("_Item")
OWN_MIGRATION = "-- in a migration of its own:\n"
# DETACH ... CONCURRENTLY is not here: it leaves a CHECK on the partition, which plain DETACH does not (measured).
_ONE_STATEMENT = frozenset(("index-not-concurrent", "drop-index", "reindex"))
_IN_PHASES = frozenset(("add-check-validates", "add-foreign-key-validates", "set-not-null"))
_INDEX_FIRST = "add-unique-builds-index"
_MORE_THAN_GUARDS = _ONE_STATEMENT | _IN_PHASES | {_INDEX_FIRST, "validate-in-same-file"}
_IN_ALTER = _MORE_THAN_GUARDS | {"missing-guard"}


@dataclass(frozen=True, slots=True)
class Piece:
    """SQL that takes a statement's place: in its file, alone in one, or in the first or second file after it."""

    sql: str
    place: Literal["here", "alone", "next", "after next"]


@dataclass(frozen=True, slots=True)
class Replacement:
    """What takes a statement's place; None where the statement stays, and then perhaps why it is not made safer."""

    pieces: tuple[Piece, ...] | None = None
    why_not: str = ""


STAYS = Replacement()


class Guarded:
    """A statement that gets nothing but IF NOT EXISTS: made, and compared with the original, when someone wants it."""

    __slots__ = ("_placed", "_settled", "_sql", "_statement")

    def __init__(self, statement: ParsedStatement, placed: list[Placed]) -> None:
        self._sql = statement.sql
        self._statement: ParsedStatement | None = statement
        self._placed = placed
        self._settled: Replacement | None = None

    @property
    def settled(self) -> Replacement:
        """The replacement, made at the first look."""
        if self._settled is None:
            self._settled = _replacement(self._statement or parse(self._sql)[0], self._placed)
        return self._settled

    def let_go(self) -> None:
        """Keep the statement's text only: its tree takes fifty times as much."""
        self._statement = None

    @property
    def pieces(self) -> tuple[Piece, ...] | None:
        """What takes the statement's place."""
        return self.settled.pieces

    @property
    def why_not(self) -> str:
        """Why the statement stays, if it does."""
        return self.settled.why_not


def replacement(statement: ParsedStatement, placed: Sequence[Placed]) -> Replacement | Guarded:
    """Return what takes the statement's place. Guarantee: its effect and its comments are kept, or it stays as it is."""
    own = [one for one in placed if not one.origin]
    rules = {one.rule.name for one in own}
    if "missing-guard" in rules and not rules & _MORE_THAN_GUARDS and statement.transactional:
        return Guarded(statement, own)
    return _replacement(statement, own) if rules & _IN_ALTER else STAYS


def _replacement(statement: ParsedStatement, placed: list[Placed]) -> Replacement:
    made = _pieces(statement, placed)
    if not made:
        return STAYS
    if why := _why_in_this_order(statement, made) or why_another(statement, [piece.sql for piece in made]):
        return Replacement(None, why)
    said = comments(statement.sql)
    lost = said - comments("\n".join(piece.sql for piece in made)) if said else said
    if lost:
        first = made[0]
        made[0] = Piece("\n".join([*lost.elements(), first.sql]), first.place)
    return Replacement(tuple(made))


def _pieces(statement: ParsedStatement, placed: list[Placed]) -> list[Piece] | None:
    kind, body = node(statement.tree)
    if kind == "AlterTableStmt":
        return _of_alter(statement, placed, len(body.get("cmds", ())))
    found = [one for one in placed if one.rule.name in _ONE_STATEMENT and _is_runnable(one.hit.safer)]
    if kind == "DropStmt" and (len(found) != len(body.get("objects", ())) or body.get("behavior") == "DROP_CASCADE"):
        return None
    if found:
        return [Piece(one.hit.safer.rstrip(";"), "alone") for one in found]
    if any(one.rule.name == "missing-guard" for one in placed):
        return [Piece(_guarded(statement.sql, "table" if kind == "CreateStmt" else "index"), "here")]
    return None


def _is_runnable(safer: str) -> bool:
    return bool(safer) and "…" not in safer and not safer.startswith("--")


def _guarded(sql: str, word: str, start: int = 0) -> str:
    """Return the text with IF NOT EXISTS behind the first `word` from `start`; all else stays as it is, comments too."""
    for token in each_token(sql, start):
        if token.kind == "word" and sql[token.start : token.end].lower() == word:
            return f"{sql[: token.end]} IF NOT EXISTS{sql[token.end :]}"
    return sql


def _guarded_column(sql: str, start: int) -> str:
    """Return the text with IF NOT EXISTS in the ADD [COLUMN] that begins at `start`."""
    words = (token for token in each_token(sql, start) if token.kind != "comment")
    add, following = next(words), next(words)
    if following.kind == "word" and sql[following.start : following.end].lower() == "column":
        return f"{sql[: following.end]} IF NOT EXISTS{sql[following.end :]}"
    return f"{sql[: add.end]} COLUMN IF NOT EXISTS{sql[add.end :]}"


def _of_alter(statement: ParsedStatement, placed: list[Placed], count: int) -> list[Piece] | None:
    """Return the commands of an ALTER TABLE as statements of their own, those in their safer form that have one."""
    if not any(one.rule.name in _IN_ALTER for one in placed):
        return None
    sql = statement.sql
    spans = [clause_span(sql, number, count) for number in range(count)]
    if spans[0][0] == 0:
        return None
    of_each = [[one for one in placed if one.clause and one.clause[0] == number] for number in range(count)]
    unguarded = [any(one.rule.name == "missing-guard" for one in found) for found in of_each]
    made = [_of_command(found) for found in of_each]
    if not any(made):
        for number in reversed(range(count)):  # from the end, so that the places before it stay
            sql = _guarded_column(sql, spans[number][0]) if unguarded[number] else sql
        return [Piece(sql, "here")] if sql != statement.sql else None
    before_first = takewhile(lambda token: token.end <= spans[0][0], each_token(sql))
    head_end = max(token.end for token in before_first if token.kind != "comment")
    head = sql[:head_end]
    found: list[Piece] = []
    before = head_end
    for number, (start, end) in enumerate(spans):
        said = "".join(f"{comment}\n" for comment in comments(sql[before:start]).elements())
        before = end
        if pieces := made[number]:
            first = pieces[0]
            found.extend([Piece(said + first.sql, first.place), *pieces[1:]])
            continue
        text = _guarded_column(sql[start:end], 0) if unguarded[number] else sql[start:end]
        found.append(Piece(f"{said}{head} {text}", "here"))
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


# In which order one ALTER TABLE does its work, whatever the order in which it is written (AT_PASS_* in tablecmds.c).
_PASSES = (("AT_DropColumn", "AT_DropConstraint"), ("AT_AlterColumnType",), ("AT_AddColumn",))


def _why_in_this_order(statement: ParsedStatement, made: Sequence[Piece]) -> str:
    """Return why the commands cannot run one after the other as they are written; empty where they can."""
    kind, body = node(statement.tree)
    if kind != "AlterTableStmt" or len(made) < 2:
        return ""
    commands = [item["AlterTableCmd"] for item in body.get("cmds", ())]
    for number, later in enumerate(commands):
        for earlier in commands[:number]:
            if _pass(earlier) > _pass(later) and _names(earlier) & _names(later):
                return "its commands work in another order than they are written in, and name the same columns"
    return ""


def _pass(command: Tree) -> int:
    subtype = command.get("subtype", "")
    return next((number for number, kinds in enumerate(_PASSES) if subtype in kinds), len(_PASSES))


def _names(command: Tree) -> set[str]:
    """Return the columns and constraints that a command names."""
    found = {str(command.get("name", ""))}
    for kind, part in walk({"command": command}):
        if kind == "ColumnDef":
            found.add(str(part.get("colname", "")))
        elif kind == "ColumnRef":
            found.update(strings(part.get("fields"))[-1:])
        elif kind == "Constraint":
            found.update((str(part.get("conname", "")), *strings(part.get("keys")), *strings(part.get("fk_attrs"))))
    return found - {""}


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


@dataclass(slots=True)
class Fixed:
    """The files that take a file's place, and what was left as it is.

    How many files they are is known from the start; all else is put together when someone wants it.
    """

    count: int
    _left: Callable[[], list[tuple[int, str]]]
    _make: Callable[[], tuple[SourceFile, ...]]
    _parts: tuple[SourceFile, ...] | None = None

    @property
    def left_alone(self) -> tuple[tuple[int, str], ...]:
        """What was left as it is: the line, and why."""
        return tuple(self._left())

    @property
    def parts(self) -> tuple[SourceFile, ...]:
        """The files, the first with the name of the original."""
        if self._parts is None:
            self._parts = self._make()
        return self._parts


def as_it_is(file: SourceFile, *left_alone: tuple[int, str]) -> Fixed:
    """Return the file as its own safer form."""
    return Fixed(1, lambda: list(left_alone), tuple, (file,))


class OnDemand(Sequence[_Item]):
    """A tuple that is made at the first look."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Iterable[_Item]]) -> None:
        self._make = make
        self._made: tuple[_Item, ...] | None = None

    def _all(self) -> tuple[_Item, ...]:
        if self._made is None:
            self._made = tuple(self._make())
            self._make = tuple  # what it was made from can go
        return self._made

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all(),)


def fixed(file: SourceFile, statements: Sequence[ParsedStatement], made: Sequence[Replacement | Guarded]) -> Fixed:
    """Return the files that take the file's place; `made` has what takes each statement's place.

    Guarantee: every comment and every statement of the file is in them, else they are the file itself.
    """
    if all(one is STAYS for one in made):
        return as_it_is(file)
    if has_way_down(file.sql) and any(one.pieces is not None for one in made):
        return as_it_is(file, (1, "the file holds its own way down, which a second file would not have"))
    first_made, waiting = made, []
    made = _without_wrapper(statements, made)
    for number, one in enumerate(made):
        pieces = () if isinstance(one, Guarded) else one.pieces or ()
        moved = any(piece.place in ("next", "after next") for piece in pieces)
        if moved and _moves(statements[number], statements[number + 1 :]):
            made = [*made[:number], STAYS, *made[number + 1 :]]
            waiting.append((statements[number].line, "a later statement renames, moves or drops what it is about"))

    places = [_Place(one.sql, one.start, one.line, one.transactional) for one in statements]

    def left() -> list[tuple[int, str]]:
        return [(one.line, by.why_not) for one, by in zip(places, first_made, strict=True) if by.why_not] + waiting

    def stays() -> bool:
        return all(one.pieces is None for one in sorted(made, key=lambda one: isinstance(one, Guarded)))

    def parts() -> tuple[SourceFile, ...]:
        texts = [file.sql] if stays() else _texts(file, places, made)
        return tuple(SourceFile(part_name(file.name, number), text) for number, text in enumerate(texts))

    # guarded or not, it is one file where each statement can share a transaction
    can_wait = all(one.transactional for one in places) and any(isinstance(one, Guarded) for one in made)
    stays_now = not can_wait and stays()
    for one in first_made:
        if isinstance(one, Guarded):
            one.let_go()
    if stays_now:
        return as_it_is(file, *left())
    said = comments(file.sql)
    if not said:
        return Fixed(_count(places, made), lambda: sorted(left()), parts)
    found = parts()
    if said - comments("\n".join(part.sql for part in found)):
        return as_it_is(file, *left(), (1, "a comment of the file would be lost"))
    told = sorted(left())
    return Fixed(len(found), lambda: told, tuple, found)


class _Place(NamedTuple):
    """Where a statement stands: what is kept of it for someone who wants the safer form; its tree takes fifty times as much."""

    sql: str
    start: int
    line: int
    transactional: bool


def _count(statements: Sequence[_Place], made: Sequence[Replacement | Guarded]) -> int:
    """Return how many files `_texts` would make of a file without comments."""
    count, is_open, later = 0, False, set()
    for statement, one in zip(statements, made, strict=True):
        if isinstance(one, Guarded):
            is_open = True  # guarded or not, it stands here
            continue
        stays = "here" if statement.transactional else "alone"
        for place in [stays] if one.pieces is None else [piece.place for piece in one.pieces]:
            if place == "here":
                is_open = True
            elif place == "alone":
                count, is_open = count + is_open + 1, False
            else:
                later.add(place)
    return count + is_open + len(later)


def _texts(file: SourceFile, statements: Sequence[_Place], made: Sequence[Replacement | Guarded]) -> list[str]:
    parts = _Parts(file.name)
    at = 0
    for statement, one in zip(statements, made, strict=True):
        end = statement.start + len(statement.sql)
        parts.open += file.sql[at : statement.start]
        at = end + 1 if file.sql.startswith(";", end) else _after_semicolon(file.sql, end)
        if one.pieces is None and statement.transactional:
            parts.open += file.sql[statement.start : at]
            continue
        parts.open += "".join(f"{comment}\n" for comment in comments(file.sql[end:at]).elements())
        if one.pieces is None:
            parts.put(Piece(statement.sql, "alone"))
            continue
        for piece in one.pieces:
            parts.put(piece)
            parts.open += "\n" if piece.place == "here" and piece is not one.pieces[-1] else ""
    parts.open += file.sql[at:]
    return parts.files()


def _without_wrapper(
    statements: Sequence[ParsedStatement], made: Sequence[Replacement | Guarded]
) -> Sequence[Replacement | Guarded]:
    """Leave out a BEGIN that opens the file and the COMMIT that closes it: the runner's transaction does that."""
    controls = [number for number, one in enumerate(statements) if one.is_transaction_control]
    if len(controls) != 2:
        return made
    kinds = [statements[number].kind for number in controls]
    if kinds[0] not in ("BEGIN", "START TRANSACTION") or kinds[1] != "COMMIT":
        return made
    return [Replacement(()) if number in controls else one for number, one in enumerate(made)]


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
