"""The magics: every verb of safemig, in a cell. Results are returned, errors raised; nothing here decides anything.

Verbs that change or back up a database run their runbook and leave its record, as from the command line; the others
answer at once. Modules are imported when a magic is first used, so that `%load_ext safemig` is instant.
"""

# IPython's decorators have no types.
# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import Unicode

from safemig.errors import SafemigError, SettingsError
from safemig.notebook.arguments import pairs, parse_line

if TYPE_CHECKING:
    from argparse import Namespace

    from traitlets import TraitType

    from safemig.project import Project
    from safemig.review import FixedReview, Review

_TARGET = argument("--target", metavar="NAME", help="Target environment (default: %%config SafeMig.target).")
_RUN = argument(
    "--run", default="", metavar="COMMAND", help="Another tool's command that migrates, such as 'alembic upgrade head'."
)
_RUN_DOWN = argument("--run-down", default="", metavar="COMMAND", help="The tool's command that takes that back.")
_OUT = argument("--out", metavar="NAME", help="Also keep the result under this name.")
_ACCEPT = argument(
    "--accept", action="append", default=[], metavar="RULE:OBJECT:REASON",
    help="Accept a finding by name, with a reason. Repeatable.",
)  # fmt: skip
_APPROVE = argument("--approve", default="", metavar="ID", help="Plan ID to approve (prompts if omitted).")
_FLEET = argument("fleet", nargs="?", default="", help="The fleet, as [fleets.NAME] has it; none: the only one.")
_RENAME = argument("--rename", action="append", default=[], metavar="OLD=NEW", help="A rename. Repeatable.")


