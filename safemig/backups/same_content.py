"""Whether a database holds what was backed up, in whatever order its tables have their columns.

A child table that got a column from its parent after its own has it last; restored, it has it before its own. pg_dump
writes the same rows in another order of columns then, so their hash is another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

from safemig.postgres.connection.connect import connected
from safemig.postgres.dump.piecewise import script_of
from safemig.postgres.dump.reader import LARGE_OBJECTS, DumpReader
from safemig.postgres.server.programs import Programs
from safemig.results import Backup, TableContent

_COLUMNS = re.compile(rb"COPY .+? \((.*)\) FROM stdin;\n\Z", re.DOTALL)


def what_differs(backup: Backup, content: Sequence[TableContent], conninfo: str, programs: Programs) -> list[str]:
    """Return the tables whose content in the database of `conninfo` is not what was backed up, and tables that are too many.

    content: of that database, as a dump of it has it. A table of as many rows is read once more, in the backup's order.
    """
    there = {table.name: table for table in content if table.name not in backup.left_out}
    different = {table.name: table for table in backup.tables if there.get(table.name) != table}
    again = {
        name
        for name, table in different.items()
        if name != LARGE_OBJECTS and name in there and there[name].rows == table.rows
    }
    orders = _orders(backup, again, programs) if again else {}
    for name, columns in orders.items():
        if _read(conninfo, name, columns) == different[name]:
            del different[name]
    return [*different, *(there.keys() - {table.name for table in backup.tables})]


def _orders(backup: Backup, names: Collection[str], programs: Programs) -> dict[str, bytes]:
    """Return the columns of these tables as the backup writes them, as SQL."""
    found: dict[str, bytes] = {}
    reader = DumpReader()
    with script_of(programs, backup.full.path, "--data-only") as stream:
        for _ in reader.pieces(stream):
            if reader.data_of in names and (match := _COLUMNS.match(reader.copy_command)):
                found[reader.data_of] = match[1]
            if len(found) == len(names):
                break
    return found


def _read(conninfo: str, table: str, columns: bytes) -> TableContent:
    rows, whole = 0, hashlib.sha256()
    with connected(conninfo, "the restored database") as connection:
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            connection.execute("SET client_encoding = 'SQL_ASCII'")
        query = b"COPY (SELECT %b FROM ONLY %b) TO STDOUT" % (columns, table.encode())
        with connection.cursor().copy(query) as copy:
            for piece in copy:
                rows += 1
                whole.update(piece)
    return TableContent(table, rows, whole.hexdigest())
