"""The settings of a session: the same for every session and program of ours, whatever server, database or role set.

What a value looks like, what a dump holds, whether a statement may run at all: a role's or database's own settings
decide it otherwise, and then two readings of the same rows differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Limits set for the role or the database are for the application; ours are set where we change something.
_LIMITS = {
    "statement_timeout": 0,
    "lock_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "idle_session_timeout": 140000,  # each with the server's version that it came with
    "transaction_timeout": 170000,
}
PINNED: Mapping[str, str] = MappingProxyType(
    {
        # how values look, and how text is read
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "extra_float_digits": "3",
        "bytea_output": "hex",
        "lc_monetary": "C",
        "array_nulls": "on",
        "xmlbinary": "base64",
        "xmloption": "content",
        # how statements are read, and definitions written
        "standard_conforming_strings": "on",
        "backslash_quote": "safe_encoding",
        "transform_null_equals": "off",
        "quote_all_identifiers": "off",
        # what may run, and how it ends: no row hidden silently, no COMMIT that a crash takes back
        "row_security": "off",
        "default_transaction_read_only": "off",
        "default_transaction_isolation": "read committed",
        "default_transaction_deferrable": "off",
        "exit_on_error": "off",
        "check_function_bodies": "on",
        "client_min_messages": "notice",
    }
)
# Only a superuser may set them; others have the server's, which only the server's administrator can change.
_OF_SUPERUSERS = {"lc_messages": "C", "session_replication_role": "origin"}
# Came with a minor version: named only where the server knows it.
_WHERE_KNOWN = {"restrict_nonsystem_relation_kind": ""}
# Sent by libpq as parameters of their own, which poolers take that refuse options.
_BY_ENVIRONMENT = {"PGTZ": "TimeZone", "PGDATESTYLE": "DateStyle"}

# The role's own path, but PostgreSQL's own names first: nothing of the application's is called by our questions.
_CATALOG_FIRST = """
pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog',
    CASE WHEN pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.<>) ''
         THEN pg_catalog.current_setting('search_path') END), false)"""
_SAFE_COMMIT = """
pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit')
    WHEN 'off' THEN 'local' ELSE pg_catalog.current_setting('synchronous_commit') END, false)"""
_IF_SUPERUSER = """
CASE WHEN pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
     THEN pg_catalog.set_config('{name}', '{value}', false) END"""
_IF_KNOWN = """
CASE WHEN pg_catalog.current_setting('{name}', true) IS NOT NULL THEN pg_catalog.set_config('{name}', '{value}', false) END"""


def of_version(server_version_num: int) -> dict[str, str]:
    """Return the settings that any role may set on a server of that version, the limits first."""
    return {name: "0" for name, since in _LIMITS.items() if server_version_num >= since} | dict(PINNED)


def as_statement(server_version_num: int, *, own_search_path: bool = False) -> str:
    """Return the one SELECT that pins a session's settings, to be run after connecting. Changes nothing else.

    `own_search_path` leaves the role's own as it is, for a session that runs the project's statements.
    """
    parts = [
        f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in of_version(server_version_num).items()
    ]
    parts += [_IF_KNOWN.format(name=name, value=value) for name, value in _WHERE_KNOWN.items()]
    parts += [_IF_SUPERUSER.format(name=name, value=value) for name, value in _OF_SUPERUSERS.items()]
    parts += [_SAFE_COMMIT] + ([] if own_search_path else [_CATALOG_FIRST])
    return "SELECT " + ", ".join(parts)


def as_script(server_version_num: int) -> str:
    """Return the settings as SET statements, for a program that runs SQL; its search path is the role's own."""
    return " ".join(f"SET {name} = '{value}';" for name, value in of_version(server_version_num).items())


def as_options(server_version_num: int) -> str:
    """Return the settings as options of the connection (libpq's `options`), for a program that opens it itself."""
    settings = of_version(server_version_num) | {"client_min_messages": "warning"}  # what it says is an error then
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def as_environment() -> dict[str, str]:
    """Return variables of libpq that set what they can, also where a pooler refuses options; and plain messages."""
    return {variable: PINNED[name] for variable, name in _BY_ENVIRONMENT.items()} | {"LC_ALL": "C"}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
