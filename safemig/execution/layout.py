"""The project's layout at work: its files, and its tool's history table beside our own, read and kept right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safemig.errors import MigrationError
from safemig.migrations import Migration
from safemig.migrations.layouts import LAYOUTS, SUPABASE, Layout, find, history_name, layout_of, member_schema
from safemig.migrations.layouts.code import TABLES_OF_TOOLS
from safemig.postgres import history
from safemig.postgres.connection import Connection
from safemig.results import AppliedMigration
from safemig.settings import Settings
from safemig.sql.identifiers import quote_name


@dataclass(frozen=True, slots=True)
class ProjectLayout:
    """Which tool's files a project has, where they are, and what that tool's history table is called."""

    layout: Layout
    folder: Path
    table: str
    given: str = ""  # the table's name as the team's settings have it

    def read(self) -> tuple[Migration, ...]:
        """Return all migrations, in the order in which they run (see `Layout.read`)."""
        return self.layout.read(self.folder)

    @property
    def history_names(self) -> tuple[str, str | None]:
        """The history's schema and table, unquoted; no table where the schema is all the tool's."""
        name = self.given or self.layout.history
        schema, _, table = name.rpartition(".") if "." in name else (name, "", "")
        if not table and not self.layout.has_own_schema:
            return "public", name
        return schema, table or None

    @property
    def hidden_tables(self) -> tuple[str, ...]:
        """The history table, where it stands among the team's tables: it is nobody's schema change."""
        if self.layout.history == SUPABASE.history or self.layout.has_own_schema or self.layout.is_code:
            return ()  # of a program the table is what its migrations make, as any other
        return (self.table,)

    @property
    def hidden_schemas(self) -> tuple[str, ...]:
        """The schema of the tool's own, where it has one."""
        if self.layout.has_own_schema:
            return (self.table,)
        schema = self.table.partition(".")[0]
        return (schema,) if schema == self.layout.name else ()

    def hides(self, name: str) -> bool:
        """Tell whether a table, such as `public.schema_migrations`, is the tool's history."""
        return name in self.hidden_tables or name.partition(".")[0] in self.hidden_schemas

    def keeps_history_in(self, name: str) -> bool:
        """Tell whether a table's rows are a history's, and no rows of the project: also those of a program's own table."""
        return self.hides(name) or (self.layout.is_code and name in self.tables_of_tools)

    @property
    def tables_of_tools(self) -> tuple[str, ...]:
        """The history and lock tables of the well-known tools, and the project's own history table."""
        return tuple(dict.fromkeys((*TABLES_OF_TOOLS, *(() if self.layout.has_own_schema else (self.table,)))))


def layout_for(settings: Settings) -> ProjectLayout:
    """Return the project's layout: the one that its settings name, else the one that its folder plainly is of.

    Raises:
        SettingsError: the history table's name is none.
    """
    folder = settings.path("migrations")
    layout = LAYOUTS[settings.layout] if settings.layout else layout_of(folder)
    if schema := settings.member_schema:
        name = f"{schema}.{member_schema.TABLE}"
        return ProjectLayout(member_schema.for_member(layout), folder, quote_name(schema, member_schema.TABLE), name)
    return ProjectLayout(layout, folder, history_name(layout, settings.history_table), settings.history_table)


def at_home(settings: Settings) -> Settings:
    """Return settings that say nothing of migrations, with the folder and layout that the project plainly has."""
    if settings.model_fields_set & {"migrations", "layout"} or settings.path("migrations").is_dir():
        return settings
    found = find(settings.folder.resolve())
    if len(found) != 1:
        return settings
    return settings.model_copy(
        update={"migrations": found[0].folder.relative_to(settings.folder.resolve()), "layout": found[0].layout.name}
    )


def files_of(settings: Settings) -> tuple[Migration, ...]:
    """Return the project's migrations in their order.

    Raises:
        MigrationError: the folder or a file in it is not as it must be.
    """
    return layout_for(settings).read()


def require_sql(settings: Settings) -> None:
    """Refuse what needs to read the migrations, where they are programs.

    Raises:
        MigrationError: they are; the message has the commands that work.
    """
    of = layout_for(settings)
    if of.layout.is_code:
        raise MigrationError(
            f"the migrations of {of.layout.tool} are programs, not SQL",
            where=str(of.folder),
            next=f'safemig rehearse --run "{of.layout.command}", then safemig migrate-prod --run "{of.layout.command}"'
            + (f"; to review their SQL: {of.layout.as_sql} | safemig review -" if of.layout.as_sql else ""),
        )


def read_history(
    settings: Settings, connection: Connection, files: Sequence[Migration] | None = None
) -> tuple[AppliedMigration, ...]:
    """Return what is applied, in the tool's order, with our checksum of what safemig applied. Reads only.

    Raises:
        MigrationError: the tool's history says that a migration failed, or the files cannot be read.
    """
    of = layout_for(settings)
    found = of.layout.applied(connection, of.table, of.read() if files is None else files)
    # What safemig keeps by version is of the database; a member's schema has its own.
    known = {} if settings.member_schema else history.checksums(connection)
    return tuple(replace(each, sha256=each.sha256 or known.get(each.version, "")) for each in found)


def versions_applied(settings: Settings, connection: Connection) -> list[str]:
    """Return the versions that the history knows. Reads only."""
    return [each.version for each in read_history(settings, connection)]


def make_history(settings: Settings, connection: Connection) -> None:
    """Make the tool's history tables, and ours, where they are missing."""
    of = layout_for(settings)
    if of.layout.history == SUPABASE.history:
        history.make_history(connection)
        return
    history.make_own_history(connection)
    connection.execute(of.layout.make.format(table=of.table).encode())


def record_applied(
    settings: Settings,
    connection: Connection,
    migration: Migration,
    statements: Sequence[str],
    run_id: str,
    seconds: float = 0.0,
) -> None:
    """Record one migration as applied in the tool's history and in ours, within the caller's transaction."""
    of = layout_for(settings)
    of.layout.add(connection, of.table, migration, statements, round(1000 * seconds))
    if not settings.member_schema:
        history.record_checksum(connection, migration.version, migration.sha256, run_id)
