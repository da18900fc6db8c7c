"""What is the project's and what is the platform's: decided here, by facts from the catalogs, for every reader.

A hosted database holds much that no migration of the team made: roles, schemas, event triggers, default privileges.
Each platform is one row of PLATFORMS. What no row names is decided by ownership: a schema that belongs to a role which
the deploying role is no member of, and in which it may make nothing, is the platform's.

What the team puts *on* the platform's tables is the team's: policies, triggers that call a function of the team's, and
the tables of a publication.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from safemig.schema.model import Id


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """What one platform is known by, and what it brings. Names ending in `*` stand for all that begin so."""

    name: str
    known_by: frozenset[str]  # roles and schemas, of which one is enough
    schemas: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    publications: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()  # in every database of the platform before the first migration
    application_roles: frozenset[str] = frozenset()  # of the platform, for the team's application
    configuration: tuple[str, ...] = ()  # tables whose rows a team writes as it writes a schema


PLATFORMS = (
    PlatformFacts(
        "Supabase",
        frozenset({"supabase_admin"}),
        # supabase/postgres, migrations/db; the Supabase CLI leaves out the same schemas from `db diff`.
        frozenset({
            "auth", "storage", "realtime", "vault", "extensions", "graphql", "graphql_public", "cron", "net", "pgbouncer",
            "pgtle", "pgmq", "pgsodium*", "supabase_*", "_analytics", "_realtime", "_supavisor",
        }),
        frozenset({
            "supabase_*", "authenticator", "dashboard_user", "pgbouncer", "pgsodium_*", "anon", "authenticated",
            "service_role",
        }),
        frozenset({"supabase_realtime", "supabase_realtime_messages_publication"}),
        frozenset({"pg_graphql", "pg_stat_statements", "pgcrypto", "pgjwt", "pgsodium", "supabase_vault", "uuid-ossp"}),
        frozenset({"anon", "authenticated", "service_role"}),
        ("storage.buckets",),
    ),
    PlatformFacts(
        "Amazon RDS",  # and Aurora
        frozenset({"rdsadmin", "rds_superuser"}),
        frozenset({"rds_tools", "aws_*"}),
        frozenset({"rdsadmin", "rds_*", "rdstopmgr", "rdsrepladmin", "rdswriteforwarduser"}),
    ),
    PlatformFacts(
        "Google Cloud SQL",
        frozenset({"cloudsqlsuperuser", "cloudsqladmin"}),
        frozenset({"google_*"}),
        frozenset({"cloudsql*"}),
    ),
    PlatformFacts(
        "Azure Database for PostgreSQL",
        frozenset({"azure_pg_admin", "azuresu"}),
        frozenset({"azure_sys"}),
        frozenset({"azure_*", "azuresu", "replication"}),
    ),
    PlatformFacts(
        "Neon",
        frozenset({"neon_superuser", "cloud_admin"}),
        frozenset({"neon", "neon_migration", "neon_auth"}),
        frozenset({"neon_superuser", "cloud_admin", "neon_service"}),
        extensions=frozenset({"neon"}),
    ),
    PlatformFacts(
        "Heroku Postgres",
        frozenset({"heroku_ext", "_heroku"}),  # a customer sees no role of the platform's by name
        frozenset({"heroku_ext", "_heroku"}),
        frozenset({"heroku_admin", "herokuadmin"}),
        extensions=frozenset({"pg_stat_statements"}),
    ),
    PlatformFacts(
        "Aiven",
        frozenset({"avnadmin", "aiven_extras"}),
        frozenset({"aiven_extras"}),
        frozenset({"_aiven*", "aiven_*"}),
        extensions=frozenset({"aiven_extras"}),
    ),
    PlatformFacts("DigitalOcean", frozenset({"doadmin", "_doadmin_managed"}), frozenset(), frozenset({"_doadmin*", "_dodb"})),
    PlatformFacts("Crunchy Bridge", frozenset({"crunchy_superuser"}), frozenset(), frozenset({"crunchy_*", "ccp_monitoring"})),
)  # fmt: skip

# Of the platforms' tables, those whose rows are the team's.
TABLES_FOR_THE_TEAM = frozenset({
    "auth.users", "auth.identities", "storage.buckets", "storage.objects", "vault.secrets", "cron.job",
})  # fmt: skip

# Extensions whose rows are configuration, too.
CONFIGURATION_OF_EXTENSIONS = {"pg_cron": "cron.job"}
WHICH_TABLES_EXIST = "SELECT name FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NOT NULL"
# What of such a row is the same wherever the project is; the rest tells of the place (times, owners, numbers).
CONFIGURATION_COLUMNS = {
    "storage.buckets": ("id", "name", "public", "file_size_limit", "allowed_mime_types"),
    "cron.job": ("jobname", "schedule", "command", "active"),
}

# What was found on the original, for its copies: they are read by another role, and lack the original's rights.
SETTING = "safemig.platform"
# Roles and schemas that the reading role cannot reach: it is no member of the role, and may make nothing in the schema.
# A superuser reaches all. The schema public is the team's, anyone who owns it.
WHICH_PLATFORM = f"""
SELECT rolsuper,
  ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_'),
  ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_'),
  ARRAY(SELECT rolname::text FROM pg_roles r WHERE rolname !~ '^pg_' AND NOT pg_has_role(r.oid, 'MEMBER')),
  ARRAY(SELECT nspname::text FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
        AND NOT pg_has_role(n.nspowner, 'MEMBER') AND NOT has_schema_privilege(n.oid, 'CREATE')),
  coalesce(current_setting('{SETTING}', true), '')
