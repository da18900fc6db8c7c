"""Tables of a backup restored beside production's own: into schema `restored_[timestamp]`, each compared with the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from safemig import live
from safemig.backups.stored_tables import StoredSchema, StoredTable, Table, stored_rows
from safemig.commands import command_on
from safemig.errors import BackupError, RefusedError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.server.programs import Programs
from safemig.results import Backup, TableContent
from safemig.sql.identifiers import quote_identifier, quote_name

SCHEMA = "restored_{}"  # the backup's timestamp; `catalog.RESTORED_SCHEMA` knows it by that form
# The comments by which anyone who comes later knows what stands there, and whether it is all there.
SCHEMA_COMMENT = "safemig: tables restored from backup {}"
TABLE_COMMENT = "safemig: {} of backup {}"
WHAT_STANDS_THERE = """
SELECT c.relname, c.relkind, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
"""
COMMENT_OF_SCHEMA = "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = %s"
IS_BUILT_IN = "SELECT t.typnamespace = 'pg_catalog'::regnamespace FROM pg_type t WHERE t.oid = to_regtype(%s)"
WHICH_ARE_TEXT = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND atttypid = 'text'::regtype ORDER BY attnum
"""
WHO_MAY_USE_SCHEMA = """
SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = %s AND a.grantee <> n.nspowner
"""
WHO_MAY_USE_TABLES = """
SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND a.grantee <> c.relowner
"""
MAY_MAKE_SCHEMAS = "SELECT has_database_privilege(current_database(), 'CREATE'), quote_ident(current_database()), quote_ident(current_user)"
# As pg_dump and its restore have them: the texts are then the dump's own.
LIKE_A_RESTORE = """
SET LOCAL search_path = ''; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL xmloption = content;
SET LOCAL extra_float_digits = 3; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = 0
"""
# A dump is written in the time zone, and with the other settings, that its role has.
AS_THE_ROLE_HAS_THEM = (
    "SET LOCAL TimeZone TO DEFAULT; SET LOCAL bytea_output TO DEFAULT; SET LOCAL lc_monetary TO DEFAULT"
)
_LONGEST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Beside:
    """A table of a backup as it stands beside production's: schema `schema`, relation `relation`."""

    table: Table
    schema: str
    relation: str
    columns: tuple[str, ...]
    content: tuple[TableContent, ...]  # as the manifest has it: one, or one a partition
    is_new: bool  # restored just now, not by an earlier run
    notes: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Where it stands, as SQL."""
        return quote_name(self.schema, self.relation)

    @property
    def rows(self) -> int:
        """Its rows in the backup."""
        return sum(each.rows for each in self.content)


def schema_for(backup: Backup) -> str:
    """Return the name of the schema that a backup's tables are restored into."""
    return SCHEMA.format(backup.timestamp)


def restore_beside(
    connection: Connection,
    backup: Backup,
    tables: Sequence[StoredTable],
    stored: StoredSchema,
    programs: Callable[[], Programs],
) -> tuple[Beside, ...]:
    """Restore tables into the schema `restored_[timestamp]`, in one transaction, and compare each with the manifest.

    Guarantee: nothing but that schema is changed; no one but its owner may read it; a table is there whole and as it
    was backed up, or not at all. Those that an earlier run restored are compared again, not restored again. Memory
    does not grow with the rows.

    Raises:
        BackupError: the backup is damaged: what it holds is not what its manifest says.
        RefusedError: the schema cannot be made, belongs to another role, or a table in it was changed since.
    """
    try:
        return _restored(connection, backup, tables, stored, programs, only_built_in=False)
    except (psycopg.errors.DataError, psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation):
        # An enum that has lost a value, a domain that has become stricter: as text everything can be kept.
        return _restored(connection, backup, tables, stored, programs, only_built_in=True)


