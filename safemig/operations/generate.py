"""generate: what staging has become beyond the local migrations, as new migration files, proven before they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from safemig import live
from safemig.copies.database_copy import copy_schema
from safemig.copies.platform_triggers import without_their_owner
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import MigrationError, SettingsError, UnreachableError
from safemig.execution.environment import open_environment, schema_with_rows, standing_of
from safemig.execution.layout import ProjectLayout, files_of, layout_for, require_sql
from safemig.execution.steps import plan_files
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import Migration, replace_file, slug, write_new
from safemig.migrations.change_set_text import disabled_in, enable
from safemig.operations.generate_cut import Trials, cut_elsewhere, parts_of
from safemig.operations.generate_disabled import disabled_changes
from safemig.operations.generate_proof import Compared, Proof, counted, prove
from safemig.operations.generate_text import Head, body_of, checklist_of, heading
from safemig.operations.status_warnings import platform_changed
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target
from safemig.postgres.owners import whom_may_own
from safemig.results import Behaviour, DisabledChange, Enabled, FileText, Generated
from safemig.schema import Schema, compare
from safemig.schema.configuration import rows_taken_over
from safemig.schema.difference import is_atomic
from safemig.schema.model import Id
from safemig.schema.owners import with_owners
from safemig.schema.without_extensions import without_extensions
from safemig.settings import STAGING, Settings

_PART = re.compile(r"_part_\d+\Z")


@live.act("generate")
def generate(
    settings: Settings,
    description: str,
    *,
    environment: str = STAGING,
    renames: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Generated:
    """Write the difference between staging and the local migrations as new files in the migrations folder.

    Statements that make sense only together are one change set, live or disabled as a whole: one that destroys, or
    that may be a rename, is disabled, with its reason. What cannot share a transaction (an index built CONCURRENTLY,
    the validation of a constraint) comes in a file of its own. Staging is only read. With `dry_run` all is proven and no
    file is written; the result holds the files.

    Raises:
        MigrationError: the local migrations do not run, or the file cannot be written.
        UnreachableError: staging cannot be reached.
        ToolError: no PostgreSQL on this machine to replay the migrations on.
    """
    name = slug(description)
    require_sql(settings)
    of = layout_for(settings)
    migrations = of.read()
    now = datetime.now(UTC)  # once: what is tried has the names of what is written

    def new_files(number: int) -> Sequence[Path]:
        return of.layout.new_files(of.folder, migrations, name, number, now)

    def names_of(number: int) -> list[str]:
        return [str(path.relative_to(of.folder)) for path in new_files(number)]

    new_files(1)  # a layout that takes no new files says so first
    with open_environment(settings, environment) as staging, open_shadow(settings, staging, deploys=True) as shadow:
        found = _compare(settings, environment, staging, shadow, migrations, renames or {})
        if found.diff.is_empty:
            return Generated(description, None, found.diff, "", base=shadow.base.words, proof=_nothing_to_do(found))
        parts = parts_of(found.diff)
        with live.stage("prove the files on copies of it"):
            proof = prove(settings, shadow, found, parts)
        pass_point(FaultPoint.FILES_PROVEN)
        if not parts:
            words = f"nothing to write: {proof.words}"
            return Generated(description, None, found.diff, "", proof=words, remaining=proof.remaining)
        trials = Trials(shadow, staging, found.base_name, found.base, found.wanted, renames or {}, names_of)
        found, proof, behaviour = _tried(settings, trials, found, proof)
        disabled: tuple[DisabledChange, ...] = ()
        if any(each.disabled is not None for each in found.diff.change_sets):
            with live.stage("try each disabled change alone"):
                disabled = tuple(disabled_changes(trials, found.diff, behaviour, proof.reached))
    checklist = checklist_of(found.diff, proof, behaviour, disabled, found.base, found.not_compared)
    head = Head(description, migrations, found, shadow.base.words, proof, behaviour, checklist)
    paths = new_files(len(parts_of(found.diff)))
    texts = _texts(of, head, paths)
    files = _in_layout(of, head, paths, texts)
    if not dry_run:
        _write(files)
    return Generated(
        description=description,
        path=paths[0],
        diff=found.diff,
        text=texts[0],
        commented=tuple(
            (one.sql, each.disabled) for each in found.diff.change_sets if each.disabled for one in each.statements
        ),
        checklist=checklist,
        proof=proof.words,
        remaining=proof.remaining,
        further_paths=tuple(paths[1:]),
        behaviour=behaviour,
        disabled=disabled,
        base=shadow.base.words,
        not_written=tuple(files) if dry_run else (),
    )


def _compare(
    settings: Settings,
    environment: str,
    staging: Connection,
    shadow: Shadow,
    migrations: Sequence[Migration],
    renames: Mapping[str, str],
) -> Compared:
    """Replay the local migrations on the shadow and compare the environment with what they make."""
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
    platform = shadow.base.extensions
    left_out = tuple(item for item in left_out if item.kind != "extension" or item.name not in platform)
    not_compared = _not_compared(shadow, left_out) if left_out else ""
    diff = compare(base, wanted, renames=renames, with_change_sets=True)
    diff = without_their_owner(diff, base, shadow.base.platform)
    warnings = filter(None, (platform_changed(settings, environment, staging), not_compared))
    return Compared(
        source=source,
        staging=stand_in,
        base_name=base_name,
        base=base,
        wanted=wanted,
        diff=replace(diff, warnings=(*diff.warnings, *warnings)),
        owners=owners,
        theirs=frozenset(item for item, owner in there.owners.items() if wanted.owners.get(item, owner) != owner),
        not_compared=not_compared,
    )


def _nothing_to_do(found: Compared) -> str:
    """Say that the environment is what the migrations make, and what of it was not compared."""
    but = f", except for what is not compared: {found.not_compared}" if found.not_compared else ""
    notes = counted(len(found.diff.warnings), "note")
    but += f", except for {notes}" if found.diff.warnings and not found.not_compared else ""
    owners = f"; {found.owners}" if found.owners else ""
    return f"staging is what the local migrations make{but}: nothing to do{owners}"


def _tried(settings: Settings, trials: Trials, found: Compared, proof: Proof) -> tuple[Compared, Proof, Behaviour]:
    """Try the files; where something fails between two, cut them elsewhere if that closes the gap, and prove them again."""
    with live.stage("try the files on a copy with rows"):
        behaviour = trials.behaviour(found.diff)
    if behaviour.gaps:
        with live.stage(f"cut them elsewhere, for {behaviour.gaps[0].what} fails between two"):
            cut, behaviour = cut_elsewhere(trials, found.diff, behaviour)
        if behaviour.moved:
            found = replace(found, diff=replace(cut, warnings=found.diff.warnings))
            with live.stage("prove the files on copies of it"):
                proof = prove(settings, trials.shadow, found, parts_of(found.diff))
    stops = behaviour.unfit and not behaviour.is_whole
    return found, proof.stopped(behaviour.unfit[-1]) if stops else proof, behaviour


def _texts(of: ProjectLayout, head: Head, paths: Sequence[Path]) -> list[str]:
    found = head.compared
    parts = parts_of(found.diff)
    names = {part: str(path.relative_to(of.folder)) for part, path in zip(parts, paths, strict=True)}
    return [
        f"{heading(head, parts, number)}\n{body_of(found.diff, part, names, found.base, head.behaviour.moved)}"
        for number, part in enumerate(parts)
    ]


def _in_layout(of: ProjectLayout, head: Head, paths: Sequence[Path], texts: Sequence[str]) -> list[FileText]:
    """Return each file as the layout has it, with what that puts beside it."""
    return [
        FileText(each, content)
        for path, text, part in zip(paths, texts, parts_of(head.compared.diff), strict=True)
        for each, content in of.layout.texts(path, text, head.proof.down, atomic=is_atomic(part)).items()
    ]


def _write(files: Sequence[FileText]) -> None:
    for file in files:
        file.path.parent.mkdir(exist_ok=True)
        pass_point(FaultPoint.FILE_BEGINS)
        write_new(file.path, file.text)
        pass_point(FaultPoint.FILE_WRITTEN)


def enable_change(settings: Settings, number: int, *, dry_run: bool = False) -> Enabled:
    """Enable change `number` in the newest generated migration that holds it disabled, in all of its files.

    With `dry_run` none is written, and the result holds them.
    An environment that cannot be reached is named in the result: there a file may be applied.

    Raises:
        MigrationError: no migration file holds that change disabled, one is applied to an environment already, or one
            cannot be written; then none was changed.
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
    unchecked = tuple(each for each in sorted(settings.environments) if not _is_pending(settings, each, files, number))
    texts = {each.path: enable(each.path.read_text(encoding="utf-8"), number) for each in files}
    if dry_run:
        not_written = tuple(FileText(path, text) for path, text in texts.items())
        return Enabled(number, tuple(texts), not_written, unchecked)
    for path, text in texts.items():
        replace_file(path, text)
    return Enabled(number, tuple(texts), unchecked=unchecked)