@magics_class
class SafeMig(Magics):
    """safemig's magics; `%config SafeMig` shows and sets what holds for all of them."""

    project = Unicode(".", help="The project's folder, or one below it.").tag(config=True)
    target = Unicode("production", help="Target environment of the verbs.").tag(config=True)

    @classmethod
    def class_traits(cls, **metadata: Any) -> dict[str, TraitType[Any, Any]]:
        """Return what `%config` shows and sets: also every setting, which is defined where it takes time to load."""
        if "setting" not in metadata and not super().class_traits(setting=True):
            from safemig.notebook.session import settings_as_traits

            for name, trait in settings_as_traits().items():
                setattr(cls, name, trait)
            cls.setup_class(dict(cls.__dict__))  # as the metaclass does for those that stand above
        return super().class_traits(**metadata)

    @classmethod
    def class_get_trait_help(cls, trait: Any, inst: Any = None, helptext: str | None = None) -> str:
        """Return what `%config` says of a setting: the value in force, and where it comes from."""
        if inst is None or not trait.metadata.get("setting"):
            return str(super().class_get_trait_help(trait, inst, helptext))
        shown = str(super().class_get_trait_help(trait, None, helptext)).splitlines()
        kept = [line for line in shown if not line.strip().startswith("Default:")]  # of the trait: always None
        return "\n".join([*kept, f"    In force: {inst.in_force(trait.name)}"])

    @magic_arguments()
    @argument("description", nargs="*", help="What was changed, in a few words; becomes part of the file's name.")
    @argument(
        "--enable", type=int, metavar="N", help="Enable change N, which the newest generated files hold disabled."
    )
    @_RENAME
    @_OUT
    @line_magic
    def migration_generate(self, line: str) -> Any:
        """Write what was changed on staging as a new migration file. Reads staging only.

        Example:
            %migration_generate "add user preferences table"
        """
        given = parse_line(self.migration_generate, line)
        if bool(given.description) == (given.enable is not None):
            raise SettingsError(
                "%migration_generate: say what was changed, or --enable N", next='such as "add user preferences table"'
            )
        if given.enable is not None:
            return self._out(given, self._project().enable_change(given.enable))
        return self._out(given, self._project().generate(" ".join(given.description), renames=pairs(given.rename)))

    @magic_arguments()
    @argument("files", nargs="*", help="Files to review; none: every pending migration, or the cell.")
    @_TARGET
    @argument("--no-target", action="store_true", help="Review without reading a target database.")
    @_ACCEPT
    @argument(
        "--explore", action="store_true", help="Choose and accept findings by widgets, where a person is present."
    )
    @argument("--fix", action="store_true", help="Show the safer form beside the SQL; no file is changed.")
    @argument("--no-prove", action="store_true", help="With --fix: do not run both forms on a throwaway server.")
    @_OUT
    @no_var_expand
    @line_cell_magic
    def migration_review(self, line: str, cell: str | None = None) -> Any:
        """Review migrations, or the SQL of the cell: findings and a verdict. Reads only.

        The target must be readable. A cell, or files named, need none where production is not set.

        Example:
            %migration_review
            %migration_review supabase/migrations/20231201120000_add_user_preferences_table.sql --out review

            %migration_review --explore

            %%migration_review
            ALTER TABLE users ADD COLUMN email text NOT NULL;

            %%migration_review --fix
            CREATE INDEX users_email_idx ON users (email);
        """
        given = parse_line(self.migration_review, line)
        if given.fix:
            return self._out(given, self._fixed(given, cell))

        def again() -> Review:
            project = self._project()
            target = self._chosen_target(given)
            if cell is None:
                return project.review(
                    *self._files(given), target=target, no_target=given.no_target, accept=given.accept
                )
            return project.review_text(
                cell, name="<cell>", target=target, no_target=given.no_target, accept=given.accept
            )

        reviewed = again()
        kept = self._out(given, reviewed)
        # The explorer shows the review itself, and again when a finding was accepted; twice would be once too often.
        return None if given.explore and self._explore(reviewed, again, given) else kept

    def _files(self, given: Any) -> list[str | Path]:
        """Return the files named: completion offers them as seen from the project's folder, not the notebook's."""
        return [name if Path(name).exists() else self._project().folder / name for name in given.files]

    def _chosen_target(self, given: Any) -> str | None:
        """Return the target that someone chose: only that one must be set where a text or files are given."""
        return given.target or (self.target if self.target != "production" and not given.no_target else None)

    def _fixed(self, given: Any, cell: str | None) -> FixedReview:
        from safemig.operations.review import fix
        from safemig.sql import SourceFile

        return fix(
            self._project().settings, self._files(given), text=SourceFile("<cell>", cell) if cell is not None else None,
            environment=self._chosen_target(given), no_target=given.no_target, accept=given.accept,
            prove=False if given.no_prove else None, write=False,
        )  # fmt: skip

    @magic_arguments()
    @_TARGET
    @argument(
        "--load", type=int, default=0, help="Percent of the application's collected calls to run at the same time."
    )
    @_RUN
    @_RUN_DOWN
    @_OUT
    @line_magic
    def rehearse(self, line: str) -> Any:
        """Run the pending migrations on a copy of production: locks, rewrites, times, a proven rollback.

        Example:
            %rehearse
            %rehearse --load 50
            %rehearse --run "alembic upgrade head" --run-down "alembic downgrade -1"
        """
        given = parse_line(self.rehearse, line)
        chosen = {"load": given.load, "run": given.run, "run_down": given.run_down}
        return self._out(given, self._project().rehearse(target=self._target(given), **chosen))

    @magic_arguments()
    @_TARGET
    @argument("--no-verify", action="store_true", help="Do not restore the backup to prove it; the verdict says so.")
    @_OUT
    @line_magic
    def backup_prod(self, line: str) -> Any:
        """Take a full and a schema backup of one snapshot, and prove it by restoring it. Leaves a record.

        Example:
            %backup_prod
        """
        given = parse_line(self.backup_prod, line)
        return self._recorded(given, "backup_prod", target=self._target(given), verify=not given.no_verify)

    @magic_arguments()
    @argument("--target", default="staging", metavar="NAME", help="Target environment.")
    @_OUT
    @line_magic
    def migrate_staging(self, line: str) -> Any:
        """Apply the pending migrations to staging; what is there already is only recorded. Leaves a record.

        Example:
            %migrate_staging
        """
        given = parse_line(self.migrate_staging, line)
        return self._recorded(given, "migrate_staging", target=given.target)

    @magic_arguments()
    @_TARGET
    @_APPROVE
    @_ACCEPT
    @argument("--resume", default="", metavar="ID", help="Resume the deployment with this ID that stopped part-way.")
    @argument("--plan", action="store_true", help="Only show what would be deployed, and its id. Reads only.")
    @_RUN
    @_RUN_DOWN
    @_OUT
    @line_magic
    def migrate_prod(self, line: str) -> Any:
        """Deploy to production: pre-flight, review, backup, rehearsal, your approval, deployment, validation, record.

        Example:
            %migrate_prod
            %migrate_prod --plan
            %migrate_prod --approve 3f2a9c1
            %migrate_prod --resume 9b1d40c2
            %migrate_prod --run "alembic upgrade head"
        """
        given = parse_line(self.migrate_prod, line)
        target = self._target(given)
        chosen = {"accept": given.accept, "resume": given.resume, "run": given.run, "run_down": given.run_down}
        if given.plan:
            return self._out(given, self._project().plan(target=target, **chosen))
        return self._recorded(given, "migrate_prod", target=target, approve=given.approve, **chosen)

    @magic_arguments()
    @argument("script", nargs="?", default="", help="The rollback script; none: the latest.")
    @_TARGET
    @_APPROVE
    @_OUT
    @line_magic
    def rollback_prod(self, line: str) -> Any:
        """Take a deployment back by its proven rollback script, with the care of a deployment. Leaves a record.

        Example:
            %rollback_prod
            %rollback_prod backups/production/rollback_20261122200904.sql
        """
        given = parse_line(self.rollback_prod, line)
        return self._recorded(
            given, "rollback_prod", script=given.script, target=self._target(given), approve=given.approve
        )

    @magic_arguments()
    @argument("backup", nargs="?", default="", help="The backup's timestamp or manifest; none: the latest.")
    @argument("--swap", action="store_true", help="Replace production with the restored database.")
    @argument(
        "--tables", default="", metavar="NAMES", help="Restore only these (or all), beside: public.orders,public.items."
    )
    @argument(
        "--put-back", action="store_true", help="Insert the rows of --tables that production lacks, once approved."
    )
    @argument("--update", action="store_true", help="Also update the rows that differ from the backup's.")
    @argument("--where", default="", metavar="CONDITION", help="Only rows of the backup for which this is true.")
    @argument("--fire-triggers", action="store_true", help="Let triggers fire for what is put back.")
    @argument("--drop", default="", metavar="NAME", help="Drop a database or schema that an earlier restore left.")
    @_TARGET
    @_APPROVE
    @_OUT
    @line_magic
    def restore_prod(self, line: str) -> Any:
        """Restore a backup beside production and verify it; with --swap, let it take production's place. Leaves a record.

        With --tables only these, into a schema of production itself; --put-back brings deleted rows back from there. Where
        no second database can be made, everything is restored into such a schema: --tables all --put-back.

        Example:
            %restore_prod
            %restore_prod --tables public.orders,public.items --put-back
            %restore_prod 20261122200904 --tables public.orders --put-back --where "user_id = 42"
            %restore_prod 20261122200904 --swap
            %restore_prod --drop shop_before_20261122201500
        """
        given = parse_line(self.restore_prod, line)
        return self._recorded(
            given, "restore_prod", backup=given.backup, target=self._target(given), swap=given.swap,
            tables=given.tables, put_back=given.put_back, update=given.update, where=given.where,
            fire_triggers=given.fire_triggers, drop=given.drop, approve=given.approve,
        )  # fmt: skip

    @magic_arguments()
    @argument("--source", default="staging", metavar="NAME", help="The environment whose schema is taken.")
    @_TARGET
    @_APPROVE
    @_OUT
    @line_magic
    def sync_prod(self, line: str) -> Any:
        """Give an EMPTY production the schema of staging; refused where it holds a single row. Leaves a record.

        Example:
            %sync_prod
        """
        given = parse_line(self.sync_prod, line)
        return self._recorded(
            given, "sync_prod", source=given.source, target=self._target(given), approve=given.approve
        )

    @magic_arguments()
    @argument("--to", default="", metavar="VERSION", help="The last migration that production has; none: all pending.")
    @_TARGET
    @_APPROVE
    @_OUT
    @line_magic
    def baseline_prod(self, line: str) -> Any:
        """Record migrations that were applied by hand; refused unless they make the schema that is there. Leaves a record.

        Example:
            %baseline_prod
            %baseline_prod --to 20231201120000
        """
        given = parse_line(self.baseline_prod, line)
        return self._recorded(given, "baseline_prod", to=given.to, target=self._target(given), approve=given.approve)

    @magic_arguments()
    @argument("targets", nargs="*", metavar="NAME", help="Environments to ask; none: all.")
    @_OUT
    @line_magic
    def db_status(self, line: str) -> Any:
        """Show both databases and every migration side by side. Reads only.

        Example:
            %db_status
            %db_status production
        """
        given = parse_line(self.db_status, line)
        return self._out(given, self._project().db_status(*given.targets))

    @magic_arguments()
    @argument("target", nargs="?", default="production", help="The environment, or the URL, to ask.")
    @_OUT
    @line_magic
    def doctor(self, line: str) -> Any:
        """Say which verbs will work on a database, and the command for each gap. Reads only.

        Example:
            %doctor
            %doctor staging
        """
        given = parse_line(self.doctor, line)
        return self._out(given, self._project().doctor(given.target))

    @magic_arguments()
    @argument(
        "paths", nargs="*", help="Folders of .sql, csvlog, jsonlog, dumps; none: the server's pg_stat_statements."
    )
    @argument("--role", default="", metavar="NAME", help="Who sends the statements of files that do not say it.")
    @argument("--show", action="store_true", help="Show what was collected; read no database and no other file.")
    @_TARGET
    @_OUT
    @line_magic
    def workload(self, line: str) -> Any:
        """Collect the application's statements, which every rehearsal then tries. Reads the database only.

        Example:
            %workload
            %workload --show --out seen
            %workload app/queries /var/log/postgresql/postgresql.json
        """
        given = parse_line(self.workload, line)
        project = self._project()
        named = [path if Path(path).exists() else str(project.folder / path) for path in given.paths]
        return self._out(given, project.workload(*named, target=self._target(given), role=given.role, show=given.show))

    @magic_arguments()
    @argument("from_", metavar="FROM", help="The environment to start from.")
    @argument("to", metavar="TO", help="The environment to arrive at.")
    @_RENAME
    @_OUT
    @line_magic
    def schema_diff(self, line: str) -> Any:
        """Show the DDL that turns one schema into another. Reads only.

        Example:
            %schema_diff production staging
        """
        given = parse_line(self.schema_diff, line)
        return self._out(given, self._project().schema_diff(given.from_, given.to, renames=pairs(given.rename)))

    @magic_arguments()
    @argument("source", nargs="?", default="staging", metavar="NAME", help="Environment to read (default: staging).")
    @_OUT
    @line_magic
    def base(self, line: str) -> Any:
        """Write or refresh what the platform provides, which copies start with. Reads the database only.

        Example:
            %base
            %base production
        """
        given = parse_line(self.base, line)
        return self._out(given, self._project().base(source=given.source))

    @magic_arguments()
    @argument("--verify", action="store_true", help="Hash every record and compare it with the ledger.")
    @argument("--settle", action="store_true", help="Resolve records of interrupted runs.")
    @argument("--environment", default="", metavar="NAME", help="Only records of this environment.")
    @argument(
        "--verdict", default="", metavar="WORD", help="Only records whose verdict starts with this, such as failed."
    )
    @argument("--act", default="", metavar="VERB", help="Only records of this verb, such as migrate_prod.")
    @argument("--by", default="", metavar="PERSON", help="Only records of this person.")
    @argument("--since", default="", metavar="TIME", help="Only records from this date or time on (UTC).")
    @argument("--until", default="", metavar="TIME", help="Only records up to this date or time (UTC).")
    @_OUT
    @line_magic
    def deployments(self, line: str) -> Any:
        """List the archive of records, newest first. Reads only; --settle completes records, never a database.

        Example:
            %deployments --verify
            %deployments --settle
            %deployments --verdict failed --since 2026-11-01
        """
        given = parse_line(self.deployments, line)
        filters = {name: getattr(given, name) for name in ("environment", "verdict", "act", "by", "since", "until")}
        return self._out(given, self._project().deployments(verify=given.verify, settle=given.settle, **filters))

    @magic_arguments()
    @_FLEET
    @argument("--no-drift", action="store_true", help="Do not compare the schemas with the migrations.")
    @_OUT
    @line_magic
    def fleet_status(self, line: str) -> Any:
        """Ask every member of a fleet where it stands: version, pending, drift, errors. Reads only.

        Example:
            %fleet_status
            %fleet_status tenants --out matrix
        """
        given = parse_line(self.fleet_status, line)
        return self._out(given, self._project().fleet_status(given.fleet, drift=not given.no_drift))

    @magic_arguments()
    @_FLEET
    @_OUT
    @line_magic
    def fleet_plan(self, line: str) -> Any:
        """Show what a deployment to a fleet would do: cohorts, waves, rows in the way, the ID that approves it. Reads only.

        Example:
            %fleet_plan
            %fleet_plan tenants --out plan
        """
        given = parse_line(self.fleet_plan, line)
        return self._out(given, self._project().fleet_plan(given.fleet))

    @magic_arguments()
    @_FLEET
    @_APPROVE
    @argument("--resume", default="", metavar="ID", help="Resume the deployment of this plan: all members are asked.")
    @argument("--waves", type=int, default=0, metavar="N", help="Stop after N waves; --resume continues.")
    @_ACCEPT
    @_OUT
    @line_magic
    def fleet_migrate(self, line: str) -> Any:
        """Deploy to every member of a fleet, wave by wave, each by the protocol of %migrate_prod. Leaves one record.

        Example:
            %fleet_migrate tenants
            %fleet_migrate tenants --resume 3f2a9c1d2b4e
        """
        given = parse_line(self.fleet_migrate, line)
        chosen = self._project().settings.fleet(given.fleet)[0]
        return self._recorded(
            given, "fleet_migrate", fleet=chosen, approve=given.approve, resume=given.resume, waves=given.waves,
            accept=given.accept,
        )  # fmt: skip

    @magic_arguments()
    @argument("plan", help="The ID of the plan whose deployment is rolled back.")
    @_FLEET
    @_APPROVE
    @_OUT
    @line_magic
    def fleet_rollback(self, line: str) -> Any:
        """Roll back what a plan deployed to a fleet, on every member that has it, by its cohorts' proven scripts.

        Example:
            %fleet_rollback 3f2a9c1d2b4e tenants
        """
        given = parse_line(self.fleet_rollback, line)
        chosen = self._project().settings.fleet(given.fleet)[0]
        return self._recorded(given, "fleet_rollback", fleet=chosen, plan=given.plan, approve=given.approve)

    @magic_arguments()
    @_FLEET
    @_OUT
    @line_magic
    def fleet_backup(self, line: str) -> Any:
        """Back every member of a fleet up, and read each backup back. Leaves a record.

        Example:
            %fleet_backup tenants
        """
        given = parse_line(self.fleet_backup, line)
        return self._recorded(given, "fleet_backup", fleet=self._project().settings.fleet(given.fleet)[0])

    @magic_arguments()
    @argument(
        "topic",
        nargs="?",
        default="",
        help="commands, workflow, checklist, emergency, npm, settings or rules; none: the first five.",
    )
    @_OUT
    @line_magic
    def deploy_help(self, line: str) -> Any:
        """Show the commands, the workflow, the safety checklist, the emergency procedures.

        Example:
            %deploy_help emergency
        """
        given = parse_line(self.deploy_help, line)
        from safemig.operations.deploy_help import deploy_help

        return self._out(given, deploy_help(given.topic))

    def _project(self) -> Project:
        from safemig.project import Project

        return Project.open(self.project, **self._settings())

    def in_force(self, name: str) -> str:
        """Return the value of a setting that holds now, and where it comes from, as `%config SafeMig` shows it."""
        from safemig.notebook.session import as_variable
        from safemig.settings import load_settings, where_settings_come_from

        given = self._settings()
        try:
            value = getattr(load_settings(self.project, **given), name)
            source = where_settings_come_from(self.project).get(name, "default")
        except SafemigError as error:
            return f"unknown: {error.what}"
        shown = as_variable(list(value) if isinstance(value, tuple) else value)
        return f"{shown or 'empty'} ({'%config' if name in given else source})"

    def _settings(self) -> dict[str, Any]:
        """Return the settings that `%config SafeMig` has set."""
        values = {name: getattr(self, name) for name in self.trait_names(setting=True)}
        return {name: value for name, value in values.items() if value is not None}

    def _target(self, given: Namespace) -> str:
        return given.target or self.target

    def _explore(self, review: Review, again: Callable[[], Review], given: Namespace) -> bool:
        """Show the explorer above the review where a person is present; tell whether that was so."""
        from safemig.approval.approve import person_is_present

        if not person_is_present():
            return False  # a widget is no record; the static view is
        from IPython.display import display

        from safemig.notebook.acceptance import write_acceptance
        from safemig.notebook.explorer import NO_WIDGETS, Explorer, Whole

        folder = self._project().folder

        def show(current: Review) -> None:
            self._out(given, current)
            below.update(Whole(current))

        explorer = Explorer(
            review,
            accept=lambda finding, reason: write_acceptance(folder, finding.rule, finding.object, reason),
            again=again,
            show=show,
        )
        # A front end without a widget manager takes the next best form of what it is given.
        display({**explorer.widget._repr_mimebundle_(), **NO_WIDGETS}, raw=True)
        below = display(Whole(review), display_id=True)
        return True

    def _recorded(self, given: Namespace, verb: str, **parameters: Any) -> Any:
        from safemig.notebook.recorded import run_recorded
        from safemig.notebook.session import as_variable

        # The run has a kernel of its own, which is told by variables what is set in this one.
        variables = {f"SAFEMIG_{name.upper()}": as_variable(value) for name, value in self._settings().items()}
        return self._out(given, run_recorded(verb, self._project().settings, parameters, variables))

    def _out(self, given: Namespace, result: Any) -> Any:
        if given.out and self.shell is not None:
            self.shell.user_ns[given.out] = result
        return result
