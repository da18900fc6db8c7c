"""generate: what staging has become beyond the local migrations, as new migration files, proven before they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import psycopg

from safemig import __version__, live
from safemig.approval.plan import identify
from safemig.copies.database_copy import copy_schema
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import MigrationError
from safemig.execution.environment import open_environment, schema_of, standing_of
from safemig.execution.steps import NO_TRANSACTION, plan_files
from safemig.migrations import Migration, new_version, read_migrations, slug, write_new
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, words_of
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.pretences import real_dump
from safemig.results import Check, Generated, Target
from safemig.schema import Schema, SchemaDiff, Statement, compare, script
from safemig.schema.dumps import differences
from safemig.schema.model import Id
from safemig.schema.without_extensions import without_extensions
from safemig.settings import STAGING, Settings
from safemig.sql.identifiers import quote_name

_VALIDATES = re.compile(r"ALTER TABLE .* VALIDATE CONSTRAINT ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Proof:
    words: str
    remaining: tuple[str, ...]


@live.act("generate")
def generate(
    settings: Settings,
    description: str,
    *,
    environment: str = STAGING,
    renames: Mapping[str, str] | None = None,
) -> Generated:
    """Write the difference between staging and the local migrations as new files in the migrations folder.

    Statements that destroy are commented out, each with its reason. What cannot share a transaction (an index built
    CONCURRENTLY, the validation of a constraint) comes in a file of its own, after it. Staging is only read.

    Raises:
        MigrationError: the local migrations do not run, or the file cannot be written.
        UnreachableError: staging cannot be reached.
        ToolError: no PostgreSQL on this machine to replay the migrations on.
    """
    name = slug(description)
    folder = settings.path("migrations")
    migrations = read_migrations(folder)
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
        diff = compare(base, wanted, renames=renames or {})
        if left_out:
            diff = replace(diff, warnings=(*diff.warnings, _not_compared(shadow, left_out)))
        if diff.is_empty:
            but = f", but for what is not compared: {_not_compared(shadow, left_out)}" if left_out else ""
            return Generated(
                description, None, diff, "", proof=f"staging is what the local migrations make{but}: nothing to do"
            )
        parts = _parts(diff)
        with live.stage("prove the files on copies of it"):
            proof = _prove(settings, shadow, base_name, diff, parts, wanted, stand_in, source)
    checklist = _checklist(diff, proof, base, _not_compared(shadow, left_out) if left_out else "")
    version = new_version(datetime.now(UTC), (each.version for each in migrations))
    paths: list[Path] = []
    texts: list[str] = []
    for number, (transactional, statements) in enumerate(parts):
        # The parts run in the order of their versions, a second apart.
        version = version if number == 0 else new_version(datetime.now(UTC), [version])
        suffix = "" if number == 0 else f"_part_{number + 1}"
        head = _head(description, source, migrations, base, proof, checklist, number, len(parts), transactional)
        texts.append(f"{head}\n{script(statements, destructive=False)}")
        paths.append(folder / f"{version}_{name}{suffix}.sql")
    for path, text in zip(paths, texts, strict=True):
        write_new(path, text)
    return Generated(
        description=description,
        path=paths[0],
        diff=diff,
        text=texts[0],
        commented=tuple(
            (each.sql, each.why or each.blocked or "") for each in diff.online_statements if _is_commented(each)
        ),
        checklist=checklist,
        proof=proof.words,
        remaining=proof.remaining,
        further_paths=tuple(paths[1:]),
    )


def _parts(diff: SchemaDiff) -> list[tuple[bool, list[Statement]]]:
    """Cut the online statements into files: runs for one transaction, and runs of those that must stand alone.

    What must stand alone comes last where nothing after it names what it makes, so that there are few files. The
    proof runs them in this order.
    """
    statements = list(diff.online_statements)
    later: list[Statement] = []
    for statement in [each for each in statements if _stands_alone(each)]:
        after = statements[statements.index(statement) + 1 :]
        names = {name.rpartition(".")[2].strip('"') for name in statement.objects}
        if not any(name in each.sql for each in after if not _stands_alone(each) for name in names):
            statements.remove(statement)
            later.append(statement)
    runs = groupby([*statements, *later], key=lambda each: not _stands_alone(each))
    return [(transactional, list(run)) for transactional, run in runs]


def _stands_alone(statement: Statement) -> bool:
    # VALIDATE could share the transaction, and would then scan under the lock that ADD CONSTRAINT holds.
    return not statement.transactional or bool(_VALIDATES.match(statement.sql))


def _is_commented(statement: Statement) -> bool:
    return statement.destructive or statement.blocked is not None


def _prove(
    settings: Settings,
    shadow: Shadow,
    base: str,
    diff: SchemaDiff,
    parts: Sequence[tuple[bool, Sequence[Statement]]],
    wanted: Schema,
    staging: str,
    source: Target,
) -> _Proof:
    """Run the files on one copy of the base, and the complete script on another: that one must dump as staging does."""
    safe = shadow.make(template=base)
    for _, statements in parts:
        for statement in statements:
            if not _is_commented(statement):
                _run(shadow, safe, statement.sql)
    left = compare(shadow.schema(safe), wanted).changes
    commented = sum(_is_commented(statement) for _, statements in parts for statement in statements)
    complete = shadow.make(template=base)
    _run(shadow, complete, diff.sql)
    # One pg_dump for both, for each version writes in a form of its own.
    version = max(source.server_version_num, shadow.server.programs.version_num)
    dumps = (_dump(settings, shadow.server.url(complete), version), _dump(settings, staging, version))
    remaining = differences(*dumps, shadow.base.brings_entry)
    if remaining:
        lacking = f"; this machine lacks the extension {', '.join(shadow.lacks)}" if shadow.lacks else ""
        return _Proof(f"NOT EQUAL: {len(remaining)} differences to staging remain{lacking}", remaining)
    if commented:
        what = ", ".join(f"{each.action} {each.kind} {each.name}" for each in left)
        return _Proof(f"proven equal, but for what is commented out: {what}", ())
    return _Proof("proven equal", ())


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
    return real_dump(dump_schema(conninfo, version_num, only=settings.schemas))


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
    existing = [quote_name(schema, table) for schema, table in base.tables]
    live = [each for each in diff.online_statements if not _is_commented(each)]
    commented = len(diff.online_statements) - len(live)
    rewrites = [name for each in live if each.rewrites for name in each.objects]
    blocking = [table for table in existing if any(_locks(each, table) for each in live)]
    return (
        Check("no live statement destroys data", "ok", f"{commented} commented out" if commented else "none there"),
        Check("the files make staging's schema", "failed" if proof.remaining else "ok", proof.words),
        *((Check("all that staging has was compared", "failed", not_compared),) if not_compared else ()),
        Check("no table is rewritten", "failed" if rewrites else "ok", ", ".join(rewrites) or "none"),
        Check("tables locked against writes are known", "ok", ", ".join(blocking) or "none"),
        Check("renames are said, not guessed", "failed" if diff.rename_questions else "ok",
              "; ".join(diff.rename_questions) or "none likely"),
        Check("reviewed: safemig review says SAFE TO DEPLOY", "not done", "yours to do"),
        Check("the application runs with both the old and the new schema", "not done", "yours to do"),
        Check("existing rows need no backfill, or it is written", "not done", "yours to do"),
    )  # fmt: skip


def _locks(statement: Statement, table: str) -> bool:
    if not (statement.lock and statement.lock.blocks_writes):
        return False
    return any(name == table or name.startswith(f"{table}.") for name in statement.objects)


def _head(
    description: str,
    source: Target,
    migrations: Sequence[Migration],
    base: Schema,
    proof: _Proof,
    checklist: Sequence[Check],
    number: int,
    parts: int,
    transactional: bool,
) -> str:
    checksum = identify({"migrations": [each.sha256 for each in migrations], "schema": base.fingerprint})
    title = " ".join(description.split()) + (f" (part {number + 1} of {parts})" if parts > 1 else "")
    lines = [
        f"-- {title}",
        "--",
        f"-- Source:    {source.environment} (database {_plain(source.database)}, PostgreSQL {source.server_version})",
        f"-- Generated: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by safemig {__version__}",
        f"-- Base:      {len(migrations)} migrations, checksum {checksum}",
        f"-- Proof:     {_plain(proof.words)}",
        *(f"--            {_plain(line)}" for line in proof.remaining),
    ]
    if number == 0:
        lines += ["--", "-- Safety checklist"]
        marks = {"ok": "x", "failed": "!"}
        lines += [f"--   [{marks.get(check.state, ' ')}] {check.name}: {_plain(check.found)}" for check in checklist]
    if not transactional:
        lines += ["--", f"-- {NO_TRANSACTION}: each statement runs by itself, and may be run again"]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return " ".join(text.split())
