"""The command `safemig`: every verb, its exit code the contract's, results on standard output, the rest on error.

A verb that acts runs its runbook, so that it leaves a record. Verbs that only answer a question (review, plan, status,
diff, records, help) ask the Python API; review and status leave a record with `--record`.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from safemig import __version__
from safemig.result import JSON_FORMAT
from safemig.terminal import verbs
from safemig.terminal.verbs import Verbs

if TYPE_CHECKING:
    from types import TracebackType

    from safemig.errors import SafemigError
    from safemig.project import Project
    from safemig.records import Progress
    from safemig.result import Result
    from safemig.schema import SchemaDiff
    from safemig.terminal.output import Output

_is_own_process = False  # True where `main` was started as the command, not called by other code


def _offering(what: str) -> Callable[..., list[Any]]:
    """Return what a shell asks for the words that an argument can have; it is loaded when a shell does."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from safemig.terminal import completion

        return completion.completing(getattr(completion, what))(context, parameter, incomplete)

    return complete


ENVIRONMENTS = _offering("environments")
FILE = click.Path(allow_dash=True)  # says nothing of whether it is there: that is answered by the verb
TARGET = click.option(
    "--target", default="production", show_default=True, metavar="NAME", help="Target environment.",
    shell_complete=ENVIRONMENTS,
)  # fmt: skip
ACCEPT = click.option(
    "--accept", multiple=True, metavar="RULE:OBJECT:REASON", help="Accept a finding by name, with a reason. Repeatable."
)
APPROVE = click.option("--approve", default="", metavar="ID", help="Plan ID to approve (prompts if omitted).")
RUN = click.option(
    "--run", "run", default="", metavar="COMMAND",
    help='Another tool migrates: its command, such as "alembic upgrade head". It gets DATABASE_URL and PG*.',
)  # fmt: skip
RUN_DOWN = click.option(
    "--run-down",
    default="",
    metavar="COMMAND",
    help="The tool's command that reverts what --run did; proven on the copy.",
)
RESUME = click.option(
    "--resume", default="", metavar="ID", help="Resume the deployment with this ID, or plan ID, that stopped part-way."
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Only show what would be done, with the plan ID if it needs approval. Reads only."
)
NOT_WRITTEN = click.option("--dry-run", is_flag=True, help="Only show the files that would be written.")
RENAMES = click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="A rename, such as public.users.mail=email. Repeatable.",
)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="safemig")
@click.option("--project", "folder", default=".", metavar="DIR", help="The project's folder, or one below it.")
@click.pass_context
def safemig(context: click.Context, folder: str) -> None:
    """Take PostgreSQL schema changes from staging to a production that holds data, and prove each step.

    Exit codes: 0 done or safe; 1 a check said no, nothing was changed; 2 usage or settings, or an unreadable database;
    3 failed and rolled back; 4 stopped part-way, the message has the command that resumes; 5 outcome unknown, the message says how
    to find out.
    """
    context.obj = folder


@safemig.command()
@click.argument("folder", default=".")
@click.option("--first-migration", default="", metavar="NAME", help="Also write an empty first migration.")
@NOT_WRITTEN
def init(folder: str, first_migration: str, dry_run: bool) -> None:
    """Write safemig.toml and the folders. Never overwrites."""
    from safemig.project import Project

    _show(Project.init(folder, first_migration=first_migration, dry_run=dry_run))


@safemig.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Leave the project and its server's data in this folder.")
@click.option("--serve", type=click.Path(path_type=Path), metavar="DIR", help="Start a kept demo's server again.")
@click.option("--platform", type=click.Choice(["supabase"]), help="Play on an imitation of this platform.")
def demo(keep: Path | None, serve: Path | None, platform: str | None) -> None:
    """Run the whole workflow on a throwaway local PostgreSQL with data in it."""
    from safemig.demo import run_demo

    output = verbs.chosen
    said: list[str] = []

    def echo(line: str) -> None:
        said.append(line)
        if not output.quiet:
            click.echo(line, err=output.is_json)

    exit_code = run_demo(serve or keep, serve=serve is not None, echo=echo, platform=platform or "")
    if output.is_json:
        _tell_as_json({"format": JSON_FORMAT, "kind": "demo", "exit_code": exit_code, "lines": said})
    elif output.quiet:
        click.echo("PROVEN" if exit_code == 0 else f"NOT PROVEN (exit code {exit_code})")
    sys.exit(exit_code)


