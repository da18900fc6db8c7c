"""What adds, checks and drops constraints on tables that hold rows."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.history import CONTYPES, not_null_check
from safemig.review.renewed import SUFFIXES, columns_of, key_of
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.review.world import Constraint
from safemig.sql.identifiers import quote_identifier
from safemig.sql.tree import Tree, constant, options, strings, walk


def constraint_of(scene: Scene) -> Tree:
    """Return the constraint that an ADD CONSTRAINT adds."""
    found: Tree = (scene.tree.get("def") or {}).get("Constraint", {})
    return found


def constraint_name(scene: Scene, constraint: Tree, suffix: str) -> str:
    """Return the constraint's name, as PostgreSQL would make it where none is written (ChooseConstraintName)."""
    keys = strings(constraint.get("fk_attrs")) or strings(constraint.get("keys"))
    if not keys and "raw_expr" in constraint:
        columns = {
            strings(body.get("fields"))[-1] for kind, body in walk(constraint["raw_expr"]) if kind == "ColumnRef"
        }
        keys = list(columns) if len(columns) == 1 else []
    return str(constraint.get("conname") or "_".join([scene.table.name, *keys, suffix]))[:63]


def alter_table(scene: Scene) -> str:
    """Return how the ALTER TABLE begins: with its IF EXISTS and its ONLY."""
    exists = "IF EXISTS " if scene.parent.get("missing_ok") else ""
    only = "" if scene.parent.get("relation", {}).get("inh") else "ONLY "
    return f"ALTER TABLE {exists}{only}{scene.table.sql}"


def not_valid(scene: Scene, constraint: Tree, suffix: str) -> str:
    """Return the two statements that add a constraint without reading the table, and check it later."""
    name = constraint_name(scene, constraint, suffix)
    clause = scene.text
    if not constraint.get("conname"):
        clause = f"ADD CONSTRAINT {quote_identifier(name)} {clause[4:].lstrip()}"
    return (
        f"{alter_table(scene)} {clause} NOT VALID;\n"
        f"-- in a migration of its own:\n{alter_table(scene)} VALIDATE CONSTRAINT {quote_identifier(name)};"
    )


@rule(
    "add-check-validates", Severity.CAUTION, "A CHECK reads the whole table under a lock",
    on="AT_AddConstraint",
    why="ADD CONSTRAINT ... CHECK reads every row under ACCESS EXCLUSIVE (measured), and fails on the first row that breaks it. "
    "With NOT VALID only new rows are checked; VALIDATE CONSTRAINT then reads under SHARE UPDATE EXCLUSIVE, which blocks no writes.",
    instead="ALTER TABLE users ADD CONSTRAINT users_age_check CHECK (age > 0) NOT VALID;\n"
    "-- in a migration of its own:\nALTER TABLE users VALIDATE CONSTRAINT users_age_check;",
    err="ALTER TABLE users ADD CONSTRAINT users_age_check CHECK (age > 0)",
    ok=("ALTER TABLE users ADD CONSTRAINT users_age_check CHECK (age > 0) NOT VALID",
        "CREATE TABLE fresh (a int); ALTER TABLE fresh ADD CHECK (a > 0)"),
)  # fmt: skip
def add_check_validates(scene: Scene) -> Iterator[Hit]:
    constraint = constraint_of(scene)
    if constraint.get("contype") not in ("CONSTR_CHECK", "CONSTR_NOTNULL") or constraint.get("skip_validation"):
        return
    if scene.is_new or not constraint.get("is_enforced", constraint.get("contype") == "CONSTR_NOTNULL"):
        return
    column = not_null_check(constraint.get("raw_expr")) or (strings(constraint.get("keys")) or [None])[0]  # type: ignore[list-item]
    if column and scene.world.has_not_null_check(scene.table, column):
        return  # a validated one says the same already
    yield Hit(
        f"{scene.table}.{constraint_name(scene, constraint, 'check')}",
        f"reads all of {scene.table}{scene.size} while reads and writes wait",
        not_valid(scene, constraint, "check"),
        severity=weight(scene),
    )


