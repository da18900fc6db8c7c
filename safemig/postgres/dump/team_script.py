"""What of a backup is the team's, as one script for psql: into a new project of the platform, or over the damaged database.

A whole dump of a hosted database stops at the first object that only the platform may create or drop. This script has
the team's objects and rows, and of the platform's tables the rows that are the team's (users, files): these are added
where they are missing. It is made from the text of the full backup alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from safemig.postgres.connection import Connection
from safemig.postgres.dump.compression import Readable
from safemig.postgres.dump.plain import cleared
from safemig.postgres.dump.reader import DumpReader
from safemig.postgres.platforms import TABLES_FOR_THE_TEAM, Platform, is_role_of_platform, platform_of
from safemig.result import BOOKKEEPING_SCHEMAS
from safemig.sql.identifiers import quote_identifier, quote_literal

_HEAD = re.compile(
    r"-- (?P<data>Data for )?Name: (?P<name>.*); Type: (?P<kind>.*); Schema: (?P<schema>.*?); Owner: ?(?P<owner>[^;\n]*)"
)
_NAME = r'("(?:[^"]|"")+"|[^\s".(;]+)'
_CLEARS = re.compile(
    r"(?:DROP (?P<kind>[A-Z ]+?) IF EXISTS|ALTER (?P<altered>[A-Z ]+?)(?: IF EXISTS)?(?: ONLY)?|CREATE OR REPLACE VIEW)"
    rf" {_NAME}(?P<dot>\.)?"
)
_ON = re.compile(rf" ON {_NAME}\.{_NAME}(?: CASCADE)?;\n\Z")
_OWNER = re.compile(rf"ALTER [A-Z ]+ .* OWNER TO {_NAME};\n\Z")
_COPY = re.compile(r"COPY (?P<table>.+?) ?\((?P<columns>.*)\) FROM stdin;\n\Z", re.DOTALL)
_SETVAL = re.compile(r"SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);\n\Z")
_EXTENSION = re.compile(rf"CREATE EXTENSION IF NOT EXISTS {_NAME}(.*);\n\Z")
_OF_A_TABLE = ("POLICY", "TRIGGER", "RULE")
_END_OF_DATA = b"\\.\n"
_LARGE = ("BLOB", "BLOBS", "BLOB METADATA", "LARGE OBJECT")
_DATA = ("TABLE DATA", "SEQUENCE SET", *_LARGE)

# Only what the database's objects refer to: owners, grantees, roles of policies.
WHICH_ROLES = """
SELECT r.rolname, concat(CASE WHEN r.rolcanlogin THEN ' LOGIN' END, CASE WHEN NOT r.rolinherit THEN ' NOINHERIT' END),
       bool_or(d.deptype = 'o')
FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> current_user
GROUP BY 1, 2 ORDER BY 1
"""
# Tables of others that we may add rows to, after those that they refer to.
WHERE_WE_MAY_INSERT = """
WITH RECURSIVE may AS (
  SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS plain,
         EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS brought
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE')
    AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT')),
deep (oid, depth) AS (
  SELECT oid, 0 FROM may
  UNION SELECT k.conrelid, deep.depth + 1 FROM deep JOIN pg_constraint k ON k.confrelid = deep.oid AND k.contype = 'f'
  WHERE k.conrelid <> k.confrelid AND deep.depth < 20)
SELECT may.name, may.plain, may.brought FROM may JOIN deep ON deep.oid = may.oid GROUP BY 1, 2, 3 ORDER BY max(deep.depth), 1
"""
SEQUENCES_WE_MAY_SET = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND CASE WHEN c.relkind = 'S' AND has_schema_privilege(n.oid, 'USAGE')
  THEN has_sequence_privilege(c.oid, 'UPDATE') AND has_sequence_privilege(c.oid, 'SELECT') END
"""
WHO_AM_I = "SELECT current_user::text, current_database()::text"


@dataclass(frozen=True, slots=True)
class Ownership:
    """What of a hosted database is whose, and what the current role may do there. Read when the backup is taken."""

    platform: Platform
    role: str
    database: str
    roles: tuple[tuple[str, str, bool], ...]  # name, attributes, whether it owns anything
    tables: Mapping[str, str]  # the platform's and extensions' that take rows of ours, by quoted name, in order
    sequences: frozenset[str]

    def keeps(self, kind: str, schema: str, name: str, owner: str, text: str) -> bool:
        """Tell whether an entry of a dump is the team's."""
        if schema in BOOKKEEPING_SCHEMAS or (schema == "-" and name in BOOKKEEPING_SCHEMAS):
            return True
        if kind == "COMMENT" and name.startswith("EXTENSION "):
            return False  # for who made the extension
        if kind == "SCHEMA" and name == "public":
            return False
        if kind == "EVENT TRIGGER":
            return not is_role_of_platform(self.platform.name, owner) and owner not in self.platform.roles
        return not self.platform.brings_entry(kind, schema, name, text)


def read_ownership(connection: Connection) -> Ownership:
    """Read whose a hosted database's objects are. Reads only."""
    platform = platform_of(connection)
    ((role, database),) = connection.execute(WHO_AM_I).fetchall()
    roles = [
        row for row in connection.execute(WHICH_ROLES).fetchall() if not is_role_of_platform(platform.name, row[0])
    ]
    tables = {
        name: plain
        for name, plain, brought in connection.execute(WHERE_WE_MAY_INSERT).fetchall()
        if plain in TABLES_FOR_THE_TEAM or (brought and plain.partition(".")[0] not in platform.schemas)
    }
    sequences = frozenset(name for (name,) in connection.execute(SEQUENCES_WE_MAY_SET).fetchall())
    return Ownership(platform, role, database, tuple(roles), tables, sequences)


@dataclass(slots=True)
class TeamScript:
    """Makes the script; after that, `left_out` are the tables with rows of the team's that it cannot have."""

    ownership: Ownership
    entries: frozenset[tuple[str, str, str, str]]  # kind, schema, name and owner of what the script makes
    left_out: list[str] = field(default_factory=list)
    _names: frozenset[tuple[str, str, str]] = frozenset()
    _grants: Mapping[str, str] = field(default_factory=dict)  # on schemas, by their names
    _merged: dict[str, str] = field(default_factory=dict)  # rows to be added: table -> its columns

    @classmethod
    def of(cls, ownership: Ownership, schema: Readable) -> TeamScript:
        """Prepare it, from the schema's dump of the same snapshot."""
        made: set[tuple[str, str, str, str]] = set()
        grants: dict[str, str] = {}
        for head, lines in _entries(DumpReader(), schema):
            text = b"".join(lines).decode(errors="replace")
            if head and ownership.keeps(head["kind"], head["schema"], head["name"], head["owner"], text):
                made.add((head["kind"], head["schema"], head["name"], head["owner"]))
                if head["kind"] == "ACL" and head["name"].startswith("SCHEMA "):
                    grants[_plain(head["name"].removeprefix("SCHEMA "))] = text.partition("\n")[2]
        return cls(ownership, frozenset(made), _names=frozenset(each[:3] for each in made), _grants=grants)

    def pieces(self, full: Readable) -> Iterator[bytes]:
        """Yield the script, from the full dump's text."""
        yield self._introduction().encode()
        is_merged = False
        # With a rewriter large objects are written without a transaction of their own.
        for head, lines in _entries(DumpReader(rewrite=lambda line: line), full):
            if head is None:
                yield from self._cleared(lines)
                yield self._roles().encode()
                yield self._grants.get("public", "").encode()
                continue
            kind, schema, name, owner = head.group("kind", "schema", "name", "owner")
            if self._merged and not is_merged and kind not in _DATA:
                is_merged = True
                yield self._merge().encode()
            if kind == "TABLE DATA":
                yield from self._rows(schema, name, lines)
            elif kind == "SEQUENCE SET":
                yield from self._sequence(schema, name, lines)
            elif kind == "EXTENSION" and self._has(kind, schema, name, owner):
                yield from map(_if_missing, lines)
            elif self._has(kind, schema, name, owner):
                yield from _without_owner(lines, self.ownership.role)
                if kind == "SCHEMA":  # who is no superuser gives a table only to a role that may make one there
                    yield self._grants.get(name, "").encode()
            else:
                _skip(lines)
        if self._merged and not is_merged:
            yield self._merge().encode()

    def _has(self, kind: str, schema: str, name: str, owner: str) -> bool:
        if kind == "MATERIALIZED VIEW DATA":
            return ("MATERIALIZED VIEW", schema, name) in self._names
        # A dump of the schema alone has none.
        return (kind, schema, name, owner) in self.entries or kind in _LARGE or name.startswith("LARGE OBJECT")

    def _introduction(self) -> str:
        own = self.ownership
        return (
            f"-- What is yours of {own.database}, hosted on {own.platform.name}: its objects and rows, without the platform's.\n"
            "-- Into a new project, or over the damaged database (it REPLACES what is yours there, and loses what was written since):\n"
            "--   psql URL -1 -v ON_ERROR_STOP=1 -f THIS_FILE\n"
            "-- Rows of yours in tables that are not (users, files) are added where they are missing. Roles have no password.\n\n"
        )

    def _roles(self) -> str:
        """Make the roles that are wanting; a role that owns something must be one that we may act as."""
        lines = []
        for name, attributes, owns in self.ownership.roles:
            role = quote_identifier(name)
            grant = f" GRANT {role} TO CURRENT_USER;" if owns else ""
            lines.append(
                f"DO $$ BEGIN IF to_regrole({quote_literal(role).strip()}) IS NULL THEN "
                f"CREATE ROLE {role}{attributes};{grant} END IF; END $$;\n"
            )
        return "".join([*lines, "\n"])

    def _cleared(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Give the part of the dump before its first object: of what it drops, only what is ours."""
        keeps, is_within = True, False
        for line in lines:
            text = line.decode(errors="replace")
            if not is_within and text.startswith(("DROP ", "ALTER ", "CREATE OR REPLACE VIEW ")):
                keeps = self._may_clear(text)
            elif not is_within:
                keeps = True
            is_within = bool(text.strip()) and not text.startswith(("--", "\\")) and not text.endswith(";\n")
            if keeps:
                yield cleared(line)

    def _may_clear(self, statement: str) -> bool:
        match = _CLEARS.match(statement)
        if match is None:
            return False
        kind, first = match["kind"] or match["altered"] or "VIEW", _plain(match[3])
        if kind in _OF_A_TABLE:
            on = _ON.search(statement)
            if kind == "TRIGGER" and on and _plain(on[1]) in self.ownership.platform.schemas:
                return False  # for the table's owner; it goes with its function, which is ours, by CASCADE
            return bool(on) and (kind, _plain(on[1]), f"{_plain(on[2])} {first}") in self._names  # type: ignore[index]
        if kind == "EXTENSION":
            return False
        if not match["dot"]:
            return (kind, "-", first) in self._names
        return first in BOOKKEEPING_SCHEMAS or first not in self.ownership.platform.schemas

    def _rows(self, schema: str, name: str, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Give a table's rows: as they are into a table of ours, else aside, to be added later."""
        if any((kind, schema, name) in self._names for kind in ("TABLE", "FOREIGN TABLE")):
            yield from lines
            return
        is_copied, command = False, b""
        for line in lines:
            if is_copied:
                yield line
                is_copied = line != _END_OF_DATA
                continue
            command = command + line if command or line.startswith(b"COPY ") else b""
            if not command.endswith(b" FROM stdin;\n"):
                continue
            match, command = _COPY.match(command.decode()), b""
            if match is None or match["table"] not in self.ownership.tables:
                self.left_out.append(match["table"] if match else f"{schema}.{name}")
                _skip(lines)
                return
            table, columns = match["table"], match["columns"]
            self._merged[table] = columns
            aside = _aside(len(self._merged))
            yield f"CREATE TEMPORARY TABLE {aside} AS SELECT {columns} FROM {table} WITH NO DATA;\n".encode()  # noqa: S608 - as pg_dump quotes them
            yield f"COPY {aside} ({columns}) FROM stdin;\n".encode()
            is_copied = True

    def _merge(self) -> str:
        asides = {table: _aside(number) for number, table in enumerate(self._merged, start=1)}
        found = ["\n-- Rows of yours in tables that are not, where they are missing\n"]
        for table in self.ownership.tables:  # after those that it refers to
            if table in self._merged:
                columns = self._merged[table]
                found += [
                    f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE\n",
                    f"  SELECT {columns} FROM {asides[table]} ON CONFLICT DO NOTHING;\n",  # noqa: S608 - as pg_dump quotes them
                    f"DROP TABLE {asides[table]};\n",
                ]
        return "".join([*found, "\n--\n"])

    def _sequence(self, schema: str, name: str, lines: Iterable[bytes]) -> Iterator[bytes]:
        is_ours = any((kind, schema, name) in self._names for kind in ("SEQUENCE", "TABLE"))
        for line in lines:
            match = _SETVAL.match(line.decode())
            if match is None or is_ours or schema not in self.ownership.platform.schemas:
                yield line
            elif match[3] == "true" and (sequence := match[1].replace("''", "'")) in self.ownership.sequences:
                raised = f"SELECT pg_catalog.setval('{match[1]}', {match[2]}) FROM {sequence} WHERE last_value < {match[2]};\n"  # noqa: S608
                yield raised.encode()


def _if_missing(line: bytes) -> bytes:
    # A platform's event trigger may refuse the statement, even where it does nothing (Heroku's).
    match = _EXTENSION.match(line.decode(errors="replace"))
    if match is None:
        return line
    name = quote_literal(_plain(match[1])).strip()
    there = f"EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = {name})"
    return f"DO $$ BEGIN IF NOT {there} THEN CREATE EXTENSION {match[1]}{match[2]}; END IF; END $$;\n".encode()


def _aside(number: int) -> str:
    return f"pg_temp.safemig_rows_{number}"


def _skip(lines: Iterator[bytes]) -> None:
    for _ in lines:
        pass


def _entries(reader: DumpReader, stream: Readable) -> Iterator[tuple[re.Match[str] | None, Iterator[bytes]]]:
    """Yield a dump's entries: what its comment says, and its lines, to be taken before the next; None for its head."""
    pieces = reader.pieces(stream)
    head: re.Match[str] | None = None
    start = before = b""
    is_over = False

    def lines() -> Iterator[bytes]:
        nonlocal head, start, before, is_over
        yield start
        for line in pieces:
            # A function's body, or a row, may look like it.
            is_comment = (
                not reader.data_of and before == b"--\n" and line.startswith((b"-- Name: ", b"-- Data for Name: "))
            )
            before = line
            if is_comment and (match := _HEAD.match(line.decode(errors="replace"))):
                head, start = match, line
                return
            yield line
        is_over = True

    while not is_over:
        yield head, lines()


def _without_owner(lines: Iterable[bytes], role: str) -> Iterator[bytes]:
    """Leave out that an object belongs to who makes it: in a new project the role may have another name.

    Only where it is the last statement of its entry; a function's body may hold such a line, too.
    """
    held: list[bytes] = []
    for line in lines:
        if held and line.strip() and line != b"--\n" and not line.startswith(b"SET default_"):
            yield from held
            held = []
        if held:
            held.append(line)
        elif (match := _OWNER.match(line.decode(errors="replace"))) and _plain(match[1]) == role:
            held = [line]
        else:
            yield line
    yield from held[1:]


def _plain(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