@safemig.command()
@click.argument("description", required=False)
@RENAMES
@click.option(
    "--enable",
    type=click.IntRange(min=1),
    metavar="N",
    help="Enable change N, which the newest generated files hold disabled.",
)
@NOT_WRITTEN
@click.pass_obj
def generate(
    folder: str, description: str | None, renames: tuple[str, ...], enable: int | None, dry_run: bool
) -> None:  # fmt: skip
    """Write what was changed on staging as a new migration file."""
    if bool(description and description.strip()) == (enable is not None):
        raise click.UsageError('say what was changed, such as "add user preferences table", or --enable N')
    if enable is not None:
        _show(_project(folder).enable_change(enable, dry_run=dry_run))
        return
    if dry_run:
        _show(_project(folder).generate(description or "", renames=_pairs(renames), dry_run=True))
        return
    _record(folder, "generate", description=description, renames=_pairs(renames))


@safemig.command()
@click.argument("files", nargs=-1, type=FILE)
@click.option(
    "--target",
    metavar="NAME",
    help="Target environment (default: production; with FILES only where it is set).",
    shell_complete=ENVIRONMENTS,
)
@click.option("--no-target", is_flag=True, help="Review without reading a target database.")
@ACCEPT
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "junit", "github", "markdown"]),
    default="text",
    show_default=True,
)
@click.option("--fix", is_flag=True, help="Write what has a mechanical safer form in that form, then review it.")
@click.option(
    "--prove/--no-prove",
    default=None,
    help="With --fix: run both forms on a throwaway server and compare their pg_dump. Default: where there is one.",
)
@click.option("--record", is_flag=True, help="Run the runbook, so that the review leaves a record.")
@click.option(
    "--baseline",
    is_flag=True,
    help="Accept all findings as they stand, once, in review_baseline.txt: for an old history.",
)
@click.option("--no-cache", is_flag=True, help="Review again, even if the same files were reviewed before.")
@click.pass_obj
def review(
    folder: str, files: tuple[str, ...], target: str | None, no_target: bool, accept: tuple[str, ...], form: str,
    fix: bool, prove: bool | None, record: bool, baseline: bool, no_cache: bool,
) -> None:  # fmt: skip
    """Review pending migrations, or FILES (- is standard input): findings and a verdict.

    Exit code 0: SAFE TO DEPLOY, or nothing is pending; 1: findings stand; 2: the target or a file cannot be read, or no
    migration was found.
    """
    if "-" in files and (fix or record):
        raise click.UsageError("standard input can be reviewed, not fixed or recorded; name a file")
    if prove is not None and not fix:
        raise click.UsageError("--prove and --no-prove say how to --fix; name that too")
    if baseline and (fix or record or accept or "-" in files):
        raise click.UsageError("--baseline accepts what files hold; leave out --fix, --record, --accept and -")
    if record and fix:
        raise click.UsageError("--record runs the runbook, which changes no file; leave out --fix")
    if record:
        if form not in ("text", "json"):
            raise click.UsageError(f"--record prints text or JSON; leave out --format {form}")
        named = [str(Path(file).resolve()) for file in files]
        given = {"target": target or "production", "no_target": no_target, "accept": list(accept)}
        if target and no_target:
            raise click.UsageError("--target and --no-target exclude each other")
        _record(folder, "review", files=named, **given)
    from safemig.settings_file import has_settings

    is_unset = no_target or "PRODUCTION_DATABASE_URL" not in os.environ
    has_project = has_settings(folder) or baseline or (Path(folder) / "review_baseline.txt").is_file()
    bare = bool(files) and target is None and is_unset and not has_project
    key = None
    if bare and not (fix or no_cache or "-" in files):
        from safemig.operations.review_cache import keep_answer, kept_answer, key_of

        key = key_of(files, [form, str(no_target), *accept])
        if key and not _is_styled() and (kept := kept_answer(key)):
            _write(kept[1])
            _leave(kept[0])

    gc.disable()  # a review makes millions of small objects and no cycles, and the process ends with it
    from safemig.operations.review import fix as fix_files
    from safemig.operations.review import review as review_project
    from safemig.operations.review import review_files

    if fix:
        settings = None if bare else _project(folder).settings
        fixed = fix_files(settings, files, environment=target, no_target=no_target, accept=accept, prove=prove)
        result = fixed.after
        for path in fixed.written:
            click.echo(f"written: {_relative(path.resolve())}", err=True)
        for proof in fixed.proofs:
            click.echo(f"{proof.outcome}: {proof.file}: {proof.why}", err=True)
        for one in fixed.before.left_alone:
            click.echo(f"left as it is: {one.file}, line {one.line}: {one.why}", err=True)
    elif baseline:
        from safemig.operations.review import accept_history

        result, path, number = accept_history(_project(folder).settings, files, environment=target, no_target=no_target)
        click.echo(f"written: {_relative(path.resolve())}, {number} findings accepted", err=True)
    elif bare:
        result = review_files(files, no_target=no_target, accept=accept)
    else:
        settings = _project(folder).settings
        result = review_project(settings, files, environment=target, no_target=no_target, accept=accept)
    if form == "text" and (key is None or _is_styled()):
        _show(result)
        _leave(result.exit_code)
    if form == "text":
        drawn = result.render("text")
    else:
        from safemig.review import reports
        from safemig.secrets import hide_in

        draw: Callable[..., str] = getattr(reports, f"{form}_report")
        drawn = str(hide_in(draw(result))).rstrip("\n")
    if drawn or form == "text":
        _write(drawn)
    if key and drawn:
        keep_answer(key, result.exit_code, drawn)
    _leave(result.exit_code)


