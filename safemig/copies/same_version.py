"""Two schemas in the words of one PostgreSQL, for each major version writes the same expression in a form of its own."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from safemig.copies.database_copy import copy_schema, open_server_like
from safemig.copies.roles import make_roles, make_roles_on_scratch
from safemig.errors import RehearsalError, ToolError
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.connection.connect import connected, explained
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import Schema
from safemig.schema.configuration import rows_taken_over
from safemig.settings import Scratch

End = tuple[str, str]  # a connection string, and what people call it


def alike(
    ends: tuple[End, End], schemas: tuple[Schema, Schema], managed: SchemaFilter, scratch: Scratch | None = None
) -> tuple[Schema, Schema, str]:
    """Return the two schemas as one server writes them, and why that could not be had, else "".

    15 says `users.id` in a view where 17 says `id`. Where the ends are of two major versions, the older one's schema
    is copied to a throwaway server of the newer version and read there; both are, where that server is newer still.
    What is returned says as ever of which version its database is.
    """
    older, newer = sorted(range(2), key=lambda which: schemas[which].server_version_num)
    if schemas[older].major == schemas[newer].major:
        return *schemas, ""
    read = list(schemas)
    conninfo, name = ends[older]
    try:
        with (
            explained(conninfo, name),
            connected(conninfo, name) as source,
            open_server_like(source, scratch, at_least=schemas[newer].major) as server,
        ):
            for which in (older, newer):
                if schemas[which].major != server.major:
                    with explained(*ends[which]), connected(*ends[which]) as connection:
                        with psycopg.connect(server.url(), autocommit=True) as roles:
                            make_on = make_roles if isinstance(server, ThrowawayServer) else make_roles_on_scratch
                            make_on(connection, roles)
                        url = copy_schema(connection, ends[which][0], server, f"copy_{which}", only=managed.only)
                    with connected(url, "the copy") as copy:
                        found = read_schema(copy, managed)
                    read[which] = _of_its_database(found, schemas[which])
    except (ToolError, RehearsalError) as error:
        return *schemas, (
            f"compared as PostgreSQL {schemas[0].major} and {schemas[1].major} write them, each in its own form, for "
            f"no copy of the older one could be made: {error.what}"
        )
    return read[0], read[1], ""


def _of_its_database(copy: Schema, original: Schema) -> Schema:
    """Return what was read from a copy, with what a copy of the schema alone does not tell."""
    facts = dict(rows_taken_over(copy, original).facts)
    for item, fact in original.facts.items():
        if item.kind == "materialized view" and item in facts:
            facts[item] = facts[item]._replace(populated=fact.populated)
    return replace(
        copy,
        facts=facts,
        owners={**copy.owners, **original.owners},
        current_user=original.current_user,
        server_version_num=original.server_version_num,
    )
