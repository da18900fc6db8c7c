"""What a rule sees: one node, the statement around it, and the state of things at that point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from safemig.review.severity import Severity
from safemig.review.world import Table, World
from safemig.sql import names
from safemig.sql.clauses import alter_clauses
from safemig.sql.names import NO_NAME, TEMPORARY, Name
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import Tree

if TYPE_CHECKING:
    from safemig.review.facts import TableFacts

IN_A_JOB = "in a job of pg_cron"  # an origin: each of its statements is a transaction of its own
SMALL_ROWS = 10_000
SMALL_BYTES = 16 * 1024 * 1024
BUSY_WRITES = 10  # rows a second: small is not quiet


@dataclass(slots=True)  # not frozen: there are many, and a frozen one takes four times as long to make
class Scene:
    """One node under review; rules only read it.

    `origin` says how it came to run where it is not written openly: "in a DO block", "in function wipe(), which
    this calls".
    """

    node: str
    tree: Tree
    world: World = field(repr=False)
    statement: ParsedStatement = field(repr=False)
    whole: str  # the text of the statement that the node belongs to
    table: Name = NO_NAME
    origin: str = ""
    parent: Tree = field(default_factory=dict, repr=False)
    clause: tuple[int, int] | None = None  # which command of ALTER TABLE it is, of how many
    known: Table | None = field(init=False, repr=False)  # the table, as far as it is known

    def __post_init__(self) -> None:
        self.known = self.world.tables.get(self.world.resolve(self.table))  # nearly every rule asks about it

    @property
    def text(self) -> str:
        """The SQL of the node: the statement's, or, for a command of ALTER TABLE, the command's."""
        if self.clause is None:
            return self.whole
        start, end = clause_span(self.whole, *self.clause)
        return self.whole[start:end]

    @property
    def is_new(self) -> bool:
        """True where the scene's table is made by these migrations, so that no one waits for it."""
        return self.known is not None and self.known.age != "existing"

    @property
    def is_surely_new(self) -> bool:
        """True where the scene's table cannot hold older rows."""
        return self.table.schema == TEMPORARY or (self.known is not None and self.known.is_surely_new)

    @property
    def facts(self) -> TableFacts | None:
        """What the target says of the scene's table."""
        return self.known.facts if self.known else None

    def facts_of(self, name: Name) -> TableFacts | None:
        """What the target says of a table."""
        found = self.world.tables.get(self.world.resolve(name))
        return found.facts if found else None

    @property
    def is_small(self) -> bool:
        """True where the target's table is known to be so small and quiet that a lock on it is over at once and harms no one."""
        facts = self.facts
        if facts is None or facts.rows_estimate is None:
            return False
        busy = (facts.writes_per_second or 0) >= BUSY_WRITES
        return facts.rows_estimate <= SMALL_ROWS and facts.size_bytes <= SMALL_BYTES and not busy

    @property
    def size(self) -> str:
        """The table's rows and size in words with a leading comma, or nothing where they are not known."""
        facts = self.facts
        if facts is None:
            return ""
        rows = "never analysed" if facts.rows_estimate is None else f"≈ {facts.rows_estimate:,} rows"
        writes = facts.writes_per_second or 0
        busy = f", {writes:,.0f} rows written/s" if writes >= 1 else ""
        return f" ({rows}, {in_bytes(facts.size_bytes)}{busy})"

    def column_type(self, column: str) -> str:
        """The column's type as far as it is known, else empty."""
        return self.known.columns[column].type if self.known and column in self.known.columns else ""

    @property
    def is_utc(self) -> bool | None:
        """Tell whether the target's TimeZone is UTC; None without a target."""
        zone = self.world.target.time_zone if self.world.target else None
        return None if zone is None else zone.upper() in ("UTC", "ETC/UTC", "GMT", "ETC/GMT", "ZULU", "UCT")


@lru_cache(maxsize=256)
def _clauses(text: str) -> list[tuple[int, int]]:
    return alter_clauses(text)


def clause_span(text: str, number: int, count: int) -> tuple[int, int]:
    """Return where a command of an ALTER TABLE stands in its text; the whole text where that cannot be told."""
    spans = _clauses(text)
    return spans[number] if len(spans) == count else (0, len(text))


def in_bytes(size: int) -> str:
    """Return a size in IEC units."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def relation(tree: Tree) -> Name:
    """Return the name of a statement's `relation`."""
    return names.of_range(tree.get("relation"))


def place(scene: Scene) -> str:
    """Return what an acceptance names where no object is known: the file."""
    return scene.world.file.rsplit("/", 1)[-1] or "sql"


def shortened(text: str) -> str:
    """Return the text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:120] + " …"


def weight(scene: Scene) -> Severity | None:
    """A table known to be small is read in an instant: then it is a recommendation."""
    return Severity.RECOMMENDATION if scene.is_small else None


def columns_made(scene: Scene) -> Iterator[tuple[Name, Tree]]:
    """Yield the columns that the statement makes, with their table."""
    if scene.node == "CreateStmt":
        table = names.of_range(scene.tree.get("relation"))
        if scene.tree.get("relation", {}).get("relpersistence") != "t":
            for item in scene.tree.get("tableElts", ()):
                if "ColumnDef" in item:
                    yield table, item["ColumnDef"]
    elif "ColumnDef" in (scene.tree.get("def") or {}):
        yield scene.table, scene.tree["def"]["ColumnDef"]
