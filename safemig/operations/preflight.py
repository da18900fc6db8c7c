"""The checks before a deployment: one table, always all rows, nothing touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg

from safemig import live
from safemig.copies.drift import Drift, is_as_files_make_it
from safemig.errors import BackupError, MigrationError, SafemigError, UnfitDatabaseError, UnreachableError
from safemig.execution import journal
from safemig.execution.environment import is_unrecorded, open_environment, standing_of
from safemig.execution.steps import plan_files
from safemig.operations import staging_first as staging
from safemig.operations.backup_prod import COPY_SHARE, share_of_backup
from safemig.postgres import activity, resumable
from safemig.postgres.activity import ask
from safemig.postgres.connection import Connection, poolers
from safemig.postgres.connection.connect import OLDEST_SERVER, is_pooled, words_of
from safemig.postgres.own_rights import may_take
from safemig.postgres.server.programs import client_programs, require_tls, server_programs
from safemig.postgres.stand_in.needs import needs_of
from safemig.postgres.unreadable import platform_tables_left_out
from safemig.results import Check, CheckState, Preflight
from safemig.settings import PRODUCTION, Settings, command_on
from safemig.sql import parse

LONG_TRANSACTION_S = 60
CLOCKS_APART_S = 5
REPLICA_LAG_S = 30
REPLICA_BEHIND_BYTES = 64 << 20
_NEWEST_BUT_UNTRIED = 190000
_FOR_OWNERS = (
    "ALTER", "DROP", "CREATE INDEX", "CREATE UNIQUE INDEX", "CREATE POLICY", "CREATE RULE", "CREATE STATISTICS", "COMMENT", "REINDEX",
    "CLUSTER",
)  # fmt: skip


@live.act("preflight")
def preflight(
    settings: Settings,
    environment: str = PRODUCTION,
    *,
    found_out: dict[str, str] | None = None,
    by_command: bool = False,
) -> Preflight:
    """Check everything that a deployment needs. Reads only; raises nothing for a check that says no.

    Into `found_out` goes what all files make, where the check for drift had to run them (see `Drift.with_pending`).
    `by_command` leaves out what only migration files tell: where another tool's program migrates, there are none.

    Raises:
        SettingsError: there is no such environment.
        UnfitDatabaseError: its server is too old for any of the checks.
    """
    try:
        with live.stage(f"ask {environment} and this machine"), open_environment(settings, environment) as connection:
            version = connection.info.server_version
            found = f"PostgreSQL {version // 10000}.{version % 10000} at {connection.info.host or 'local socket'}"
            if ignored := settings.environment(environment).ignored:
                found += f"; ignored in its URL, of other clients: {', '.join(ignored)}"
            checks = [Check("reachable", "ok", found, "an answer")]
            for name, check in _CHECKS:
                if by_command and name in _OF_FILES:
                    continue
                question = check
                if check is _drift:
                    question = partial(_drift, found_out=found_out)
                elif check is _history:
                    question = partial(_history, environment=environment)
                checks.append(_answered(name, question, settings, connection))
            earlier = partial(_earlier_runs, environment)
            checks.append(_answered("earlier runs", earlier, settings, connection))
            if by_command:
                return Preflight(environment, tuple(checks))
            checks.append(_answered(staging.NAME, partial(staging.staging_first, environment), settings, connection))
    except UnfitDatabaseError:
        raise
    except UnreachableError as error:
        checks = [Check("reachable", "failed", error.where or error.what, "an answer", error.next or "")]
        checks += [
            Check(name, "not done", "not reachable")
            for name in (*(name for name, _ in _CHECKS), "earlier runs", staging.NAME)
        ]
    return Preflight(environment, tuple(checks))


def unready(settings: Settings, connection: Connection) -> tuple[Check, ...]:
    """Return, of what each member of a fleet is asked for by itself, the checks that do not say yes. Reads only."""
    found = [_answered(name, check, settings, connection) for name, check in _CHECKS if name in _OF_EACH_MEMBER]
    return tuple(each for each in found if each.state != "ok")


# The others are made once for a cohort, on the member that it is rehearsed on.
_OF_EACH_MEMBER = ("primary", "writable", "direct connection", "rights", "replicas")
_OF_FILES = ("history", "drift")
_Question = Callable[[Settings, Connection], Check]


def _answered(name: str, question: _Question, settings: Settings, connection: Connection) -> Check:
    try:
        return question(settings, connection)
    except SafemigError as error:
        where = f" ({error.where})" if error.where else ""
        return Check(name, "failed", f"{error.what}{where}", fix=error.next or "")
    except psycopg.Error as error:  # mostly: permission denied
        return Check(name, "failed", words_of(error), fix="deploy as the owner of the database")


def _earlier_runs(environment: str, settings: Settings, connection: Connection) -> Check:
    runs = journal.unended(journal.path_of(settings, environment), connection)
    words = [run.words for run in runs]
    fix = "a deployment settles them"
    if left := resumable.stopped(connection):
        words += [f"deployment {run_id} stopped part-way" for run_id in left]
        fix = command_on(environment, "migrate-prod", f"--resume {left[0]}")
    if words:
        return Check("earlier runs", "warning", "; ".join(words), "all ended", fix)
    return Check("earlier runs", "ok", "all ended", "all ended")


def _primary(_: Settings, connection: Connection) -> Check:
    ((standby, read_only),) = ask(connection, activity.IS_STANDBY_OR_READ_ONLY)
    del read_only  # our own reading connection sets it
    if standby:
        return Check("primary", "failed", "a standby (in recovery)", "the primary", "connect to the primary")
    return Check("primary", "ok", "not in recovery", "the primary")


def _writable(_: Settings, connection: Connection) -> Check:
    ((source,),) = ask(
        connection,
        "SELECT coalesce((SELECT string_agg(unnest, ' ') FROM pg_db_role_setting s, unnest(setconfig) "
        "WHERE unnest LIKE 'default_transaction_read_only=on' "
        "AND (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())) "
        "AND (setrole = 0 OR setrole = (SELECT oid FROM pg_roles WHERE rolname = current_user))), '')",
    )
    if source:
        return Check(
            "writable", "failed", "read-only by a setting of role or database", "read-write", f"RESET {source}"
        )
    return Check("writable", "ok", "read-write", "read-write")


def _direct(_: Settings, connection: Connection) -> Check:
    if is_pooled(connection):
        return Check(
            "direct connection", "failed", "a transaction pooler is in between", "a connection of our own",
            f"connect to {poolers.instead(connection)}",
        )  # fmt: skip
    through = "a pooler in session mode" if poolers.mode_of(connection) == "session" else "the server itself"
    return Check("direct connection", "ok", through, "no transaction pooler")


def _clients(_: Settings, connection: Connection) -> Check:
    major = connection.info.server_version // 10000
    programs = client_programs(connection.info.server_version)
    if connection.pgconn.ssl_in_use:
        require_tls(programs, "pg_dump")
    state: CheckState = "ok" if programs.major == major else "warning"
    fix = "" if state == "ok" else f"install postgresql-client-{major}: dumps of a newer one may need its own psql"
    return Check("pg_dump and psql", state, f"{programs.version} in {programs.folder}", f"PostgreSQL {major}", fix)


def _throwaway(_: Settings, connection: Connection) -> Check:
    major = connection.info.server_version // 10000
    programs = server_programs(major)
    state: CheckState = "ok" if programs.major == major else "warning"
    fix = "" if state == "ok" else f"install postgresql-{major}, so that the rehearsal runs on production's version"
    return Check("server for the copy", state, f"{programs.version} in {programs.folder}", f"PostgreSQL {major}", fix)


def _rights(settings: Settings, connection: Connection) -> Check:
    ((is_super, role),) = ask(connection, activity.RIGHTS)
    needed = "owner of what is touched, able to read everything"
    allowed = may_take(connection, settings.deploy_as) if settings.deploy_as else True
    if not allowed:
        return Check(
            "rights", "failed",
            f"deploy_as = {settings.deploy_as}: " + ("no such role" if allowed is None else f"{role} may not SET ROLE to it"),
            needed, f'GRANT "{settings.deploy_as}" TO "{role}", or correct deploy_as',
        )  # fmt: skip
    if is_super:
        return Check("rights", "ok", f"{role} is superuser", needed)
    problems = []
    ((secured,),) = ask(connection, activity.TABLES_WITH_ROW_SECURITY)
    if secured:
        problems.append(f"row security on {secured} tables hides rows from {role}")
    if others := [
        name
        for (name,) in ask(
            connection, activity.RELATIONS_OF_OTHERS, _to_be_owned(settings, connection), settings.deploy_as
        )
    ]:
        problems.append(f"not owned: {_shortened(others)}")
    try:
        platform_tables_left_out(connection)
    except BackupError as error:
        problems.append(error.what)
        if error.next and not secured:
            return Check("rights", "failed", "; ".join(problems), needed, error.next)
    if problems:
        return Check(
            "rights", "failed", "; ".join(problems), needed,
            "deploy as the owner with BYPASSRLS, or as a superuser",
        )  # fmt: skip
    return Check("rights", "ok", f"{role} owns what is touched and reads everything", needed)


def _to_be_owned(settings: Settings, connection: Connection) -> list[str]:
    """Return the names, without their schemas, of the relations that only their owner may change so, as is pending.

    A table that a foreign key refers to, or that is only written to, need not be ours.
    """
    try:
        files = plan_files(standing_of(settings, connection).pending)
    except (MigrationError, psycopg.Error):  # which the row of the history tells
        return []
    statements = [parse(step.sql)[0] for file in files for step in file.steps if step.kind.startswith(_FOR_OWNERS)]
    names = [each.tables if each.kind.startswith("DROP") else each.tables[:1] for each in statements]
    return [name.rpartition(".")[2] for each in names for name in each]


def _transactions(_: Settings, connection: Connection) -> Check:
    long = ask(connection, activity.LONG_TRANSACTIONS, LONG_TRANSACTION_S)
    needed = f"none older than {LONG_TRANSACTION_S} s"
    if long:
        pid, user, state, age = long[0]
        found = f"{len(long)}; the oldest: pid {pid}, {user}, {state}, {age:,} s"
        return Check(
            "long transactions", "warning", found, needed, f"SELECT pg_terminate_backend({pid}), if it may end"
        )
    return Check("long transactions", "ok", "none", needed)


def _prepared(_: Settings, connection: Connection) -> Check:
    rows = ask(connection, activity.PREPARED_TRANSACTIONS)
    if rows:
        gid = rows[0][0]
        return Check(
            "prepared transactions", "warning", f"{len(rows)}, such as {gid}", "none", f"ROLLBACK PREPARED '{gid}'"
        )
    return Check("prepared transactions", "ok", "none", "none")


def _blocking(_: Settings, connection: Connection) -> Check:
    rows = ask(connection, activity.WHO_WAITS_FOR_WHOM)
    if rows:
        pid, blockers, user = rows[0]
        found = f"pid {pid} ({user}) waits for {', '.join(map(str, blockers))}" + (
            f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        )
        return Check("sessions waiting for locks", "warning", found, "none", "wait, or end the blocking session")
    return Check("sessions waiting for locks", "ok", "none", "none")


def _replicas(_: Settings, connection: Connection) -> Check:
    rows = ask(connection, activity.REPLICAS)
    needed = f"at most {REPLICA_LAG_S} s and {REPLICA_BEHIND_BYTES >> 20} MiB behind"
    if any(lag > REPLICA_LAG_S or behind > REPLICA_BEHIND_BYTES for _, lag, behind in rows):
        found = ", ".join(f"{name}: {lag:,} s, {behind / 2**20:,.0f} MiB behind" for name, lag, behind in rows)
        return Check("replicas", "warning", found, needed, "wait until they have caught up")
    if slots := [name for (name,) in ask(connection, activity.SLOTS_WITHOUT_REPLICA)]:
        found = f"no client reads from replication slot {_shortened(slots)}"
        return Check(
            "replicas", "warning", found, needed, "start that replica again, or the WAL of a rewrite stays here"
        )
    return Check("replicas", "ok", f"{len(rows)} connected" if rows else "none", needed)


def _indexes(_: Settings, connection: Connection) -> Check:
    names = [name for (name,) in ask(connection, activity.INVALID_INDEXES)]
    if names:
        return Check(
            "invalid indexes", "warning", _shortened(names), "none",
            f"DROP INDEX CONCURRENTLY {names[0]}; IF NOT EXISTS would take it for a good one",
        )  # fmt: skip
    return Check("invalid indexes", "ok", "none", "none")


# What is written where, as shares of the database's size: a copy restored, with its indexes, and to spare.
_PLACES = (("backup", 0.0), ("copy", COPY_SHARE), ("records", 0.0))
_RECORDS_BYTES = 64 << 20


def _room(place: str) -> _Question:
    """Return the check of the disk of one place; where places share a disk, it must hold what all of them need."""

    def check(settings: Settings, connection: Connection) -> Check:
        size = activity.sizes_of(connection).size_bytes
        folders = {
            "backup": _existing(settings.path("backups")),
            "copy": Path(tempfile.gettempdir()),
            "records": _existing(settings.path("records")),
        }
        folder = folders[place]
        device = folder.stat().st_dev
        shares = {**dict(_PLACES), "backup": share_of_backup(connection)}
        needed = sum(
            int(size * share) or _RECORDS_BYTES
            for each, share in shares.items()
            if folders[each].stat().st_dev == device
        )
        free = shutil.disk_usage(folder).free
        name, found = f"disk for {place}", f"{_gib(free)} free at {folder}"
        wanted = f"{_gib(needed)} for all that goes to that disk"
        if free < needed:
            fix = {"copy": "TMPDIR", "backup": "backups", "records": "records"}[place]
            return Check(name, "failed", found, wanted, f"free disk space, or set {fix} to a folder on a larger disk")
        if not os.access(folder, os.W_OK | os.X_OK):
            return Check(name, "failed", f"{folder} cannot be written", wanted, "correct its permissions")
        return Check(name, "ok", found, wanted)

    return check


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB"


def _version(_: Settings, connection: Connection) -> Check:
    version = connection.info.server_version
    found, needed = f"PostgreSQL {version // 10000}.{version % 10000}", f"{OLDEST_SERVER // 10000} or later"
    if version < _NEWEST_BUT_UNTRIED:
        return Check("server version", "ok", found, needed)
    return Check(
        "server version", "warning", found, needed, "newer than the versions safemig is tested with: rehearse with data"
    )


def _extensions(settings: Settings, connection: Connection) -> Check:
    wanted = ", ".join(name for (name,) in ask(connection, activity.EXTENSIONS)) or "none"
    if settings.scratch:
        return Check("extensions", "ok", wanted, "each on the scratch server; checked when it is opened")
    needs = needs_of(connection)
    needed = f"each available on PostgreSQL {needs.programs.version}, the rehearsal's"
    if needs.exceptions:
        named = "; ".join(needs.exceptions[:3]) + (
            f" and {len(needs.exceptions) - 3} more" if len(needs.exceptions) > 3 else ""
        )
        fix = "install it for that server, or name one that has it in [scratch]; or deploy: the rehearsal names what it did not show"
        return Check("extensions", "warning", f"not rehearsed: {named}", needed, fix)
    return Check("extensions", "ok", wanted, needed)


def _history(settings: Settings, connection: Connection, *, environment: str = PRODUCTION) -> Check:
    standing = standing_of(settings, connection)
    standing.require_consistent("the database")
    plan_files(standing.pending)
    found = f"{len(standing.applied)} applied, {len(standing.pending)} pending"
    if is_unrecorded(settings, connection, standing):
        return Check(
            "history", "warning", f"{found}, and the database has tables", "files and history agree",
            f"where these were applied by hand: {command_on(environment, 'baseline-prod')}",
        )  # fmt: skip
    if standing.out_of_order:
        names = ", ".join(each.file for each in standing.out_of_order)
        return Check(
            "history", "warning", f"{found}; older than the latest applied: {names}", "files and history agree",
            "expected after branches were merged; otherwise give it a new timestamp",
        )  # fmt: skip
    return Check("history", "ok", found, "files and history agree")


def _drift(settings: Settings, connection: Connection, *, found_out: dict[str, str] | None = None) -> Check:
    standing = standing_of(settings, connection)
    if is_as_files_make_it(settings, connection, standing):
        found = "none"
    else:
        with ExitStack() as shadows:
            drift = Drift(settings, shadows)
            found = drift.of(connection, standing)
            if found_out is not None and standing.pending:
                found_out |= drift.with_pending(connection, standing) or {}
    if found == "none":
        return Check("drift", "ok", "the schema is what the applied migrations make", "none")
    return Check("drift", "warning", found, "none", "write it into a migration, or revert it by hand")


def _clock(_: Settings, connection: Connection) -> Check:
    ((there,),) = ask(connection, "SELECT clock_timestamp()")
    apart = abs((datetime.now(UTC) - there).total_seconds())
    needed = f"at most {CLOCKS_APART_S} s apart"
    if apart > CLOCKS_APART_S:
        return Check("clocks", "warning", f"{apart:,.1f} s apart", needed, "synchronise this machine's clock (NTP)")
    return Check("clocks", "ok", f"{apart:.1f} s apart", needed)


def _alone(_: Settings, connection: Connection) -> Check:
    if found := activity.who_deploys(connection):
        return Check("another deployment", "failed", found, "none under way", "wait until it has ended")
    return Check("another deployment", "ok", "none", "none under way")


_CHECKS: tuple[tuple[str, _Question], ...] = (
    ("server version", _version),
    ("primary", _primary),
    ("writable", _writable),
    ("direct connection", _direct),
    ("pg_dump and psql", _clients),
    ("server for the copy", _throwaway),
    ("extensions", _extensions),
    ("rights", _rights),
    ("long transactions", _transactions),
    ("prepared transactions", _prepared),
    ("sessions waiting for locks", _blocking),
    ("replicas", _replicas),
    ("invalid indexes", _indexes),
    ("disk for backup", _room("backup")),
    ("disk for copy", _room("copy")),
    ("disk for records", _room("records")),
    ("history", _history),
    ("drift", _drift),
    ("clocks", _clock),
    ("another deployment", _alone),
)


def _shortened(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