def _restored(
    connection: Connection,
    backup: Backup,
    tables: Sequence[StoredTable],
    stored: StoredSchema,
    programs: Callable[[], Programs],
    *,
    only_built_in: bool,
) -> tuple[Beside, ...]:
    schema = schema_for(backup)
    with _in_its_encoding(connection), connection.transaction():
        connection.execute(LIKE_A_RESTORE)
        _make_schema(connection, schema, backup)
        loading = _Loading(connection, backup, schema, stored, only_built_in=only_built_in)
        parts = {part.name: part for table in tables for part in table.parts}
        missing = [name for name in parts if not loading.stands(name)]
        with live.stage("compare what stands there", sum(parts[name].rows for name in parts if name not in missing)):
            for name in parts.keys() - set(missing):
                loading.compare(parts[name])
        with (
            live.stage("restore beside", sum(parts[name].rows for name in missing)),
            stored_rows(backup, programs, missing) as rows,
        ):
            for name, columns, data in rows:
                loading.load(parts[name], columns, data)
                if rows.content(name) != parts[name]:
                    raise BackupError(
                        f"the backup does not match its manifest for {name}",
                        where=str(backup.full.path),
                        next="use another backup; this one was changed or damaged",
                    )
        for name in missing:
            if not loading.stands(name):
                raise BackupError(
                    f"the backup's rows of {name} are missing", where=str(backup.full.path), next="use another backup"
                )
        with live.stage("compare with the backup", sum(parts[name].rows for name in missing)):
            for name in missing:
                loading.compare(parts[name])
        made = tuple(loading.result(table, missing) for table in tables)
        keep_to_the_owner(connection, schema)
    for table in made:
        if table.is_new:
            for each in table.content:
                connection.execute(sql.SQL("ANALYZE {}").format(loading.place(each.name)))
    return made


class _Loading:
    """The schema while tables are loaded into it."""

    def __init__(
        self, connection: Connection, backup: Backup, schema: str, stored: StoredSchema, *, only_built_in: bool
    ) -> None:
        self._connection, self._backup, self._schema, self._stored = connection, backup, schema, stored
        self._only_built_in = only_built_in
        rows = connection.execute(WHAT_STANDS_THERE, (schema,)).fetchall()
        self._taken = {name for name, _, _ in rows}
        self._by_comment: dict[str, str] = {comment: name for name, _, comment in rows}

    def stands(self, table: str) -> bool:
        """Tell whether a table is there."""
        return self._comment(table) in self._by_comment

    def place(self, table: str) -> sql.Identifier:
        """Return where a table stands."""
        return sql.Identifier(self._schema, self._by_comment[self._comment(table)])

    def load(self, table: TableContent, columns: Sequence[str], data: Iterator[bytes]) -> None:
        """Make a table of those columns, and copy the rows into it."""
        name = self._stored.find([table.name])[0].name
        types = self._stored.columns_of(name)
        there = [column for column in columns if column in types]
        if len(there) != len(columns):
            raise BackupError(
                f"schema and rows of the backup do not agree on the columns of {table.name}",
                where=str(self._backup.full.path),
                next="use another backup",
            )
        kept = {column: types[column] if self._is_kept(types[column]) else "text" for column in columns}
        self._make(table.name, name, kept)
        names = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
        command = sql.SQL("COPY {} {} FROM STDIN").format(self.place(table.name), names)
        with self._connection.cursor().copy(command) as copy:
            for piece in data:
                copy.write(piece)

    def compare(self, table: TableContent) -> None:
        """Read a table that stands there, and compare its rows and hash with the manifest's.

        Raises:
            RefusedError: they are others.
        """
        for settings in ("", AS_THE_ROLE_HAS_THEM):
            with self._connection.transaction():  # so that these settings end here
                if settings:
                    self._connection.execute(settings)
                found = self._read(table.name)
                if found == table:
                    return
        drop = command_on(self._backup.target.environment, "restore-prod", f"--drop {self._schema}")
        raise RefusedError(
            f"the restored {table.name} differs from the backup; it was changed since, or this server writes it differently",
            where=f"{self._schema}: {found.rows:,} rows, the backup has {table.rows:,}",
            next=f"look at it; then {drop}, and restore again",
        )

    def result(self, table: StoredTable, missing: Sequence[str]) -> Beside:
        """Return a table as it stands there now; a partitioned one gets a view of its name over its partitions."""
        relation = self._view(table) if table.is_partitioned else self._by_comment[self._comment(table.parts[0].name)]
        columns = tuple(
            column.name
            for column in self._connection.execute(
                sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(self._schema, relation))
            ).description
            or ()
        )
        return Beside(
            table=table.name,
            schema=self._schema,
            relation=relation,
            columns=columns,
            content=table.parts,
            is_new=any(part.name in missing for part in table.parts),
            notes=tuple(dict.fromkeys(note for part in table.parts for note in self._kept_as_text(part.name))),
        )

    def _comment(self, table: str) -> str:
        return TABLE_COMMENT.format(table, self._backup.full.sha256)

    def _is_kept(self, type_: str) -> bool:
        """Tell whether a column keeps its type; one that production has not, or whose values do not fit, becomes text."""
        row = self._connection.execute(IS_BUILT_IN, (type_,)).fetchone()
        return bool(row and (row[0] or not self._only_built_in))

    def _kept_as_text(self, table: str) -> list[str]:
        types = self._stored.columns_of(self._stored.find([table])[0].name)
        place = quote_name(self._schema, self._by_comment[self._comment(table)])
        notes = []
        for (column,) in self._connection.execute(WHICH_ARE_TEXT, (place,)).fetchall():
            if types.get(column) != "text":
                exists = self._connection.execute(IS_BUILT_IN, (types[column],)).fetchone()
                why = "rows of the backup no longer fit this type" if exists else "production no longer has that type"
                notes.append(f"column {column} is kept as text: {types[column]}, {why}")
        return notes

    def _make(self, table: str, name: Table, columns: Mapping[str, str]) -> None:
        relation = self._free_name(name)
        written = ", ".join(f"{quote_identifier(column)} {type_}" for column, type_ in columns.items())
        self._connection.execute(f"CREATE TABLE {quote_name(self._schema, relation)} ({written})".encode())
        self._keep(relation, table)

    def _view(self, table: StoredTable) -> str:
        if self.stands(table.sql):
            return self._by_comment[self._comment(table.sql)]
        relation = self._free_name(table.name)
        names = sql.SQL(", ").join(map(sql.Identifier, self._columns_of(table.parts[0].name)))
        parts = [sql.SQL("SELECT {} FROM {}").format(names, self.place(part.name)) for part in table.parts]
        self._connection.execute(
            sql.SQL("CREATE VIEW {} AS {}").format(
                sql.Identifier(self._schema, relation), sql.SQL(" UNION ALL ").join(parts)
            )
        )
        self._keep(relation, table.sql, kind="VIEW")
        return relation

    def _columns_of(self, table: str) -> list[str]:
        query = sql.SQL("SELECT * FROM {} LIMIT 0").format(self.place(table))
        return [column.name for column in self._connection.execute(query).description or ()]

    def _keep(self, relation: str, table: str, kind: str = "TABLE") -> None:
        self._taken.add(relation)
        self._by_comment[self._comment(table)] = relation
        self._connection.execute(
            sql.SQL("COMMENT ON {} {} IS {}").format(
                sql.SQL(kind), sql.Identifier(self._schema, relation), sql.Literal(self._comment(table))
            )
        )

    def _free_name(self, table: Table) -> str:
        plain = table[1] if table[1] not in self._taken else ".".join(table)
        return plain.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")

    def _read(self, table: str) -> TableContent:
        rows, whole = 0, hashlib.sha256()
        with self._connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(self.place(table))) as copy:
            for piece in copy:
                rows += 1
                whole.update(piece)
                if not rows % 10_000:
                    live.advance(10_000)
        return TableContent(table, rows, whole.hexdigest())


