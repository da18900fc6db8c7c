"""What the DROP statements share: what they name, and what a CASCADE takes along."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.scene import Scene
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree

CASCADE_TAKES = {
    "OBJECT_TYPE": "every column of that type",
    "OBJECT_DOMAIN": "every column of that domain",
    "OBJECT_EXTENSION": "every column of its types, and its functions, indexes and tables",
    "OBJECT_FUNCTION": "the triggers, defaults, generated columns, indexes and views that use it",
    "OBJECT_ROUTINE": "the triggers, defaults, generated columns, indexes and views that use it",
    "OBJECT_COLLATION": "every column with that collation",
    "OBJECT_FOREIGN_SERVER": "its foreign tables and user mappings",
    "OBJECT_FDW": "its servers and their foreign tables",
    "OBJECT_LANGUAGE": "every function in that language",
    "OBJECT_ACCESS_METHOD": "the tables and indexes that use it",
    "OBJECT_OPERATOR": "the indexes and constraints that use it",
    "OBJECT_OPCLASS": "the indexes that use it",
    "OBJECT_AGGREGATE": "the views that use it",
}

CODE = frozenset(
    ("OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE")
)


def dropped(scene: Scene, object_type: str) -> Iterator[Name]:
    """Yield the names of what a DROP of that type drops."""
    if scene.tree.get("removeType") == object_type:
        for item in scene.tree.get("objects", ()):
            yield names.of_object(item)


def cascades(tree: Tree) -> bool:
    return tree.get("behavior") == "DROP_CASCADE"
