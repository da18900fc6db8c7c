"""What a dump of one database leaves out: roles, tablespaces, settings of the database and of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safemig.postgres.connection import Connection
from safemig.postgres.dump.backup_files import write_whole
from safemig.postgres.dump.tools import piped
from safemig.postgres.server.programs import Programs
from safemig.results import BackupFile
from safemig.secrets import hide

SETTINGS_OF_DATABASE = """
SELECT format('ALTER %%s %%I SET %%I TO ', CASE WHEN setrole = 0 THEN 'DATABASE'
              ELSE format('ROLE %%s IN DATABASE', setrole::regrole) END, %(new)s::text, split_part(entry, '=', 1))
       -- a list, such as search_path, is kept as it was written; anything else as a bare value (as in pg_dump's dumputils.c)
       || CASE WHEN split_part(entry, '=', 1) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries',
               'shared_preload_libraries', 'local_preload_libraries', 'unix_socket_directories')
          THEN substr(entry, strpos(entry, '=') + 1) ELSE quote_literal(substr(entry, strpos(entry, '=') + 1)) END
FROM pg_db_role_setting s, unnest(setconfig) AS entry
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = %(old)s)
"""
# Where any privilege was ever granted or revoked, what a new database gives by itself (CONNECT to PUBLIC) goes first.
GRANTS_OF_DATABASE = """
SELECT statement FROM (
  SELECT 1 AS place, format('REVOKE ALL ON DATABASE %%I FROM PUBLIC, %%s', %(new)s::text, d.datdba::regrole) AS statement
  FROM pg_database d WHERE d.datname = %(old)s AND d.datacl IS NOT NULL
  UNION ALL SELECT 2, format('GRANT %%s ON DATABASE %%I TO %%s%%s', a.privilege_type, %(new)s::text,
      CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_database d, aclexplode(d.datacl) a
  WHERE d.datname = %(old)s AND (a.grantee = 0 OR a.grantee IN (SELECT oid FROM pg_roles))) found
ORDER BY place, statement
"""
# What was set for this server; where a standby connects to is no part of it, and may hold a password.
SETTINGS_OF_SERVER = """
SELECT name, setting, coalesce(unit, ''), source FROM pg_settings
WHERE source IN ('configuration file', 'command line', 'environment variable', 'override', 'global')
  AND name NOT IN ('primary_conninfo', 'ssl_passphrase_command', 'restore_command', 'archive_command') ORDER BY 1
"""


def settings_and_grants(connection: Connection, database: str, new_name: str = "") -> list[str]:
    """Return the statements that give the database `new_name` the settings of `database`, and the grants on itself."""
    names = {"old": database, "new": new_name or database}
    return [
        statement
        for question in (SETTINGS_OF_DATABASE, GRANTS_OF_DATABASE)
        for (statement,) in connection.execute(question, names).fetchall()
    ]


def write_cluster(connection: Connection, conninfo: str, programs: Programs, path: Path) -> BackupFile:
    """Write roles (without passwords), tablespaces, and settings of database and server into `path`, as SQL.

    The server's own settings are comments: they belong into a configuration file.

    Raises:
        BackupError: no room or no right to write.
        ToolError: pg_dumpall is missing or failed.
    """

    def pieces() -> Iterator[bytes]:
        with piped(programs, "pg_dumpall", conninfo, "--globals-only", "--no-role-passwords") as process:
            yield process.stdout.read() if process.stdout else b""
        yield f"-- The database {connection.info.dbname}: its settings, and the grants on itself\n".encode()
        for statement in settings_and_grants(connection, connection.info.dbname):
            yield f"{hide(statement)};\n".encode()
        yield b"-- The server: what its configuration sets\n"
        for name, setting, unit, source in connection.execute(SETTINGS_OF_SERVER.encode()).fetchall():
            value = " ".join(hide(f"{name} = '{setting}{unit and f' {unit}'}'").split())
            yield f"-- {value}  ({source})\n".encode()

    return write_whole(path, pieces())