@contextmanager
def _in_its_encoding(connection: Connection) -> Iterator[None]:
    # A dump of an SQL_ASCII database holds its bytes as they are; any other one is UTF-8, as the connection is.
    if connection.info.parameter_status("server_encoding") != "SQL_ASCII":
        yield
        return
    connection.execute("SET client_encoding = 'SQL_ASCII'")
    try:
        yield
    finally:
        connection.execute("SET client_encoding = 'UTF8'")


def _make_schema(connection: Connection, schema: str, backup: Backup) -> None:
    wanted = SCHEMA_COMMENT.format(backup.full.sha256)
    if row := connection.execute(COMMENT_OF_SCHEMA, (schema,)).fetchone():
        if row[0] == wanted:
            return
        raise RefusedError(
            "a schema with the restore's name exists, and this restore did not create it",
            where=f"{schema}: {row[0] or 'no comment'}",
            next="look at it, and rename it or drop it; then restore again",
        )
    may, database, user = connection.execute(MAY_MAKE_SCHEMAS).fetchone() or (False, "", "")
    if not may:
        raise RefusedError(
            f"the role {user} may not make a schema for the restored tables",
            where=f"database {database}",
            next=f"as the database's owner: GRANT CREATE ON DATABASE {database} TO {user}",
        )
    try:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(wanted)))
    except psycopg.Error as error:
        raise RefusedError(
            f"the schema for the restored tables cannot be made: {words_of(error)}",
            where=schema,
            next="correct what the message names",
        ) from None


def keep_to_the_owner(connection: Connection, schema: str) -> None:
    """Take away what others than their owner may do with a schema and the tables in it."""
    # Default privileges may have given the new tables to everyone, with rows that row security guards elsewhere.
    for question, what in ((WHO_MAY_USE_SCHEMA, "SCHEMA"), (WHO_MAY_USE_TABLES, "ALL TABLES IN SCHEMA")):
        for (grantee,) in connection.execute(question, (schema,)).fetchall():
            statement = f"REVOKE ALL ON {what} {quote_identifier(schema)} FROM {grantee}"
            connection.execute(statement.encode())
