"""Alembic, Django, Rails, Knex and TypeORM: migrations that are programs. safemig runs their command, and reads the SQL that they print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from safemig.migrations.files import Migration
from safemig.migrations.layouts.base import Connection, Layout
from safemig.results import AppliedMigration

# Where well-known tools keep what they have applied, or lock themselves: nobody's schema change, and no rows of the project.
TABLES_OF_TOOLS = (
    "public.alembic_version", "public.django_migrations", "public.schema_migrations", "public.ar_internal_metadata",
    "public.knex_migrations", "public.knex_migrations_lock", "public.migrations", "public.typeorm_metadata",
    'public."SequelizeMeta"', "public.pgmigrations", "public.mikro_orm_migrations", "public.kysely_migration",
    "public.kysely_migration_lock", "public.databasechangelog", "public.databasechangeloglock",
    "public.flyway_schema_history", "public.goose_db_version", "public.gorp_migrations", "public._prisma_migrations",
    "drizzle.__drizzle_migrations",
)  # fmt: skip
_NODE = (".js", ".ts", ".cjs", ".mjs", ".cts", ".mts")
_NODE_FOLDERS = ("migrations", "db/migrations", "src/migrations")


def _nothing_to_read(folder: Path) -> tuple[Migration, ...]:
    """Return nothing: what would be applied, only the program knows (see `execution.layout.require_sql`)."""
    del folder
    return ()


def _nothing_to_know(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    del connection, table, files
    return ()


def _written_by_the_tool(
    connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int
) -> None:
    del connection, table, migration, statements, milliseconds


def _taken_back_by_the_tool(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    del table, taken_back, left
    return []


def _layout(
    name: str,
    tool: str,
    folders: tuple[str, ...],
    history: str,
    recognises: Callable[[Path], bool],
    command: str,
    as_sql: str,
) -> Layout:
    return Layout(
        name=name,
        tool=tool,
        folders=folders,
        history=history,
        recognises=recognises,
        read=_nothing_to_read,
        make="",
        applied=_nothing_to_know,
        add=_written_by_the_tool,
        forget=_taken_back_by_the_tool,
        command=command,
        as_sql=as_sql,
        suffixes=(".py", ".rb", ".sql", ".ini", ".mako", *_NODE),
    )


def _has_programs(folder: Path, name: re.Pattern[str]) -> bool:
    return any(name.match(path.name) and path.suffix in _NODE for path in folder.iterdir())


def _knexfiles(folder: Path) -> Iterator[Path]:
    for home in (folder.parent, folder.parent.parent):
        yield from home.glob("knexfile.*")


ALEMBIC = _layout(
    "alembic",
    "Alembic",
    ("alembic", "migrations", "db/alembic"),
    "public.alembic_version",
    lambda folder: (folder / "env.py").is_file() and (folder / "versions").is_dir(),
    "alembic upgrade head",
    "alembic upgrade --sql CURRENT:head",
)
DJANGO = _layout(
    "django",
    "Django",
    (".",),
    "public.django_migrations",
    lambda folder: (folder / "manage.py").is_file() and any(folder.glob("*/migrations/0001_*.py")),
    "python manage.py migrate",
    "python manage.py sqlmigrate APP NAME",
)
RAILS = _layout(
    "rails-structure",
    "Rails",
    ("db/migrate",),
    "public.schema_migrations",
    lambda folder: any(folder.glob("[0-9]*_*.rb")),
    "bin/rails db:migrate",
    "git diff db/structure.sql, the added statements",
)
KNEX = _layout(
    "knex",
    "Knex",
    _NODE_FOLDERS,
    "public.knex_migrations",
    lambda folder: _has_programs(folder, re.compile(r"\d{14}_.")) and any(_knexfiles(folder)),
    "npx knex migrate:latest",
    "",
)
TYPEORM = _layout(
    "typeorm",
    "TypeORM",
    _NODE_FOLDERS,
    "public.migrations",
    lambda folder: _has_programs(folder, re.compile(r"\d{13}-.")),
    "npx typeorm migration:run -d DATA_SOURCE",
    "",
)
