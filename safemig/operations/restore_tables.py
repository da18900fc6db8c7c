"""restore_prod of single tables: beside production's own in the same database, compared by key, and put back if approved."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from safemig import live
from safemig.approval.approve import Ask
from safemig.approval.approve import approve as ask_for_approval
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.backups.beside import Beside, restore_beside, schema_for
from safemig.backups.everything import ALL, Compared, compare_everything, everything_in
from safemig.backups.manifest import find_backup
from safemig.backups.put_back import (
    Done,
    Found,
    Pair,
    Wish,
    find,
    pair,
    put_back,
    require_condition,
    require_possible,
    silenced,
)
from safemig.backups.stored_tables import StoredSchema, names_in
from safemig.backups.target_tables import read_table
from safemig.commands import command_on
from safemig.errors import DeploymentFailedError, RefusedError, SettingsError
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.layout import layout_for, make_history
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.transaction import Transaction, only_deployment
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target
from safemig.postgres.server.programs import client_programs
from safemig.results import Backup, Check, RestoredTable, RestoredTables, Step, Target
from safemig.schema import Schema
from safemig.settings import Settings
from safemig.sql.identifiers import quote_name
from safemig.sql.locks import LockMode
from safemig.views.numbers import counted


@dataclass(frozen=True, slots=True)
class TablesAsked:
    """What a person asks for: the tables' names, and what is to be done with them."""

    tables: tuple[str, ...]
    put_back: bool
    wish: Wish

    @property
    def is_everything(self) -> bool:
        """True where all tables of the backup are asked for."""
        return self.tables == (ALL,)

    @property
    def verb(self) -> str:
        """The command, without a backup and an approval."""
        words = ["--tables", shlex.quote(",".join(self.tables))]
        words += ["--put-back"] * self.put_back + ["--update"] * self.wish.update
        words += ["--where", shlex.quote(self.wish.where)] if self.wish.where else []
        return " ".join(words + ["--fire-triggers"] * self.wish.fire_triggers)


def asked_for(
    tables: str | Sequence[str], *, put_back: bool, update: bool, where: str, fire_triggers: bool
) -> TablesAsked | None:
    """Return what is asked for; None where it is not about single tables.

    Raises:
        SettingsError: the options do not go together.
    """
    names = names_in(tables) if isinstance(tables, str) else tuple(tables)
    options = {"put_back": put_back, "update": update, "where": bool(where), "fire_triggers": fire_triggers}
    used = ["--" + name.replace("_", "-") for name, is_used in options.items() if is_used]
    if not names:
        if used:
            raise SettingsError(
                f"{used[0]} is for tables",
                next=f"name them, or all: --tables public.orders {used[0]}, --tables all {used[0]}",
            )
        return None
    if where and ALL in names:
        raise SettingsError("a condition is for one table", where="--where with --tables all", next="name the table")
    if ALL in names and len(names) > 1:
        raise SettingsError(
            "all cannot be combined with names of tables", where=f"--tables {','.join(names)}", next="--tables all"
        )
    if used and not put_back:
        raise SettingsError(
            f"{used[0]} is for what is put back", next=f"add --put-back: {' '.join(['--put-back', *used])}"
        )
    require_condition(where, names)
    return TablesAsked(names, put_back, Wish(update, where.strip(), fire_triggers))


def restore_tables(
    settings: Settings, backup: str, asked: TablesAsked, environment: str, *, approve: str = "", ask: Ask | None = None
) -> RestoredTables:
    """Restore tables of a backup into schema `restored_[timestamp]` of the same database; put rows back if asked.

    Guarantee: without an approval nothing but that schema is changed. What is approved is bound to the backup, the rows
    found missing (and differing, where these are updated) and the tables as they are: where any of it changes, nothing
    is done. What is put back is one transaction, compared again before its COMMIT.

    Raises:
        BackupError: there is no such backup or table, or it is damaged.
        RefusedError: it cannot be put back, or is not approved; the message says what can be done, the result what was found.
        DeploymentFailedError: it failed and was rolled back; nothing was changed.
        DeploymentStoppedError, OutcomeUnknownError: as for a deployment.
    """
    started, begun_at = time.monotonic(), datetime.now(UTC)
    chosen = find_backup(settings, environment, backup)
    stored = StoredSchema(chosen)
    tables = () if asked.is_everything else stored.find(asked.tables)
    conninfo, run_id = settings.conninfo(environment), secrets.token_hex(6)
    with (
        only_deployment(conninfo, environment, run_id),
        open_environment(settings, environment, read_only=False) as connection,
    ):
        target = read_target(connection, environment)
        notes: tuple[str, ...] = ()
        if asked.is_everything:
            tables, notes = everything_in(connection, chosen, stored, layout_for(settings).hides)
        besides = restore_beside(
            connection, chosen, tables, stored, lambda: client_programs(chosen.target.server_version_num)
        )
        verb = f"restore-prod {chosen.timestamp} {asked.verb}"
        result = _beside_production(target, chosen, asked, besides, notes)
        if not asked.put_back:
            return replace(result, seconds=time.monotonic() - started)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if asked.is_everything:
                comparison = _of_everything(
                    compare_everything(connection, besides, asked.wish), asked.wish, target, chosen
                )
            else:
                comparison = _compare(connection, besides, asked.wish, target, chosen)
            schema = schema_of(settings, connection)
    hints = (*notes, *comparison.hints)
    result = replace(result, plan_id=comparison.plan_id, tables=comparison.described(), notes=hints)
    if not comparison.has_work:
        return replace(result, verdict="NOTHING TO PUT BACK", command="", seconds=time.monotonic() - started)
    command = command_on(environment, verb, f"--approve {comparison.plan_id}")
    shown = replace(result, verdict="COMPARED", command=command, seconds=time.monotonic() - started)
    _approve(settings, comparison, shown, verb, approve, ask)
    run = Run(settings, "restore_prod", environment, run_id, comparison.plan_id, begun_at, schema.fingerprint)
    done, transaction_id = _commit(run, settings, comparison, schema)
    checks = (*result.checks, *_checks(comparison, done))
    return replace(
        result,
        verdict="PUT BACK",
        tables=comparison.described(done),
        checks=checks,
        command=command_on(environment, "restore-prod", f"--drop {result.schema}"),
        run_id=run_id,
        transaction_id=transaction_id,
        seconds=time.monotonic() - started,
    )


