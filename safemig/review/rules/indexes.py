"""Indexes: built, dropped and rebuilt under a lock, invalid, or of no use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.dropping import dropped
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.clauses import tokens
from safemig.sql.identifiers import quote_identifier
from safemig.sql.kinds import flag
from safemig.sql.locks import LockMode
from safemig.sql.names import Name


def concurrently(text: str, *, named: bool) -> str:
    """Return a CREATE INDEX built CONCURRENTLY (IF NOT EXISTS, where it has a name: PostgreSQL asks for one then)."""
    found = [token for token in tokens(text) if token.kind != "comment"]
    words = [text[token.start : token.end].lower() for token in found]
    if "index" not in words:
        return text
    at = words.index("index")
    if words[at + 1 : at + 2] == ["concurrently"]:
        at += 1
    guarded = words[at + 1 : at + 4] == ["if", "not", "exists"]
    word = "" if words[at] == "concurrently" else " CONCURRENTLY"
    guard = " IF NOT EXISTS" if named and not guarded else ""
    return f"{text[: found[at].end]}{word}{guard}{text[found[at].end :]}"


@rule(
    "index-not-concurrent", Severity.CAUTION, "An index is built while writes wait",
    on="IndexStmt",
    why="CREATE INDEX takes SHARE on the table: reads go on, every write waits until the index is built. CONCURRENTLY takes longer, "
    "blocks neither reads nor writes, and cannot run in a transaction, so it stands in a file of its own.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=("CREATE INDEX users_email_idx ON users (email)", "CREATE UNIQUE INDEX IF NOT EXISTS i ON users (email)"),
    ok=("CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
        "CREATE TABLE IF NOT EXISTS fresh (a int); CREATE INDEX IF NOT EXISTS i ON fresh (a)"),
)  # fmt: skip
def index_not_concurrent(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("concurrent") or scene.is_new:
        return
    table = scene.known
    name = str(scene.tree.get("idxname", ""))
    if scene.tree.get("if_not_exists") and scene.facts and name in scene.facts.indexes:
        return
    only = not scene.tree.get("relation", {}).get("inh")
    if table and table.is_partitioned:
        if only:
            return  # ON ONLY a partitioned table builds nothing
        yield Hit(
            f"{scene.table}.{name}" if name else str(scene.table),
            f"builds an index on every partition of {scene.table}{scene.size} while writes wait (CONCURRENTLY is not possible here)",
            f"{_on_only(scene.text)};\n-- then, for each partition, CREATE INDEX CONCURRENTLY and ALTER INDEX … ATTACH PARTITION …",
        )
        return
    yield Hit(
        f"{scene.table}.{name}" if name else str(scene.table),
        f"writes to {scene.table}{scene.size} wait until the index is built",
        concurrently(scene.text, named=bool(name)) + ";",
        severity=weight(scene),
        lock=LockMode.SHARE,
    )


def _on_only(text: str) -> str:
    return re.sub(r"(?is)(\son)\s+(?!only\b)", r"\1 ONLY ", text, count=1)


@rule(
    "index-guard-hides-invalid", Severity.RECOMMENDATION, "CONCURRENTLY without IF NOT EXISTS",
    on="IndexStmt", mark='"concurrent":true',
    why="A build that fails leaves an INVALID index of that name: run again, CREATE INDEX CONCURRENTLY then fails. With IF NOT EXISTS it "
    "is skipped; safemig's own runner looks for the invalid index, drops it and builds it again.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err="CREATE INDEX CONCURRENTLY users_email_idx ON users (email)",
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
)  # fmt: skip
def index_guard(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("concurrent") and not scene.tree.get("if_not_exists") and scene.tree.get("idxname"):
        yield Hit(
            str(scene.tree["idxname"]),
            "run again after a failure, it fails",
            concurrently(scene.text, named=True) + ";",
        )


@rule(
    "index-invalid", Severity.CAUTION, "An INVALID index of that name is there",
    on="IndexStmt",
    why="An earlier CREATE INDEX CONCURRENTLY failed. IF NOT EXISTS now skips the build without a word; a UNIQUE index that is INVALID "
    "keeps no duplicate out.",
    instead="DROP INDEX CONCURRENTLY users_email_idx;\n-- next file: CREATE INDEX CONCURRENTLY …",
    err=(), ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
)  # fmt: skip
def index_invalid(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("idxname", ""))
    known = scene.facts.indexes.get(name) if scene.facts else None
    if known and not known.is_valid:
        yield Hit(
            name,
            f"{name} is there and INVALID, so IF NOT EXISTS skips it",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name};",
        )


@rule(
    "drop-index", Severity.CAUTION, "An index is dropped under a lock",
    on="DropStmt",
    why="DROP INDEX takes ACCESS EXCLUSIVE on the table: it waits for every running query and blocks new ones until it is done. "
    "Queries that used the index become slow; a unique one kept duplicates out.",
    instead="DROP INDEX CONCURRENTLY IF EXISTS users_email_idx;",
    err=("DROP INDEX users_email_idx", "ALTER TABLE users ADD CONSTRAINT k UNIQUE USING INDEX k; DROP INDEX CONCURRENTLY k"),
    ok=("DROP INDEX CONCURRENTLY IF EXISTS users_email_idx",
        "CREATE TABLE fresh (a int); CREATE INDEX i ON fresh (a); DROP INDEX i"),
)  # fmt: skip
def drop_index(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_INDEX"):
        owner = scene.world.indexes.get(scene.world.resolve(name))
        if scene.world.is_new_object("INDEX", name) or (owner and scene.world.is_new(owner)):
            continue
        if keeper := _kept_by(scene, name):
            yield Hit(str(name), f"fails: the constraint {name.name} of {keeper} needs the index",
                      f"ALTER TABLE {keeper.sql} DROP CONSTRAINT {quote_identifier(name.name)};")  # fmt: skip
            continue
        facts = scene.facts_of(owner) if owner else None
        index = facts.indexes.get(name.name) if facts else None
        used = f"; {index.scans:,} scans since the statistics began" if index and index.scans else ""
        used = "; no scan since the statistics began, on this server" if index and not index.scans else used
        unique = "; it keeps duplicates out" if index and index.is_unique else ""
        if scene.tree.get("concurrent"):
            if (index and index.scans) or unique:
                yield Hit(
                    str(name),
                    f"{name} goes{used}{unique}",
                    severity=Severity.CAUTION if unique else Severity.RECOMMENDATION,
                )
            continue
        yield Hit(
            str(name), f"reads and writes of {owner or 'its table'} wait while {name} is dropped{used}{unique}",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name.sql};", lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip


def _kept_by(scene: Scene, index: Name) -> Name | None:
    """Return the table whose key is the index: PostgreSQL does not drop it alone."""
    full = scene.world.resolve(index)
    for table in scene.world.tables.values():
        constraint = table.constraints.get(full.name) if table.name.schema == full.schema else None
        if constraint and constraint.kind in ("p", "u", "x"):
            return table.name
    return None


def _after_kind(text: str) -> str:
    """Return a REINDEX with CONCURRENTLY behind the word that says of what: INDEX, TABLE, SCHEMA, DATABASE."""
    for token in tokens(text):
        if token.kind == "word" and text[token.start : token.end].lower() in ("index", "table", "schema", "database"):
            return f"{text[: token.end]} CONCURRENTLY{text[token.end :]}"
    return text


@rule(
    "reindex", Severity.CAUTION, "An index is rebuilt under a lock",
    on="ReindexStmt",
    why="REINDEX takes SHARE on the table and ACCESS EXCLUSIVE on each index (measured): writes wait, and so does each read that "
    "would use it.",
    instead="REINDEX INDEX CONCURRENTLY users_email_idx;",
    err=("REINDEX TABLE users", "REINDEX INDEX users_email_idx"), ok="REINDEX INDEX CONCURRENTLY users_email_idx",
)  # fmt: skip
def reindex(scene: Scene) -> Iterator[Hit]:
    if not flag(scene.tree.get("params"), "concurrently") and not scene.is_new:
        name = str(scene.table) if scene.table.name else str(scene.tree.get("name", ""))
        safer = _after_kind(scene.text)
        yield Hit(
            name,
            f"writes wait, and reads that use the index, until {name} is rebuilt",
            safer + ";",
            lock=LockMode.SHARE,
        )


@rule(
    "duplicate-index", Severity.RECOMMENDATION, "An index that another one serves already",
    on="IndexStmt",
    why="Every write keeps both up to date; the longer one answers the shorter one's queries.",
    instead="DROP INDEX CONCURRENTLY IF EXISTS users_email_idx;",
    err="CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY, b int); CREATE INDEX x ON t (b, a); CREATE INDEX y ON t (b)",
    ok="CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY, b int); CREATE INDEX x ON t (b, a); CREATE UNIQUE INDEX y ON t (b)",
)  # fmt: skip
def duplicate_index(scene: Scene) -> Iterator[Hit]:
    columns = tuple(item.get("IndexElem", {}).get("name", "") for item in scene.tree.get("indexParams", ()))
    table = scene.known
    plain = (
        scene.tree.get("accessMethod", "btree") == "btree"
        and not scene.tree.get("whereClause")
        and not scene.tree.get("unique")
    )
    if table is None or not plain or not all(columns):
        return
    for name, others in table.indexes.items():
        if others[:1] == columns[:1] and others[: len(columns)] == columns and name != scene.tree.get("idxname"):
            yield Hit(
                str(scene.tree.get("idxname") or scene.table),
                f"{name} on ({', '.join(others)}) serves the same queries",
            )
            return


@rule(
    "collation-version-refreshed", Severity.CAUTION, "A collation's version is written down as current",
    on=("AlterCollationStmt", "AlterDatabaseRefreshCollStmt"),
    why="The warning of a version mismatch ends, and the indexes stay sorted as the old version did: queries miss rows, and a unique "
    "index takes duplicates. It comes after every index that uses the collation was rebuilt.",
    instead="REINDEX TABLE CONCURRENTLY users;  -- each index over texts, then ALTER COLLATION ... REFRESH VERSION",
    err=("ALTER COLLATION nordic REFRESH VERSION", "ALTER DATABASE shop REFRESH COLLATION VERSION"),
    ok="CREATE COLLATION IF NOT EXISTS nordic (provider = icu, locale = 'nb')",
)  # fmt: skip
def collation_version_refreshed(scene: Scene) -> Iterator[Hit]:
    name = scene.tree.get("dbname") or str(names.of_strings(scene.tree.get("collname")))
    yield Hit(name, f"indexes that were sorted by another version of {name} are no longer warned of")


@rule(
    "wide-or-hash-index", Severity.RECOMMENDATION, "An index over many columns, or a hash index",
    on="IndexStmt",
    why="Beyond three columns an index is mostly weight; a hash index answers equality only and cannot be unique.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a, b, c, d)", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t USING hash (a)"),
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a, b)",
)  # fmt: skip
def wide_or_hash_index(scene: Scene) -> Iterator[Hit]:
    count = len(scene.tree.get("indexParams", ()))
    if count > 3:
        yield Hit(str(scene.tree.get("idxname") or scene.table), f"{count} columns")
    elif scene.tree.get("accessMethod") == "hash":
        yield Hit(str(scene.tree.get("idxname") or scene.table), "a hash index answers = only")