def _write(text: str) -> None:
    """Print a long report, which holds no colours that `click.echo` would have to look for."""
    sys.stdout.write(text)
    sys.stdout.write("\n")


def _leave(code: int) -> NoReturn:
    """End a process that holds nothing but memory: to give that back object by object takes a while after a long review."""
    if _is_own_process:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


_PLANNED = ("migrate-prod", "rollback-prod", "restore-prod", "baseline-prod", "sync-prod")


@safemig.command()
@click.argument("verb", type=click.Choice(_PLANNED), default="migrate-prod", metavar="[VERB]")
@click.argument("name", default="", shell_complete=_offering("what_a_plan_is_of"))
@TARGET
@ACCEPT
@RESUME
@RUN
@RUN_DOWN
@click.option(
    "--to",
    default="",
    metavar="VERSION",
    help="Of baseline-prod: the last migration that production has.",
    shell_complete=_offering("versions"),
)
@click.option(
    "--source",
    default="staging",
    show_default=True,
    help="Of sync-prod: whose schema is taken.",
    shell_complete=ENVIRONMENTS,
)
@click.option("--format", "form", type=click.Choice(["text", "json", "id"]), default="text", show_default=True)
@click.pass_obj
def plan(folder: str, /, verb: str, name: str, form: str, **given: Any) -> None:
    """Show what VERB would do, and the ID that approves it (alone, with --format id). Reads only.

    VERB is migrate-prod (default), rollback-prod, restore-prod, baseline-prod or sync-prod.

    NAME is the script of rollback-prod, or the backup of restore-prod (the plan is of its swap); default: the latest.
    """
    if name and verb not in ("rollback-prod", "restore-prod"):
        raise click.UsageError(f"{verb} has no NAME; it is the script of rollback-prod or the backup of restore-prod")
    result = _project(folder).plan(verb, _from_here(name), **given)
    if form == "id":
        click.echo(result.id)
    else:
        _show(result)


@safemig.command()
@TARGET
@click.option(
    "--load",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="PERCENT",
    help="Percent of the application's collected calls to run at the same time.",
)
@RUN
@RUN_DOWN
@DRY_RUN
@click.pass_obj
def rehearse(folder: str, target: str, load: int, run: str, run_down: str, dry_run: bool) -> None:
    """Run pending migrations on a copy of production: locks, rewrites, times, a proven rollback.

    With statements collected by safemig workload, each is tried before the migration, after it, and after the rollback;
    with --load, the migration also runs on a second copy while that share of their calls runs there.
    With --run, another tool's command migrates the copy: safemig rehearse --run "alembic upgrade head"
    """
    if dry_run:
        _plan(folder, "rehearse", target=target, run=run, run_down=run_down)
    _record(folder, "rehearse", target=target, load=load, run=run, run_down=run_down)


@safemig.command()
@TARGET
@click.option("--no-verify", is_flag=True, help="Do not restore the backup to prove it; the verdict says so.")
@DRY_RUN
@click.pass_obj
def backup_prod(folder: str, target: str, no_verify: bool, dry_run: bool) -> None:
    """Take a full and a schema backup of one snapshot, and prove it by restoring it."""
    if dry_run:
        _plan(folder, "backup_prod", target=target, verify=not no_verify)
    _record(folder, "backup_prod", target=target, verify=not no_verify)


