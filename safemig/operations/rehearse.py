"""rehearse: the pending migrations on a copy of production, with their locks and times; then the rollback, run too."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import psycopg

from safemig import live
from safemig.approval.plan import Situation, assess
from safemig.approval.rehearsed_rights import keep_rights
from safemig.approval.rehearsed_workload import keep_workload
from safemig.backups.manifest import mark_verified
from safemig.copies.changed_content import Moment, content_since
from safemig.copies.clone import adopt_clone
from safemig.copies.content import (
    named_tables,
    read_columns,
    read_labels,
    renamed_back,
    renamed_labels_back,
    rows_and_columns,
)
from safemig.copies.database_copy import Copy, CopyServer, open_server_like
from safemig.copies.drift import what_files_make
from safemig.copies.event_triggers import read_event_triggers
from safemig.copies.roles import deploying_role, url_as
from safemig.copies.rows_back import read_rows
from safemig.errors import FileError, RehearsalError
from safemig.execution.acting import act_as, be_ourselves
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.expected_locks import with_sizes
from safemig.execution.layout import layout_for, make_history
from safemig.execution.steps import Segment, observe_steps, with_held_times
from safemig.execution.validation import verify_scripts
from safemig.fault_points import FaultPoint, pass_point
from safemig.operations.backup_prod import COPY_SHARE, require_room, take_backup
from safemig.operations.prove_rollback import MigratedCopy, prove_rollback
from safemig.operations.rehearse_load import WantedLoad, make_loaded_copy, rehearse_under_load, wanted_load
from safemig.operations.rights import rights_after, rights_before
from safemig.operations.try_statements import seen_in, trial_on
from safemig.operations.verify_backup import restored_and_compared
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, words_of
from safemig.postgres.dump.plain import content_of
from safemig.postgres.pretences import indexes_pretended
from safemig.postgres.stand_in.script import needs_what_is_real
from safemig.results import (
    Backup,
    Rehearsal,
    Rights,
    RollbackProof,
    RowChange,
    Step,
    TableContent,
)
from safemig.schema import Schema, SchemaDiff, compare
from safemig.settings import PRODUCTION, Settings
from safemig.views.numbers import counted
from safemig.workload_facts import WorkloadCheck


class RunsOnCopy(Protocol):
    """Who migrates the copy instead of safemig: another tool's command (see `by_command`)."""

    notes: tuple[str, ...]  # what is to be said of it
    forget: tuple[str, ...]  # SQL that takes it out of its tool's history

    def migrate(self, server: CopyServer, copy: Connection, url: str, own: Sequence[Connection]) -> tuple[Step, ...]:
        """Migrate the copy at `url`, and return what it did; `own` are the sessions of safemig."""

    def take_back(self, copy: MigratedCopy) -> None:
        """Try its own way back, where it has one, and leave the copy migrated."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rehearsal and what the deployment holds itself to: the schema after each segment."""

    result: Rehearsal
    start: Schema
    reached: tuple[Schema, ...]  # one a segment
    files_make: Mapping[str, str] | None  # what the deployment keeps for later pre-flights; see `what_files_make`


@live.act("rehearse")
def rehearse(settings: Settings, environment: str = PRODUCTION, *, load: int = 0) -> Rehearsal:
    """Rehearse what is pending on a copy made from a backup of its own, which is thrown away at the end.

    The database is only read. With `load`, the migration runs once more on a second copy, by the deployment's protocol,
    while that many percent of the application's collected calls run there (see `rehearse_load`).

    Raises:
        BackupError: with `load`, the disk has no room for two copies.
        RehearsalError: nothing is pending, the copy cannot be made, or a statement fails on it; no load can be driven.
    """
    wanted = wanted_load(settings, environment, load, seen_in(settings, environment))
    with open_environment(settings, environment) as connection, tempfile.TemporaryDirectory() as folder:
        if wanted:
            require_room(
                connection,
                Path(folder),
                1 + 2 * COPY_SHARE,
                "a backup and two copies of it",
                "free disk space, set TMPDIR to a folder on a larger disk, or rehearse without --load",
            )
        situation = assess(settings, connection, environment)
        backup = take_backup(
            settings, environment, folder=Path(folder), read=False, rows=settings.restores_for_rehearsal
        )
        script = Path(folder) / f"rollback_{backup.timestamp}.sql"
        done = rehearse_on_copy(settings, connection, situation, backup, script, load=wanted).result
        done = with_script(done)
    return with_rights_kept(settings, environment, situation, done)


def with_script(done: Rehearsal) -> Rehearsal:
    """Return a rehearsal whose rollback script is in it: its folder is removed when the rehearsal ends."""
    if done.rollback is None:
        return done
    script = done.rollback.path
    text = script.read_text(encoding="utf-8")
    return replace(done, rollback=replace(done.rollback, path=Path(script.name), text=text))


