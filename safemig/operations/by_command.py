"""Deploy by another tool's own command: rehearsed on a copy, approved by its bytes, then run on production.

What the command commits by itself cannot be one transaction with safemig's: everything around it is the same as for
files, but a failure half-way leaves what it had committed, and the message says what that is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safemig import live
from safemig.approval.plan import Situation, bound_workload, identify
from safemig.approval.rehearsed_rights import with_rehearsed_rights
from safemig.approval.rehearsed_workload import with_rehearsed_workload
from safemig.copies.database_copy import CopyServer
from safemig.copies.observed import Observed, observing
from safemig.errors import RehearsalError, SettingsError
from safemig.execution.command import Ran, environment_for, hash_of_files, run_command, words_of_command
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.layout import layout_for
from safemig.migrations import Standing
from safemig.operations.backup_prod import take_backup
from safemig.operations.prove_rollback import MigratedCopy
from safemig.operations.rehearse import Rehearsed, rehearse_on_copy, with_rights_kept, with_script
from safemig.postgres.access import access_now
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, read_timeline
from safemig.postgres.connection.poolers import server_pid
from safemig.results import Backup, Plan, PlannedMigration, Rehearsal, Step
from safemig.schema import compare
from safemig.settings import PRODUCTION, Settings
from safemig.sql.identifiers import quote_literal
from safemig.views.numbers import counted

ROWS_AS_JSON = "SELECT coalesce(json_agg(t), '[]') FROM {} t"
_NOT_CODE = {"__pycache__", "node_modules", "site-packages", "backups", "records"}
_MOST_NAMED = 5
BY_COMMAND = "run-"  # what the version of a plan's only migration begins with, where a command is planned
ONE_TRANSACTION_IT_IS_NOT = (
    "it commits by itself, not in safemig's transaction: where it fails half-way, what it had committed stays"
)


@dataclass(frozen=True, slots=True)
class Command:
    """What runs the migrations, and what takes them back, where the tool has that."""

    up: str
    down: str = ""


def situation_of(settings: Settings, connection: Connection, environment: str, command: Command) -> Situation:
    """Return the database as it is and the plan that binds it to a command: to its words, and to the files that it reads.

    Raises:
        SettingsError: there is no such program, or no file that the plan could be bound to.
    """
    words_of_command(command.up)
    if command.down:
        words_of_command(command.down)
    target, schema = read_target(connection, environment), schema_of(settings, connection)
    of = layout_for(settings)
    home = of.folder
    suffixes = of.layout.suffixes
    files = [path for path in files_that_count(home) if not suffixes or path.suffix in suffixes]
    if not files:
        raise SettingsError(
            "there are no files to bind the plan to",
            where=str(home),
            next='name the folder of the migrations: migrations = "..." in safemig.toml',
        )
    sha256 = hash_of_files(files, home)
    migration = PlannedMigration(f"{BY_COMMAND}{sha256[:12]}", command.up, command.up, sha256)
    role = settings.deploy_as or target.user
    binding = {
        "target": {"system_identifier": target.system_identifier, "database": target.database},
        "schema": schema.fingerprint,
        "command": (command.up, command.down),
        "files": sha256,
        "settings": {
            "accept": settings.accept,
            "rehearsal": "clone" if settings.gets_a_clone else settings.rehearsal,
            "approvals": (settings.required_approvals, settings.authors_may_approve),
            "schemas": settings.schemas,
            "deploy_as": settings.deploy_as,
        },
    } | bound_workload(settings, environment)
    return Situation(
        target=target,
        schema=schema,
        standing=Standing((), (), (), (), ()),
        files=(),
        plan=Plan(
            id=identify(binding),
            target=target,
            schema_fingerprint=schema.fingerprint,
            migrations=(migration,),
            steps=(),
            role=role,
            access=access_now(connection, role, set()),
        ),
        segments=(),
        resumes=None,
        timeline=read_timeline(connection),
    )


def files_that_count(home: Path) -> Iterator[Path]:
    """Yield the files below a migrations folder, without caches, virtual environments, packages, records and backups."""
    if not home.is_dir():
        return
    for path in sorted(home.iterdir()):
        if path.name.startswith(".") or path.name in _NOT_CODE or path.is_symlink():
            continue
        if path.is_dir() and not (path / "pyvenv.cfg").is_file():
            yield from files_that_count(path)
        elif path.is_file() and path.suffix not in (".pyc", ".sqlite3", ".log"):
            yield path


def plan_command(settings: Settings, environment: str, command: Command) -> Plan:
    """Return the plan of a command. Reads only.

    Raises:
        UnreachableError: the database cannot be read.
    """
    with open_environment(settings, environment) as connection:
        found = situation_of(settings, connection, environment, command).plan
    named = with_rehearsed_rights(settings, environment, found)
    return with_rehearsed_workload(settings, environment, named)


@live.act("rehearse")
def rehearse_command(settings: Settings, command: Command, environment: str = PRODUCTION) -> Rehearsal:
    """Run a command on a copy made from a backup of its own, which is thrown away at the end. The database is only read.

    Raises:
        RehearsalError: the copy cannot be made, the command fails, or it did not work on the copy.
    """
    with open_environment(settings, environment) as connection, tempfile.TemporaryDirectory() as folder:
        situation = situation_of(settings, connection, environment, command)
        backup = take_backup(
            settings, environment, folder=Path(folder), read=False, rows=settings.restores_for_rehearsal
        )
        script = Path(folder) / f"rollback_{backup.timestamp}.sql"
        done = rehearsed_command(settings, connection, situation, backup, script, command).result
        done = with_script(done)
    return with_rights_kept(settings, environment, situation, done)


def rehearsed_command(
    settings: Settings, source: Connection, situation: Situation, backup: Backup, script: Path, command: Command
) -> Rehearsed:
    """Rehearse a command as `rehearse_on_copy` rehearses files, and look whether it touched anything but the copy."""
    runner = _OnCopy(settings, command)
    done = rehearse_on_copy(settings, source, situation, backup, script, by=runner)
    now = schema_of(settings, source)
    if now.fingerprint != situation.schema.fingerprint:
        changes = ", ".join(
            f"{each.action} {each.kind} {each.name}" for each in compare(situation.schema, now).changes[:_MOST_NAMED]
        )
        raise RehearsalError(
            f"the schema of {situation.target.environment} changed while the command ran on the copy: {changes}",
            where=f"--run {command.up!r}; another session changed it, or the command does not connect where DATABASE_URL says",
            next="let the tool take its connection from DATABASE_URL or PG* alone, then rehearse again",
        )
    return done


class _OnCopy:
    """The command at work on the copy (see `rehearse.RunsOnCopy`)."""

    def __init__(self, settings: Settings, command: Command) -> None:
        self._settings = settings
        self._command = command
        self.notes: tuple[str, ...] = ()
        self.forget: tuple[str, ...] = ()

    def migrate(self, server: CopyServer, copy: Connection, url: str, own: Sequence[Connection]) -> tuple[Step, ...]:
        self.forget = tuple(histories_as_they_are(self._settings, copy))
        before = schema_of(self._settings, copy)
        pids = [server_pid(each) for each in own]
        with observing(server, copy, url, self._command.up, pids) as seen:
            ran = self._run(self._command.up, seen.url)
        if ran.exit_code:
            raise RehearsalError(
                f"the command failed on the copy with exit code {ran.exit_code}: {ran.last_words}",
                where=f"--run {self._command.up!r}",
                next="correct it; production was not touched",
            )
        after = schema_of(self._settings, copy)
        if not seen.sessions:
            raise RehearsalError(
                "the command did not connect to the copy",
                where=f"--run {self._command.up!r}, exit code 0: {ran.last_words}",
                next="let it take its connection from the variable DATABASE_URL, or from PGHOST, PGDATABASE and PGUSER",
            )
        if not seen.steps and after.fingerprint == before.fingerprint:
            raise RehearsalError(
                "the command changed nothing, so there is nothing to deploy",
                where=f"--run {self._command.up!r}: {ran.last_words}",
                next="look with the tool itself at what is applied",
            )
        self._tell(seen, ran)
        return seen.steps

    def take_back(self, copy: MigratedCopy) -> None:
        if not self._command.down:
            return
        ran = self._run(self._command.down, copy.as_deployer)
        back = copy.read()
        problem = ""
        if ran.exit_code:
            problem = f"it failed with exit code {ran.exit_code}: {ran.last_words}"
        elif back.fingerprint != copy.start.fingerprint:
            apart = compare(back, copy.start).changes
            problem = "it leaves " + (
                ", ".join(f"{each.action} {each.kind} {each.name}" for each in apart[:_MOST_NAMED])
                or "another order of columns"
            )
        if problem:
            self.notes += (f"NOT PROVEN, the way back {self._command.down!r}: {problem}",)
            if back.fingerprint == copy.reached.fingerprint:
                return
        else:
            self.notes += (f"proven, the way back {self._command.down!r}: run on the copy, it brought the schema back",)
        again = self._run(self._command.up, copy.as_deployer)
        if again.exit_code or copy.read().fingerprint != copy.reached.fingerprint:
            raise RehearsalError(
                f"after {self._command.down!r} the command does not reach the same schema again: {again.last_words}",
                where=f"--run {self._command.up!r}",
                next="correct the way back, or leave --run-down out: safemig then writes a rollback script of its own",
            )

    def _run(self, command: str, url: str) -> Ran:
        return run_command(command, self._settings.folder, environment_for(self._settings, url, lock_timeout=False))

    def _tell(self, seen: Observed, ran: Ran) -> None:
        done = f"{self._command.up!r}: exit code 0 after {ran.seconds:.1f} s"
        many = "one transaction" if seen.commits == 1 else f"{seen.commits} transactions"
        self.notes = (
            f"{done}, {counted(len(seen.steps), 'writing statement')} in {many}, {seen.reads} that read or set",
            ONE_TRANSACTION_IT_IS_NOT,
        )


def histories_as_they_are(settings: Settings, connection: Connection) -> Iterator[str]:
    """Yield SQL that gives the tools' history tables the rows that they have now. Reads only."""
    for table in layout_for(settings).tables_of_tools:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
        if not row or not row[0]:
            continue
        ((rows,),) = connection.execute(ROWS_AS_JSON.format(table).encode()).fetchall()
        yield f"DELETE FROM {table};"  # noqa: S608
        if rows:
            text = quote_literal(json.dumps(rows)).strip()
            yield (
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE "  # noqa: S608
                f"SELECT * FROM json_populate_recordset(NULL::{table}, {text});"
            )
