"""generate: what staging has become beyond the local migrations, as new migration files, proven before they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from safemig import __version__, live
from safemig.approval.plan import identify
from safemig.copies.database_copy import copy_schema
from safemig.copies.shadow import Shadow, open_shadow
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
from safemig.postgres.pretences import real_dump
from safemig.results import Check, Enabled, Generated, Target
from safemig.schema import ChangeSet, Schema, SchemaDiff, Statement, compare
from safemig.schema.difference import is_atomic
from safemig.schema.dumps import differences
from safemig.schema.model import Id
from safemig.schema.without_extensions import without_extensions
from safemig.settings import STAGING, Settings
from safemig.sql.identifiers import quote_name

_BODY = re.compile(r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE) ")
_UNCHECKED = "SET check_function_bodies = off"
_PART = re.compile(r"_part_\d+\Z")
_SHOWN = 6  # of a list in the file's heading; the whole list is in the result


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
    with open_environment(settings, environment) as staging, open_shadow(settings, staging) as shadow:
        source = read_target(staging, environment)
        standing = standing_of(settings, staging)
        if standing.applied:
            plan_files(standing.pending)  # what is pending must be as a deployment runs it
        base_name = shadow.make(migrations)
        with live.stage(f"read {environment}"):
            there, stand_in = _in_words_of(shadow, staging, settings.conninfo(environment))
        base, wanted, left_out = without_extensions(shadow.schema(base_name), there, shadow.lacks)
        # What the platform has, and nothing of the team's stands on, needs no comparison.
        left_out = tuple(
            item for item in left_out if item.kind != "extension" or item.name not in shadow.base.extensions
        )
        diff = compare(base, wanted, renames=renames or {}, with_change_sets=True)
        if left_out:
            diff = replace(diff, warnings=(*diff.warnings, _not_compared(shadow, left_out)))
        if diff.is_empty:
            but = f", but for what is not compared: {_not_compared(shadow, left_out)}" if left_out else ""
            return Generated(
                description, None, diff, "", proof=f"staging is what the local migrations make{but}: nothing to do"
            )
        parts = _parts(diff)
        with live.stage("prove the files on copies of it"):
            proof = _prove(settings, shadow, base_name, parts, wanted, stand_in, source)
        pass_point(FaultPoint.FILES_PROVEN)
    checklist = _checklist(diff, proof, base, _not_compared(shadow, left_out) if left_out else "")
    paths = of.layout.new_files(folder, migrations, name, len(parts), datetime.now(UTC))
    names = [str(path.relative_to(folder)) for path in paths]
    texts = [
        f"{_head(description, source, migrations, base, proof, checklist, number, parts)}\n"
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
    left = compare(shadow.schema(safe), wanted).changes
    disabled = {each.number for held in parts.values() for each, _ in held if each.disabled is not None}
    # One pg_dump for both, for each version writes in a form of its own.
    version = max(source.server_version_num, shadow.server.programs.version_num)
    dumps = (_dump(settings, shadow.server.url(complete), version), _dump(settings, staging, version))
    remaining = differences(*dumps, shadow.base.brings_entry)
    lacks = tuple(f"{each.action} {each.kind} {each.name}" for each in left) if disabled else ()
    order = [line for line in remaining if line.startswith("in another order")]
    remaining = tuple(line for line in remaining if line not in order)
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
    words += "; owners are not compared" + (
        f"; {_counted(len(order), 'table')} with columns in another order" if order else ""
    )
    down = "" if disabled or len(parts) > 1 else compare(shadow.schema(safe), shadow.schema(base)).sql
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
    return shadow.schema("staging"), url


def _not_compared(shadow: Shadow, left_out: Sequence[Id]) -> str:
    """Say what was left out for want of an extension."""
    lacks = ", ".join(shadow.lacks)
    what = ", ".join(f"{item.kind} {item.dotted}" for item in left_out if item.kind != "extension")
    return f"the throwaway PostgreSQL {shadow.server.programs.version} lacks the extension {lacks}" + (
        f", so what needs it was not compared: {what}" if what else ", and nothing of ours needs it"
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


def _checklist(diff: SchemaDiff, proof: _Proof, base: Schema, not_compared: str) -> tuple[Check, ...]:
    existing = {quote_name(schema, table) for schema, table in base.tables}
    enabled = [one for each in diff.change_sets if each.disabled is None for one in each.statements]
    disabled = [each for each in diff.change_sets if each.disabled is not None]
    rewritten = sorted({table for one in enabled if one.rewrites for table in tables_of(one, existing)})
    gaps = [
        f"{name} between part {drop} and part {create}"
        for each in diff.change_sets
        for drop, create, name in each.missing
    ]
    numbers = ", ".join(str(each.number) for each in disabled)
    off = (
        f"disabled: change {numbers}; until then the schema differs: {_some(proof.lacks)}"
        if disabled
        else "none disabled"
    )
    return (
        Check("no live statement destroys data", "ok", off),
        Check("the files make staging's schema", "failed" if proof.remaining else "ok", proof.words),
        *((Check("all that staging has was compared", "failed", not_compared),) if not_compared else ()),
        Check("no table is rewritten", "failed" if rewritten else "ok", _some(rewritten)),
        Check("tables locked are known", "ok", _some(locks_of(enabled, existing))),
        Check("nothing is missing between two files", "failed" if gaps else "ok", _some(gaps)),
        Check("renames are said, not guessed", "failed" if diff.rename_questions else "ok",
              "; ".join(diff.rename_questions) or "none likely"),
        Check("reviewed: safemig review says SAFE TO DEPLOY", "not done", "yours to do"),
        Check("the application runs with both the old and the new schema", "not done", "yours to do"),
        Check("existing rows need no backfill, or it is written", "not done", "yours to do"),
    )  # fmt: skip


def _some(words: Sequence[str]) -> str:
    shown = "; ".join(words[:_SHOWN])
    return f"{shown}; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else shown or "none"


def _head(
    description: str,
    source: Target,
    migrations: Sequence[Migration],
    base: Schema,
    proof: _Proof,
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
        f"-- Proof:     {_plain(proof.words)}",
        *(f"--            {_plain(line)}" for line in proof.remaining[:_SHOWN]),
    ]
    if number == 0:
        lines += ["--", "-- Safety checklist"]
        marks = {"ok": "x", "failed": "!"}
        lines += [f"--   [{marks.get(check.state, ' ')}] {check.name}: {_plain(check.found)}" for check in checklist]
    if not is_atomic(list(parts)[number]):
        lines += ["--", f"-- {NO_TRANSACTION}: each statement runs by itself, and may be run again"]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return " ".join(text.split())
