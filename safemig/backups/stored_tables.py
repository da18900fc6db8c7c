"""Single tables of a backup: which a person means, the columns they had, and their rows as a stream of bounded size."""

from __future__ import annotations

import difflib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from pglast import ast, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream

from safemig.errors import BackupError, SettingsError, ToolError, UnsupportedError
from safemig.postgres.dump.backup_files import Hashed, another, unreadable
from safemig.postgres.dump.compression import Readable, opened
from safemig.postgres.dump.plain import require_unchanged
from safemig.postgres.dump.reader import DumpReader
from safemig.postgres.server.programs import Programs
from safemig.results import Backup, BackupFile, TableContent
from safemig.sql.identifiers import quote_name

Table = tuple[str, str]  # schema and name, unquoted
# What pg_restore --list says of a table's data: the number of its entry, which also names its file.
_TABLE_DATA = re.compile(r"^(\d+); \d+ \d+ TABLE DATA .*$", re.MULTILINE)
_ATTACH = re.compile(r"^ALTER TABLE ONLY (.+) ATTACH PARTITION (.+) (?:FOR VALUES .*|DEFAULT);$", re.MULTILINE)
_PART = r"""("(?:[^"]|"")+"|[^\W\d][\w$]*)"""
_NAME = re.compile(rf"(?:{_PART}\.)?{_PART}")
_ONE_OF_LIST = re.compile(r"""(?:"(?:[^"]|"")*"|[^",])+""")
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table of a backup. A partitioned one is stored as its `parts`, any other as itself alone."""

    name: Table
    parts: tuple[TableContent, ...]

    @property
    def sql(self) -> str:
        """The name as SQL."""
        return quote_name(*self.name)

    @property
    def is_partitioned(self) -> bool:
        """True where its rows are those of its partitions."""
        return self.parts[0].name != self.sql

    @property
    def rows(self) -> int:
        """Its rows in the backup."""
        return sum(part.rows for part in self.parts)


def name_of(text: str) -> Table:
    """Return a table's name as a person or a manifest writes it, `orders`, `public.orders` or `app."Order"`.

    Raises:
        SettingsError: it is no name of a table.
    """
    parts = _NAME.fullmatch(text.strip())
    if parts is None:
        raise SettingsError(
            f"{text!r} is not the name of a table", next='write it as in SQL: public.orders, app."Order"'
        )
    schema, name = (_unquoted(part) for part in parts.groups())
    return schema, name


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of a list such as `public.orders, app."Order, old"`."""
    return tuple(found[0].strip() for found in _ONE_OF_LIST.finditer(text) if found[0].strip())


def _unquoted(part: str | None) -> str:
    if not part:
        return ""
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()


