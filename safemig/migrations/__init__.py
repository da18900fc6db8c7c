"""Migration files: names, versions, checksums, order."""

from safemig.migrations.files import Migration, new_version, read_migrations, slug, write_new

__all__ = ["Migration", "new_version", "read_migrations", "slug", "write_new"]
