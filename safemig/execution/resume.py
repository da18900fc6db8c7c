"""Go on with a deployment that stopped part-way: which one it is, what of it ran, and that nothing else has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pglast import ast
from psycopg.pq import TransactionStatus

from safemig.commands import command_on
from safemig.errors import RefusedError
from safemig.execution import journal
from safemig.execution.environment import schema_of, standing_of
from safemig.execution.layout import versions_applied
from safemig.execution.steps import PlannedFile, plan_files
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import is_hash_of
from safemig.postgres import resumable
from safemig.postgres.connection import Connection
from safemig.postgres.history import committed_parts, runs_of_plan
from safemig.postgres.resumable import Resumable
from safemig.results import Step
from safemig.schema import Schema
from safemig.settings import Settings
from safemig.sql import parse
from safemig.sql.identifiers import quote_name

VALID_INDEX = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid AND indisready"
EXISTS = "SELECT to_regclass(%s) IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Trail:
    """What a deployment of several parts notes of itself in the database, so that another run can go on with it."""

    settings: Settings
    begun_as: Resumable
    go_on: str = ""  # the command that goes on where it stops part-way

    def goes_on(self, connection: Connection) -> None:
        """Note what was found to have run though no one had noted it."""
        if self.begun_as.ran:
            resumable.note_all_ran(connection, self.begun_as)

    def begins(self, connection: Connection, step: Step) -> None:
        """Note, before a statement that refuses a transaction, that it begins."""
        resumable.add(connection, self.begun_as)
        resumable.note_running(connection, self.begun_as.run_id, mark_of(step))

    def ran(self, connection: Connection, step: Step) -> None:
        """Note that a statement ran: in its own transaction where it has one."""
        resumable.add(connection, self.begun_as)
        schema = schema_of(self.settings, connection).fingerprint
        resumable.note_ran(connection, self.begun_as.run_id, mark_of(step), schema)
        pass_point(FaultPoint.APART_STATEMENT_NOTED)

    def reached(self, connection: Connection, schema: Schema) -> None:
        """Note, in the transaction that commits a part, the schema that it leads to; after the last one, nothing is left."""
        resumable.add(connection, self.begun_as)
        resumable.note_reached(connection, self.begun_as.run_id, schema.fingerprint)
        resumable.forget_complete(connection, lambda: versions_applied(self.settings, connection))

    def failed(self, connection: Connection, *, is_clean: bool) -> None:
        """Note that the statement which was begun failed; `is_clean` where nothing of it stays."""
        if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE or not is_clean:
            return
        resumable.note_reached(connection, self.begun_as.run_id, schema_of(self.settings, connection).fingerprint)
        applied = versions_applied(self.settings, connection)
        resumable.forget_unbegun(connection, self.begun_as.run_id, applied)


def begun_steps(settings: Settings, connection: Connection, identity: str) -> tuple[tuple[Step, ...], Step | None]:
    """Return the statements of pending files that the deployment ran, and the one that it was cut off in. Reads only."""
    deployment = resumable.find(connection, identity)
    if deployment is None:
        return (), None
    steps = [step for file in plan_files(standing_of(settings, connection).pending) for step in file.steps]
    ran = tuple(step for step in steps if mark_of(step) in deployment.ran)
    return ran, next((step for step in steps if mark_of(step) == deployment.running), None)


def index_of(step: Step) -> str:
    """Return the index that a statement builds, by its name, else "". Cut off, it leaves that invalid."""
    node = parse(step.sql)[0].node
    return node.idxname or "" if isinstance(node, ast.IndexStmt) else ""


def mark_of(step: Step) -> str:
    """Return what a statement is known by: a hash of its file, its line and its text."""
    return hashlib.sha256(f"{step.file}:{step.line}\n{step.sql}".encode()).hexdigest()


def rest_of(
    settings: Settings,
    connection: Connection,
    environment: str,
    identity: str,
    files: Sequence[PlannedFile],
    schema: Schema,
) -> tuple[Resumable, tuple[PlannedFile, ...]]:
    """Return the deployment of that run or plan, and what is pending without the statements of it that ran. Reads only.

    Raises:
        RefusedError: it is unknown, complete or wholly rolled back; other migrations are pending than were left of
            it; or the schema has changed since.
    """
    deployment = resumable.find(connection, identity)
    if deployment is None:
        raise _not_resumable(settings, connection, environment, identity)
    pending = {file.migration.version: file.migration.sql for file in files}
    _require_same(deployment, pending, files, environment)
    ran = set(deployment.ran)
    steps = [step for file in files for step in file.steps]
    cut_off = next((step for step in steps if mark_of(step) == deployment.running), None)
    if cut_off is not None and has_run(connection, cut_off):
        ran.add(deployment.running)
    elif cut_off is None and schema.fingerprint != deployment.schema_reached:
        raise RefusedError(
            f"the schema of {environment} has changed since deployment {deployment.run_id} stopped",
            where=f"fingerprint {deployment.schema_reached[:12]} then, {schema.fingerprint[:12]} now",
            next=f"revert that change, then resume; or {command_on(environment, 'migrate-prod')}, which makes a new plan",
        )
    return replace(deployment, ran=tuple(sorted(ran))), tuple(_without(file, ran) for file in files)


def _without(file: PlannedFile, ran: set[str]) -> PlannedFile:
    return replace(
        file,
        steps=tuple(step for step in file.steps if mark_of(step) not in ran),
        ran=tuple(step for step in file.steps if mark_of(step) in ran),
    )


def _require_same(
    deployment: Resumable, pending: Mapping[str, str], files: Sequence[PlannedFile], environment: str
) -> None:
    names = {file.migration.version: file.migration.file for file in files}
    problems = [f"{names[each]} was not part of it" for each in pending if each not in deployment.migrations]
    problems += [
        f"{names[each]} was edited since"
        for each, text in pending.items()
        if each in deployment.migrations and not is_hash_of(deployment.migrations[each], text)
    ]
    if problems:
        raise RefusedError(
            f"what is pending for {environment} is not what was left of deployment {deployment.run_id}",
            where="; ".join(problems),
            next=f"restore the files to what they were, then resume; or {command_on(environment, 'migrate-prod')}, which makes a new plan",
        )


def has_run(connection: Connection, step: Step) -> bool:
    """Tell whether a statement that was cut off, or whose end was not noted, did its work.

    Of an index the catalog tells. What else refuses a transaction is run again: the rehearsal shows whether it can be.
    """
    node = parse(step.sql)[0].node
    if isinstance(node, ast.IndexStmt) and node.idxname:
        name = quote_name(node.relation.schemaname if node.relation else None, node.idxname)
        return connection.execute(VALID_INDEX, (name,)).fetchone() is not None
    if isinstance(node, ast.DropStmt):
        names = [quote_name(*(part.sval for part in each)) for each in node.objects or ()]
        return not any(_exists(connection, name) for name in names)
    return False


def _exists(connection: Connection, name: str) -> bool:
    row = connection.execute(EXISTS, (name,)).fetchone()
    return bool(row and row[0])


def _not_resumable(settings: Settings, connection: Connection, environment: str, identity: str) -> RefusedError:
    path = journal.path_of(settings, environment)
    runs = {identity, *runs_of_plan(connection, identity)}
    runs |= {each["run"] for each in journal.read(path) if each["event"] == "begun" and each.get("plan") == identity}
    applied = [name for run in sorted(runs) for name in committed_parts(connection, run)]
    if applied:
        return RefusedError(
            f"deployment {identity} is complete: there is nothing to resume",
            where=f"applied to {environment}: {', '.join(applied)}",
            next="safemig status shows what is pending",
        )
    if len(runs) > 1 or any(each["run"] == identity for each in journal.read(path)):
        return RefusedError(
            f"nothing of deployment {identity} is applied: there is nothing to resume",
            where=f"{environment}: it was rolled back, or did not start",
            next=f"{command_on(environment, 'migrate-prod')} starts a new deployment",
        )
    return RefusedError(
        f"no deployment {identity} is known on {environment}",
        where=f"safemig.resumable and safemig.deployments there, and {path}",
        next="safemig status names the deployments that stopped part-way",
    )