class StoredSchema:
    """The schema part of a backup, asked for single tables. Reads the file once, after comparing it with the manifest.

    Raises:
        BackupError: the file is missing, or not the one that the manifest describes.
    """

    def __init__(self, backup: Backup) -> None:
        require_unchanged(backup.schema)
        self._file = backup.schema.path
        self._text = self._file.read_bytes().decode(errors="surrogateescape")
        self._stored = {name_of(each.name): each for each in backup.tables if "." in each.name}
        self._partitions: dict[Table, list[Table]] = {}
        for parent, child in _ATTACH.findall(self._text):
            self._partitions.setdefault(name_of(parent), []).append(name_of(child))

    def find(self, wanted: Sequence[str]) -> tuple[StoredTable, ...]:
        """Return the tables of those names; one without a schema is found where only one schema has it.

        Raises:
            SettingsError: a name is not one.
            BackupError: the backup has no such table, or several.
        """
        found: dict[Table, StoredTable] = {}
        for text in wanted:
            name = self._resolved(text)
            found[name] = StoredTable(name, tuple(self._stored[part] for part in self._leaves(name)))
        return tuple(found.values())

    def every(self) -> tuple[StoredTable, ...]:
        """Return every table of the backup; a partitioned one once, with its partitions."""
        partitions = {child for children in self._partitions.values() for child in children}
        names = dict.fromkeys([*self._stored, *self._partitions])
        whole = [name for name in names if name not in partitions and self._leaves(name)]
        return tuple(StoredTable(name, tuple(self._stored[part] for part in self._leaves(name))) for name in whole)

    def columns_of(self, table: Table) -> dict[str, str]:
        """Return the type of each of a table's columns, as SQL, by the column's name.

        Raises:
            UnsupportedError: the table is one OF a type, or the backup holds its rows only (an extension's table).
        """
        made = self._definition(table)
        columns: dict[str, str] = {}
        for parent in made.inhRelations or ():
            columns |= self.columns_of((parent.schemaname or "", parent.relname))
        for each in made.tableElts or ():
            if isinstance(each, ast.ColumnDef) and each.colname and each.typeName is not None:
                columns[each.colname] = RawStream()(each.typeName)
        return columns

    def _resolved(self, text: str) -> Table:
        schema, name = name_of(text)
        known = [*self._stored, *self._partitions]
        fitting = list(dict.fromkeys(each for each in known if each[1] == name and schema in ("", each[0])))
        if len(fitting) == 1 and self._leaves(fitting[0]):
            return fitting[0]
        if fitting:
            raise BackupError(
                f"the backup has several tables {name}"
                if len(fitting) > 1
                else f"{text} has no partition in the backup",
                where=", ".join(quote_name(*each) for each in fitting),
                next="name one with its schema" if len(fitting) > 1 else "look into another backup",
            )
        names = sorted(quote_name(*each) for each in known)
        close = difflib.get_close_matches(quote_name(schema or "public", name), names, _MOST_NAMED, 0.6)
        raise BackupError(
            f"the backup has no table {text}",
            where=f"similar: {', '.join(close)}"
            if close
            else f"it holds {len(names):,} tables, in {self._file.parent}",
            next="correct the name (a table without rows in a backup is there too), or look into another backup",
        )

    def _leaves(self, table: Table) -> list[Table]:
        if table in self._partitions:
            return [leaf for child in self._partitions[table] for leaf in self._leaves(child)]
        return [table] if table in self._stored else []

    def _definition(self, table: Table) -> ast.CreateStmt:
        head = re.compile(rf"^CREATE (?:UNLOGGED )?TABLE {re.escape(quote_name(*table))} \(", re.MULTILINE)
        if match := head.search(self._text):
            end = match.start()
            # A default may hold a semicolon at the end of a line: the statement ends where it can be read.
            while (end := self._text.find(";\n", end) + 1) > 0:
                with suppress(ParseError):
                    text = self._text[match.start() : end].encode(errors="replace").decode()
                    (statement,) = parse_sql(text)
                    if isinstance(statement.stmt, ast.CreateStmt):
                        return statement.stmt
        raise UnsupportedError(
            f"the backup does not say which columns {quote_name(*table)} had",
            where=f"{self._file}: an extension's table, a foreign one, or one OF a type",
            next="restore the whole backup beside production: the same command without --tables",
        )