def _beside_production(
    target: Target, backup: Backup, asked: TablesAsked, besides: Sequence[Beside], notes: tuple[str, ...]
) -> RestoredTables:
    return RestoredTables(
        verdict="RESTORED BESIDE PRODUCTION",
        target=target,
        backup=backup.manifest,
        schema=schema_for(backup),
        tables=tuple(_restored(each) for each in besides),
        checks=(_content_check(besides),),
        seconds=0.0,
        command=command_on(target.environment, f"restore-prod {backup.timestamp} {asked.verb}", "--put-back"),
        where=asked.wish.where,
        update=asked.wish.update,
        notes=notes,
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What was found of every table, and the ID that approves putting exactly that back."""

    target: Target
    backup: Backup
    wish: Wish
    pairs: tuple[Pair, ...]
    found: tuple[Found, ...]
    hints: tuple[str, ...]
    same: tuple[tuple[Pair, Found], ...] = ()  # compared too, with nothing to put back

    @property
    def has_work(self) -> bool:
        """True where a row would be inserted or updated."""
        return any(each.missing or (self.wish.update and each.differing) for each in self.found)

    @property
    def plan_id(self) -> str:
        """The ID: of the backup, the rows that would be written, and the tables as they are."""
        return identify(
            {
                "put_back": self.backup.full.sha256,
                "target": {"system_identifier": self.target.system_identifier, "database": self.target.database},
                "wish": self.wish,
                "tables": [
                    {
                        "table": (pair.target.name, pair.target.oid),
                        "columns": [(each.now.name, each.now.type) for each in pair.columns],
                        "key": [each.now.name for each in pair.key],
                        "triggers": silenced(pair, self.wish),
                        "missing": (found.missing, found.missing_digest),
                        "differing": (found.differing, found.differing_digest) if self.wish.update else (),
                    }
                    for pair, found in zip(self.pairs, self.found, strict=True)
                ],
            }
        )

    def described(self, done: Sequence[Done] = ()) -> tuple[RestoredTable, ...]:
        """Return the tables as the result shows them, with what was done where it was."""
        described = []
        both = (*zip(self.pairs, self.found, strict=True), *self.same)
        for number, (pair_, found) in enumerate(both):
            own = done[number] if number < len(done) else None
            described.append(
                replace(
                    _restored(pair_.beside),
                    key=tuple(each.now.name for each in pair_.key),
                    meant=found.restored,
                    missing=found.missing,
                    differing=found.differing,
                    only_in_production=None if self.wish.where else found.only_here,
                    differing_columns=tuple(f"{name} ({rows:,})" for name, rows in found.by_column.items()),
                    inserted=own.inserted if own else None,
                    updated=own.updated if own else None,
                    triggers_off=silenced(pair_, self.wish),
                    notes=(*pair_.notes, *(own.notes if own else ())),
                )
            )
        return tuple(described)


def _compare(
    connection: Connection, besides: Sequence[Beside], wish: Wish, target: Target, backup: Backup
) -> _Comparison:
    pairs = []
    for each in besides:
        table = read_table(connection, each.table)
        if table is None:
            raise RefusedError(
                f"production no longer has table {quote_name(*each.table)}",
                where=f"its {each.rows:,} rows stand in {each.sql}",
                next="make the table first (a rollback, or its CREATE TABLE from the backup's schema file); then the same command",
            )
        pairs.append(pair(connection, each, table, wish))
    with live.stage("compare with production", sum(each.rows for each in besides)):
        found = tuple(find(connection, each) for each in pairs)
        require_possible(connection, pairs, wish)
    return _Comparison(target, backup, wish, tuple(pairs), found, _left_out(pairs))


def _of_everything(compared: Compared, wish: Wish, target: Target, backup: Backup) -> _Comparison:
    pairs, found = tuple(made for made, _ in compared.work), tuple(each for _, each in compared.work)
    return _Comparison(target, backup, wish, pairs, found, compared.left_out, compared.same)


def _left_out(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return the tables that may have lost rows together with these, and are not named."""
    named = {each.target.name for each in pairs}
    return tuple(
        dict.fromkeys(
            f"{quote_name(*key.table)} refers to {each.name} ON DELETE {'CASCADE' if key.on_delete == 'c' else 'SET NULL'}: "
            "if rows were deleted there, name it in --tables, too"
            for each in pairs
            for key in each.target.foreign_keys
            if key.referred == each.target.name and key.table not in named and key.on_delete in ("c", "n")
        )
    )


def _commit(run: Run, settings: Settings, approved: _Comparison, before: Schema) -> tuple[tuple[Done, ...], str]:
    latest: list[tuple[tuple[Done, ...], tuple[Step, ...]]] = []

    def change(connection: Connection) -> Schema:
        latest.clear()
        now = _compare(
            connection, [each.beside for each in approved.pairs], approved.wish, approved.target, approved.backup
        )
        if now.plan_id != approved.plan_id:
            raise RefusedError(
                "production has changed since it was compared: its rows or tables differ now",
                where=f"plan {approved.plan_id} became {now.plan_id}; nothing was changed",
                next="run the same command again without --approve to compare again",
            )
        latest.append(put_back(connection, now.pairs, now.found, now.wish))
        after = schema_of(settings, connection)
        if after.fingerprint != before.fingerprint:
            raise DeploymentFailedError(
                "the schema changed during the put-back, so it was rolled back",
                where=", ".join(each.name for each in approved.pairs),
                next="another session is changing it; run the same command again when it has finished",
            )
        return after

    def record(connection: Connection, _: Sequence[Step], schema: Schema) -> None:
        run.record(connection, (), latest[-1][1], schema)

    names = ", ".join(each.name for each in approved.pairs)
    locks = {each.name: LockMode.SHARE_ROW_EXCLUSIVE for each in approved.pairs}
    committed = Protocol(run, "put back", names).change(
        Transaction((), change, record, locks=locks), prepare=lambda connection: make_history(settings, connection)
    )
    return latest[-1][0], committed.transaction_id


def _approve(
    settings: Settings, comparison: _Comparison, shown: RestoredTables, verb: str, given: str, ask: Ask | None
) -> None:
    what = [f"Rows of the backup of {comparison.backup.timestamp} (UTC) go back into {comparison.target.database}:"]
    for table in shown.tables[: len(comparison.pairs)]:
        words = [f"{table.missing or 0:,} rows inserted"]
        words.append(
            f"{table.differing or 0:,} that differ {'updated' if comparison.wish.update else 'left as they are'}"
        )
        if table.only_in_production is not None:
            words.append(f"{table.only_in_production:,} that only production has left as they are")
        what.append(f"{table.name}: {'; '.join(words)}.")
        if table.triggers_off:
            what.append(f"Triggers that do not fire: {', '.join(table.triggers_off)}.")
        what += table.notes
    if comparison.same:
        what.append(f"{counted(len(comparison.same), 'table')} with nothing to put back.")
    what += comparison.hints
    what.append("One transaction; writes to these tables wait for it, reads do not.")
    if given and given != comparison.plan_id:
        raise RefusedError(
            f"approved was {given}; what would be put back now is {comparison.plan_id}",
            where="the rows that are missing, the tables or the options are others",
            next=f"look at the comparison; if it is right: {shown.command}",
            result=shown,
        )
    try:
        approval = ask_for_approval(comparison.plan_id, comparison.target, given, "\n".join(what), verb=verb, ask=ask)
        require_approvers(settings, approval, verb=verb)
    except RefusedError as error:
        error.result = shown
        raise


def _restored(each: Beside) -> RestoredTable:
    sha256 = each.content[0].sha256 if len(each.content) == 1 else ""
    return RestoredTable(quote_name(*each.table), each.sql, each.rows, sha256, notes=each.notes)


def _content_check(besides: Sequence[Beside]) -> Check:
    rows = sum(each.rows for each in besides)
    found = f"{rows:,} rows in {counted(len(besides), 'table')}, every hash as in the manifest"
    return Check("content", "ok", found, "what was backed up")


def _checks(comparison: _Comparison, done: Sequence[Done]) -> tuple[Check, ...]:
    checks = []
    for each, before, ours in zip(comparison.pairs, comparison.found, done, strict=True):
        after = ours.after
        words = (
            f"{before.here:,} + {ours.inserted:,} inserted = {after.here:,} rows; 0 missing, {after.differing:,} differ"
        )
        changed = comparison.wish.fire_triggers and after.differing > (
            0 if comparison.wish.update else before.differing
        )
        state: Literal["ok", "warning"] = "warning" if changed else "ok"
        checks.append(
            Check(
                each.name,
                state,
                words,
                "compared before COMMIT",
                "triggers that fired have changed rows that were put back" if changed else "",
            )
        )
    return tuple(checks)