def _is_pending(settings: Settings, environment: str, files: Sequence[Migration], number: int) -> bool:
    """Tell whether all of `files` are still to be applied to an environment; False where it cannot be asked.

    Raises MigrationError where one is applied.
    """
    try:
        with open_environment(settings, environment) as connection:
            applied = {each.version for each in standing_of(settings, connection).applied}
    except (SettingsError, UnreachableError):
        return False
    done = [each for each in files if each.version in applied]
    if done:
        raise MigrationError(
            f"change {number} is in a file that is applied to {environment} already: {done[0].file}",
            where=str(done[0].path.parent),
            next='safemig generate "..." writes what staging has beyond the applied files into a new file, this change too:'
            " enable it there",
        )
    return True


def _in_words_of(shadow: Shadow, staging: Connection, conninfo: str) -> tuple[Schema, str]:
    """Return staging's schema as the shadow's server writes it, and the connection string of what was read.

    Each major version deparses expressions in a form of its own (15 says `users.id` where 17 says `id`): from another
    version a copy of staging's schema is read, where one can be made; without an extension it cannot.
    """
    programs = shadow.server.programs
    if programs.major == staging.info.server_version // 10000 or shadow.lacks:
        return schema_with_rows(shadow.settings, staging), conninfo
    url = copy_schema(staging, conninfo, shadow.server, "staging", only=shadow.settings.schemas)
    original = schema_with_rows(shadow.settings, staging)
    copy = rows_taken_over(shadow.schema("staging"), original)
    return replace(copy, owners={**copy.owners, **original.owners}), url


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
