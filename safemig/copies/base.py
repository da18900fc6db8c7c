"""The base: what an environment has and the project's migrations do not make, for the databases that migrations are
replayed on. A copy is base + migrations.

It is read from the environment by the schema engine, or from the project's reviewed file (`safemig base` writes it).
Rows are no part of it; roles come from the server itself (`copies.roles`), and are in the file to be read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg

from safemig.errors import SettingsError
from safemig.execution.base_file import BaseText, read_base_text, with_checksum
from safemig.execution.layout import files_of
from safemig.migrations import Migration
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.platforms import Platform, platform_of
from safemig.postgres.pretences import adapter
from safemig.schema import Schema, compare
from safemig.schema.model import Id
from safemig.settings import Settings
from safemig.sql import SqlSyntaxError, parse
from safemig.sql.identifiers import quote_identifier
from safemig.sql.parsing import parse_what_can_be
from safemig.whole_files import write_atomically

# An extension's objects by name; what PostgreSQL itself calls so tells nothing.
WHAT_EXTENSIONS_BRING = """
SELECT e.extname, n.nspname, pg_get_userbyid(e.extowner), ARRAY(
  SELECT p.proname::text FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      AND NOT EXISTS (SELECT FROM pg_proc b WHERE b.proname = p.proname AND b.oid < 16384)
  UNION SELECT t.typname FROM pg_type t JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  UNION SELECT c.relname FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  UNION SELECT s.nspname FROM pg_namespace s JOIN pg_depend d ON d.classid = 'pg_namespace'::regclass AND d.objid = s.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  UNION SELECT o.opcname FROM pg_opclass o JOIN pg_depend d ON d.classid = 'pg_opclass'::regclass AND d.objid = o.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  UNION SELECT o.oprname FROM pg_operator o JOIN pg_depend d ON d.classid = 'pg_operator'::regclass AND d.objid = o.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      AND NOT EXISTS (SELECT FROM pg_operator b WHERE b.oprname = o.oprname AND b.oid < 16384)
  UNION SELECT l.lanname FROM pg_language l JOIN pg_depend d ON d.classid = 'pg_language'::regclass AND d.objid = l.oid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e')::text[]
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384 ORDER BY e.oid
"""
# A database that was upgraded from 14 or before keeps the owner and the grants that public had then.
HOW_PUBLIC_IS = """
SELECT pg_get_userbyid(nspowner), nspowner = to_regrole('pg_database_owner')::oid,
       EXISTS (SELECT FROM aclexplode(nspacl) WHERE grantee = 0 AND privilege_type = 'CREATE')
FROM pg_namespace WHERE nspname = 'public'
"""
ROLES_AS_SQL = """
SELECT format('CREATE ROLE %I%s', rolname, concat(CASE WHEN rolsuper THEN ' SUPERUSER' END, CASE WHEN rolcanlogin THEN ' LOGIN' END,
       CASE WHEN NOT rolinherit THEN ' NOINHERIT' END, CASE WHEN rolcreatedb THEN ' CREATEDB' END,
       CASE WHEN rolcreaterole THEN ' CREATEROLE' END, CASE WHEN rolreplication THEN ' REPLICATION' END,
       CASE WHEN rolbypassrls THEN ' BYPASSRLS' END))
FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'safemig_copies'
UNION ALL
SELECT DISTINCT format('GRANT %I TO %I%s', r.rolname, m.rolname, CASE WHEN a.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END)
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE m.rolname !~ '^pg_'
ORDER BY 1
"""
_WORD = re.compile(r"[^\W\d][\w$]*")


@dataclass(frozen=True, slots=True)
class Base:
    """The statements that make a base of an empty database, in order, and whose database it is."""

    platform: Platform
    statements: tuple[str, ...] = ()
    file: BaseText | None = None  # the project's file that it was read from

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions that it makes."""
        return frozenset(_said(match, "one") for each in self.statements if (match := _EXTENSION.match(each)))

    @property
    def sha256(self) -> str:
        """What a plan binds of it."""
        return hashlib.sha256("\n".join(self.statements).encode()).hexdigest()

    @property
    def words(self) -> str:
        """Which base it is, for who reads a result; "" where there is nothing in it."""
        if not self.statements:
            return ""
        return self.file.words if self.file else f"as the database has it now (SHA-256 {self.sha256[:12]})"

    def brings_entry(self, kind: str, schema: str, name: str, text: str) -> bool:
        """Tell whether an entry of pg_dump's is the base's, and no matter of the migrations."""
        if kind in ("EXTENSION", "COMMENT") and name.removeprefix("EXTENSION ") in self.extensions:
            return True
        return bool(self.platform) and self.platform.brings_entry(kind, schema, name, text)

    def make(self, copy: Connection) -> tuple[str, ...]:
        """Run it on an empty database, as that server's superuser; return the extensions that cannot be made there.

        What needs such an extension is left out with it.

        Raises:
            SettingsError: a statement fails, and no extension is the reason.
        """
        lacking: list[str] = []
        adapt = adapter(copy) or (lambda statement: (statement,))
        with copy.transaction():
            for statement in self.statements:
                try:
                    with copy.transaction():
                        for part in adapt(statement):
                            copy.execute(part.encode())
                except psycopg.Error as error:
                    if extension := _EXTENSION.match(statement):
                        lacking.append(_said(extension, "one"))
                    elif not lacking:
                        raise SettingsError(
                            f"the base does not run: {words_of(error)}",
                            where=f"{self.file.path if self.file else 'as read from the database'}: {' '.join(statement.split())[:200]}",
                            next=f"{'refresh it' if self.file else 'write it down and correct it'}: safemig base",
                        ) from None
            copy.execute("RESET ROLE")
        return tuple(lacking)


def base_for(settings: Settings, source: Connection) -> Base:
    """Return the project's base where it has a file of it, else what `source` has beyond the migrations. Reads only.

    Raises:
        SettingsError: the file is no SQL.
        MigrationError: the migrations cannot be read.
    """
    return stored_base(settings, platform_of(source)) or read_base(source, files_of(settings))


def stored_base(settings: Settings, platform: Platform, *, edited: bool = False) -> Base | None:
    """Return the base that the project's file holds, None where there is no file. No database is asked.

    With `edited`, also where its checksum says that it was changed by hand.

    Raises:
        SettingsError: the file is no SQL, or was changed since it was written.
    """
    file = read_base_text(settings, edited=edited)
    if file is None:
        return None
    try:
        statements = parse(file.text)
    except SqlSyntaxError as error:
        raise SettingsError(
            f"the base does not parse: {error.reason}",
            where=f"{file.path}, line {error.line}",
            next="refresh it: safemig base",
        ) from None
    # Roles are made from the server itself, with all their rights.
    kinds = ("CREATE ROLE", "ALTER ROLE", "GRANT ROLE")
    return Base(platform, tuple(each.sql for each in statements if each.kind not in kinds), file)


def changes_since(before: Base, now: Base) -> tuple[str, ...]:
    """Return what differs between two bases, a statement a line: `+` is new, `-` is gone."""
    old, new = _told(before), _told(now)
    return (*(f"+ {each}" for each in new if each not in old), *(f"- {each}" for each in old if each not in new))


def platform_changes(settings: Settings, environment: str, source: Connection) -> tuple[str, ...]:
    """Return how the platform of an environment differs from the project's base; nothing where there is no file of it.

    Looked at now, in the environment that the file was read from. Another major version writes its statements in a form
    of its own and is not compared. Reads only.

    Raises:
        SettingsError: the file is no SQL.
    """
    before = stored_base(settings, platform_of(source), edited=True) if settings.path("base").is_file() else None
    if before is None or before.file is None:
        return ()
    read = before.file
    if read.environment and (read.environment != environment or read.major != source.info.server_version // 10000):
        return ()
    return changes_since(before, read_base(source, files_of(settings)))


def roles_as_sql(source: Connection) -> tuple[str, ...]:
    """Return the server's roles as statements, without passwords: to be read, for copies take them from the server."""
    return tuple(statement for (statement,) in source.execute(ROLES_AS_SQL).fetchall())


def text_of(head: Sequence[str], roles: Sequence[str], base: Base) -> str:
    """Return the text of the project's file."""
    first = "\n".join(f"-- {line}" for line in head)
    parts = ["-- Roles", *(f"{each};" for each in roles)]
    parts += ["-- Objects", *(f"{each};" for each in base.statements)]
    return with_checksum(first, "\n" + "\n\n".join(parts) + "\n")


def write_base(path: Path, text: str) -> None:
    """Write the project's file, whole or not at all.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise SettingsError(
            f"the base cannot be written: {error.strerror}", where=str(path), next="correct the folder's permissions"
        ) from None


def _told(base: Base) -> dict[str, None]:
    # As written, whatever the form: a body keeps its lines in the file. Who makes an extension is no change.
    return {
        " ".join(each.split()): None for each in base.statements if not each.startswith(("SET ROLE ", "RESET ROLE"))
    }


def read_base(source: Connection, migrations: Sequence[Migration]) -> Base:
    """Return what a database has and `migrations` do not make, as statements. Reads only."""
    platform = platform_of(source)
    if not platform:
        needed = _extensions_mentioned(source, migrations)
        return Base(platform, (*_public(source), *(each for one in needed for each in _as_owner(*one))))
    there = platform_schema(source, migrations)
    nothing = replace(
        there, facts={}, comments={}, grants={}, labels={}, owners={}, column_order={}, current_user="", resolve=None
    )
    statements = [each.sql for each in compare(nothing, there).statements]
    owners = {name: owner for name, _, owner, _ in source.execute(WHAT_EXTENSIONS_BRING).fetchall()}
    found: list[str] = []
    for statement in sorted(
        statements, key=lambda each: next((n for n, one in enumerate(_LAST, 1) if each.startswith(one)), 0)
    ):
        extension = _EXTENSION.match(statement)
        owner = owners.get(_said(extension, "one")) if extension else None
        found += [f"SET ROLE {quote_identifier(owner)}", statement, "RESET ROLE"] if owner else [statement]
    has_public = Id("schema", "", "public") in there.facts
    # PostgreSQL grants PUBLIC the use of a new database's public; what was granted there is granted again.
    return Base(platform, (*(["REVOKE ALL ON SCHEMA public FROM PUBLIC"] if has_public else ()), *found))


# Default privileges may be of a schema that an extension makes. What watches comes last, so that it does not watch this.
_LAST = ("ALTER DEFAULT PRIVILEGES ", "CREATE EVENT TRIGGER ", "ALTER EVENT TRIGGER ", "COMMENT ON EVENT TRIGGER ")
_INSIDE_TABLE = frozenset(
    {"column", "default", "constraint", "trigger", "policy", "rule", "replica identity", "partition"}
)
_PUBLIC = Id("schema", "", "public")


def platform_schema(connection: Connection, migrations: Sequence[Migration]) -> Schema:
    """Read what a database has and `migrations` do not make: the platform's objects, how it left the schema public, and
    extensions. Reads only.

    The partitions that a platform makes day by day are left out.
    """
    platform = platform_of(connection)
    found = read_schema(connection, SchemaFilter(part="all", ownership=True))
    made = _made_by(migrations)
    extensions = _extensions_there(connection, platform, found, migrations, made)
    partitions = {(item.schema, item.name) for item in found.facts if item.kind == "partition"}
    names = {(item.kind, item.schema, item.name) for item in made}

    def belongs(item: Id, fact: Any) -> bool:
        if item.kind == "extension":
            return item.name in extensions
        if item == _PUBLIC or item.kind == "default privileges":
            return platform.brings(item, fact, "") or (
                bool(platform.name) and _was_there_from_the_start(platform, item, fact)
            )
        if not platform.brings(item, fact, found.owners.get(item, "")):
            return False
        if (item.schema, item.name) in partitions or (
            item.kind == "index" and (fact.table_schema, fact.table) in partitions
        ):
            return False
        if (item.kind, item.schema, item.name) in names:
            return False
        if item.kind == "member privileges":
            return all(other.name in extensions for other in found.graph.needs.get(item) if other.kind == "extension")
        return not (item.kind in _INSIDE_TABLE and ("table", item.schema, item.name) in names)

    return _without(found, {item for item, fact in found.facts.items() if not belongs(item, fact)})


def _was_there_from_the_start(platform: Platform, item: Id, fact: Any) -> bool:
    if item == _PUBLIC:
        return True
    # Supabase grants what `postgres` makes in public to the roles of its API, each kind of object as a whole.
    roles = platform.application_roles
    return item.schema == "public" and bool(roles) and roles <= {grantee for grantee, *_ in fact.grants}


def _without(schema: Schema, left_out: set[Id]) -> Schema:
    def kept(mapping: Any) -> dict[Any, Any]:
        return {item: value for item, value in mapping.items() if item not in left_out}

    resolve = schema.resolve
    return replace(
        schema,
        facts=kept(schema.facts),
        comments=kept(schema.comments),
        grants=kept(schema.grants),
        owners=kept(schema.owners),
        column_order=kept(schema.column_order),
        resolve=lambda: (
            (row for row in resolve() if row[0] not in left_out and row[1] not in left_out) if resolve else ()
        ),
    )


def _public(source: Connection) -> list[str]:
    row = source.execute(HOW_PUBLIC_IS).fetchone()
    if row is None or row[1] or not row[2]:
        return []
    return [f"ALTER SCHEMA public OWNER TO {quote_identifier(row[0])}", "GRANT ALL ON SCHEMA public TO PUBLIC"]


def _extensions_mentioned(source: Connection, migrations: Sequence[Migration]) -> list[tuple[str, str, str]]:
    """Return (name, schema, owner) of the extensions that the migrations use by some name, and do not make."""
    rows = source.execute(WHAT_EXTENSIONS_BRING).fetchall()
    if not rows:  # then thousands of files need not be read for what they make
        return []
    by_migrations = {item.name for item in _made_by(migrations) if item.kind == "extension"}
    asked = _schemas_asked(migrations)
    rows = [row for row in rows if row[0] not in by_migrations or _was_there_before(row[0], row[1], asked)]
    text = "\n".join(each.sql for each in migrations).lower()
    words = set(_WORD.findall(text))
    return [
        (name, schema, owner)
        for name, schema, owner, brings in rows
        if any((each.lower() in words) if _WORD.fullmatch(each) else each in text for each in brings)
    ]


def _extensions_there(
    source: Connection, platform: Platform, found: Schema, migrations: Sequence[Migration], made: Iterable[Id]
) -> set[str]:
    """Return the extensions that are the base's: those that the migrations use and do not make, the platform's own, and
    on a platform what was turned on there and nothing of the team's stands on."""
    by_migrations = {item.name for item in made if item.kind == "extension"}
    asked = _schemas_asked(migrations)
    by_migrations -= {
        name
        for name, schema, *_ in source.execute(WHAT_EXTENSIONS_BRING).fetchall()
        if _was_there_before(name, schema, asked)
    }
    names = {name for name, *_ in _extensions_mentioned(source, migrations)}
    for item in (item for item in found.facts if item.kind == "extension" and platform.name):
        if item.name in by_migrations and item.name not in platform.extensions:
            continue
        used = any(
            not platform.brings(each, found.facts[each], found.owners.get(each, ""))
            for each in found.graph.needed_by.get(item)
            if each in found.facts and not _is_on_what_extensions_bring(found, each)
        )
        if item.name in platform.extensions or not used:
            names.add(item.name)
    return names


def _schemas_asked(migrations: Sequence[Migration]) -> dict[str, set[str]]:
    """Return for each extension the schemas in which the migrations make it, where all of them say IF NOT EXISTS."""
    found: dict[str, set[str]] = {}
    outright: set[str] = set()
    for match in (one for each in migrations for one in _MAKES_EXTENSION.finditer(each.sql)):
        name = _said(match, "one")
        if not match["existing"] or not match["schema"]:
            outright.add(name)
        found.setdefault(name, set()).add(_said(match, "two"))
    return {name: schemas for name, schemas in found.items() if name not in outright}


def _was_there_before(name: str, schema: str, asked: Mapping[str, set[str]]) -> bool:
    """Tell whether an extension stands in another schema than its files name: someone had turned it on before them."""
    return name in asked and schema not in asked[name]


def _is_on_what_extensions_bring(found: Schema, item: Id) -> bool:
    return item.kind in ("policy", "trigger") and found.relation(item.schema, item.name) is None


def _as_owner(name: str, schema: str, owner: str) -> tuple[str, str, str]:
    # As its owner, to whom what it brings belongs then, and what was granted on it refers.
    return (
        f"SET ROLE {quote_identifier(owner)}",
        f"CREATE EXTENSION IF NOT EXISTS {quote_identifier(name)} WITH SCHEMA {quote_identifier(schema)}",
        "RESET ROLE",
    )


def _made_by(migrations: Sequence[Migration]) -> frozenset[Id]:
    """Return what files make outright (not IF NOT EXISTS, not OR REPLACE), and every extension that they make."""
    return frozenset().union(*(_made_by_file(each.sql) for each in migrations))


@lru_cache(maxsize=4096)  # one act asks several times, of the same files
def _made_by_file(text: str) -> frozenset[Id]:
    if not _MAKES.search(text):
        return frozenset()
    return frozenset(item for each in parse_what_can_be(text) for item in _made(each.kind, each.sql))


_MAKES = re.compile(r"\bcreate\b", re.IGNORECASE)
_NAME = r'(?:"(?P<{0}q>(?:[^"]|"")+)"|(?P<{0}>[^\W\d][\w$]*))'
_EXTENSION = re.compile(r"CREATE EXTENSION IF NOT EXISTS " + _NAME.format("one"))
_MAKES_EXTENSION = re.compile(
    r"\bcreate\s+extension\s+(?P<existing>if\s+not\s+exists\s+)?"
    + _NAME.format("one")
    + r"(?:\s+with)?(?P<schema>\s+schema\s+"
    + _NAME.format("two")
    + ")?",
    re.IGNORECASE,
)
_CREATES = re.compile(
    r"\bcreate\s+(?P<kind>extension|schema|table|sequence|type|view|function|procedure|publication)\s+(?P<existing>if\s+not\s+exists\s+)?"
    + _NAME.format("one")
    + r"(?:\s*\.\s*"
    + _NAME.format("two")
    + ")?",
    re.IGNORECASE,
)
_KIND = {"function": "routine", "procedure": "routine", "type": "enum"}


def _made(kind: str, sql: str) -> list[Id]:
    if not kind.startswith("CREATE"):
        return []
    match = _CREATES.search(sql)
    if match is None:
        return []
    word = match["kind"].lower()
    one, two = _said(match, "one"), _said(match, "two")
    if word == "extension":
        return [Id("extension", "", one)]
    if match["existing"]:
        return []
    if word in ("schema", "publication"):
        return [Id(word, "", one)]
    return [Id(_KIND.get(word, word), one, two)] if two else []


def _said(match: re.Match[str], group: str) -> str:
    quoted = match[f"{group}q"]
    return quoted.replace('""', '"') if quoted is not None else (match[group] or "").lower()