@safemig.command()
@click.option(
    "--target",
    default="staging",
    show_default=True,
    metavar="NAME",
    help="Target environment.",
    shell_complete=ENVIRONMENTS,
)
@DRY_RUN
@click.pass_obj
def migrate_staging(folder: str, target: str, dry_run: bool) -> None:
    """Apply pending migrations to staging; what is there already is only recorded."""
    if dry_run:
        _plan(folder, "migrate_staging", target=target)
    _record(folder, "migrate_staging", target=target)


@safemig.command()
@TARGET
@APPROVE
@ACCEPT
@RESUME
@RUN
@RUN_DOWN
@DRY_RUN
@click.pass_obj
def migrate_prod(
    folder: str, target: str, approve: str, accept: tuple[str, ...], resume: str, run: str, run_down: str, dry_run: bool
) -> None:
    """Deploy to production: pre-flight, review, backup, rehearsal, approval, deployment, validation, record.

    With --run, by another tool's command: safemig migrate-prod --run "alembic upgrade head"
    """
    if dry_run:
        _plan(folder, "migrate_prod", target=target, accept=accept, resume=resume, run=run, run_down=run_down)
    given = {"approve": approve, "accept": list(accept), "resume": resume, "run": run, "run_down": run_down}
    _record(folder, "migrate_prod", target=target, **given)


@safemig.command()
@click.argument("script", default="", shell_complete=_offering("scripts"))
@TARGET
@APPROVE
@DRY_RUN
@click.pass_obj
def rollback_prod(folder: str, script: str, target: str, approve: str, dry_run: bool) -> None:
    """Run a proven rollback SCRIPT (default: the latest) with the care of a deployment."""
    if dry_run:
        _plan(folder, "rollback_prod", _from_here(script), target=target)
    _record(folder, "rollback_prod", script=_from_here(script), target=target, approve=approve)


@safemig.command()
@click.argument("backup", default="", shell_complete=_offering("backups"))
@TARGET
@click.option("--swap", is_flag=True, help="Replace production with the restored database.")
@click.option(
    "--tables", default="", metavar="NAMES", help="Restore only these (or all), beside: public.orders,public.items."
)
@click.option("--put-back", is_flag=True, help="Insert the rows of --tables that production lacks, once approved.")
@click.option("--update", is_flag=True, help="Also update the rows that differ from the backup's.")
@click.option("--where", default="", metavar="CONDITION", help="Only rows of the backup for which this is true.")
@click.option("--fire-triggers", is_flag=True, help="Let triggers fire for what is put back.")
@click.option("--drop", default="", metavar="NAME", help="Drop a database or schema that an earlier restore left.")
@APPROVE
@DRY_RUN
@click.pass_obj
def restore_prod(folder: str, /, backup: str, dry_run: bool, **given: Any) -> None:
    """Restore BACKUP (default: the latest) beside production and verify it; or single tables of it.

    After rows were deleted: safemig restore-prod --tables public.orders,public.items --put-back. Where no second database
    can be made (Supabase, Heroku), everything is restored into a schema of production: --tables all --put-back.
    """
    if dry_run:
        given.pop("approve")
        _plan(folder, "restore_prod", _from_here(backup), **given)
    _record(folder, "restore_prod", backup=_from_here(backup), **given)


@safemig.command()
@click.option(
    "--source",
    default="staging",
    show_default=True,
    help="The environment whose schema is taken.",
    shell_complete=ENVIRONMENTS,
)
@TARGET
@APPROVE
@DRY_RUN
@click.pass_obj
def sync_prod(folder: str, source: str, target: str, approve: str, dry_run: bool) -> None:
    """Give an EMPTY production the schema of staging. Refused where production holds a single row."""
    if dry_run:
        _plan(folder, "sync_prod", source=source, target=target)
    _record(folder, "sync_prod", source=source, target=target, approve=approve)


@safemig.command()
@click.option(
    "--to",
    default="",
    metavar="VERSION",
    help="The last migration that production has; none: all pending.",
    shell_complete=_offering("versions"),
)
@TARGET
@APPROVE
@DRY_RUN
@click.pass_obj
def baseline_prod(folder: str, to: str, target: str, approve: str, dry_run: bool) -> None:
    """Record migrations that were applied by hand; refused unless they make the schema that is there."""
    if dry_run:
        _plan(folder, "baseline_prod", to=to, target=target)
    _record(folder, "baseline_prod", to=to, target=target, approve=approve)


