"""A plain dump read once: each table's rows and hash, and the large objects', taken from its own text as it streams by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safemig import live
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres.dump.compression import Readable
from safemig.results import BOOKKEEPING_TABLES, TableContent

LARGE_OBJECTS = "large objects"  # their name among the tables: no table has one without a dot
CHUNK_BYTES = 1 << 20
TRAILER = b"-- PostgreSQL database dump complete"
_COPY = re.compile(rb"COPY (.+?)  ?(?:\(.*\) )?FROM stdin;\n\Z", re.DOTALL)  # two spaces: a table without columns
_END_OF_DATA = b"\\.\n"
# Large objects, as pg_dump writes them, and as we do (see `DumpReader`). Header of PostgreSQL 13 to 16, and of 17 on.
_LARGE_OBJECTS = re.compile(rb"-- Data for Name: (BLOBS|\d+(\.\.\d+)?); Type: BLOBS; ")
_LO_OPEN = re.compile(rb"SELECT pg_catalog\.lo_open\('(\d+)', \d+\);\n\Z")
_LO_WRITE = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\x([0-9a-f]*)'\);\n\Z")
_LO_OURS = re.compile(rb"-- Large object (\d+)\n\Z")
_LO_PUT = re.compile(rb"SELECT pg_catalog\.lo_put\('\d+', \d+, '\\x([0-9a-f]*)'\);\n\Z")
_LO_FRAME = (b"BEGIN;\n", b"COMMIT;\n", b"SELECT pg_catalog.lo_close(0);\n")


class DumpReader:
    """Reads a plain dump once; after that, `content` is every table's rows and sha256.

    The hash is of the COPY data as it stands in the dump, the same as of `COPY table TO STDOUT`. All large objects
    together are one more entry, `LARGE_OBJECTS`: a row each, hashed by number and content. Lines outside of the data
    go through `rewrite`, which may change a line or, by returning b"", leave it out.

    pg_dump puts BEGIN and COMMIT around large objects (seen in 15 and 17), and that COMMIT would end the one transaction
    of `psql -1` in its middle; with a `rewrite` each is written by lo_put() instead, which needs no transaction.
    """

    def __init__(self, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        self._rewrite = rewrite
        self._tables: list[TableContent] = []
        self._name = ""
        self._rows = 0
        self._hash = hashlib.sha256()
        self._large = _LargeObjects(rewrites=rewrite is not None)
        self.is_complete = False
        self.data_of = ""  # the table whose data the piece just given is; "" for any other piece
        self.copy_command = b""  # the COPY command that the data belongs to

    @property
    def content(self) -> tuple[TableContent, ...]:
        """What was read, by name; a dump's own order depends on foreign keys and on what else is in it."""
        return tuple(sorted([*self._tables, *self._large.content], key=lambda table: table.name))

    def pieces(self, stream: Readable) -> Iterator[bytes]:
        """Yield the dump in pieces as they come: single lines outside of the data, whole blocks of data."""
        buffer, in_data, at_start = b"", False, False
        before, command = [b"", b"", b""], b""
        while chunk := stream.read(CHUNK_BYTES):
            buffer += chunk
            while buffer:
                if in_data:
                    # An empty table's data is the end mark alone; any other data ends with a line end before it.
                    is_empty = at_start and buffer.startswith(_END_OF_DATA)
                    end = 0 if is_empty else buffer.find(b"\n" + _END_OF_DATA) + 1
                    if not end and not is_empty:
                        block, buffer = buffer[: -len(_END_OF_DATA)], buffer[-len(_END_OF_DATA) :]
                        at_start = at_start and not block
                        self.data_of = self._name
                        yield self._data(block)
                        self.data_of = ""
                        break
                    block, buffer = buffer[:end], buffer[end + len(_END_OF_DATA) :]
                    self.data_of = self._name
                    yield self._data(block)
                    self.data_of = ""
                    self._tables.append(TableContent(self._name, self._rows, self._hash.hexdigest()))
                    yield _END_OF_DATA
                    in_data = False
                    continue
                line, newline, rest = buffer.partition(b"\n")
                if not newline:
                    break
                line, buffer = line + newline, rest
                # A function's body may hold such a line too; pg_dump announces the real ones by a comment.
                announced = before[0].startswith(b"-- Data for Name: ") and before[1:] == [b"--\n", b"\n"]
                if command or (announced and line.startswith(b"COPY ")):
                    command += line  # a column's name may hold a line end
                    if not command.endswith(b" FROM stdin;\n"):
                        yield line
                        continue
                before, match, copied, command = [*before[1:], line], _COPY.match(command), command, b""
                if match:
                    self.copy_command = copied
                    # Only SQL_ASCII is not dumped as UTF-8, and may hold any bytes.
                    self._name, self._rows, self._hash = match[1].decode(errors="backslashreplace"), 0, hashlib.sha256()
                    in_data = at_start = True
                    yield line
                elif self._large.is_inside(line):
                    yield self._large.read(line)
                else:
                    self.is_complete = self.is_complete or line.startswith(TRAILER)
                    yield self._rewrite(line) if self._rewrite else line
        if buffer:
            yield buffer

    def _data(self, block: bytes) -> bytes:
        rows = block.count(b"\n")
        self._rows += rows
        if not self._name.startswith(BOOKKEEPING_TABLES):  # every total is told without the history's rows
            live.advance(rows)
        self._hash.update(block)
        pass_point(FaultPoint.TABLE_DATA_READ)
        return block


def large_objects(hashes: Mapping[int, str]) -> tuple[TableContent, ...]:
    """Return large objects as one entry of content, from the sha256 of each one's content in hexadecimal digits."""
    if not hashes:
        return ()
    whole = hashlib.sha256()
    for number in sorted(hashes):
        whole.update(f"{number}:{hashes[number]}\n".encode())
    return (TableContent(LARGE_OBJECTS, len(hashes), whole.hexdigest()),)


class _LargeObjects:
    """The part of a dump that holds the large objects' content."""

    def __init__(self, *, rewrites: bool) -> None:
        self._rewrites = rewrites
        self._announced = self._inside = False
        self._number, self._offset = b"", 0
        self._hashes: dict[int, Any] = {}

    @property
    def content(self) -> tuple[TableContent, ...]:
        """All of them as one entry; none where there are none."""
        return large_objects({number: each.hexdigest() for number, each in self._hashes.items()})

    def is_inside(self, line: bytes) -> bool:
        """Tell whether a line belongs to that part; it is ended by the comment that announces the next object."""
        if line == b"--\n":  # before and after the announcement
            self._announced, self._inside = False, self._announced
            return False
        self._announced = self._announced or bool(_LARGE_OBJECTS.match(line))
        return self._inside

    def read(self, line: bytes) -> bytes:
        """Take a line of that part in, and return it as it is to be written."""
        if match := _LO_OPEN.match(line) or _LO_OURS.match(line):
            self._number, self._offset = match[1], 0
            self._hashes[int(match[1])] = hashlib.sha256()
            return b"-- Large object %b\n" % match[1] if self._rewrites else line
        if self._number and (match := _LO_WRITE.match(line) or _LO_PUT.match(line)):
            self._hashes[int(self._number)].update(match[1])
            offset, self._offset = self._offset, self._offset + len(match[1]) // 2
            if self._rewrites:
                return b"SELECT pg_catalog.lo_put('%b', %d, '\\x%b');\n" % (self._number, offset, match[1])
        return b"" if self._rewrites and line in _LO_FRAME else line
