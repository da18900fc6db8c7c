"""Extensions."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity


@rule(
    "extension-update", Severity.CAUTION, "An extension is updated",
    on=("AlterExtensionStmt", "AlterExtensionContentsStmt"),
    why="Its update script may change types and functions, rewrite tables, or need a REINDEX; the extension's own notes say so.",
    instead="SELECT name, default_version, installed_version FROM pg_available_extensions;",
    err="ALTER EXTENSION postgis UPDATE", ok="CREATE EXTENSION IF NOT EXISTS postgis",
)  # fmt: skip
def extension_update(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("extname", ""))
    if scene.node == "AlterExtensionContentsStmt":
        yield Hit(
            name, f"what belongs to {name}, and so what pg_dump leaves out, changes", severity=Severity.RECOMMENDATION
        )
        return
    yield Hit(name, f"{name} runs its own update script")