@safemig.command()
@click.argument("source", metavar="[NAME]", default="staging", shell_complete=ENVIRONMENTS)
@NOT_WRITTEN
@click.pass_obj
def base(folder: str, source: str, dry_run: bool) -> None:
    """Write or refresh what the platform provides, as environment NAME (default: staging) has it."""
    _show(_project(folder).base(source=source, dry_run=dry_run))


@safemig.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Only this environment (default: all). Repeatable.",
    shell_complete=ENVIRONMENTS,
)
@click.option("--record", is_flag=True, help="Run the runbook, so that the status leaves a record.")
@click.pass_obj
def status(folder: str, targets: tuple[str, ...], record: bool) -> None:
    """Show both databases and every migration side by side. Reads only.

    Exit code 0: all well, pending migrations included; 1: problems or drift; 5: a database could not be asked.
    """
    if record:
        _record(folder, "db_status", targets=list(targets))
    result = _project(folder).db_status(*targets)
    _show(result)
    sys.exit(result.exit_code)


@safemig.command()
@click.argument("target", default="production", shell_complete=ENVIRONMENTS)
@click.option("--record", is_flag=True, help="Run the runbook, so that the diagnosis leaves a record.")
@click.pass_obj
def doctor(folder: str, target: str, record: bool) -> None:
    """Say which verbs will work on TARGET (an environment or a URL), and the command for each gap. Reads only.

    Exit code 0: all verbs work; 1: some will not; 5: the database could not be reached.
    """
    if record:
        _record(folder, "doctor", target=target)
    result = _project(folder).doctor(target)
    _show(result)
    sys.exit(result.exit_code)


@safemig.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=FILE)
@TARGET
@click.option("--role", default="", metavar="NAME", help="Who sends the statements of files that do not say it.")
@click.option("--show", is_flag=True, help="Show what was collected; read no database and no other file.")
@click.option("--record", is_flag=True, help="Run the runbook, so that the collection leaves a record.")
@NOT_WRITTEN
@click.pass_obj
def workload(
    folder: str, paths: tuple[str, ...], target: str, role: str, show: bool, record: bool, dry_run: bool
) -> None:  # fmt: skip
    """Collect the application's statements from pg_stat_statements, or from PATHs: folders of .sql, server
    logs (stderr, csvlog, jsonlog), dumps of pg_stat_statements.

    They go into workload/TARGET.jsonl, without values and comments; run it again (cron, CI) to collect over weeks. Every
    rehearsal then tries them before and after the migration. Reads the database only.
    """
    given = [_from_here(path) for path in paths]
    if record:
        if show or dry_run:
            raise click.UsageError("--record runs the runbook, which collects; leave out --show and --dry-run")
        _record(folder, "workload", paths=given, target=target, role=role)
    _show(_project(folder).workload(*given, target=target, role=role, show=show, dry_run=dry_run))


@safemig.command()
@click.option(
    "--from",
    "from_",
    required=True,
    metavar="URL",
    help="The schema to start from: a URL or environment.",
    shell_complete=ENVIRONMENTS,
)
@click.option(
    "--to", required=True, metavar="URL", help="The target schema: a URL or environment.", shell_complete=ENVIRONMENTS
)
@click.option("--allow-destructive", is_flag=True, help="Print destructive statements enabled, not commented out.")
@RENAMES
@click.pass_obj
def diff(folder: str, from_: str, to: str, allow_destructive: bool, renames: tuple[str, ...]) -> None:
    """Print the DDL that turns one schema into another: SQL alone, empty when the two are equal. Reads only."""
    result = _difference(folder, from_, to, _pairs(renames))
    if verbs.chosen.is_json:
        _show(result)
        return
    sql = (result.sql if allow_destructive else result.safe_sql).rstrip("\n")
    if sql:
        click.echo(sql)
    for warning in result.warnings:
        click.echo(f"mind: {warning}", err=True)
    for question in result.rename_questions:
        click.echo(f"possible rename: {question}", err=True)


@safemig.group()
def fleet() -> None:
    """One change to many databases: [fleets.NAME] in safemig.toml says which."""


FLEET = click.argument("name", metavar="[FLEET]", default="")


