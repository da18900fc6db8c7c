"""restore_prod: a backup restored beside the production database, verified, and swapped in when that is approved."""

from __future__ import annotations

import time
from contextlib import suppress

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig import live
from safemig.errors import BackupError, DeploymentFailedError, RefusedError, ToolError
from safemig.operations.approval import Ask, approve
from safemig.operations.backup_prod import find_backup
from safemig.operations.databases import open_environment
from safemig.operations.plan import identify
from safemig.operations.watching import watched_restore
from safemig.postgres.connect import Connection, connect, read_target, words_of
from safemig.postgres.dump import content_of, read_back
from safemig.postgres.programs import client_programs
from safemig.postgres.tools import run_psql
from safemig.results import Backup, Check, Restored, Target
from safemig.settings import PRODUCTION, Settings

DATABASE_MADE_LIKE = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba) FROM pg_database
WHERE datname = current_database()
"""
SETTINGS_OF_DATABASE = """
SELECT format('ALTER %%s %%I SET %%I TO ', CASE WHEN setrole = 0 THEN 'DATABASE'
              ELSE format('ROLE %%I IN DATABASE', setrole::regrole::text) END, %(new)s::text, split_part(entry, '=', 1))
       -- a list, such as search_path, is kept as it was written; anything else as a bare value (as in pg_dump's dumputils.c)
       || CASE WHEN split_part(entry, '=', 1) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries',
               'shared_preload_libraries', 'local_preload_libraries', 'unix_socket_directories')
          THEN substr(entry, strpos(entry, '=') + 1) ELSE quote_literal(substr(entry, strpos(entry, '=') + 1)) END