@rule(
    "add-unique-builds-index", Severity.CAUTION, "A UNIQUE or PRIMARY KEY constraint builds its index under a lock",
    on="AT_AddConstraint",
    why="The index is built under ACCESS EXCLUSIVE (measured): reads and writes wait until it is done, and a duplicate makes it fail. "
    "An index built CONCURRENTLY before can be taken over in an instant.",
    instead="CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_email_key ON users (email);\n"
    "-- in a migration of its own:\nALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE USING INDEX users_email_key;",
    err=("ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)", "ALTER TABLE users ADD PRIMARY KEY (id)"),
    ok=("ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE USING INDEX users_email_key",
        "CREATE TABLE fresh (a int); ALTER TABLE fresh ADD UNIQUE (a)"),
)  # fmt: skip
def add_unique_builds_index(scene: Scene) -> Iterator[Hit]:
    constraint = constraint_of(scene)
    kind = constraint.get("contype")
    if kind not in ("CONSTR_UNIQUE", "CONSTR_PRIMARY") or constraint.get("indexname") or scene.is_new:
        return
    keys = strings(constraint.get("keys"))
    primary = kind == "CONSTR_PRIMARY"
    name = str(constraint.get("conname") or f"{scene.table.name}_{'pkey' if primary else '_'.join([*keys, 'key'])}")[
        :63
    ]
    table = scene.known
    if table and table.is_partitioned:
        yield Hit(
            f"{scene.table}.{name}",
            f"builds an index on every partition of {scene.table}{scene.size} while reads and writes wait "
            "(CONCURRENTLY is not possible here)",
            f"-- for each partition, a unique index built CONCURRENTLY; then ALTER TABLE ONLY {scene.table.sql} ADD CONSTRAINT …",
        )
        return
    yield Hit(
        f"{scene.table}.{name}",
        f"builds an index on {scene.table}{scene.size} while reads and writes wait",
        _index_first(scene, constraint, name),
        severity=weight(scene),
    )


def _index_first(scene: Scene, constraint: Tree, name: str) -> str:
    """Return the index, built CONCURRENTLY with all that the constraint says of it, and the constraint that takes it over."""
    if constraint.get("without_overlaps"):
        return "-- no online way: a key WITHOUT OVERLAPS cannot take an index over …"
    if scene.parent.get("missing_ok"):
        return f"-- without IF EXISTS, which CREATE INDEX does not know: CREATE UNIQUE INDEX CONCURRENTLY … ON {scene.table.sql} …;"
    columns = ", ".join(map(quote_identifier, strings(constraint.get("keys"))))
    include = ", ".join(map(quote_identifier, strings(constraint.get("including"))))
    storage = ", ".join(f"{key} = {constant(value)}" for key, value in options(constraint.get("options")).items())
    of_index = "".join((
        f" INCLUDE ({include})" if include else "",
        " NULLS NOT DISTINCT" if constraint.get("nulls_not_distinct") else "",
        f" WITH ({storage})" if storage else "",
        f" TABLESPACE {quote_identifier(constraint['indexspace'])}" if "indexspace" in constraint else "",
    ))  # fmt: skip
    timing = "".join((
        " DEFERRABLE" if constraint.get("deferrable") else "",
        " INITIALLY DEFERRED" if constraint.get("initdeferred") else "",
    ))  # fmt: skip
    words = "PRIMARY KEY" if constraint.get("contype") == "CONSTR_PRIMARY" else "UNIQUE"
    quoted = quote_identifier(name)
    return (
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {quoted} ON {scene.table.sql} ({columns}){of_index};\n"
        f"-- in a migration of its own:\n{alter_table(scene)} ADD CONSTRAINT {quoted} "
        f"{words} USING INDEX {quoted}{timing};"
    )


