"""Connection URLs as dashboards and other clients hand them out, made into what libpq accepts. Pure: nothing is connected to.

Prisma, JDBC, asyncpg and others write parameters of their own into the URL; libpq refuses the whole URL for one.
"""

from __future__ import annotations

import re

from safemig.errors import SettingsError

# By the clients' own documentation; nothing that libpq knows, and nothing that could be a misspelt one of libpq's.
PARAMETERS_OF_OTHERS = frozenset({
    # Prisma, and Supabase's dashboard
    "pgbouncer", "connection_limit", "pool_timeout", "schema", "sslaccept", "sslidentity", "socket_timeout",
    "statement_cache_size", "supa", "workaround",
    # JDBC and R2DBC
    "currentSchema", "prepareThreshold", "preparedStatementCacheQueries", "preparedStatementCacheSizeMiB",
    "reWriteBatchedInserts", "binaryTransfer", "stringtype", "loginTimeout", "connectTimeout", "socketTimeout",
    "ApplicationName", "assumeMinServerVersion", "tcpKeepAlive",
    # asyncpg, SQLAlchemy, psycopg's pool
    "prepared_statement_cache_size", "prepared_statement_name_func", "command_timeout", "server_settings", "max_size", "min_size",
    # node-postgres, Go (pgx, lib/pq), Rust (sqlx), Ruby, Ecto
    "uselibpqcompat", "pool_mode", "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
    "pool_health_check_period", "default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity",
    "statement-cache-capacity", "binary_parameters", "pool", "pool_size", "prepared_statements", "prepare", "reconnect",
})  # fmt: skip
_SCHEME = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_PORT = re.compile(r"[^/?#@]*:\d*\Z")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODE = """python3 -c "import getpass, urllib.parse; print(urllib.parse.quote(getpass.getpass(), safe=''))\""""


def readable(url: str, name: str, source: str) -> str:
    """Return what libpq accepts of a URL: without parameters of other clients. Any other text is returned as it is.

    Raises:
        SettingsError: its password is not percent-encoded; nothing of it is shown. `source` says where it was written.
    """
    if not _SCHEME.match(url):
        return url
    if _is_unescaped(url):
        raise SettingsError(
            f"the password in the URL of {name} has a character that must be percent-encoded",
            where=f"{source} (not shown)",
            next=f"write @ as %40, / as %2F, ? as %3F, % as %25; this asks for it, and prints it encoded: {_ENCODE}",
        )
    base, question, query = url.partition("?")
    if not question:
        return url
    kept = [each for each in query.split("&") if each.partition("=")[0] not in PARAMETERS_OF_OTHERS]
    return f"{base}?{'&'.join(kept)}" if kept else base


def ignored_in(url: str) -> tuple[str, ...]:
    """Return the names of the parameters that `readable` leaves out of a URL."""
    if not _SCHEME.match(url):
        return ()
    names = [each.partition("=")[0] for each in url.partition("?")[2].split("&")]
    return tuple(name for name in names if name in PARAMETERS_OF_OTHERS)


def _is_unescaped(url: str) -> bool:
    rest = url[url.index("://") + 3 :]
    before, question, query = rest.partition("?")
    if (
        question
        and "@" in query
        and "@" not in before
        and ":" in before
        and not _PORT.match(before)
        and "/" not in before
    ):
        return True  # the password holds a question mark
    user, at, _ = before.rpartition("@")
    password = user.partition(":")[2]
    return bool(at and password and (set(password) & set("@/") or _BAD_PERCENT.search(password)))