def with_rights_kept(settings: Settings, environment: str, situation: Situation, done: Rehearsal) -> Rehearsal:
    """Keep what roles gain and lose and what the application notices, for the plan; return the rehearsal with the plan's id then."""
    try:
        plan = keep_rights(settings, environment, situation.plan, done.rights)
        keep_workload(settings, environment, situation.plan, done.workload)
    except FileError as error:  # the rehearsal is good, whether the plan names it or not
        return replace(done, notes=(*done.notes, f"{error.what} ({error.where})"))
    return replace(done, plan_id=plan.id)


@live.act("rehearse")
def rehearse_on_copy(
    settings: Settings,
    source: Connection,
    situation: Situation,
    backup: Backup,
    script: Path,
    files_make: Mapping[str, str] | None = None,
    load: WantedLoad | None = None,
    by: RunsOnCopy | None = None,
) -> Rehearsed:
    """Restore `backup` on a throwaway server, run the plan there, write `script` and run that too.

    Both run as the deploying role, with the rights that it has in the database; what is read is read as a superuser.
    With `rehearsal = "data"` the copy is dumped again: equal rows and hashes prove the backup. `files_make` is what the
    pre-flight found out already.

    Raises:
        RehearsalError: the copy cannot be made or differs from the backup, a statement fails, or the result is not
            what a rollback could be made for.
    """
    if not situation.plan.migrations:
        raise RehearsalError(
            "nothing is pending, so there is nothing to rehearse",
            where=situation.target.environment,
            next="safemig status shows what is applied",
        )
    started = time.monotonic()
    with open_server_like(source, settings.scratch) as server:
        copied = _copied(settings, source, server, situation, backup)
        under_load = make_loaded_copy(source, server) if load else ""
        seen = _observe(settings, source, situation, server, copied, script, by)
        steps = seen.steps
        ran = rehearse_under_load(settings, source, server, situation, under_load, load, steps) if load else None
        standing = situation.standing
        every = standing.in_order((*standing.applied, *standing.pending))
        files_make = None if by else what_files_make(settings, source, server, every, files_make)
    result = Rehearsal(
        plan_id=situation.plan.id,
        mode=settings.rehearsal,
        server_version=server.programs.version,
        steps=steps,
        diff=seen.diff,
        schema_fingerprint=seen.reached[-1].fingerprint,
        rows=tuple(row for row in seen.rows if not layout_for(settings).keeps_history_in(row.table)),
        rollback=seen.rollback,
        backup_verified=copied.backup.verified,
        seconds=time.monotonic() - started,
        rights=seen.rights,
        not_by_psql=copied.copy.notes,
        exceptions=seen.exceptions,
        workload=seen.workload,
        load=ran,
        notes=by.notes if by else _verified(situation),
        rows_from=copied.rows_from,
    )
    return Rehearsed(result, seen.start, seen.reached, files_make)


@dataclass(frozen=True, slots=True)
class _Copied:
    """A copy to migrate: what it holds, the backup that it may verify, and in words where rows of a clone are from."""

    copy: Copy
    content: tuple[TableContent, ...]
    backup: Backup
    rows_from: str


def _copied(
    settings: Settings, source: Connection, server: CopyServer, situation: Situation, backup: Backup
) -> _Copied:
    full = settings.rehearsal == "data"
    if not settings.gets_a_clone:
        copy, content = restored_and_compared(settings, source, server, backup, schema_only=not full)
        if full:
            backup = mark_verified(settings, backup, "restored", copy.notes)
            backup.show_again()  # a record never says below that it is not verified, and above that it is
        return _Copied(copy, content, backup, "")
    with live.stage("hold the clone against production"):
        copy = adopt_clone(settings, source, server, "copy")
    name = situation.target.environment
    words = (
        f"the clone of {name} that [scratch] command handed over; nothing was restored, and its rows were not compared"
    )
    with live.stage("read the clone"):
        content = content_of(copy.url, server.programs) if full else ()
    return _Copied(copy, content, backup, words)


def _verified(situation: Situation) -> tuple[str, ...]:
    """Say that the verify scripts ran, where the team has some."""
    scripts = sum(1 for file in situation.files if file.migration.verify.strip())
    return (f"{counted(scripts, 'verify script')} ran on the copy without an error",) if scripts else ()


@dataclass(frozen=True, slots=True)
class _Observed:
    """What the copy showed: of the migration, of the access that roles have, of the application, and of the rollback."""

    start: Schema
    reached: tuple[Schema, ...]  # one a segment
    steps: tuple[Step, ...]
    diff: SchemaDiff
    rows: tuple[RowChange, ...]
    rights: Rights
    workload: WorkloadCheck | None
    rollback: RollbackProof
    exceptions: tuple[str, ...]