FROM pg_roles WHERE rolname = current_user
"""  # noqa: S608 - the name of a setting, a constant

# What a platform's publications and event triggers are told from the team's by.
_OWNED = frozenset({"event trigger", "publication", "foreign data wrapper", "server", "language", "subscription"})
_CALLS = re.compile(r'EXECUTE (?:FUNCTION|PROCEDURE) ("(?:[^"]|"")+"|[^."(]+)\.')


_OF_ROLE = re.compile(r'FOR ROLE ("(?:[^"]|"")+"|[^" ]+) ')


@dataclass(frozen=True, slots=True)
class Platform:
    """What of one database is the platform's. `name` is "" on a server of one's own."""

    name: str = ""
    schemas: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    publications: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    application_roles: frozenset[str] = frozenset()
    reader_is_superuser: bool = True
    foreign: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())  # roles and schemas by ownership alone

    def __bool__(self) -> bool:
        return bool(self.name or self.schemas)

    def brings(self, item: Id, fact: Any, owner: str) -> bool:
        """Tell whether an object is the platform's, and not the team's."""
        kind, schema = item.kind, item.schema
        if kind == "policy":
            return False
        if kind == "trigger":
            return schema in self.schemas and (
                not (called := _CALLS.search(fact.definition)) or _plain(called[1]) in self.schemas
            )
        if kind == "schema":
            return item.name in self.schemas
        if kind == "extension":
            return item.name in self.extensions
        if kind in ("publication table", "publication schema"):
            return fact.schema in self.schemas
        if kind == "publication" and item.name in self.publications:
            return True
        if kind == "default privileges":
            return schema in self.schemas or item.name in self.roles
        if kind == "parameter privileges":
            return bool(self.name) and all(role in self.roles for role, *_ in fact.grants)
        if kind == "member privileges":
            return self._owns_member(fact.target)
        if kind == "event trigger" and _plain(fact.function.rpartition(".")[0]) in self.schemas:
            return True
        if kind in _OWNED:
            return owner in self.roles
        return schema in self.schemas

    def _owns_member(self, target: str) -> bool:
        words = target.split(" ", 2 if target.startswith("FOREIGN") else 1)
        schema, dot, _ = words[-1].split("(")[0].rpartition(".")
        if not dot:  # of pg_catalog, which only a superuser may grant on
            return not self.reader_is_superuser
        return _plain(schema) in self.schemas

    def brings_entry(self, kind: str, schema: str, name: str, text: str) -> bool:
        """Tell the same of an entry of pg_dump's: its type, schema, name and text."""
        if kind == "POLICY":
            return False
        if kind == "TRIGGER":
            return schema in self.schemas and (not (called := _CALLS.search(text)) or _plain(called[1]) in self.schemas)
        if kind == "EVENT TRIGGER" or (kind == "COMMENT" and name.startswith("EVENT TRIGGER ")):
            return bool(self.name) and not self.reader_is_superuser
        if kind in ("EXTENSION", "COMMENT") and name.removeprefix("EXTENSION ") in self.extensions:
            return True
        if kind == "DEFAULT ACL":
            role = _OF_ROLE.search(text)
            return schema in self.schemas or bool(role and _plain(role[1]) in self.roles)
        if kind == "PUBLICATION":
            return name in self.publications
        if kind == "PUBLICATION TABLE":
            return schema in self.schemas
        if schema == "-":
            word, _, named = name.partition(" ")
            return (name if kind == "SCHEMA" else named if word == "SCHEMA" else "") in self.schemas
        return schema in self.schemas

    @property
    def setting(self) -> str:
        """What SETTING says on a copy."""
        roles, schemas = map(sorted, self.foreign)
        return json.dumps([self.name, self.reader_is_superuser, roles, schemas], separators=(",", ":"))