@fleet.command(name="status")
@FLEET
@click.option("--no-drift", is_flag=True, help="Do not compare the schemas with the migrations.")
@click.pass_obj
def fleet_status(folder: str, name: str, no_drift: bool) -> None:
    """Ask every member of FLEET (default: the only one) where it stands: version, pending, drift, errors. Reads only.

    Exit code 0: all well, pending migrations included; 1: drift or problems; 5: a member could not be asked.
    """
    result = _project(folder).fleet_status(name, drift=not no_drift)
    _show(result)
    sys.exit(result.exit_code)


@fleet.command(name="plan")
@FLEET
@click.option("--format", "form", type=click.Choice(["text", "json", "id"]), default="text", show_default=True)
@click.pass_obj
def fleet_plan(folder: str, name: str, form: str) -> None:
    """Show what a deployment to FLEET would do, and the ID that approves it (alone, with --format id). Reads only.

    Every member's rows are checked for what would make a statement fail. Exit code 1: members stop the plan.
    """
    result = _project(folder).fleet_plan(name)
    if form == "id":
        click.echo(result.id)
    else:
        _show(result, form)
    sys.exit(result.exit_code)


@fleet.command(name="migrate")
@FLEET
@APPROVE
@click.option("--resume", default="", metavar="ID", help="Resume the deployment of this plan: all members are asked.")
@click.option("--waves", type=int, default=0, metavar="N", help="Stop after N waves; --resume continues.")
@ACCEPT
@click.pass_obj
def fleet_migrate(
    folder: str, name: str, approve: str, resume: str, waves: int, accept: tuple[str, ...]
) -> None:  # fmt: skip
    """Deploy to every member of FLEET: a rehearsal for each cohort, waves, one record.

    Each member gets the protocol of migrate-prod. Killed at any moment, --resume asks all members and continues; a rerun
    of what is done does nothing.
    """
    chosen = _project(folder).settings.fleet(name)[0]
    given = {"approve": approve, "resume": resume, "waves": waves, "accept": list(accept)}
    _record(folder, "fleet_migrate", fleet=chosen, **given)


@fleet.command(name="rollback")
@click.argument("plan", metavar="PLAN")
@FLEET
@APPROVE
@click.pass_obj
def fleet_rollback(folder: str, plan: str, name: str, approve: str) -> None:
    """Roll back what PLAN deployed to FLEET, on every member that has it, by its cohorts' proven scripts.

    Each member gets the care of rollback-prod: a backup, and the script run on a copy of its own. It can be run again.
    """
    chosen = _project(folder).settings.fleet(name)[0]
    _record(folder, "fleet_rollback", fleet=chosen, plan=plan, approve=approve)


@fleet.command(name="backup")
@FLEET
@click.pass_obj
def fleet_backup(folder: str, name: str) -> None:
    """Back every member of FLEET up into backups/FLEET/MEMBER, and read each backup back."""
    chosen = _project(folder).settings.fleet(name)[0]
    _record(folder, "fleet_backup", fleet=chosen)


@safemig.command()
@click.option("--verify", is_flag=True, help="Hash every record and compare it with the ledger.")
@click.option("--settle", is_flag=True, help="Resolve records of interrupted runs.")
@click.option(
    "--environment", default="", metavar="NAME", help="Only records of this environment.", shell_complete=ENVIRONMENTS
)
@click.option(
    "--verdict", default="", metavar="WORD", help="Only records whose verdict starts with this, such as failed."
)
@click.option("--act", default="", metavar="VERB", help="Only records of this verb, such as migrate-prod.")
@click.option("--by", default="", metavar="PERSON", help="Only records of this person.")
@click.option("--since", default="", metavar="TIME", help="Only records from this date or time on (UTC).")
@click.option("--until", default="", metavar="TIME", help="Only records up to this date or time (UTC).")
@click.pass_obj
def records(folder: str, /, verify: bool, settle: bool, **filters: str) -> None:
    """List the archive of records. With --verify, exit code 1 when one was edited, removed, swapped or added."""
    archive = _project(folder).deployments(verify=verify, settle=settle, **filters)
    _show(archive)
    if archive.problems:
        sys.exit(1)


@safemig.command()
@click.option("--schema", is_flag=True, help="Print the JSON Schema of safemig.toml, for editors.")
@click.pass_obj
def config(folder: str, schema: bool) -> None:
    """Show every setting in force, and where it comes from. Reads no database.

    For an editor: safemig config --schema > safemig.schema.json, and "#:schema ./safemig.schema.json" as the first line of safemig.toml.
    """
    if schema:
        import json

        from safemig.operations.config import settings_schema

        click.echo(json.dumps(settings_schema(), indent=2))
        return
    _show(_project(folder).config())