class Rows:
    """The rows of some tables of a backup, one table after another; see `stored_rows`."""

    def __init__(self, stream: Readable, wanted: Sequence[str]) -> None:
        self._reader = DumpReader()
        self._stream = stream
        self._left = {name_of(each): each for each in wanted}

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], Iterator[bytes]]]:
        """Give each wanted table as it comes: its name in the manifest, its columns, and its rows as COPY wants them.

        Ends at the last that is wanted, which may be long before the end of the backup.
        """
        pieces = self._reader.pieces(self._stream)
        while self._left:
            first = next((piece for piece in pieces if self._wanted()), None)
            if first is None:
                return
            name = self._left.pop(name_of(self._reader.data_of))
            data = self._data(first, pieces)
            yield name, _columns(self._reader.copy_command), data
            for _ in data:  # what no one took
                pass

    def content(self, name: str) -> TableContent | None:
        """Return rows and hash of a table that was read; None where it was not there."""
        table = name_of(name)
        return next((each for each in self._reader.content if "." in each.name and name_of(each.name) == table), None)

    def _wanted(self) -> bool:
        return bool(self._reader.data_of) and name_of(self._reader.data_of) in self._left

    def _data(self, first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield first
        for piece in pieces:
            if not self._reader.data_of:
                return
            yield piece


@contextmanager
def stored_rows(backup: Backup, programs: Callable[[], Programs], wanted: Sequence[str]) -> Iterator[Rows]:
    """Open the rows of tables, by their names in the manifest, in whatever format the backup is.

    Of a folder only their own files are read; of SQL, compressed or not, everything up to the last of them.

    Raises:
        BackupError: the backup is missing or damaged.
        ToolError: pg_restore is missing or failed.
    """
    try:
        if not backup.full.parts:
            with opened(backup.full.path) as stream:
                yield Rows(stream, wanted)
            return
        with _restored_to_text(backup.full, programs(), wanted) as stream:
            yield Rows(stream, wanted)
    except OSError as error:
        raise unreadable(backup.full, error) from None


@contextmanager
def _restored_to_text(file: BackupFile, programs: Programs, wanted: Sequence[str]) -> Iterator[Readable]:
    parts = {part.name: part for part in file.parts}
    with (file.path / "toc.dat").open("rb") as opened_list:
        contents = Hashed(opened_list)
        contents.to_the_end()
    if contents.sha256 != parts["toc.dat"].sha256:
        described = BackupFile(file.path / "toc.dat", parts["toc.dat"].size_bytes, parts["toc.dat"].sha256)
        raise another(described, contents.size_bytes, contents.sha256)
    entries = {part.name.partition(".")[0] for part in file.parts if part.table in set(wanted)}
    program = str(programs.path("pg_restore"))
    answer = subprocess.run([program, "--list", str(file.path)], capture_output=True, check=False, timeout=600)
    if answer.returncode != 0:
        raise _failed(programs, answer.stderr)
    lines = [match[0] for match in _TABLE_DATA.finditer(answer.stdout.decode(errors="replace")) if match[1] in entries]
    with (
        tempfile.NamedTemporaryFile("w", prefix="safemig-list-", encoding="utf-8") as chosen,
        tempfile.TemporaryFile() as stderr,
    ):
        chosen.write("".join(f"{line}\n" for line in lines))
        chosen.flush()
        command = [program, f"--use-list={chosen.name}", "--file=-", str(file.path)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        try:
            yield _Output(process, stderr, programs)
        finally:
            process.kill()  # what is wanted was read: the rest is not waited for
            process.wait()
            if process.stdout:
                process.stdout.close()


class _Output:
    """What pg_restore writes, with an error where it fails."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[Any], programs: Programs) -> None:
        self._process, self._stderr, self._programs = process, stderr, programs

    def read(self, size: int, /) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        piece = self._process.stdout.read(size)
        if not piece and self._process.wait() != 0:
            self._stderr.seek(0)
            raise _failed(self._programs, self._stderr.read())
        return piece


def _failed(programs: Programs, stderr: bytes) -> ToolError:
    words = " ".join(stderr.decode(errors="replace").split())
    return ToolError(
        f"pg_restore {programs.version} cannot read the backup: {words[:500] or 'no message'}",
        next="install the PostgreSQL client programs of the version that the manifest names, or use another backup",
    )


def _columns(command: bytes) -> tuple[str, ...]:
    text = command.decode(errors="backslashreplace")
    if "  FROM stdin" in text:  # a table without columns
        return ()
    (statement,) = parse_sql(text)
    names: tuple[Any, ...] = getattr(statement.stmt, "attlist", None) or ()
    return tuple(str(each.sval) for each in names)
