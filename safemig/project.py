"""A project: the folder with the settings, and every verb as a method. Where scripts, magics and runbooks begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safemig.errors import SettingsError, explaining_files
from safemig.notifications.direct import follow, told
from safemig.settings import PRODUCTION, STAGING, Settings, load_settings

if TYPE_CHECKING:
    from safemig.approval.approve import Ask
    from safemig.fleet.migrate import FleetMigration
    from safemig.fleet_facts import FleetDeployment, FleetPlan, FleetStatus
    from safemig.operations.migrate_by_command import CommandDeployment
    from safemig.operations.migrate_prod import ProductionDeployment
    from safemig.results import (
        Archive,
        Backup,
        BaseFile,
        Configuration,
        Deployment,
        Diagnosis,
        Enabled,
        Generated,
        Help,
        Initialised,
        Plan,
        Preflight,
        Rehearsal,
        Restored,
        RestoredTables,
        Status,
    )
    from safemig.review import Review
    from safemig.schema import SchemaDiff
    from safemig.workload_facts import CollectedWorkload


@explaining_files
class Project:
    """A folder with migrations, backups and records, and the databases that its settings name.

    Every method is a verb of safemig; each answers with a result that shows itself, or raises a `SafemigError`.
    Operations are loaded when they are first used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __repr__(self) -> str:
        return f"<Project {self.folder}, environments: {', '.join(sorted(self.settings.environments))}>"

    @classmethod
    def open(cls, folder: str | Path = ".", **settings: Any) -> Project:
        """Open the project at or above `folder`; further arguments are settings that go before the file's.

        Raises:
            SettingsError: the settings are wrong.
        """
        from safemig.execution.layout import at_home

        return cls(at_home(load_settings(folder, **settings)))

    @classmethod
    def init(cls, folder: str | Path = ".", *, first_migration: str = "", dry_run: bool = False) -> Initialised:
        """Write a new project's settings and folders; nothing that exists is written over, and with `dry_run` nothing at all."""
        from safemig.operations.init import init

        return init(folder, first_migration=first_migration, dry_run=dry_run)

    @property
    def folder(self) -> Path:
        """The project's folder, absolute."""
        return self.settings.folder

    def generate(
        self, description: str, *, renames: Mapping[str, str] | None = None, dry_run: bool = False
    ) -> Generated:
        """Write what staging has become, beyond the local migrations, as a new migration file. Reads staging only.

        With `dry_run` the files are proven and returned, not written.
        """
        from safemig.operations.generate import generate

        return generate(self.settings, description, renames=renames, dry_run=dry_run)

    def enable_change(self, number: int, *, dry_run: bool = False) -> Enabled:
        """Enable a change that `generate` disabled, in the newest migration files that hold it. No database is asked."""
        from safemig.operations.generate import enable_change

        return enable_change(self.settings, number, dry_run=dry_run)

    def review(
        self, *files: str | Path, target: str | None = None, no_target: bool = False, accept: Sequence[str] = ()
    ) -> Review:
        """Review every pending migration, or the files named. Reads only.

        The target (production, where none is named) must be readable, unless `no_target` says to review without one,
        or files are named and production is not set.
        """
        from safemig.operations.review import review

        return review(self.settings, files, environment=target, no_target=no_target, accept=accept)

    def review_text(
        self, sql: str, *, name: str = "<sql>", target: str | None = None, no_target: bool = False,
        accept: Sequence[str] = (),
    ) -> Review:  # fmt: skip
        """Review one text as `review` does files named."""
        from safemig.operations.review import review
        from safemig.sql import SourceFile

        text = SourceFile(name, sql)
        return review(self.settings, text=text, environment=target, no_target=no_target, accept=accept)

    def preflight(self, *, target: str = PRODUCTION) -> Preflight:
        """Check everything that a deployment needs. Reads only."""
        from safemig.operations.preflight import preflight

        return preflight(self.settings, target)

    def plan(
        self,
        verb: str = "migrate_prod",
        name: str | Path = "",
        *,
        target: str = PRODUCTION,
        accept: Sequence[str] = (),
        resume: str = "",
        run: str = "",
        run_down: str = "",
        to: str = "",
        source: str = STAGING,
        swap: bool = True,
        tables: str = "",
        drop: str = "",
        verify: bool = True,
        **rows: Any,
    ) -> Plan:
        """Say what a verb that changes production would do, and the id that approves it. Reads only.

        `verb` is migrate_prod, rollback_prod (`name`: the script), restore_prod (`name`: the backup; the plan is of its swap,
        unless `swap` is False, or `tables` or `drop` is named, as in `restore_prod`), baseline_prod (`to`: the last version),
        sync_prod (`source`: whose schema), migrate_staging, backup_prod or rehearse. With `run`, another tool's command migrates:
        the plan binds it and the files that it reads. What needs no approval has no id.
        """
        settings = self.settings.model_copy(update={"accept": (*self.settings.accept, *accept)})
        require_run(run, run_down)
        if run:
            require_no_resume(resume)
        match verb.replace("-", "_"):
            case "migrate_prod" if run:
                from safemig.operations.by_command import Command, plan_command

                return plan_command(settings, target, Command(run, run_down))
            case "migrate_prod":
                from safemig.approval.plan import plan

                return plan(settings, target, resume=resume)
            case "rollback_prod":
                from safemig.operations.rollback_prod import plan_rollback

                return plan_rollback(settings, name, environment=target)
            case "restore_prod":
                return self._plan_restore(settings, str(name), target, swap=swap, tables=tables, drop=drop, rows=rows)
            case "migrate_staging":
                from safemig.operations.dry_runs import plan_staging

                return plan_staging(settings, STAGING if target == PRODUCTION else target)
            case "rehearse":
                from safemig.operations.by_command import Command
                from safemig.operations.dry_runs import plan_rehearsal

                return plan_rehearsal(settings, target, Command(run, run_down) if run else None)
            case "backup_prod":
                from safemig.operations.dry_runs import plan_backup

                return plan_backup(settings, target, verify=verify)
            case "baseline_prod":
                from safemig.operations.baseline_prod import plan_baseline

                return plan_baseline(settings, to=to, environment=target)
            case "sync_prod":
                from safemig.operations.sync_prod import plan_sync

                return plan_sync(settings, source=source, environment=target)
        raise SettingsError(
            f"there is no plan of {verb}",
            next="plan migrate_prod, rollback_prod, restore_prod, baseline_prod, sync_prod, migrate_staging, backup_prod or rehearse",
        )

    @staticmethod
    def _plan_restore(
        settings: Settings, backup: str, target: str, *, swap: bool, tables: str, drop: str, rows: Mapping[str, Any]
    ) -> Plan:
        from safemig.operations.dry_runs import plan_beside, plan_drop, plan_tables
        from safemig.operations.restore_prod import plan_restore

        if drop:
            return plan_drop(settings, drop, target)
        if tables or any(rows.values()):
            return plan_tables(settings, backup, tables, rows, target)
        return (plan_restore if swap else plan_beside)(settings, backup, environment=target)

    @told(PRODUCTION)
    def backup_prod(self, *, target: str = PRODUCTION, verify: bool = True) -> Backup:
        """Back up production in full, and prove the backup by restoring it. Changes nothing there.

        With `verify` False the backup is only read back, and says so.
        """
        from safemig.operations.backup_prod import backup_prod

        return backup_prod(self.settings, target, verify=verify)

    def rehearse(self, *, target: str = PRODUCTION, load: int = 0, run: str = "", run_down: str = "") -> Rehearsal:
        """Run what is pending on a copy of production, and the rollback after it. Reads production only.

        With `load`, it is run on a second copy too, while that many percent of the application's calls run there.
        With `run`, that command migrates the copy (`alembic upgrade head`), and `run_down` takes it back.
        """
        require_run(run, run_down)
        if run:
            from safemig.operations.by_command import Command, rehearse_command

            if load:
                raise SettingsError("--run and --load exclude each other", next="leave out one of the two")
            return rehearse_command(self.settings, Command(run, run_down), target)
        from safemig.operations.rehearse import rehearse

        return rehearse(self.settings, target, load=load)

    @told(STAGING)
    def migrate_staging(self, *, target: str = STAGING) -> Deployment:
        """Apply what is pending to staging; what is there already is only recorded."""
        from safemig.operations.migrate_staging import migrate_staging

        return migrate_staging(self.settings, target)

    def deployment(
        self,
        target: str = PRODUCTION,
        *,
        approve: str = "",
        accept: Sequence[str] = (),
        resume: str = "",
        run: str = "",
        run_down: str = "",
        ask: Ask | None = None,
    ) -> ProductionDeployment | CommandDeployment:
        """Begin a deployment to be gone through step by step, as the runbook does; with `run`, by that command."""
        require_run(run, run_down)
        if run:
            from safemig.operations.by_command import Command
            from safemig.operations.migrate_by_command import CommandDeployment

            require_no_resume(resume)
            command = Command(run, run_down)
            by_command = CommandDeployment(self.settings, command, target, approve=approve, accept=accept, ask=ask)
            follow(by_command)
            return by_command
        from safemig.operations.migrate_prod import ProductionDeployment

        deployment = ProductionDeployment(self.settings, target, approve=approve, accept=accept, resume=resume, ask=ask)
        follow(deployment)
        return deployment

    @told(PRODUCTION)
    def migrate_prod(
        self,
        *,
        target: str = PRODUCTION,
        approve: str = "",
        accept: Sequence[str] = (),
        resume: str = "",
        run: str = "",
        run_down: str = "",
        ask: Ask | None = None,
    ) -> Deployment:
        """Deploy what is pending: every check, backup, rehearsal, approval, one transaction, validation.

        `resume` is the id of a deployment that stopped part-way, or of its plan: what is left of it is deployed. With
        `run`, another tool's command migrates (`alembic upgrade head`): what it commits by itself is not one transaction.
        """
        require_run(run, run_down)
        if run:
            from safemig.operations.by_command import Command
            from safemig.operations.migrate_by_command import migrate_by_command

            require_no_resume(resume)
            command = Command(run, run_down)
            return migrate_by_command(self.settings, command, target, approve=approve, accept=accept, ask=ask)
        from safemig.operations.migrate_prod import migrate_prod

        return migrate_prod(self.settings, target, approve=approve, accept=accept, resume=resume, ask=ask)

    @told(PRODUCTION)
    def rollback_prod(
        self, script: str | Path = "", *, target: str = PRODUCTION, approve: str = "", ask: Ask | None = None
    ) -> Deployment:
        """Take a deployment back by its proven rollback script, the latest where none is named."""
        from safemig.operations.rollback_prod import rollback_prod

        return rollback_prod(self.settings, script, environment=target, approve=approve, ask=ask)

    @told(PRODUCTION)
    def restore_prod(
        self,
        backup: str = "",
        *,
        target: str = PRODUCTION,
        swap: bool = False,
        tables: str | Sequence[str] = (),
        put_back: bool = False,
        update: bool = False,
        where: str = "",
        fire_triggers: bool = False,
        drop: str = "",
        approve: str = "",
        ask: Ask | None = None,
    ) -> Restored | RestoredTables:
        """Restore a backup beside production and verify it; with `swap`, and approved, let it take production's place.

        With `tables` (`"public.orders,public.items"` or a list), restore only these, into schema `restored_[timestamp]`
        of production itself; with `put_back`, compare them by primary key and, approved, insert the rows that production
        lacks, of those for which the condition `where` is true. `update` also writes over rows that differ,
        `fire_triggers` lets triggers fire. With `drop`, and approved, drop the database or schema of that name that an
        earlier restore kept or left.
        """
        from safemig.operations.drop_replaced import drop_former
        from safemig.operations.restore_prod import restore_prod
        from safemig.operations.restore_tables import asked_for

        asked = asked_for(tables, put_back=put_back, update=update, where=where, fire_triggers=fire_triggers)
        if not drop:
            return restore_prod(
                self.settings, backup, environment=target, swap=swap, asked=asked, approve=approve, ask=ask
            )
        if swap or backup or asked:
            raise SettingsError(
                "drop cannot be combined with other options",
                where=f"drop {drop}",
                next="leave out the backup, swap and tables",
            )
        return drop_former(self.settings, drop, target, approved=approve, ask=ask)

    @told(PRODUCTION)
    def sync_prod(
        self, *, source: str = STAGING, target: str = PRODUCTION, approve: str = "", ask: Ask | None = None
    ) -> Deployment:
        """Give a production without a single row the schema of staging. Refused where there is data."""
        from safemig.operations.sync_prod import sync_prod

        return sync_prod(self.settings, source=source, environment=target, approve=approve, ask=ask)

    @told(PRODUCTION)
    def baseline_prod(
        self, *, to: str = "", target: str = PRODUCTION, approve: str = "", ask: Ask | None = None
    ) -> Deployment:
        """Record the pending migrations, up to version `to`, as applied: refused unless they make the schema that is there."""
        from safemig.operations.baseline_prod import baseline_prod

        return baseline_prod(self.settings, to=to, environment=target, approve=approve, ask=ask)

    def base(self, *, source: str = STAGING, dry_run: bool = False) -> BaseFile:
        """Write or refresh what an environment has and the migrations do not make, for copies. Reads the database only.

        With `dry_run` the file is returned, not written.
        """
        from safemig.operations.base import base

        return base(self.settings, source, dry_run=dry_run)

    def db_status(self, *targets: str) -> Status:
        """Describe staging, production and every migration, side by side, or only the environments named. Reads only."""
        from safemig.operations.db_status import db_status

        return db_status(self.settings, targets)

    def fleet_status(self, fleet: str = "", *, drift: bool = True) -> FleetStatus:
        """Describe every member of a fleet (the only one, where none is named): version, pending, drift. Reads only."""
        from safemig.fleet.status import fleet_status

        return fleet_status(self.settings, fleet, drift=drift)

    def fleet_plan(self, fleet: str = "") -> FleetPlan:
        """Say what would be done to a fleet: members, cohorts, waves, rows in the way, and the ID that approves it.

        Reads the databases only; the plan is kept in the fleet's records.
        """
        from safemig.fleet.plan import fleet_plan

        return fleet_plan(self.settings, fleet)

    def fleet_deployment(
        self, fleet: str = "", *, approve: str = "", resume: str = "", accept: Sequence[str] = (), waves: int = 0,
        ask: Ask | None = None,
    ) -> FleetMigration:  # fmt: skip
        """Begin a deployment to a fleet to be gone through step by step, as the runbook does."""
        from safemig.fleet.migrate import FleetMigration

        return FleetMigration(self.settings, fleet, approve=approve, resume=resume, accept=accept, waves=waves, ask=ask)

    def fleet_migrate(
        self, fleet: str = "", *, approve: str = "", resume: str = "", accept: Sequence[str] = (), waves: int = 0,
        ask: Ask | None = None,
    ) -> FleetDeployment:  # fmt: skip
        """Deploy what is pending to every member of a fleet, wave by wave, each by the protocol of `migrate_prod`.

        `resume` is the plan's ID: all members are asked, and what is left is done. `waves` stops after so many.
        """
        from safemig.fleet.migrate import fleet_migrate

        return fleet_migrate(self.settings, fleet, approve=approve, resume=resume, accept=accept, waves=waves, ask=ask)

    def fleet_rollback(
        self, plan: str, fleet: str = "", *, approve: str = "", ask: Ask | None = None
    ) -> FleetDeployment:
        """Roll back, on every member that has it, what the plan of that ID deployed, by its cohorts' proven scripts."""
        from safemig.fleet.rollback import fleet_rollback

        return fleet_rollback(self.settings, plan, fleet, approve_id=approve, ask=ask)

    def fleet_backup(self, fleet: str = "") -> FleetDeployment:
        """Back every member of a fleet up, and read each backup back; none is restored. Changes nothing there."""
        from safemig.fleet.backup import fleet_backup

        return fleet_backup(self.settings, fleet)

    def doctor(self, target: str = PRODUCTION) -> Diagnosis:
        """Say which verbs will work on a database (an environment, or a URL), and the command for each gap. Reads only."""
        from safemig.operations.doctor import doctor

        return doctor(self.settings, target)

    def workload(
        self,
        *paths: str | Path,
        target: str = PRODUCTION,
        role: str = "",
        show: bool = False,
        dry_run: bool = False,
    ) -> CollectedWorkload:
        """Collect the application's statements from pg_stat_statements, or from files and folders, into the project.

        Reads the database only. `role` is who sends the statements of files that do not say it; with `show` only what was
        collected before is shown, with `dry_run` nothing is written. The statements are tried in every rehearsal from then on.
        """
        from safemig.operations.workload import workload

        return workload(self.settings, target, paths, role=role, show=show, dry_run=dry_run)

    def schema_diff(self, from_: str, to: str, *, renames: Mapping[str, str] | None = None) -> SchemaDiff:
        """Return what turns the schema of `from_` into that of `to`: environments' names or URLs. Reads only."""
        from safemig.operations.schema_diff import schema_diff

        return schema_diff(self.settings, from_, to, renames=renames)

    def deployments(self, *, verify: bool = False, settle: bool = False, **filters: str) -> Archive:
        """List the records, newest first; with `verify`, hold each against the ledger and production.

        With `settle`, records whose runs were cut off are first told what happened to these; no database is changed.
        `filters` are those of `records.archive.Filters`: environment, verdict, act, by, since, until.

        Raises:
            SettingsError: a filter that no record can fit.
            SafemigError: with `settle`, a database cannot be asked, or a deployment is under way on it.
        """
        from safemig.records.archive import Filters, read_archive
        from safemig.records.cross_check import hear_witnesses
        from safemig.records.settle import settle_all

        chosen = Filters(**filters)
        chosen.require_environment(self.settings)
        settled = settle_all(self.settings) if settle else ()
        archive = read_archive(self.settings.path("records"), verify=verify)
        archive = replace(archive, settled=tuple(f"{each.path.stem}: {each.words}" for each in settled))
        return chosen.select(hear_witnesses(archive, self.settings) if verify else archive)

    def config(self) -> Configuration:
        """Return every setting in force, and where it comes from. Reads no database."""
        from safemig.operations.config import config

        return config(self.settings)

    def deploy_help(self, topic: str = "") -> Help:
        """Return the commands, the workflow, the checklist and the emergency procedures."""
        from safemig.operations.deploy_help import deploy_help

        return deploy_help(topic)


def require_run(run: str, run_down: str) -> None:
    """Refuse a way down without the command that it takes back: it would be left unused."""
    if run_down and not run:
        raise SettingsError("--run-down goes with --run", next='add the command: --run "alembic upgrade head"')


def require_no_resume(resume: str) -> None:
    """Refuse to go on with a deployment by a command: the tool itself knows where it stopped."""
    if resume:
        raise SettingsError(
            "--run and --resume exclude each other",
            next="run the command again without --resume: the tool continues where it stopped",
        )


def review_sql(
    sql: str, *, name: str = "<sql>", accept: Sequence[str] = (), server_version: int | None = None
) -> Review:
    """Review one text of SQL, without any database. `server_version` is a major version, such as 15."""
    from safemig.review import Acceptance, review
    from safemig.sql import SourceFile

    return review(
        [SourceFile(name, sql)], accept=[Acceptance.parse(each) for each in accept], server_version=server_version
    )


def diff(from_url: str, to_url: str, *, renames: Mapping[str, str] | None = None) -> SchemaDiff:
    """Return what turns the schema at one URL into that at the other. Reads only."""
    from safemig.operations.schema_diff import schema_diff

    return schema_diff(Settings(), from_url, to_url, renames=renames)