def _topics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[Any]:
    from safemig.operations.deploy_help import TOPICS

    return [topic for topic in TOPICS if topic.startswith(incomplete)]


@safemig.command(name="help")
@click.argument("topic", default="", shell_complete=_topics)
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True)
def help_(topic: str, form: str) -> None:
    """The commands, the workflow, the safety checklist, the emergency procedures (or one TOPIC of these).

    With --format html a page to print: safemig help emergency --format html > emergency.html
    """
    from safemig.operations.deploy_help import deploy_help

    result = deploy_help(topic)
    if form == "html":
        from safemig.views.in_page import draw_page

        click.echo(draw_page(result), nl=False)
    else:
        _show(result)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code; an error of ours is shown as its lines, without traceback."""
    global _is_own_process
    from safemig.errors import SafemigError
    from safemig.result import Result
    from safemig.secrets import hide, remember_typed

    _is_own_process = arguments is None
    # Loading makes many objects and no garbage: at Python's own threshold a fifth of a short command goes to looking.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)  # nor is anything to be found in what the process ends with
    words = list(sys.argv[1:] if arguments is None else arguments)
    remember_typed(words)
    if _is_own_process:
        sys.excepthook = _show_fault
    verbs.begin(words)
    try:
        sys.exit(safemig.main(args=words, prog_name="safemig", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        message = hide(error.format_message())
        _tell_error("Usage", error.exit_code, message, next_="safemig --help")
        context = getattr(error, "ctx", None)
        if context is not None:
            click.echo(f"{context.get_usage()}\nTry '{context.command_path} -h' for help.\n", err=True)
        click.echo(f"Error: {message}", err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        _tell_error("Aborted", 1, "interrupted")
        click.echo("Aborted!", err=True)
        sys.exit(1)
    except SafemigError as error:
        _tell_as_json(error)
        if isinstance(error.result, Result) and not verbs.chosen.is_json:
            _show(error.result)
        for line in error.lines:
            click.echo(line, err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        from safemig.errors import file_error

        told = file_error(error)
        if not isinstance(error, BrokenPipeError):
            _tell_as_json(told)
        if not isinstance(error, BrokenPipeError):  # who reads us has seen enough
            _say_last(hide("\n".join(told.lines)), err=True)
        _say_last("")
        sys.exit(told.exit_code)


def _tell_as_json(answer: Mapping[str, Any] | SafemigError) -> None:
    """Print a document, or an error as one, where standard output is for a program."""
    if verbs.chosen.is_json:
        from safemig.errors import SafemigError
        from safemig.terminal.documents import as_json, document_of_error

        _say_last(as_json(document_of_error(answer) if isinstance(answer, SafemigError) else answer))


def _tell_error(name: str, exit_code: int, what: str, next_: str | None = None) -> None:
    """Print what ended the command, and is no error of ours, as data where standard output is for a program."""
    if verbs.chosen.is_json:
        from safemig.terminal.documents import error_document

        _tell_as_json(error_document(name, exit_code, what, next_=next_))


def _show_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show a fault of ours with its traceback, without passwords."""
    import traceback

    from safemig.secrets import hide

    what = f"a fault of safemig's: {kind.__name__}: {error}"
    _tell_error("Fault", 1, what, next_="report it, with the traceback on standard error")
    sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))


def _project(folder: str) -> Project:
    from safemig.project import Project

    return Project.open(folder)


def _difference(folder: str, from_: str, to: str, renames: dict[str, str]) -> SchemaDiff:
    from safemig.operations.schema_diff import difference, is_url
    from safemig.settings_file import has_settings

    if is_url(from_) and is_url(to) and not has_settings(folder):
        return difference(from_, to, renames=renames)  # loading settings would take longer than comparing
    return _project(folder).schema_diff(from_, to, renames=renames)


def _show(result: Result, form: str = "") -> None:
    """Print a result in the form that was chosen; `form` is that of a verb with a choice of its own."""
    output = verbs.chosen
    if output.is_json or form == "json":
        from safemig.terminal.documents import as_json

        _write(as_json(result.to_dict()))
    elif output.quiet:
        _write(result.render("text").partition("\n")[0])
    elif style := output.style():
        from safemig.terminal.output import pieces_of

        for piece in pieces_of(result, style):
            _write(piece)
            sys.stdout.flush()  # the verdict stands there while the rest is laid out
    else:
        _write(result.render("text"))


