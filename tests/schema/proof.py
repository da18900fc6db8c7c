"""The proof of one pair of schemas: there by our script, judged by pg_dump, and back again."""

from __future__ import annotations

import itertools
import os
import subprocess
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import Schema, SchemaDiff, compare
from safemig.schema.dumps import differences

_numbers = itertools.count(os.getpid() * 1000)
Way = Literal["sql", "online", "safe"]


@dataclass(frozen=True)
class Pair:
    """Two schemas. `common` is loaded into both; `since` is the first PostgreSQL that knows what is in them."""

    name: str
    base: str
    target: str
    common: str = ""
    since: int = 13
    destructive: bool | None = None  # whether the way there must say that something is lost; None: not asked
    ownership: bool = False
    back: bool = True  # whether there is a way back that loses nothing


class UnavailableHere(Exception):
    """This build of PostgreSQL lacks what the pair is about."""


def load(url: str, *scripts: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for script in scripts:
            if script.strip():
                connection.execute(script.encode())


def read(url: str, ownership: bool = False) -> Schema:
    with psycopg.connect(url, autocommit=True) as connection:
        return read_schema(connection, SchemaFilter(ownership=ownership))


def dump(server: ThrowawayServer, url: str, *, owners: bool = False) -> str:
    """Return what pg_dump says of a database's schema."""
    command = [str(server.programs.path("pg_dump")), "--schema-only", *(() if owners else ("--no-owner",)), url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def identities(url: str) -> dict[str, object]:
    """Which table is which, and which column: what a script must not change unsaid."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT n.nspname, c.relname, c.oid::int8, a.attname, a.attnum FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
            " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchall()
    return {f"{schema}.{table}.{column}": (oid, number) for schema, table, oid, column, number in rows}


def prove_in_transaction(connection: psycopg.Connection[Any], pair: Pair) -> list[str]:
    """The quick proof: nothing is committed, the engine's own reading is the judge, there and back again.

    The connection serves one proof after the other: what it has learned of the catalogs makes the next ones faster.
    """
    schemas = SchemaFilter(ownership=pair.ownership)
    try:
        connection.execute(f"{pair.common}; {pair.target}".encode())
        target = read_schema(connection, schemas)
        connection.rollback()
        connection.execute(f"{pair.common}; {pair.base}".encode())
        base = here = read_schema(connection, schemas)
        there = compare(base, target)
        if pair.destructive not in (None, any(statement.destructive for statement in there.statements)):
            return [f"destructive is not {pair.destructive}:\n{there.sql}"]
        for way, wanted in (("there", target), ("back", base)):
            script = compare(here, wanted)
            try:
                connection.execute(script.sql.encode() or b"SELECT")
            except psycopg.Error as error:
                return [f"{way} does not apply: {error}\n{script.sql}"]
            here = read_schema(connection, schemas)
            rest = compare(here, wanted)
            if not rest.is_empty or here.fingerprint != wanted.fingerprint:
                return [f"{way} does not arrive:\n{script.sql}\nleft:\n{rest.sql}\n{rest.changes}"]
            if not pair.back:
                break
    except psycopg.errors.FeatureNotSupported as error:
        raise UnavailableHere(str(error)) from error
    finally:
        connection.rollback()
    return []


def prove(server: ThrowawayServer, pair: Pair, *, way: Way = "sql") -> list[str]:
    """Return what is wrong with the way from base to target and back; nothing when it is right.

    way: `sql` the complete script in one transaction; `online` its segments; `safe` first the script that loses
    nothing, which must run as it is, then what is left.
    """
    number = next(_numbers)
    names = [f"proof_{number}_base", f"proof_{number}_target"]
    try:
        base_url, target_url = (server.create_database(name) for name in names)
        try:
            load(base_url, pair.common, pair.base)
            load(target_url, pair.common, pair.target)
        except psycopg.errors.FeatureNotSupported as error:
            raise UnavailableHere(str(error)) from error
        return _prove(server, pair, base_url, target_url, way)
    finally:
        for name in names:
            _drop_subscriptions(server.url(name))
            server.drop_database(name)


def _drop_subscriptions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        names = "SELECT quote_ident(subname) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        for (name,) in connection.execute(names).fetchall():
            for words in ("DISABLE", "SET (slot_name = NONE)"):
                connection.execute(f"ALTER SUBSCRIPTION {name} {words}".encode())
            connection.execute(f"DROP SUBSCRIPTION {name}".encode())


def _prove(server: ThrowawayServer, pair: Pair, base_url: str, target_url: str, way: Way) -> list[str]:
    base, target = read(base_url, pair.ownership), read(target_url, pair.ownership)
    there = compare(base, target)
    if pair.destructive is not None:
        losing = any(statement.destructive for statement in there.statements)
        if losing != pair.destructive:
            return [f"destructive is {losing}:\n{there.sql}"]
    if way == "safe":
        problems = _apply_text(base_url, there.safe_sql)
        if problems:
            return problems
        there = compare(read(base_url, pair.ownership), target)
    dump_base = dump(server, base_url, owners=pair.ownership) if way == "sql" else None
    dump_target = dump(server, target_url, owners=pair.ownership)
    before = identities(base_url)
    problems = _apply(base_url, there, way)
    if problems:
        return problems
    after = identities(base_url)
    problems += _silent(before, after, there)
    problems += _compare(server, base_url, target, dump_target, pair, f"there:\n{_script(there, way)}")
    if problems:
        return problems
    back = compare(read(base_url, pair.ownership), base)
    problems = _apply(base_url, back, way)
    if problems:
        return [f"back: {problem}" for problem in problems]
    return (
        []
        if dump_base is None or not pair.back
        else _compare(server, base_url, base, dump_base, pair, f"back:\n{_script(back, way)}")
    )


def _script(diff: SchemaDiff, way: Way) -> str:
    return diff.render(destructive=True, online=way == "online")


def _apply(url: str, diff: SchemaDiff, way: Way) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            if way == "online":
                for _, statements in diff.segments:
                    for statement in statements:
                        connection.execute(statement.sql.encode())
            elif not diff.is_empty:
                connection.execute(diff.sql.encode())  # one simple query: one transaction
        except psycopg.Error as error:
            return [f"does not apply: {error}\n{_script(diff, way)}"]
    return []


def _apply_text(url: str, text: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(text.encode())
        except psycopg.Error as error:
            return [f"does not apply: {error}\n{text}"]
    return []


def _silent(before: dict[str, object], after: dict[str, object], diff: SchemaDiff) -> list[str]:
    losing = " ".join(" ".join(statement.objects) for statement in diff.statements if statement.destructive)
    return [
        f"recreated without saying so: {name}"
        for name in before
        if name in after and before[name] != after[name] and name.replace('"', "") not in losing.replace('"', "")
    ]


def _compare(server: ThrowawayServer, url: str, wanted: Schema, wanted_dump: str, pair: Pair, what: str) -> list[str]:
    found = []
    now = read(url, pair.ownership)
    rest = compare(now, wanted)
    if not rest.is_empty:
        found.append(f"a second comparison is not empty ({what}):\n{rest.sql}\n{rest.changes}")
    elif now.fingerprint != wanted.fingerprint:
        found.append(f"the fingerprint differs ({what})")
    left = [
        line
        for line in differences(dump(server, url, owners=pair.ownership), wanted_dump)
        if not line.startswith("in another order")
    ]
    return found + ([f"pg_dump differs ({what}):\n" + "\n".join(left)] if left else [])
