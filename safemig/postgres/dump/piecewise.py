"""Restore a dump piece by piece where psql and pg_restore stop: what production holds is valid there, and so it is here.

pg_dump restores with an empty search path, checks rows against constraints that they may hold no longer, and loads
tables in an order that a generated column's function may not like. Each piece is tried as the dump has it; only where
that fails, in the way that its failure asks for. What was done so is told, with its cure.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import errors as pg
from psycopg import sql

from safemig.errors import ToolError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, words_of
from safemig.postgres.connection.search_path import change_search_path
from safemig.postgres.dump.compression import Readable, opened
from safemig.postgres.dump.reader import DumpReader
from safemig.postgres.pretences import Pretences
from safemig.postgres.server.programs import Programs

_HEAD = re.compile(rb"-- (?:Data for )?Name: (?P<name>.*); Type: (?P<kind>.*); Schema: (?P<schema>.*?); Owner: ?.*\n\Z")
# The beginning of the next piece's own comment.
_COMMENT_AFTER = re.compile(rb"\n--\s*\Z")
_END_OF_DATA = b"\\.\n"
_OF_PSQL = (b"\\restrict ", b"\\unrestrict ")
_DATA = ("TABLE DATA", "SEQUENCE SET", "BLOB", "BLOBS", "BLOB METADATA", "LARGE OBJECT")
# What a name without a schema, in a function's body, comes to with an empty search path.
_NOT_FOUND = (pg.UndefinedFunction, pg.UndefinedTable, pg.UndefinedObject, pg.InvalidSchemaName)
_FUNCTION = re.compile(r'(?:SQL|PL/\w+) function "?(?P<name>[^"(\s]+)')

FUNCTIONS_BY_NAME = """
SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE %(name)s::text IN (p.proname::text, n.nspname || '.' || p.proname) AND l.lanname NOT IN ('c', 'internal')
  AND n.nspname <> 'pg_catalog' AND NOT coalesce(p.proconfig::text ~ 'search_path=', false) ORDER BY 1
"""
# The topmost table of partitions and children that have the constraint: there it can be dropped.
WHERE_DEFINED = """
WITH RECURSIVE up (oid) AS (
  SELECT format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass::oid
  UNION SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.oid
  JOIN pg_constraint k ON k.conrelid = i.inhparent AND k.conname = %(name)s)
SELECT 'TABLE ' || up.oid::regclass, pg_get_constraintdef(k.oid) FROM up
JOIN pg_constraint k ON k.conrelid = up.oid AND k.conname = %(name)s AND k.coninhcount = 0 LIMIT 1
"""
OF_DOMAIN = """
SELECT 'DOMAIN ' || contypid::regtype, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contypid = format('%%I.%%I', %(schema)s::text, %(domain)s::text)::regtype AND conname = %(name)s
"""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One object of a dump, or a part of it: SQL, or the COPY whose rows follow."""

    number: int
    name: str
    kind: str
    schema: str
    script: bytes
    has_rows: bool = False

    @property
    def label(self) -> str:
        """What it is, in words."""
        place = f"{self.schema}." if self.schema not in ("-", "") else ""
        return f"{self.kind} {place}{self.name}" if self.kind else "the head of the dump"


def restore_piecewise(programs: Programs, conninfo: str, backup: Path, search_path: str) -> tuple[str, ...]:
    """Restore a dump, a file or a folder, into an empty database; return what psql or pg_restore alone stops at.

    Each of these notes names the object, the reason and the cure. `search_path` is the source's, by which its functions
    find what their bodies name without a schema. A constraint that rows no longer hold comes back as NOT VALID.

    Raises:
        ToolError: a piece cannot be restored in any way; the message names it. The database is then half restored.
    """
    with closing(connect(conninfo, "the copy", own_search_path=True)) as connection:
        restoring = _Restoring(connection, search_path)
        while not restoring.is_complete:
            with script_of(programs, backup) as stream:
                restoring.go_through(stream)
        restoring.finish()
    return tuple(dict.fromkeys(restoring.notes))