def _plan(folder: str, verb: str, name: str = "", **given: Any) -> NoReturn:
    """Show what a verb that acts would do, in place of doing it."""
    _show(_project(folder).plan(verb, name, **given))
    sys.exit(0)


def _is_styled() -> bool:
    return verbs.chosen.quiet or verbs.chosen.style() is not None


def _record(folder: str, verb: str, /, **parameters: Any) -> NoReturn:
    """Run the runbook, print its answer and where the record is, and leave with the run's exit code."""
    from safemig.records import run_runbook

    project, output = _project(folder), verbs.chosen
    style = output.style()
    # A person at a terminal is asked at the gate; a pipeline is refused there, and told the id to approve.
    ask = _ask if sys.stdin is not None and sys.stdin.isatty() else None
    telling = _Telling(output)
    variables = style.to_variable() if style else None
    run = run_runbook(verb, project.settings, parameters, listen=telling, ask=ask, variables=variables)
    if _is_own_process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: only telling it is left
    if output.is_json:
        from safemig.records.document import document_of_run
        from safemig.terminal.documents import as_json

        _say_last(as_json(document_of_run(run)))
    elif run.answer:
        text = telling.drawn.get(run.answer.text, run.answer.text)
        _say_last(text.partition("\n")[0] if output.quiet else text)
    where = _relative(run.path) if run.is_written else "could not be written"
    said = [*(run.error.lines if run.error else ()), f"{run.verdict} · record: {where}", *run.undelivered]
    _say_last("\n".join(said), err=True)
    sys.exit(run.exit_code)


def _say_last(text: str, *, err: bool = False) -> None:
    """Say what came of a run, if anyone can hear it: a closed pipe or a full disk does not change the exit code."""
    stream = sys.stderr if err else sys.stdout
    try:
        if text:
            click.echo(text, err=err)
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):  # Python would try again at its end, and exit with a code of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Telling:
    """Says on standard error how far a run is; `drawn` are its results as a terminal shows them, by their text."""

    def __init__(self, output: Output) -> None:
        self.drawn: dict[str, str] = {}
        self._output = output
        self._latest = ""
        self._steps: set[tuple[str, int]] = set()

    def __call__(self, progress: Progress) -> None:
        if progress.drawn:
            self._latest = progress.drawn
        if progress.result:
            self.drawn[progress.result.text] = self._latest or progress.result.text
            self._latest = ""
        if progress.gate:  # also with --quiet: no one approves what was not seen
            click.echo(f"\n{progress.gate.text}\n", err=True)
        if self._output.quiet:
            return
        if progress.description:
            click.echo(f"· {progress.description}", err=True)
        for line in progress.moment.data["lines"] if progress.moment else ():
            click.echo(f"  {line}", err=True)
        if progress.moment and self._output.verbose:
            self._tell_steps(progress.moment.data)
        if progress.result:
            click.echo(f"  {progress.result.text.splitlines()[0]}", err=True)

    def _tell_steps(self, moment: Mapping[str, Any]) -> None:
        """Say each statement that has run, whole, with its times."""
        for step in moment["steps"]:
            key = (moment["act"], step["number"])
            if step["state"] == "ran" and key not in self._steps:
                self._steps.add(key)
                waited = f", waited {step['lock_wait_s']:.3f} s for locks" if step["lock_wait_s"] else ""
                rows = f", {step['rows']:,} rows" if step["rows"] is not None else ""
                click.echo(
                    f"    {step['file']}:{step['line']} ran in {step['ran_s'] or 0:.3f} s{waited}{rows}", err=True
                )
                click.echo("".join(f"      {line}\n" for line in step["sql"].splitlines()), err=True, nl=False)


def _ask(prompt: str) -> str:
    click.echo(prompt, err=True, nl=False)
    return sys.stdin.readline().rstrip("\n")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _from_here(name: str) -> str:
    """Return a path that the caller gave as it is seen from the project's folder; a timestamp stays as it is."""
    path = Path(name)
    return str(path.resolve()) if name and path.exists() else name


def _pairs(renames: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for each in renames:
        old, sign, new = each.partition("=")
        if not (old and sign and new):
            raise click.BadParameter("expected OLD=NEW", param_hint="--rename")
        pairs[old.strip()] = new.strip()
    return pairs
