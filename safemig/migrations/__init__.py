"""Migration files: names, versions, checksums, order; and how they stand to a database's history."""

from safemig.migrations.files import (
    Migration,
    hash_of,
    is_hash_of,
    new_version,
    not_recognised,
    read_migration,
    read_migrations,
    replace_file,
    slug,
    write_new,
)
from safemig.migrations.migration_status import Standing, stand

__all__ = [
    "Migration",
    "Standing",
    "hash_of",
    "is_hash_of",
    "new_version",
    "not_recognised",
    "read_migration",
    "read_migrations",
    "replace_file",
    "slug",
    "stand",
    "write_new",
]
