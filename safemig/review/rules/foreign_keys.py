"""Foreign keys: how they are checked, what they lock, and what a deleted parent takes along."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.dependents import references
from safemig.review.rule import Hit, rule
from safemig.review.rules.constraints import constraint_name, constraint_of, not_valid
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.locks import LockMode
from safemig.sql.names import Name


@rule(
    "add-foreign-key-validates", Severity.CAUTION, "A foreign key is checked under a lock on both tables",
    on="AT_AddConstraint", mark='"pktable":{',
    why="ADD FOREIGN KEY takes SHARE ROW EXCLUSIVE on both tables and reads the referring one: writes to both wait for the whole "
    "check. With NOT VALID the locks are held for a moment only.",
    instead="ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;\n"
    "-- in a migration of its own:\nALTER TABLE orders VALIDATE CONSTRAINT orders_user_id_fkey;",
    err="ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)",
    ok=("ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID",
        "CREATE TABLE fresh (a int); ALTER TABLE fresh ADD FOREIGN KEY (a) REFERENCES users (id)"),
)  # fmt: skip
def add_foreign_key_validates(scene: Scene) -> Iterator[Hit]:
    constraint = constraint_of(scene)
    if constraint.get("contype") != "CONSTR_FOREIGN" or constraint.get("skip_validation") or scene.is_new:
        return
    parent = names.of_range(constraint.get("pktable"))
    yield Hit(
        f"{scene.table}.{constraint_name(scene, constraint, 'fkey')}",
        f"writes to {scene.table}{scene.size} and {parent} wait while every row of {scene.table} is checked",
        not_valid(scene, constraint, "fkey"),
        severity=weight(scene),
        lock=LockMode.SHARE_ROW_EXCLUSIVE,
    )


@rule(
    "cascading-delete", Severity.RECOMMENDATION, "Deleting a parent row deletes rows of a table in use",
    on="AT_AddConstraint", mark='"pktable":{',
    why="ON DELETE CASCADE turns one DELETE in the parent into many in the child table, which is in use.",
    instead="ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT NOT VALID;",
    err="ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE NOT VALID",
    ok="ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID",
)  # fmt: skip
def cascading_delete(scene: Scene) -> Iterator[Hit]:
    constraint = (scene.tree.get("def") or {}).get("Constraint", {})
    if constraint.get("fk_del_action") == "c" and not scene.is_new:
        parent = names.of_range(constraint.get("pktable"))
        yield Hit(
            f"{scene.table}.{constraint.get('conname', 'fkey')}",
            f"DELETE in {parent} deletes rows of {scene.table} from then on",
        )


@rule(
    "foreign-key-locks-parent", Severity.RECOMMENDATION, "A new table's foreign key locks the table that it refers to",
    on="CreateStmt", mark='"pktable":{',
    why="CREATE TABLE ... REFERENCES takes SHARE ROW EXCLUSIVE on the other table (measured): its writes wait for a moment, and the "
    "statement waits for open writers. The runner's lock_timeout bounds that.",
    instead="SET lock_timeout = '3s';",
    err="CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, u bigint REFERENCES users)",
    ok="CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY)",
)  # fmt: skip
def foreign_key_locks_parent(scene: Scene) -> Iterator[Hit]:
    for parent in dict.fromkeys(references(scene.tree)):
        if not scene.world.is_new(parent) and parent != scene.table:
            yield Hit(str(parent), f"writes to {parent} wait for a moment (SHARE ROW EXCLUSIVE)")


@rule(
    "foreign-key-without-index", Severity.RECOMMENDATION, "A foreign key without an index on its columns",
    on="File",
    why="Each DELETE or key change in the parent reads the whole child table to find rows that refer to it.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_user_id_idx ON orders (user_id);",
    err="CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users)",
    ok="CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users);\n"
    "CREATE INDEX IF NOT EXISTS orders_user_id_idx ON orders (user_id) WHERE user_id IS NOT NULL",
)  # fmt: skip
def foreign_key_without_index(scene: Scene) -> Iterator[Hit]:
    for name, constraint, number in scene.world.foreign_keys:
        table = scene.world.tables.get(name)
        if table is None or not constraint.columns:
            continue
        first = constraint.columns
        indexes = (*table.indexes.values(), *table.indexes_without_nulls.values())
        if not any(set(index[: len(first)]) == set(first) for index in indexes):
            columns = ", ".join(map(quote_identifier, first))
            index_name = quote_identifier(f"{table.name.name}_{'_'.join(first)}_idx"[:63])
            sql_name = Name("" if table.name.schema == "public" else table.name.schema, table.name.name).sql
            yield Hit(
                f"{table.name}.{'.'.join(first)}",
                f"no index on {table.name} ({', '.join(first)}){'' if table.is_known else ' is known here'}",
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index_name} ON {sql_name} ({columns});",
                statement=number,
            )
