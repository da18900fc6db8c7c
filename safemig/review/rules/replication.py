"""Logical replication: publications, subscriptions, the identity of rows."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names


@rule(
    "replication-change", Severity.CAUTION, "Logical replication is changed",
    on=("AlterPublicationStmt", "AlterSubscriptionStmt", "DropSubscriptionStmt", "CreateSubscriptionStmt", "AT_ReplicaIdentity",
        "DropStmt"),
    why="Subscribers stop getting changes, or get them without the key that tells rows apart; then UPDATE and DELETE fail.",
    instead="ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey;",
    err=("DROP PUBLICATION p", "ALTER PUBLICATION p DROP TABLE users", "ALTER TABLE users REPLICA IDENTITY NOTHING",
         "ALTER SUBSCRIPTION s DISABLE", "DROP SUBSCRIPTION s"),
    ok=("CREATE PUBLICATION p FOR TABLE users", "ALTER PUBLICATION p ADD TABLE users",
        "ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey"),
)  # fmt: skip
def replication_change(scene: Scene) -> Iterator[Hit]:
    tree = scene.tree
    if scene.node == "AT_ReplicaIdentity":
        kind = (tree.get("def") or {}).get("ReplicaIdentityStmt", {}).get("identity_type")
        if kind in ("n", "f") and not scene.is_new:
            said = (
                "UPDATE and DELETE of a published table fail"
                if kind == "n"
                else "every change carries the whole old row"
            )
            yield Hit(str(scene.table), f"{scene.table}: {said} from then on",
                      f"ALTER TABLE {scene.table.sql} REPLICA IDENTITY DEFAULT;")  # fmt: skip
    elif scene.node == "DropStmt":
        if tree.get("removeType") == "OBJECT_PUBLICATION":
            for item in tree.get("objects", ()):
                yield Hit(str(names.of_object(item)), f"publication {names.of_object(item)} no longer sends changes")
    elif scene.node == "AlterPublicationStmt":
        if tree.get("action", "AP_AddObjects") != "AP_AddObjects" and not tree.get("options"):
            yield Hit(
                str(tree.get("pubname", "")), f"publication {tree.get('pubname')} sends other tables from then on"
            )
    else:
        yield Hit(str(tree.get("subname", "")), f"subscription {tree.get('subname')} is changed")
