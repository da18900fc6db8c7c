"""Migration files: names, versions, checksums, order; and how they stand to a database's history."""

from safemig.migrations.files import (
    Migration,
    new_version,
    not_recognised,
    read_migration,
    read_migrations,
    slug,
    write_new,
)
from safemig.migrations.migration_status import Standing, stand

__all__ = [
    "Migration",
    "Standing",
    "new_version",
    "not_recognised",
    "read_migration",
    "read_migrations",
    "slug",
    "stand",
    "write_new",
]