class _Restoring:
    """What was restored so far, and what that needed."""

    def __init__(self, connection: Connection, search_path: str) -> None:
        self.notes: list[str] = []
        self.is_complete = False
        self._connection = connection
        self._pretences = Pretences.of(connection)
        self._search_path = search_path
        self._done: set[int] = set()
        self._with_path: set[int] = set()
        self._given_path: list[str] = []  # functions, for as long as this takes
        self._dropped: list[sql.Composed] = []

    def go_through(self, stream: Readable) -> None:
        """Restore what is not there yet, to the end, or to where rows are wanting that could not be loaded this time.

        Raises:
            ToolError: nothing more can be restored.
        """
        before, failed = (len(self._done), len(self.notes)), None
        for piece, rows in _pieces(stream):
            if piece.number in self._done:
                continue
            is_data = piece.kind in _DATA
            if failed and not is_data:
                break  # indexes, foreign keys, views: only once all rows are there
            try:
                self._restore(piece, rows)
                self._done.add(piece.number)
            except psycopg.Error as error:
                if not piece.has_rows:
                    raise _stopped(piece, error) from None
                failed = failed or (piece, error)
        self.is_complete = failed is None
        if failed and (len(self._done), len(self.notes)) == before:
            raise _stopped(*failed)

    def finish(self) -> None:
        """Add the constraints again that rows stood against, as NOT VALID, and leave every function as it was."""
        for statement in self._dropped:
            self._connection.execute(statement)
        for function in self._given_path:
            self._connection.execute(f"ALTER {function} RESET search_path".encode())

    def _restore(self, piece: _Piece, rows: Iterator[bytes]) -> None:
        try:
            with self._path(self._search_path if piece.number in self._with_path else None):
                self._run(piece, rows)
        except _NOT_FOUND as error:
            if not self._give_path(piece, error) or piece.has_rows:
                raise  # where it has rows they went by: it is tried again when the dump is read again
            self._restore(piece, rows)
        except pg.ForeignKeyViolation as error:
            if piece.kind != "FK CONSTRAINT":
                raise
            statement = _COMMENT_AFTER.sub(b"", piece.script).rstrip().removesuffix(b";")
            self._connection.execute(statement + b" NOT VALID")
            self._note(piece, error, "correct the rows, or drop it (restored as NOT VALID)")
        except pg.CheckViolation as error:
            self._drop_check(piece, error)
            raise

    def _run(self, piece: _Piece, rows: Iterator[bytes]) -> None:
        if not piece.has_rows:
            lines = iter(piece.script.splitlines(keepends=True))
            self._connection.execute(
                b"".join(self._pretences.adapted_lines(lines)) if self._pretences else piece.script
            )
            return
        with self._connection.cursor().copy(piece.script) as copy:
            for block in rows:
                copy.write(block)

    @contextmanager
    def _path(self, path: str | None) -> Iterator[None]:
        if path is None:
            yield
            return
        before = change_search_path(self._connection, path)
        try:
            yield
        finally:
            change_search_path(self._connection, before)

    def _drop_check(self, piece: _Piece, error: psycopg.Error) -> None:
        said = error.diag
        names = {
            "schema": said.schema_name,
            "table": said.table_name,
            "domain": said.datatype_name,
            "name": said.constraint_name,
        }
        row = self._connection.execute(WHERE_DEFINED if said.table_name else OF_DOMAIN, names).fetchone()
        if row is None:
            return
        whose, name = sql.SQL(row[0]), sql.Identifier(str(said.constraint_name))
        self._connection.execute(sql.SQL("ALTER {} DROP CONSTRAINT {}").format(whose, name))
        definition = sql.SQL(row[1].removesuffix(" NOT VALID"))
        self._dropped.append(sql.SQL("ALTER {} ADD CONSTRAINT {} {} NOT VALID").format(whose, name, definition))
        self._note(piece, error, f"correct the rows, or drop {said.constraint_name} (restored as NOT VALID)")

    def _note(self, piece: _Piece, error: psycopg.Error, cure: str) -> None:
        self.notes.append(f"{piece.label}: {words_of(error)}. Cure: {cure}")

    def _give_path(self, piece: _Piece, error: psycopg.Error) -> bool:
        """Let the function that did not find something find it by the source's path; False where that was done before.

        By its own setting: from 17 on, what builds an index or fills a materialized view takes no path of the session's.
        """
        path = self._search_path or "pg_catalog"
        for match in _FUNCTION.finditer(error.diag.context or ""):
            named = self._connection.execute(FUNCTIONS_BY_NAME, {"name": match["name"]}).fetchall()
            if found := [function for (function,) in named if function not in self._given_path]:
                cures = [f"ALTER {function} SET search_path = {path}" for function in found]
                self._note(piece, error, "; ".join(cures))
                for cure in cures:
                    self._connection.execute(cure.encode())
                self._given_path += found
                return True
        if piece.number in self._with_path:
            return False
        self._with_path.add(piece.number)
        self._note(piece, error, "name the schema of what it calls, or ALTER FUNCTION ... SET search_path")
        return True


@contextmanager
def script_of(programs: Programs, backup: Path, *options: str) -> Iterator[Readable]:
    """Give the SQL of a dump: a file's own, or what pg_restore makes of a folder, with `options` of its own."""
    if not backup.is_dir():
        with opened(backup) as file:
            yield file
        return
    command = [str(programs.path("pg_restore")), "--file=-", *options, str(backup)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            yield process.stdout
        finally:
            process.kill()  # at the end of the script it has ended already


def _pieces(stream: Readable) -> Iterator[tuple[_Piece, Iterator[bytes]]]:
    """Yield a dump's pieces in order; the rows of one that has any are given once, before the next piece."""
    number, head, text = 0, ("", "", ""), []
    parts = DumpReader().pieces(stream)

    def rows() -> Iterator[bytes]:
        for block in parts:
            if block == _END_OF_DATA:
                return
            yield block

    for line in parts:
        match = _HEAD.match(line)
        has_rows = head[1] == "TABLE DATA" and line.endswith(b" FROM stdin;\n")
        if has_rows:
            text.append(line)
        if (match or has_rows) and (script := b"".join(text)).strip():
            number += 1
            given = rows()
            yield _Piece(number, *head, script, has_rows), given
            if has_rows:
                for _ in given:  # what was not taken
                    pass
        if match or has_rows:
            text = []
        if match:
            head = tuple(match[each].decode(errors="replace") for each in ("name", "kind", "schema"))  # type: ignore[assignment]
        elif not has_rows and not line.startswith(_OF_PSQL):
            text.append(line)
    yield _Piece(number + 1, *head, b"".join(text)), iter(())


def _stopped(piece: _Piece, error: psycopg.Error) -> ToolError:
    return ToolError(
        f"{piece.label} cannot be restored: {words_of(error)}",
        where=" · ".join((error.diag.context or "").splitlines()[:3]) or None,
        next="correct it in the database, then back up again",
    )
