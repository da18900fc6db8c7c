"""generate: what staging has become beyond the local migrations, as new migration files, proven before they are written."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from safemig import __version__, live
from safemig.approval.plan import identify
from safemig.copies.database_copy import copy_schema
from safemig.copies.roles import refuse_as, refuse_nothing
from safemig.copies.shadow import Shadow, open_shadow
from safemig.copies.tried_files import File, try_files
from safemig.errors import MigrationError
from safemig.execution.environment import open_environment, schema_of, standing_of
from safemig.execution.layout import files_of, layout_for, require_sql
from safemig.execution.steps import NO_TRANSACTION, plan_files
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import Migration, replace_file, slug, write_new
from safemig.migrations.change_set_text import disabled_in, enable, locks_of, render_change_set, tables_of
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, words_of
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.owners import whom_may_own
from safemig.postgres.pretences import real_dump
from safemig.results import Behaviour, Check, Enabled, Generated, Target
from safemig.schema import ChangeSet, Schema, SchemaDiff, Statement, compare
from safemig.schema.difference import is_atomic
from safemig.schema.dumps import differences
from safemig.schema.model import Id
from safemig.schema.owners import with_owners
from safemig.schema.without_extensions import without_extensions
from safemig.settings import STAGING, Settings
from safemig.sql.identifiers import quote_name
from safemig.sql.locks import LockMode

_BODY = re.compile(r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) ")
_UNCHECKED = "SET check_function_bodies = off"
_PART = re.compile(r"_part_\d+\Z")
_SHOWN = 3  # lines of a list in the file's heading, which fits on one screen; the whole list is in the result
_LINE = 150  # characters


@dataclass(frozen=True, slots=True)
class _Proof:
    words: str
    remaining: tuple[str, ...]
    lacks: tuple[str, ...]  # what the schema lacks until the disabled changes are enabled
    down: str  # what takes the file back; "" where there are several, or a change is disabled


@live.act("generate")
def generate(
    settings: Settings,
    description: str,
    *,
    environment: str = STAGING,
    renames: Mapping[str, str] | None = None,
) -> Generated:
    """Write the difference between staging and the local migrations as new files in the migrations folder.

    Statements that make sense only together are one change set, live or disabled as a whole: one that destroys, or
    that may be a rename, is disabled, with its reason. What cannot share a transaction (an index built CONCURRENTLY,
    the validation of a constraint) comes in a file of its own. Staging is only read.

    Raises:
        MigrationError: the local migrations do not run, or the file cannot be written.
        UnreachableError: staging cannot be reached.
        ToolError: no PostgreSQL on this machine to replay the migrations on.
    """
    name = slug(description)
    require_sql(settings)
    of = layout_for(settings)
    folder, migrations = of.folder, of.read()
    of.layout.new_files(
        folder, migrations, name, 1, datetime.now(UTC)
    )  # a layout that takes no new files says so first
    with open_environment(settings, environment) as staging, open_shadow(settings, staging, deploys=True) as shadow:
        source = read_target(staging, environment)
        standing = standing_of(settings, staging)
        if standing.applied:
            plan_files(standing.pending)  # what is pending must be as a deployment runs it
        base_name = shadow.make(migrations)
        with live.stage(f"read {environment}"):
            there, stand_in = _in_words_of(shadow, staging, settings.conninfo(environment))
        base, wanted, left_out = without_extensions(shadow.schema(base_name), there, shadow.lacks)
        base, wanted, owners = _with_owners(settings, staging, base, wanted)
        # What the platform has, and nothing of the team's stands on, needs no comparison.
        left_out = tuple(
            item for item in left_out if item.kind != "extension" or item.name not in shadow.base.extensions
        )
        diff = compare(base, wanted, renames=renames or {}, with_change_sets=True)
        if left_out:
            diff = replace(diff, warnings=(*diff.warnings, _not_compared(shadow, left_out)))
        if diff.is_empty:
            but = f", except for what is not compared: {_not_compared(shadow, left_out)}" if left_out else ""
            return Generated(
                description,
                None,
                diff,
                "",
                proof=f"staging is what the local migrations make{but}: nothing to do{'; ' if owners else ''}{owners}",
            )
        parts = _parts(diff)
        with live.stage("prove the files on copies of it"):
            proof = _prove(settings, shadow, base_name, parts, wanted, stand_in, source, owners)
        pass_point(FaultPoint.FILES_PROVEN)
        paths = of.layout.new_files(folder, migrations, name, len(parts), datetime.now(UTC))
        names = [str(path.relative_to(folder)) for path in paths]
        with live.stage("try the files on a copy with rows"):
            files = [_file(*each) for each in zip(names, parts.items(), strict=True)]
            behaviour = _try(shadow, staging, base_name, files, base, wanted, renames or {})
    checklist = _checklist(diff, proof, behaviour, base, _not_compared(shadow, left_out) if left_out else "")
    texts = [
        f"{_head(description, source, migrations, base, proof, behaviour, checklist, number, parts)}\n"
        + _body(diff, part, dict(zip(parts, names, strict=True)), base)
        for number, part in enumerate(parts)
    ]
    for path, text, part in zip(paths, texts, parts, strict=True):
        for each, content in of.layout.texts(path, text, proof.down, atomic=is_atomic(part)).items():
            each.parent.mkdir(exist_ok=True)
            pass_point(FaultPoint.FILE_BEGINS)
            write_new(each, content)
            pass_point(FaultPoint.FILE_WRITTEN)
    return Generated(
        description=description,
        path=paths[0],
        diff=diff,
        text=texts[0],
        commented=tuple(
            (statement.sql, each.disabled)
            for each in diff.change_sets
            if each.disabled
            for statement in each.statements
        ),
        checklist=checklist,
        proof=proof.words,
        remaining=proof.remaining,
        further_paths=tuple(paths[1:]),
        behaviour=behaviour,
    )


def enable_change(settings: Settings, number: int) -> Enabled:
    """Enable change `number` in the newest generated migration that holds it disabled, in all of its files.

    Raises:
        MigrationError: no migration file holds that change disabled, or one cannot be written; then none was changed.
    """
    migrations = files_of(settings)
    holding = [each for each in migrations if number in disabled_in(each.sql)]
    if not holding:
        found = sorted({at for each in migrations for at in disabled_in(each.sql)})
        raise MigrationError(
            f"no migration file holds a disabled change {number}",
            where=f"disabled there: {', '.join(map(str, found)) or 'none'}",
            next="give the number from the heading of the change, such as --enable 3",
        )
    name = _PART.sub("", holding[-1].name)
    files = [each for each in holding if _PART.sub("", each.name) == name]
    texts = {each.path: enable(each.path.read_text(encoding="utf-8"), number) for each in files}
    for path, text in texts.items():
        replace_file(path, text)
    return Enabled(number, tuple(texts))


def _parts(diff: SchemaDiff) -> dict[int, list[tuple[ChangeSet, tuple[Statement, ...]]]]:
    """Return what each file holds, in the order of the files: the statements of every change set that belong to its part."""
    found: dict[int, list[tuple[ChangeSet, tuple[Statement, ...]]]] = {}
    for each in diff.change_sets:
        for part, statements in each.parts:
            found.setdefault(part, []).append((each, statements))
    return dict(sorted(found.items()))


def _file(name: str, part: tuple[int, Sequence[tuple[ChangeSet, Sequence[Statement]]]]) -> File:
    number, held = part
    live_ones = tuple(one for each, statements in held if each.disabled is None for one in statements)
    return File(name, is_atomic(number), live_ones)


def _try(
    shadow: Shadow,
    staging: Connection,
    base_name: str,
    files: Sequence[File],
    base: Schema,
    wanted: Schema,
    renamed: Collection[str],
) -> Behaviour:
    """Try before and after each file what it touches, on a copy of the base with rows that are drawn from staging."""
    copy = shadow.make(template=base_name)
    refuse_as(staging, shadow.server, shadow.deployer)
    try:
        return shadow.within(copy, lambda connection: try_files(connection, staging, files, base, wanted, renamed))
    finally:
        refuse_nothing(shadow.server)


def _body(diff: SchemaDiff, part: int, names: Mapping[int, str], base: Schema) -> str:
    existing = {quote_name(schema, table) for schema, table in base.tables}
    held = _parts(diff)[part]
    pieces = []
    if any(_BODY.match(one.sql) for _, statements in held for one in statements):
        pieces.append(f"{_UNCHECKED};\n")
    for each, statements in held:
        others = [names[other] for other, _ in each.parts if other != part]
        locks = locks_of(statements, existing)
        pieces.append(render_change_set(each, statements, total=len(diff.change_sets), locks=locks, others=others))
    return "\n".join(pieces)


def _prove(
    settings: Settings,
    shadow: Shadow,
    base: str,
    parts: Mapping[int, Sequence[tuple[ChangeSet, Sequence[Statement]]]],
    wanted: Schema,
    staging: str,
    source: Target,
    owners: str,
) -> _Proof:
    """Run the files on one copy of the base, and on another with every change enabled: that one must dump as staging does."""
    safe, complete = shadow.make(template=base), shadow.make(template=base)
    unproven: set[int] = set()
    for held in parts.values():
        for name in (safe, complete):
            _run(shadow, name, _UNCHECKED)
        for each, statements in held:
            if each.number in unproven:
                continue
            try:
                for statement in statements:
                    _run(shadow, complete, statement.sql)
                    if each.disabled is None:
                        _run(shadow, safe, statement.sql)
            except MigrationError:
                if not each.is_doubtful:
                    raise
                unproven.add(each.number)  # the answer to the question makes another change of it
    left = compare(replace(shadow.schema(safe), with_ownership=wanted.with_ownership), wanted).changes
    disabled = {each.number for held in parts.values() for each, _ in held if each.disabled is not None}
    # One pg_dump for both, for each version writes in a form of its own.
    version = max(source.server_version_num, shadow.server.programs.version_num)
    dumps = (_dump(settings, shadow.server.url(complete), version), _dump(settings, staging, version))
    remaining = differences(*dumps, shadow.base.brings_entry)
    lacks = tuple(f"{each.action} {each.kind} {each.name}" for each in left) if disabled else ()
    order = [line for line in remaining if line.startswith("in another order")]
    remaining = tuple(line for line in remaining if line not in order)
    if wanted.with_ownership:  # the dumps are without owners
        changes = compare(replace(shadow.schema(complete), with_ownership=True), wanted).changes
        remaining += tuple(f"owner of {each.name}: {each.detail}" for each in changes if each.kind == "owner")
    if remaining:
        lacking = f"; this machine lacks the extension {', '.join(shadow.lacks)}" if shadow.lacks else ""
        words = f"NOT EQUAL: {len(remaining)} differences to staging remain{lacking}"
        if unproven:
            numbers = ", ".join(map(str, sorted(unproven)))
            words += f"; change {numbers} does not run as it stands: first answer whether it is a rename"
    elif disabled:
        words = f"proven equal with all changes enabled; {_counted(len(disabled), 'change')} disabled"
    else:
        words = "proven equal"
    words += f"; {owners}" if owners else ""
    words += f"; {_counted(len(order), 'table')} with columns in another order" if order else ""
    down = ""
    if not disabled and len(parts) == 1:
        reached, start = (replace(shadow.schema(each), with_ownership=wanted.with_ownership) for each in (safe, base))
        down = compare(reached, start).sql
    return _Proof(words, remaining, lacks, down)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _in_words_of(shadow: Shadow, staging: Connection, conninfo: str) -> tuple[Schema, str]:
    """Return staging's schema as the shadow's server writes it, and the connection string of what was read.

    Each major version deparses expressions in a form of its own (15 says `users.id` where 17 says `id`): from another
    version a copy of staging's schema is read, where one can be made; without an extension it cannot.
    """
    programs = shadow.server.programs
    if programs.major == staging.info.server_version // 10000 or shadow.lacks:
        return schema_of(shadow.settings, staging), conninfo
    url = copy_schema(staging, conninfo, shadow.server, "staging", only=shadow.settings.schemas)
    copy = shadow.schema("staging")
    return replace(copy, owners={**copy.owners, **schema_of(shadow.settings, staging).owners}), url


def _with_owners(settings: Settings, staging: Connection, base: Schema, wanted: Schema) -> tuple[Schema, Schema, str]:
    """Return the schemas with their owners compared, as far as the role that deploys can set them, and what is not, in words."""
    if settings.owners == "ignore":
        return base, wanted, 'owners are not compared (owners = "ignore")'
    base, wanted, not_compared = with_owners(base, wanted, whom_may_own(staging, base.current_user))
    return base, wanted, "; ".join(not_compared)


def _not_compared(shadow: Shadow, left_out: Sequence[Id]) -> str:
    """Say what was left out for want of an extension."""
    lacks = ", ".join(shadow.lacks)
    what = ", ".join(f"{item.kind} {item.dotted}" for item in left_out if item.kind != "extension")
    return f"the throwaway PostgreSQL {shadow.server.programs.version} lacks the extension {lacks}" + (
        f", so what needs it was not compared: {what}" if what else ", and nothing of the project needs it"
    )


def _dump(settings: Settings, conninfo: str, version_num: int) -> str:
    return real_dump(
        dump_schema(conninfo, version_num, only=settings.schemas, without=layout_for(settings).hidden_tables)
    )


def _run(shadow: Shadow, name: str, sql: str) -> None:
    try:
        shadow.run(name, sql)
    except psycopg.Error as error:
        raise MigrationError(
            f"the generated SQL does not run on a copy of the base: {words_of(error)}",
            where=" ".join(sql.split())[:300],
            next="nothing was written; please report this statement, and write this change by hand",
        ) from None


def _checklist(
    diff: SchemaDiff, proof: _Proof, behaviour: Behaviour, base: Schema, not_compared: str
) -> tuple[Check, ...]:
    """Return what was seen on the copies, and what only a person can say."""
    existing = {quote_name(schema, table) for schema, table in base.tables}
    enabled = [one for each in diff.change_sets if each.disabled is None for one in each.statements]
    disabled = [each for each in diff.change_sets if each.disabled is not None]
    rewritten = sorted(
        {table for one in enabled if one.rewrites for table in tables_of(one, existing)} | {*behaviour.rewritten}
    )
    gaps = [
        f"{name} between part {drop} and part {create}"
        for each in diff.change_sets
        for drop, create, name in each.missing
    ]
    gaps += behaviour.gaps
    numbers = ", ".join(str(each.number) for each in disabled)
    lacking = f"disabled: change {numbers}; until then the schema differs: {_some(proof.lacks)}"
    first = [each.disabled.splitlines()[0] for each in disabled if each.disabled and "first" in each.disabled]
    tried = f"{_counted(len(behaviour.tried), 'statement')} tried, with {_counted(behaviour.rows, 'row')}"
    untold = f"; not tried: {_some(behaviour.not_tried)}" if behaviour.not_tried else ""
    return (
        Check("no live statement destroys data", "ok", lacking if disabled else "none disabled"),
        Check("the files make staging's schema", "failed" if proof.remaining else "ok", proof.words),
        *((Check("all that staging has was compared", "failed", not_compared),) if not_compared else ()),
        Check("no table is rewritten", "failed" if rewritten else "ok", _some(rewritten)),
        Check("tables locked are known", "ok", _some(_locks(behaviour, enabled, existing))),
        Check("nothing fails between two files", "failed" if gaps else "ok", _some(gaps) if gaps else tried + untold),
        Check("statements of before work after the last file", "failed" if behaviour.broken else "ok",
              _some(behaviour.broken) if behaviour.broken else tried),
        Check("existing rows fit", "not done" if behaviour.unfit or first else "ok",
              _some([*behaviour.unfit, *first]) if behaviour.unfit or first else
              f"{_counted(behaviour.rows, 'drawn row')} did; the rehearsal tries production's"),
        Check("renames are said, not guessed", "failed" if diff.rename_questions else "ok",
              _some(diff.rename_questions) if diff.rename_questions else "none likely"),
        Check("reviewed: safemig review says SAFE TO DEPLOY", "not done", "yours to do"),
        Check("the application's new version works with it", "not done", "yours to do"),
    )  # fmt: skip


def _locks(behaviour: Behaviour, enabled: Sequence[Statement], existing: Collection[str]) -> list[str]:
    """Return what the files were seen to lock of the tables that exist, the strongest lock first; else what they should."""
    if not behaviour.locks:
        return locks_of(enabled, existing)
    strongest: dict[str, LockMode] = {}
    for table, mode in (each for file in behaviour.locks for each in file):
        lock = LockMode(mode)
        strongest[table] = max(strongest.get(table, lock), lock, key=lambda one: one.strength)
    return [
        f"{mode.value} on {', '.join(tables)}"
        for mode in reversed(LockMode)
        if (tables := sorted(table for table, lock in strongest.items() if lock is mode))
    ]


def _some(words: Sequence[str]) -> str:
    """Return as much of a list as a line holds; all of it is in the result."""
    shown: list[str] = []
    for word in words:
        if shown and len("; ".join([*shown, word])) > _LINE:
            return f"{'; '.join(shown)}; and {len(words) - len(shown)} more"
        shown.append(word if len(word) <= _LINE else f"{word[:_LINE]}...")
    return "; ".join(shown) or "none"


def _head(
    description: str,
    source: Target,
    migrations: Sequence[Migration],
    base: Schema,
    proof: _Proof,
    behaviour: Behaviour,
    checklist: Sequence[Check],
    number: int,
    parts: Sequence[int] | Mapping[int, object],
) -> str:
    checksum = identify({"migrations": [each.sha256 for each in migrations], "schema": base.fingerprint})
    title = " ".join(description.split()) + (f" (part {number + 1} of {len(parts)})" if len(parts) > 1 else "")
    lines = [
        f"-- {title}",
        "--",
        f"-- Source:    {source.environment} (database {_plain(source.database)}, PostgreSQL {source.server_version})",
        f"-- Generated: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by safemig {__version__}",
        f"-- Base:      {len(migrations)} migrations, checksum {checksum}",
        f"-- Proof:     {_some([_plain(proof.words)])}",
        *(f"--            {_some([_plain(line)])}" for line in proof.remaining[:_SHOWN]),
    ]
    if len(proof.remaining) > _SHOWN:
        lines.append(f"--            and {len(proof.remaining) - _SHOWN} more, in the record")
    lines += [f"-- Gap:       {_some([gap])}" for gap in behaviour.gaps[:_SHOWN]]
    if len(behaviour.gaps) > _SHOWN:
        lines.append(f"--            and {len(behaviour.gaps) - _SHOWN} more, in the record")
    if number == 0:
        lines += ["--", "-- Safety checklist"]
        marks = {"ok": "x", "failed": "!"}
        lines += [f"--   [{marks.get(check.state, ' ')}] {check.name}: {_plain(check.found)}" for check in checklist]
    if not is_atomic(list(parts)[number]):
        lines += ["--", f"-- {NO_TRANSACTION}: each statement runs by itself, and may be run again"]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return " ".join(text.split())