@rule(
    "primary-key-needs-not-null", Severity.RECOMMENDATION, "PRIMARY KEY USING INDEX reads the table where a column may be NULL",
    on="AT_AddConstraint",
    why="Taking over an index is instant only when its columns are NOT NULL already; else the table is read under ACCESS EXCLUSIVE.",
    instead="ALTER TABLE users ADD CONSTRAINT users_id_is_not_null CHECK (id IS NOT NULL) NOT VALID;",
    err="ALTER TABLE users ADD PRIMARY KEY USING INDEX users_id_idx", ok="ALTER TABLE users ADD CONSTRAINT k UNIQUE USING INDEX i",
)  # fmt: skip
def primary_key_needs_not_null(scene: Scene) -> Iterator[Hit]:
    constraint = constraint_of(scene)
    if constraint.get("contype") == "CONSTR_PRIMARY" and constraint.get("indexname") and not scene.is_new:
        yield Hit(
            f"{scene.table}.{constraint['indexname']}",
            f"instant only where the index's columns of {scene.table} are NOT NULL",
        )


@rule(
    "add-exclusion", Severity.CAUTION, "An EXCLUDE constraint builds its index under a lock",
    on="AT_AddConstraint",
    why="There is no way to build it CONCURRENTLY: the index is built under ACCESS EXCLUSIVE.",
    instead="CREATE TABLE bookings_v2 (LIKE bookings INCLUDING ALL, EXCLUDE USING gist (room WITH =, during WITH &&));",
    err="ALTER TABLE bookings ADD CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&)",
    ok="CREATE TABLE fresh (r int4range, EXCLUDE USING gist (r WITH &&))",
)  # fmt: skip
def add_exclusion(scene: Scene) -> Iterator[Hit]:
    constraint = constraint_of(scene)
    if constraint.get("contype") == "CONSTR_EXCLUSION" and not scene.is_new:
        name = constraint_name(scene, constraint, "excl")
        yield Hit(
            f"{scene.table}.{name}", f"builds an index on {scene.table}{scene.size} while reads and writes wait",
            f"-- no online way: make a new table with the constraint, copy in batches, swap the names\n"
            f"CREATE TABLE {quote_identifier(scene.table.name + '_new')} (LIKE {scene.table.sql} INCLUDING ALL);",
            severity=weight(scene),
        )  # fmt: skip


@rule(
    "validate-in-same-file", Severity.CAUTION, "NOT VALID and VALIDATE in one file",
    on="AT_ValidateConstraint",
    why="Both run in one transaction, so the table is read under the strong lock that ADD CONSTRAINT took: nothing is gained.",
    instead="-- in a migration of its own, deployed afterwards:\nALTER TABLE users VALIDATE CONSTRAINT users_age_check;",
    err="ALTER TABLE users ADD CONSTRAINT k CHECK (age > 0) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT k",
    ok="ALTER TABLE users VALIDATE CONSTRAINT k",
)  # fmt: skip
def validate_in_same_file(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("name", ""))
    table = scene.known
    known = table.constraints.get(name) if table else None
    if known and known.file == scene.world.file and not scene.is_new and scene.world.pending:
        yield Hit(
            f"{scene.table}.{name}", f"reads {scene.table}{scene.size} under the lock that ADD CONSTRAINT took in the same transaction",
            f"-- in a migration of its own:\n{alter_table(scene)} VALIDATE CONSTRAINT {quote_identifier(name)};",
            severity=weight(scene),
        )  # fmt: skip


@rule(
    "drop-constraint", Severity.CAUTION, "A constraint is dropped",
    on="AT_DropConstraint",
    why="From then on the table takes rows that it refused; putting the constraint back fails on them. Dropping a foreign key takes "
    "ACCESS EXCLUSIVE on both tables (measured); dropping a primary key with CASCADE drops the foreign keys that need it.",
    instead="ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE;  -- if only the moment of the check is in the way",
    err=("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey", "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE"),
    ok=("CREATE TABLE fresh (a int CONSTRAINT k CHECK (a > 0)); ALTER TABLE fresh DROP CONSTRAINT k",
        "ALTER TABLE users ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE users DROP CONSTRAINT k"),
)  # fmt: skip
def drop_constraint(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("name", ""))
    table = scene.known
    known = table.constraints.get(name) if table else None
    if scene.is_new or (known and _is_of_these_files(scene, known)):
        return
    checked = table.columns.get(known.not_null_column) if known and table and known.not_null_column else None
    if checked and checked.not_null:
        return  # the last step of the road to NOT NULL: the column itself says it now
    cascades = scene.tree.get("behavior") == "DROP_CASCADE"
    also = "; CASCADE drops the foreign keys that need it" if cascades else ""
    if not cascades and _is_replaced(scene, name, known):
        said = f"{name} of {scene.table} is replaced: the new one may take rows that the old one refused"
        yield Hit(f"{scene.table}.{name}", said, severity=Severity.RECOMMENDATION)
        return
    yield Hit(f"{scene.table}.{name}", f"{scene.table} then takes rows that {name} refused{also}")