def platform_of(connection: psycopg.Connection[Any]) -> Platform:
    """Return what of a database is its platform's. Reads only."""
    row = connection.execute(WHICH_PLATFORM.encode()).fetchone()
    assert row is not None  # noqa: S101 - a role reads
    return recognise(row)


def recognise(row: tuple[Any, ...]) -> Platform:
    """Return what the answer to WHICH_PLATFORM says."""
    is_superuser, roles, schemas, out_of_reach, closed, of_original = row
    if of_original:
        name, is_superuser, out_of_reach, closed = json.loads(of_original)
        known = next((each for each in PLATFORMS if each.name == name), None)
    else:
        known = next((each for each in PLATFORMS if each.known_by & {*roles, *schemas}), None)
        if is_superuser:
            out_of_reach, closed = [], []
    foreign = (frozenset(out_of_reach), frozenset(closed))
    if known is None:
        return Platform("", foreign[1], foreign[0], reader_is_superuser=is_superuser, foreign=foreign)
    return Platform(
        known.name,
        frozenset(_matching(known.schemas, schemas)) | foreign[1],
        frozenset(_matching(known.roles, roles)) | foreign[0],
        known.publications,
        known.extensions,
        known.application_roles & frozenset(roles),
        is_superuser,
        foreign,
    )


def configuration_in(connection: psycopg.Connection[Any], platform: Platform) -> tuple[str, ...]:
    """Return the tables of a database whose rows are commonly configuration, by its platform and extensions. Reads only."""
    known = next((each.configuration for each in PLATFORMS if each.name == platform.name), ())
    names = [*known, *CONFIGURATION_OF_EXTENSIONS.values()]
    found = connection.execute(WHICH_TABLES_EXIST.encode(), (names,)).fetchall()
    return tuple(name for (name,) in found)


def is_role_of_platform(platform: str, role: str) -> bool:
    """Tell whether the platform of that name makes a role of that name in each of its databases."""
    return any(each.name == platform and _matching(each.roles, [role]) for each in PLATFORMS)


def _matching(patterns: Iterable[str], names: Iterable[str]) -> set[str]:
    whole = {each for each in patterns if not each.endswith("*")}
    prefixes = tuple(each[:-1] for each in patterns if each.endswith("*"))
    return {name for name in names if name in whole or (prefixes and name.startswith(prefixes))}


def _plain(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