def _observe(
    settings: Settings,
    source: Connection,
    situation: Situation,
    server: CopyServer,
    copied: _Copied,
    script: Path,
    by: RunsOnCopy | None,
) -> _Observed:
    """Migrate the copy and roll it back, each compared with what was there before."""
    full, planned, url = settings.rehearsal == "data", situation.plan.steps, copied.copy.url
    as_deployer = url_as(url, server, deploying_role(source))
    with connect(url, "the copy") as copy, connect(as_deployer, "the copy") as deployer, ExitStack() as within:
        _make_history(settings, deployer)

        def read() -> Schema:
            return schema_of(settings, copy)

        start, event_triggers, named = read(), read_event_triggers(copy), named_tables(copy, planned)
        with live.stage("check who may use what"):
            rights = rights_before(settings, source, copy, deployer, named)
        statements = within.enter_context(trial_on(settings, situation.target.environment, server, url))
        statements.before(source, planned)
        configured = read_rows(settings, as_deployer) if full else None
        then = Moment.now(copy, read_columns(copy, named if full else ()), copied.content if full else ())
        live.planned(planned)
        with live.stage("migrate the copy"):
            if by:
                steps = by.migrate(server, copy, as_deployer, (copy, deployer, *statements.connections))
                reached: tuple[Schema, ...] = (read(),)
            else:
                steps, reached = _run(deployer, situation.segments, read, settings.deploy_as)
        steps = with_sizes(source, steps)
        pretended = indexes_pretended(copy)
        with live.stage("check again who may use what"):
            access = rights_after(settings, rights, source, copy, steps if by else planned)
        statements.after()
        with live.stage("read the copy again", copied.backup.rows if full else None):
            after: tuple[TableContent, ...] = ()
            if full:
                now, after = content_since(copy, url, server.programs, then, by_column=True)
            else:
                now = read_columns(copy, ())
        # Also those that the migration makes: they fire for its later statements.
        event_triggers = tuple(dict.fromkeys((*event_triggers, *read_event_triggers(copy))))
        diff = compare(start, reached[-1])
        rows = rows_and_columns(copied.content, after, then.tables, now, steps, diff, event_triggers) if full else ()
        renamed = renamed_back(then.tables, now) | renamed_labels_back(then.labels, read_labels(copy))
        migrated = MigratedCopy(settings, server, copy, url, as_deployer, then, start, reached[-1], configured)
        if by:
            by.take_back(migrated)
        with live.stage("roll the copy back, and compare"):
            rollback = prove_rollback(
                migrated, source, situation, script,
                timestamp=copied.backup.timestamp, renames=renamed, forget=by.forget if by else None,
            )  # fmt: skip
        statements.after_rollback()
        workload = statements.result(settings, steps if by else planned)
        return _Observed(start, reached, steps, diff, rows, access, workload, rollback, _not_shown(server, pretended))


def _make_history(settings: Settings, deployer: Connection) -> None:
    try:
        make_history(settings, deployer)
    except psycopg.Error as error:
        raise RehearsalError(
            f"the history tables cannot be made: {words_of(error)}",
            where=f"on the copy, as {deployer.info.user}",
            next=f'GRANT CREATE ON DATABASE to "{deployer.info.user}", or make the schemas safemig and supabase_migrations for it',
        ) from None


def _run(
    copy: Connection, segments: Sequence[Segment], read: Callable[[], Schema], role: str
) -> tuple[tuple[Step, ...], tuple[Schema, ...]]:
    done: list[Step] = []
    reached: list[Schema] = []
    for segment in segments:
        first = len(done)
        try:
            # A segment without a transaction runs in autocommit: its statements refuse a transaction block.
            act_as(copy, role)
            pass_point(FaultPoint.COPY_STATEMENTS_BEGIN)
            with copy.transaction() if segment.transactional else nullcontext():
                for step in observe_steps(copy, segment.steps):
                    done.append(step)  # those that ran count when the next one fails
        except psycopg.Error as error:
            ran = len(done) - first
            failed = segment.steps[ran] if ran < len(segment.steps) else None
            raise RehearsalError(
                words_of(error),
                where=f"{failed.file}, line {failed.line}: {failed.kind}"
                if failed
                else "at the end of the transaction",
                next=_what_helps(error),
            ) from None
        be_ourselves(copy)
        if wrong := [each for each in verify_scripts(copy, segment.migrations) if each.state == "failed"]:
            raise RehearsalError(f"it fails: {wrong[0].found}", where=wrong[0].name, next=wrong[0].fix)
        done[first:] = with_held_times(done[first:], together=segment.transactional)
        reached.append(read())
    return tuple(done), tuple(reached)


def _not_shown(server: CopyServer, pretended: Sequence[str]) -> tuple[str, ...]:
    """Return what the copy could not show: what it never could, and the indexes that the migrations made on it."""
    return tuple(dict.fromkeys((*server.exceptions, *pretended)))


def _what_helps(error: psycopg.Error) -> str:
    """Return what to do about a statement that failed on the copy: of a stand-in it needs the real thing."""
    if needs_what_is_real(error):
        return (
            "this statement needs the extension to be real on the copy: install it for that PostgreSQL, or name a server "
            "that has it in [scratch]; production was not touched"
        )
    return "correct the migration; production was not touched"