def _is_of_these_files(scene: Scene, known: Constraint) -> bool:
    """Tell whether the migrations under review add the constraint, so that nothing relies on it yet."""
    world = scene.world
    return bool(known.file) and world.pending and (known.file == world.file or not world.by_themselves)


def _is_replaced(scene: Scene, name: str, before: Constraint | None) -> bool:
    """Tell whether the file adds one that keeps out as much: a CHECK or foreign key of its name, or a key over its columns."""
    table = scene.world.resolve(scene.table)
    added = scene.world.constraints_later
    if (
        (after := added.get(key_of("CONSTRAINT", table, name)))
        and after.get("is_enforced")
        and not after.get("skip_validation")
    ):
        kind = CONTYPES.get(after.get("contype", ""))
        if kind == "c":
            return before is None or before.kind == "c"
        if kind == "f":
            return before is None or (before.kind == "f" and before.columns in ((), columns_of(after)))
    if before is not None and before.kind not in ("u", "p"):
        return False
    for (_, key), other in added.items():
        columns = columns_of(other)
        if key.schema != str(table) or CONTYPES.get(other.get("contype", "")) not in ("u", "p") or not columns:
            continue
        if not other.get("deferrable"):
            same_name = name == "_".join([table.name, *columns, SUFFIXES["CONSTR_UNIQUE"]])
            if set(columns) <= set(before.columns if before else ()) or (before is None and same_name):
                return True
    return False


@rule(
    "alter-constraint", Severity.RECOMMENDATION, "A constraint's timing is changed",
    on="AT_AlterConstraint",
    why="ALTER CONSTRAINT takes ACCESS EXCLUSIVE for a moment (measured); a deferred check fails at COMMIT, not at the statement.",
    instead="SET CONSTRAINTS orders_user_id_fkey DEFERRED;",
    err=("ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE",
         "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey ENFORCED"),
    ok="SET CONSTRAINTS ALL DEFERRED",
)  # fmt: skip
def alter_constraint(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new:
        name = (scene.tree.get("def") or {}).get("ATAlterConstraint", {}).get("conname") or constraint_of(scene).get(
            "conname", ""
        )
        change = (scene.tree.get("def") or {}).get("ATAlterConstraint", {})
        if not change.get("alterEnforceability"):
            yield Hit(f"{scene.table}.{name}", f"ACCESS EXCLUSIVE on {scene.table} for a moment")
            return
        said = (
            f"every row of {scene.table} is checked while reads and writes wait"
            if change.get("is_enforced")
            else "keeps no row out"
        )
        yield Hit(f"{scene.table}.{name}", said, severity=Severity.CAUTION)


@rule(
    "not-enforced", Severity.RECOMMENDATION, "A constraint that is not enforced",
    on="AT_AddConstraint",
    why="NOT ENFORCED (PostgreSQL 18) tells the planner nothing and keeps no bad row out.",
    instead="ALTER TABLE users ADD CONSTRAINT age CHECK (age > 0) NOT VALID;",
    err="ALTER TABLE users ADD CONSTRAINT age CHECK (age > 0) NOT ENFORCED",
    ok="ALTER TABLE users ADD CONSTRAINT age CHECK (age > 0) NOT VALID",
)  # fmt: skip
def not_enforced(scene: Scene) -> Iterator[Hit]:
    constraint = (scene.tree.get("def") or {}).get("Constraint", {})
    if constraint.get("contype") in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not constraint.get("is_enforced"):
        yield Hit(f"{scene.table}.{constraint.get('conname', '')}", "keeps no row out")