FROM pg_db_role_setting s, unnest(setconfig) AS entry
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = %(old)s)
"""
GRANTS_OF_DATABASE = """
SELECT format('GRANT %%s ON DATABASE %%I TO %%s', a.privilege_type, %(new)s::text,
              CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(a.grantee::regrole::text) END)
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = %(old)s AND a.grantee <> d.datdba
"""
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
LONGEST_NAME_BYTES = 63


@live.act("restore_prod")
def restore_prod(
    settings: Settings,
    backup: str = "",
    *,
    environment: str = PRODUCTION,
    swap: bool = False,
    approve: str = "",
    ask: Ask | None = None,
) -> Restored:
    """Restore a backup (a timestamp, a manifest's path, or the latest) into a new database on production's server.

    Guarantee: the production database is not touched, unless `swap` is asked for and approved: then the two change
    names in one transaction, and the former one is kept.

    Raises:
        BackupError: there is no such backup, or it is not whole.
        RefusedError: the restored content is not the backup's, or the swap is not approved.
        ToolError: psql failed.
    """
    started = time.monotonic()
    chosen = find_backup(settings, environment, backup)
    with live.stage("read the backup", chosen.rows):
        is_whole = read_back(chosen.full) == chosen.tables
    if not is_whole:
        raise BackupError(
            "the backup does not hold what its manifest says", where=str(chosen.full.path), next="use another one"
        )
    conninfo = settings.conninfo(environment)
    with open_environment(settings, environment, read_only=False) as connection:
        target = read_target(connection, environment)
        name = _name(target.database, f"_restored_{chosen.timestamp}")
        plan_id = identify(
            {"restore": chosen.full.sha256, "database": target.database, "server": target.system_identifier}
        )
        if approve and approve != plan_id:
            raise RefusedError(
                f"approved was {approve}; this restore is {plan_id}", where=str(chosen.manifest), next="approve that id"
            )
        is_new = _create(connection, name)
        if is_new:
            _take_settings(connection, target.database, name)
    beside = make_conninfo("", **{**conninfo_to_dict(conninfo), "dbname": name})
    try:
        programs = client_programs(target.server_version_num)
        if is_new:
            with live.stage("restore beside", chosen.rows), watched_restore(conninfo, name):
                run_psql(programs, beside, chosen.full.path)
                live.reached(chosen.rows)
        with live.stage("compare with the backup", chosen.rows):
            tables = content_of(beside, programs)
        checks = (_check_content(chosen, tables == chosen.tables),)
    except ToolError:
        if is_new:
            _drop(conninfo, environment, name)
        raise
    if checks[0].state == "failed":
        raise RefusedError(
            "what was restored is not what was backed up" if is_new else "an earlier restore was changed since",
            where=f"database {name}; nothing was swapped",
            next=f'look at it; then DROP DATABASE "{name}" and restore again',
        )
    kept_as = ""
    if swap:
        what = f"The database {target.database} becomes the backup of {chosen.timestamp} (UTC). All sessions end."
        _approve(plan_id, target, approve, what, ask, chosen)
        kept_as = _name(target.database, f"_before_{chosen.timestamp}")
        _swap(conninfo, environment, target.database, name, kept_as)
    return Restored(
        target=target,
        backup=chosen.manifest,
        database=target.database if swap else name,
        kept_as=kept_as,
        tables=tables,
        checks=checks,
        seconds=time.monotonic() - started,
        swapped=swap,
    )


def _approve(plan_id: str, target: Target, given: str, what: str, ask: Ask | None, backup: Backup) -> None:
    approve(plan_id, target, given, what, verb=f"restore-prod {backup.timestamp} --swap", ask=ask)


def _check_content(backup: Backup, is_equal: bool) -> Check:
    found = f"{backup.rows:,} rows in {len(backup.tables)} tables, every hash as in the manifest"
    return Check("content", "ok" if is_equal else "failed", found if is_equal else "other rows", "what was backed up")


def _create(connection: Connection, name: str) -> bool:
    """Make the database for the restore; False where an earlier restore of this backup stands there already."""
    row = connection.execute(DATABASE_MADE_LIKE).fetchone()
    assert row is not None  # noqa: S101 - we are connected to it
    encoding, collate, ctype, owner = row
    try:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} OWNER {}").format(
                sql.Identifier(name),
                sql.Literal(encoding),
                sql.Literal(collate),
                sql.Literal(ctype),
                sql.Identifier(owner),
            )
        )
    except psycopg.errors.DuplicateDatabase:
        return False
    except psycopg.Error as error:
        raise RefusedError(
            f"the database for the restore cannot be made: {words_of(error)}",
            where=name,
            next="the role needs CREATEDB",
        ) from None
    return True


def _take_settings(connection: Connection, old: str, new: str) -> None:
    # A dump of one database holds neither its settings nor the grants on the database itself.
    for question in (SETTINGS_OF_DATABASE, GRANTS_OF_DATABASE):
        for (statement,) in connection.execute(question, {"old": old, "new": new}).fetchall():
            connection.execute(statement.encode())


def _drop(conninfo: str, environment: str, name: str) -> None:
    with suppress(psycopg.Error):
        connection = connect(conninfo, environment)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.close()


def _swap(conninfo: str, environment: str, current: str, restored: str, kept_as: str) -> None:
    """Exchange the names of two databases, all or nothing; sessions on the current one are ended."""
    elsewhere = make_conninfo(
        "", **{**conninfo_to_dict(conninfo), "dbname": "postgres" if current != "postgres" else "template1"}
    )
    connection = connect(elsewhere, environment)
    try:
        for attempt in range(5):
            try:
                # Nobody may come back between the ending of sessions and the renaming.
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(current)))
                connection.execute(END_SESSIONS, (current,))
                connection.execute(END_SESSIONS, (restored,))
                time.sleep(0.1 * (attempt + 1))
                with connection.transaction():
                    for old, new in ((current, kept_as), (restored, current)):
                        connection.execute(
                            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
                        )
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(kept_as)))
                return
            except psycopg.errors.ObjectInUse as error:
                last = error
        raise last
    except psycopg.Error as error:
        with suppress(psycopg.Error):
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(current)))
        raise DeploymentFailedError(
            f"the swap failed: {words_of(error)}",
            where=f"{current} is as it was; the restored one is {restored}",
            next="end the sessions that hold it, then restore again with swap",
        ) from None
    finally:
        connection.close()


def _name(database: str, suffix: str) -> str:
    room = LONGEST_NAME_BYTES - len(suffix.encode())
    return database.encode()[:room].decode(errors="ignore") + suffix
