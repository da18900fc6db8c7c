"""baseline_prod: record as applied what was applied by hand, once it is proven that the files make what is there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from safemig import live
from safemig.approval.approve import About, Ask
from safemig.approval.approve import approve as ask_for_approval
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import Situation, assess, identify
from safemig.copies.drift import identity_of
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import RefusedError
from safemig.execution.environment import open_environment, schema_with_rows
from safemig.execution.layout import make_history
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.steps import PlannedFile, Segment, rows_not_written
from safemig.execution.transaction import Committed, Transaction
from safemig.identity import who
from safemig.operations.segments import require_unchanged
from safemig.postgres.catalog.configuration import table_names
from safemig.postgres.connection import Connection
from safemig.results import Deployment, Plan, Step
from safemig.schema import Schema
from safemig.settings import PRODUCTION, Settings, command_on
from safemig.views.numbers import counted

_MOST_NAMED = 5


@live.act("baseline_prod")
def baseline_prod(
    settings: Settings, *, to: str = "", environment: str = PRODUCTION, approve: str = "", ask: Ask | None = None
) -> Deployment:
    """Record the pending migrations, up to version `to` where that is said, as applied, without running any.

    Guarantee: only where those files, run from nothing on a throwaway server, make exactly the schema that is there;
    nothing but the history is written, in one transaction that looks once more. What they would have done to rows is
    named: no one can prove that.

    Raises:
        MigrationError: a file does not run from nothing, or files and history contradict each other.
        RefusedError: the schema is another one (the message names the differences), or it is not approved.
    """
    run_id, started = secrets.token_hex(6), datetime.now(UTC)
    with open_environment(settings, environment) as connection:
        situation = assess(settings, connection, environment, recorded=True)
        files = _up_to(situation, to)
        if not files:
            return _result("NOTHING TO RECORD", run_id, situation, "", started)
        files_make, base = _proven(settings, connection, situation, files)
    plan_id = _identify(situation, files)
    notes = rows_not_written(files, table_names(settings.configuration_rows))
    notes = (*notes, *([f"replayed on the base {base}"] if base else ()))
    what = [_in_words(situation, files)]
    text = (*what, *notes)
    plan = Plan(plan_id, situation.target, situation.schema.fingerprint, (), (), act="baseline_prod", what=text)
    about = About(plan, (("Replayed", "the files make this schema: run on a throwaway server just now"),))
    verb = f"baseline-prod --to {to}" if to else "baseline-prod"
    approval = ask_for_approval(plan_id, situation.target, approve, "\n".join(text), verb=verb, ask=ask, about=about)
    require_approvers(settings, approval, verb=verb)  # its authors too: nothing of it is run
    fingerprint = situation.schema.fingerprint
    run = Run(settings, "baseline_prod", environment, run_id, plan_id, started, fingerprint, files_make=files_make)

    def look_again(connection: Connection) -> Schema:
        return require_unchanged(settings, connection, situation)

    def prepare(connection: Connection) -> None:
        look_again(connection)
        make_history(settings, connection)

    def record(connection: Connection, steps: Sequence[Step], schema: Schema) -> None:
        run.record_segment(connection, Segment(files, True), steps, schema)

    protocol = Protocol(run, "recorded", ", ".join(each.migration.file for each in files))
    done = protocol.change(Transaction((), look_again, record), prepare)
    return replace(_result("BASELINED", run_id, situation, plan_id, started, files, done), notes=notes)


def plan_baseline(settings: Settings, *, to: str = "", environment: str = PRODUCTION) -> Plan:
    """Return what a baseline would record, with the id that approves it; proven as `baseline_prod` does. Reads only.

    Raises:
        MigrationError, RefusedError: as `baseline_prod`.
    """
    with open_environment(settings, environment) as connection:
        situation = assess(settings, connection, environment, recorded=True)
        files = _up_to(situation, to)
        if files:
            _proven(settings, connection, situation, files)
    chosen = {each.migration.version for each in files}
    return replace(
        situation.plan,
        id=_identify(situation, files),
        migrations=tuple(each for each in situation.plan.migrations if each.version in chosen),
        steps=(),
        access=(),
        act="baseline_prod",
        what=(_in_words(situation, files), *rows_not_written(files)) if files else (),
    )


def _identify(situation: Situation, files: Sequence[PlannedFile]) -> str:
    binding = {"baseline": [(each.migration.version, each.migration.sha256) for each in files]}
    target = {"system_identifier": situation.target.system_identifier, "database": situation.target.database}
    return identify({**binding, "target": target, "schema": situation.schema.fingerprint})


def _in_words(situation: Situation, files: Sequence[PlannedFile]) -> str:
    return (
        f"{counted(len(files), 'migration')} to be recorded as applied to {situation.target.environment}, "
        "whose schema they make; none is run."
    )


def _up_to(situation: Situation, version: str) -> tuple[PlannedFile, ...]:
    known = [each.version for each in situation.standing.files]
    if version and version not in known:
        raise RefusedError(
            f"no migration file has the version {version}",
            where=f"the files are {known[0]} to {known[-1]}" if known else "there is no file",
            next="name the version of the last file applied by hand (the 14 digits that its name begins with)",
        )
    up_to = known[: known.index(version) + 1] if version else known
    return tuple(each for each in situation.files if each.migration.version in up_to)


def _proven(
    settings: Settings, connection: Connection, situation: Situation, files: Sequence[PlannedFile]
) -> tuple[dict[str, str], str]:
    """Return what the deployment keeps of the proof (see `drift.what_files_make`), and the base that it began with."""
    chosen = [each.migration for each in files]
    applied = situation.standing.in_order((*situation.standing.applied, *chosen))
    found = schema_with_rows(settings, connection) if settings.configuration_rows else situation.schema
    with open_shadow(settings, connection) as shadow:
        made = shadow.schema(shadow.make(applied))
        diff, left_out = shadow.against(made, found)
        if left_out:
            raise RefusedError(
                f"this machine lacks the extension {', '.join(shadow.lacks)}, so nothing is proven of what needs it; "
                "nothing was recorded",
                where=", ".join(f"{item.kind} {item.dotted}" for item in left_out[:_MOST_NAMED]),
                next="install the extension for the PostgreSQL here, then run the same command again",
            )
        if diff.is_empty:
            keep = {"files": identity_of(settings, connection, applied), "schema": made.fingerprint}
            return keep, shadow.base.words
        fits = _last_that_fits(shadow, situation, files, found)
    named = ", ".join(f"{each.action} {each.kind} {each.name}" for each in diff.changes[:_MOST_NAMED])
    more = f", and {len(diff.changes) - _MOST_NAMED} more" if len(diff.changes) > _MOST_NAMED else ""
    raise RefusedError(
        f"{situation.target.environment} is not what those {len(files)} files make; nothing was recorded",
        where=f"{diff.summary} there beyond them: {named}{more}",
        next=f"up to {fits} they make what is there: {command_on(situation.target.environment, 'baseline-prod', f'--to {fits}')}"
        if fits
        else "write what is there into the files, or change it by hand to what they make; then run the same command again",
    )


def _last_that_fits(shadow: Shadow, situation: Situation, files: Sequence[PlannedFile], found: Schema) -> str:
    """Return the version of the last file up to which they make what is there, "" where there is none."""
    name, fits = shadow.make(situation.standing.applied), ""
    for each in files[:-1]:
        name = shadow.make([each.migration], template=name)
        if shadow.against(shadow.schema(name), found)[0].is_empty:
            fits = each.migration.version
    return fits


def _result(
    verdict: Literal["BASELINED", "NOTHING TO RECORD"],
    run_id: str,
    situation: Situation,
    plan_id: str,
    started: datetime,
    files: Sequence[PlannedFile] = (),
    done: Committed | None = None,
) -> Deployment:
    return Deployment(
        act="baseline_prod",
        verdict=verdict,
        run_id=run_id,
        target=situation.target,
        plan_id=plan_id,
        by=who(),
        started_at=started,
        finished_at=datetime.now(UTC),
        migrations=(),
        steps=(),
        recorded_only=tuple(each.migration.file for each in files),
        transaction_id=done.transaction_id if done else "",
        commit_lsn=done.commit_lsn if done else "",
    )
