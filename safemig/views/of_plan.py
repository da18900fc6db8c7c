"""The view of a plan: what would be done, to which database."""

from __future__ import annotations

from safemig.results import Plan
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Paragraph, Strong, Table
from safemig.views.rights_parts import access_table, rehearsed_rights
from safemig.views.shared_parts import kept_waiting, on, planned_steps, statements
from safemig.views.workload_parts import rehearsed_workload


def build(result: Plan) -> Document:
    """Show the plan's id, the migrations that it binds by their hash, and the steps."""
    if not result.migrations and result.what:
        return _without_files(result)
    if not result.migrations:
        return Document(Badge("NOTHING TO DEPLOY", "ok"), (Strong(on(result.target)),))
    migrations = Table(
        "Migration files (SHA-256)",
        ("Version", "File", "sha256"),
        tuple((each.version, Mono(each.file), Mono(each.sha256[:16])) for each in result.migrations),
    )
    return Document(
        Badge(f"PLAN {result.id}", "info"),
        (
            *([Strong(result.act)] if result.act != "migrate_prod" else []),
            Strong(on(result.target)),
            numbers.counted(len(result.migrations), "migration"),
            numbers.counted(len(result.steps), "step"),
            *([f"runs as {result.role}"] if result.role else []),
        ),
        (
            *([Bullets("", result.what)] if result.what else []),
            *([Bullets("Base", (result.base,))] if result.base else []),
            migrations,
            planned_steps(result.steps),
            *kept_waiting(result.steps, "Locks expected", "Blocks"),
            *access_table(result.access),
            *(rehearsed_rights(result.rights, result.target.environment) if result.act == "migrate_prod" else ()),
            *rehearsed_workload(result.workload, result.target.environment),
            statements(result.steps),
            Paragraph(
                (
                    "The plan binds these bytes to schema ",
                    Mono(result.schema_fingerprint[:16]),
                    "; any change to either makes another plan, which needs another approval.",
                )
            ),
        ),
    )


def _without_files(result: Plan) -> Document:
    """Show what would be done in words, of what runs no file and may need no approval."""
    badge = Badge(f"PLAN {result.id}" if result.id else "DRY RUN", "info")
    return Document(badge, (Strong(result.act), Strong(on(result.target))), (Bullets("", result.what),))
