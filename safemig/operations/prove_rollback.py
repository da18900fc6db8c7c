"""The rollback of a rehearsal: made from what the migrations changed, run on the copy, and compared with the start."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safemig.approval.plan import Situation
from safemig.copies.changed_content import Moment, content_since
from safemig.copies.content import TableColumns
from safemig.copies.database_copy import CopyServer, run_on_copy
from safemig.copies.given_way_back import GivenWayBack, given_way_back, tried
from safemig.copies.platform_triggers import without_their_owner
from safemig.copies.roles import acting_role, deploying_role
from safemig.copies.rollback_script import TakenBack, compose, with_their_functions
from safemig.copies.rows_back import Rows, RowsBack, read_rows, rows_back
from safemig.errors import RehearsalError, ToolError
from safemig.execution.environment import schema_of
from safemig.execution.layout import layout_for
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import write_new
from safemig.postgres.connection import Connection
from safemig.postgres.platforms import platform_of
from safemig.results import BOOKKEEPING_TABLES, WRITTEN_SINCE, RollbackProof, TableContent
from safemig.schema import Schema, SchemaDiff, compare
from safemig.settings import Settings


@dataclass(frozen=True, slots=True)
class MigratedCopy:
    """A copy on which the migrations ran: its schemas before and after them, and what it held before them."""

    settings: Settings
    server: CopyServer
    connection: Connection  # of a superuser, as is `url`
    url: str
    as_deployer: str
    then: Moment
    start: Schema
    reached: Schema
    rows: Rows | None  # those that are configuration, before the migrations; None on a copy without rows

    def read(self) -> Schema:
        """Read its schema as it is now."""
        return schema_of(self.settings, self.connection)


def prove_rollback(
    copy: MigratedCopy,
    source: Connection,
    situation: Situation,
    script: Path,
    *,
    timestamp: str,
    renames: Mapping[str, str],
    forget: Sequence[str] | None = None,
) -> RollbackProof:
    """Run the best rollback that runs on the copy, say what it does not bring back, and write it as `script`.

    The team's own way back is the best, where it leads to the start. `forget` takes the migrations out of their tool's
    history; None is for files.

    Raises:
        RehearsalError: none of them runs.
    """
    settings, layout = copy.settings, layout_for(copy.settings)
    given = given_way_back(situation.files)
    if given:
        given = tried(given, copy.connection, deploying_role(source), settings.deploy_as, copy.read, copy.start)
    taken_back = TakenBack(
        after=copy.reached.fingerprint,
        before=copy.start.fingerprint,
        files=[(each.version, each.file) for each in situation.plan.migrations],
        plan_id=situation.plan.id,
        database=situation.target.database,
        role=settings.deploy_as,
        timestamp=timestamp,
        forget=_forget(settings, situation) if forget is None else forget,
    )
    used = given if given and not given.why_not else None
    rows = rows_back(copy.connection, copy.rows, read_rows(settings, copy.as_deployer))
    back, sql, from_where = _run_back(copy, used, _ways_back(copy, source, renames), rows, taken_back)
    after = copy.read()
    # With the owners: an object that is there again, and belongs to another role, is not as it was.
    apart = compare(replace(after, with_ownership=True), replace(copy.start, with_ownership=True)).changes
    remaining = tuple(
        f"{each.action} {each.kind} {each.name}" + (f": {each.detail}" if each.kind == "owner" else "")
        for each in apart
    )
    before = copy.then.contents
    tables, content = content_since(copy.connection, copy.url, copy.server.programs, copy.then) if before else ({}, ())
    before = {name: each for name, each in before.items() if name not in _same_by_key(copy.then.tables, tables)}
    proof = RollbackProof(
        script,
        not remaining and after.fingerprint == copy.start.fingerprint,
        remaining,
        (*_cannot_bring_back(back, before, content, layout.hides), *(() if from_where else rows.stays)),
        from_where,
        f"{given.source} is not used: {given.why_not}" if given and given.why_not else "",
    )
    pass_point(FaultPoint.ROLLBACK_SCRIPT_BEGINS)
    write_new(script, compose(sql, taken_back, proof), mode=0o600)
    pass_point(FaultPoint.ROLLBACK_SCRIPT_WRITTEN)
    return proof


def _ways_back(copy: MigratedCopy, source: Connection, renames: Mapping[str, str]) -> Iterator[SchemaDiff]:
    """Yield the ways back, the best first: with renames and with the owners that objects had; each made when asked for.

    What is re-created belongs to the role that deploys, which may not be allowed to give it to its former owner.
    """
    reached, start, platform = copy.reached, copy.start, platform_of(source)
    role = copy.settings.deploy_as or acting_role(source)
    owned = replace(reached, with_ownership=True, current_user=role), replace(start, with_ownership=True)
    for base, target in (owned, (reached, start)):
        for renamed in (renames, {}) if renames else ({},):
            back = with_their_functions(compare(base, target, renames=renamed), reached, platform)
            yield without_their_owner(back, reached, platform)


def _forget(settings: Settings, situation: Situation) -> list[str]:
    """Return the SQL that takes what is pending out of the tool's history."""
    of, taken_back = layout_for(settings), [file.migration for file in situation.files]
    return of.layout.forget(of.table, taken_back, situation.standing.applied)


def _run_back(
    copy: MigratedCopy, given: GivenWayBack | None, ways: Iterator[SchemaDiff], rows: RowsBack, taken_back: TakenBack
) -> tuple[SchemaDiff, str, str]:
    """Run the first rollback that runs; return the difference that it takes back, its SQL, and whose it is where the
    team gave it. One that fails leaves nothing behind.
    """
    failure = ToolError("there is none")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollback.sql"
        for back in ways:
            own = dict.fromkeys((rows.around(back.sql), back.sql), "")
            for sql, source in ({given.sql: given.source} | own if given else own).items():
                path.write_text(compose(sql, taken_back), encoding="utf-8")
                try:
                    run_on_copy(copy.server, copy.as_deployer, path)
                    return back, sql, source
                except ToolError as error:
                    failure = error
            given = None
    raise RehearsalError(
        f"no rollback script that runs on the copy: {failure.what}",
        where=failure.where,
        next="production was not touched; deploy in smaller migrations that can each be rolled back",
    )


def _same_by_key(before: Mapping[int, TableColumns], after: Mapping[int, TableColumns]) -> set[str]:
    """Return the names of the tables that hold the same values by primary key, in whatever order their rows lie."""
    return {
        old.label
        for oid, old in before.items()
        if old.hashes
        and oid in after
        and old.hashes == after[oid].hashes
        and any(c.is_key for c in old.columns.values())
    }


def _cannot_bring_back(
    back: SchemaDiff, before: Mapping[str, TableContent], after: Sequence[TableContent], hides: Callable[[str], bool]
) -> tuple[str, ...]:
    written_since = [f"{WRITTEN_SINCE}{statement.why}" for statement in back.statements if statement.destructive]
    now = {table.name: table for table in after}
    lost = [
        f"the content of {name} as it was ({table.rows:,} rows): the deployment itself changes it; the backup has it"
        for name, table in before.items()
        if now.get(name) != table and not name.startswith(BOOKKEEPING_TABLES) and not hides(name)
    ]
    return tuple(dict.fromkeys(written_since + lost))  # each once, in order
