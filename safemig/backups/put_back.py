"""Restored rows compared with production's by their key, and put back: what is missing inserted, what differs updated if asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

import psycopg
from pglast import ast, parse_sql
from pglast.enums import SetOperation
from pglast.parser import ParseError
from psycopg import sql

from safemig import live
from safemig.backups.beside import Beside, keep_to_the_owner
from safemig.backups.stored_tables import Table
from safemig.backups.target_tables import COLUMNS, ForeignKey, TargetColumn, TargetTable, read_triggers
from safemig.errors import DeploymentFailedError, RefusedError, SettingsError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.results import Step
from safemig.sql.identifiers import quote_name

COLUMNS_OF_RESTORED = "SELECT to_regclass(%s)::oid::int8"
HOW_MANY = "SELECT count(*) FROM {}"
STATE_OF_SEQUENCE = "SELECT CASE WHEN is_called THEN last_value END FROM {}"
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS')"
FUNCTIONS = """
SELECT n.nspname, p.proname, pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid = ANY (%s)
"""
DOES_NOTHING = "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
FORMER_COMMENT = "safemig: rows of {} as they were before an update"
_MOST_COLUMNS_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for: which rows of the backup (`where`, a condition in SQL), and what may be done."""

    update: bool = False
    where: str = ""
    fire_triggers: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the backup and production both have; `cast` where the type is another one now."""

    now: TargetColumn
    cast: bool

    @property
    def here(self) -> sql.Composable:
        """Its value in production's row."""
        return sql.SQL("t.{}").format(sql.Identifier(self.now.name))

    @property
    def restored(self) -> sql.Composable:
        """Its value in the restored row, of the type that it has now."""
        value = sql.SQL("b.{}").format(sql.Identifier(self.now.name))
        return sql.SQL("CAST({} AS {})").format(value, sql.SQL(self.now.type)) if self.cast else value

    @property
    def is_key_match(self) -> sql.Composable:
        """That both rows have the same value, by the type's own equality."""
        collation = sql.SQL(f" COLLATE {self.now.collation}" if self.now.collation else "")
        return sql.SQL("{} = {}{}").format(self.here, self.restored, collation)

    @property
    def differs(self) -> sql.Composable:
        """That the values do not look the same: 1.0 is not 1.00, and json and point can be compared."""
        return sql.SQL('({})::text COLLATE "C" IS DISTINCT FROM ({})::text COLLATE "C"').format(
            self.here, self.restored
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A restored table, and production's own that its rows go back into. Without a `key` that one has no row."""

    beside: Beside
    target: TargetTable
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    where: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table's name as SQL."""
        return self.target.sql

    @property
    def source(self) -> sql.Composable:
        """The restored rows that are meant, as an item of FROM called b."""
        place = sql.SQL("{} AS {}").format(
            sql.Identifier(self.beside.schema, self.beside.relation), sql.Identifier(self.target.name[1])
        )
        condition = sql.SQL(f" WHERE ({self.where}\n)") if self.where else sql.SQL("")
        return sql.SQL("(SELECT * FROM {}{}) AS b").format(place, condition)

    @property
    def here(self) -> sql.Composable:
        """Production's table, as an item of FROM."""
        only = sql.SQL("" if self.target.is_partitioned else "ONLY ")
        return only + sql.Identifier(*self.target.name)

    @property
    def matches(self) -> sql.Composable:
        """That b and t are the same row."""
        return sql.SQL(" AND ").join(each.is_key_match for each in self.key) if self.key else sql.SQL("false")

    @property
    def settable(self) -> tuple[Column, ...]:
        """The columns that an UPDATE may change."""
        keys = {each.now.name for each in self.key}
        return tuple(each for each in self.columns if each.now.name not in keys and each.now.identity != "a")

    @property
    def differs(self) -> sql.Composable:
        """That a restored row and production's are not the same."""
        return sql.SQL(" OR ").join(each.differs for each in self.settable) if self.settable else sql.SQL("false")

    @property
    def is_missing(self) -> sql.Composable:
        """That production has no such row."""
        return sql.SQL("NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(self.here, self.matches)


@dataclass(frozen=True, slots=True)
class Found:
    """What the comparison of one table found. The digests change with the rows that would be inserted or updated."""

    restored: int  # rows of the backup that are meant
    missing: int
    differing: int
    here: int  # rows in production
    missing_digest: str
    differing_digest: str
    by_column: Mapping[str, int]

    @property
    def only_here(self) -> int:
        """Rows of production that are not among those meant."""
        return self.here - (self.restored - self.missing)


def require_condition(where: str, tables: Sequence[str]) -> None:
    """Refuse what is no single condition.

    Raises:
        SettingsError: it is none, or it is given for several tables.
    """
    if not where:
        return
    if len(tables) != 1:
        raise SettingsError(
            "a condition is for one table",
            where=f"--where with {len(tables)} tables",
            next="put back one table after the other, those that others refer to first",
        )
    with suppress(ParseError):
        statements = parse_sql(f"SELECT 1 FROM x WHERE ({where}\n)")  # noqa: S608 - it is only parsed
        select = statements[0].stmt
        plain = isinstance(select, ast.SelectStmt) and select.op == SetOperation.SETOP_NONE and select.whereClause
        clauses = (
            "sortClause",
            "limitCount",
            "limitOffset",
            "groupClause",
            "havingClause",
            "lockingClause",
            "windowClause",
        )
        if len(statements) == 1 and plain and not any(getattr(select, clause) for clause in clauses):
            return
    raise SettingsError("the condition is not valid SQL", where=f"--where {where}", next="such as: user_id = 42")


def pair(connection: Connection, beside: Beside, target: TargetTable, wish: Wish) -> Pair:
    """Match a restored table's columns with production's, and choose the key that tells rows apart.

    Raises:
        RefusedError: there is no key, a new column has no default, or the current role may not do it; the message says what can be done.
    """
    oid = connection.execute(COLUMNS_OF_RESTORED, (beside.sql,)).fetchone()
    was = {name: type_ for name, type_, *_ in connection.execute(COLUMNS, oid)}
    columns = tuple(
        Column(each, was[each.name] != each.type)
        for each in target.columns
        if each.name in was and not each.is_generated
    )
    _require_rights(target, wish)
    added = [each for each in target.columns if each.name not in was and not each.is_generated]
    if required := [each.name for each in added if each.is_required and not each.has_default]:
        raise RefusedError(
            f"{target.sql} has a column that the backup has not, and that takes no NULL: {', '.join(required)}",
            where=f"its rows of the backup stand in {beside.sql}",
            next=f"ALTER TABLE {target.sql} ALTER COLUMN {required[0]} SET DEFAULT ..., for the time of the put-back; or insert by hand",
        )
    dropped = [name for name in was if name not in {each.name for each in target.columns}]
    notes = [*beside.notes]
    notes += [f"column {name} is no longer in production: its values stay in {beside.sql}" for name in dropped]
    notes += [f"column {each.name} was added since: rows that are put back get its default" for each in added]
    notes += [
        f"column {each.now.name} has another type now: {was[each.now.name]} became {each.now.type}"
        for each in columns
        if each.cast
    ]
    by_name = {each.now.name: each for each in columns}
    required_columns = {each.name for each in target.columns if each.is_required}
    for index in target.unique:
        if set(index.columns) <= set(by_name) & required_columns:
            key = tuple(by_name[name] for name in index.columns)
            if not index.is_primary:
                notes.append(
                    f"compared by {index.name}, a unique key: there is no primary key that the backup has, too"
                )
            return Pair(beside, target, columns, key, wish.where, tuple(notes))
    ((here,),) = connection.execute(sql.SQL(HOW_MANY).format(sql.Identifier(*target.name))).fetchall()
    if here == 0:
        notes.append("no primary key: possible only because production's table is empty, every row is missing")
        return Pair(beside, target, columns, (), wish.where, tuple(notes))
    names = ", ".join(quote_name(each.now.name) for each in columns)
    raise RefusedError(
        f"{target.sql} has no primary key, and no unique one without NULLs: its rows cannot be told apart",
        where=f"{here:,} rows in production; the {beside.rows:,} of the backup stand in {beside.sql}",
        next=f"look at what is missing, and insert it by hand: SELECT {names} FROM {beside.sql} "  # noqa: S608
        f"EXCEPT ALL SELECT {names} FROM {target.sql}",
    )


def find(connection: Connection, each: Pair) -> Found:
    """Compare a restored table with production's, on the server. Reads only; memory does not grow with the rows.

    Raises:
        RefusedError: the condition cannot be evaluated, or a value of the backup does not fit its column any more.
    """
    present = sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(each.key[0].now.name)) if each.key else sql.SQL("false")
    key = each.key or each.columns
    counted = each.settable[:_MOST_COLUMNS_COUNTED]
    query = sql.SQL(
        "SELECT count(*), count(*) FILTER (WHERE NOT ({present})), count(*) FILTER (WHERE {present} AND ({differs})), "
        "coalesce(sum(hashtextextended(ROW({key})::text, 0)::numeric) FILTER (WHERE NOT ({present})), 0)::text, "
        "coalesce(sum(hashtextextended(ROW({key}, {mine} {theirs})::text, 0)::numeric) FILTER (WHERE {present} AND ({differs})), 0)::text"
        "{by_column} FROM {source} LEFT JOIN {here} AS t ON {matches}"
    ).format(
        present=present,
        differs=each.differs,
        key=sql.SQL(", ").join(column.restored for column in key),
        mine=sql.SQL("").join(column.restored + sql.SQL(", ") for column in each.settable),
        theirs=sql.SQL(", ").join([column.here for column in each.settable] or [sql.SQL("0")]),
        by_column=sql.SQL("").join(
            sql.SQL(", count(*) FILTER (WHERE {} AND ({}))").format(present, column.differs) for column in counted
        ),
        source=each.source,
        here=each.here,
        matches=each.matches,
    )
    try:
        row = connection.execute(query).fetchone()
        here = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(each.here)).fetchone()
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        about = f"--where {each.where}" if each.where else each.beside.sql
        raise RefusedError(
            f"{each.name} cannot be compared: {words_of(error)}",
            where=about,
            next="correct the condition" if each.where else "put these rows back by hand",
        ) from None
    assert row is not None and here is not None  # noqa: S101, PT018 - aggregates give one row
    by_column = {column.now.name: number for column, number in zip(counted, row[5:], strict=True) if number}
    return Found(row[0], row[1], row[2], here[0], row[3], row[4], by_column)


def require_possible(connection: Connection, pairs: Sequence[Pair], wish: Wish) -> None:
    """Look for what would stop the rows on their way: rows that they refer to, and unique values that are taken.

    Raises:
        RefusedError: something does; the message says how many rows, by which constraint, and what to do.
    """
    by_name = {each.target.name: each for each in pairs}
    for each in pairs:
        require_rows_possible(connection, each, by_name, wish)


def require_rows_possible(connection: Connection, each: Pair, by_name: Mapping[Table, Pair], wish: Wish) -> None:
    """Look at one table as `require_possible` does; `by_name` are all that are put back together.

    Raises:
        RefusedError: as `require_possible`.
    """
    names = {column.now.name: column for column in each.columns}
    going = sql.SQL("({}{})").format(
        each.is_missing,
        sql.SQL(" OR EXISTS (SELECT FROM {} AS t WHERE {} AND ({}))").format(each.here, each.matches, each.differs)
        if wish.update
        else sql.SQL(""),
    )
    for key in each.target.foreign_keys:
        if key.table == each.target.name and set(key.columns) <= set(names):
            _require_parents(connection, each, key, going, by_name)
    used = tuple(column.now.name for column in each.key)
    for index in each.target.unique:
        if index.columns != used and set(index.columns) <= set(names):
            _require_free(connection, each, index.name, [names[name] for name in index.columns])


def _require_parents(
    connection: Connection, each: Pair, key: ForeignKey, going: sql.Composable, by_name: Mapping[Table, Pair]
) -> None:
    def there(place: sql.Composable) -> sql.Composable:
        same = sql.SQL(" AND ").join(
            sql.SQL("r.{} = b.{}").format(sql.Identifier(theirs), sql.Identifier(ours))
            for ours, theirs in zip(key.columns, key.referred_columns, strict=True)
        )
        return sql.SQL("NOT EXISTS (SELECT FROM {} WHERE {})").format(place, same)

    conditions: list[sql.Composable] = [
        sql.SQL("b.{} IS NOT NULL").format(sql.Identifier(name)) for name in key.columns
    ]
    conditions.append(there(sql.SQL("{} AS r").format(sql.Identifier(*key.referred))))
    if parent := by_name.get(key.referred):
        conditions.append(there(sql.SQL("(SELECT * FROM {}) AS r").format(parent.source)))
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} AND {}").format(
        each.source, going, sql.SQL(" AND ").join(conditions)
    )
    try:
        row = connection.execute(query).fetchone()
    except psycopg.errors.UndefinedFunction:
        return  # a column kept as text: the server checks it by itself when the rows are put back
    if row and row[0]:
        wider = quote_name(*key.referred)
        raise RefusedError(
            f"{row[0]:,} rows of {each.name} refer to rows of {wider} that are not there",
            where=f"foreign key {key.name}; nothing was changed",
            next=f"put these back, too: --tables {wider},{each.name}" if key.referred not in by_name
            else "leave them out by --where, or put back the rows that they refer to first",
        )  # fmt: skip


def _require_free(connection: Connection, each: Pair, index: str, columns: Sequence[Column]) -> None:
    same = sql.SQL(" AND ").join(column.is_key_match for column in columns)
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} AND EXISTS (SELECT FROM {} AS t WHERE {})").format(
        each.source, each.is_missing, each.here, same
    )
    row = connection.execute(query).fetchone()
    if row and row[0]:
        names = ", ".join(quote_name(column.now.name) for column in columns)
        raise RefusedError(
            f"{row[0]:,} rows of {each.name} cannot go back: other rows have their values of ({names}) now",
            where=f"unique key {index}; nothing was changed",
            next=f"see them: SELECT * FROM {each.beside.sql} JOIN {each.name} USING ({names}); "  # noqa: S608
            "leave them out by --where",
        )


def silenced(each: Pair, wish: Wish) -> tuple[str, ...]:
    """Return the triggers that do not fire while the rows go back, as `name` or, of a partition, `name on partition`."""
    return tuple(
        trigger.name if trigger.table == each.target.name else f"{trigger.name} on {quote_name(*trigger.table)}"
        for trigger in each.target.triggers
        if not wish.fire_triggers and trigger.fires and (trigger.on_insert or (trigger.on_update and wish.update))
    )


def in_order(pairs: Sequence[Pair]) -> tuple[tuple[Pair, ...], ...]:
    """Return the tables so that each comes after those that it refers to; those that refer to each other, together."""
    by_name = {each.target.name: each for each in pairs}
    refers = {
        name: {key.referred for key in each.target.foreign_keys if key.table == name and key.referred in by_name}
        - {name}
        for name, each in by_name.items()
    }

    def reached(name: Table, seen: frozenset[Table] = frozenset()) -> frozenset[Table]:
        for other in refers[name] - seen:
            seen |= {other}
            seen = reached(other, seen)
        return seen

    behind = {name: reached(name) for name in by_name}
    groups: list[tuple[Pair, ...]] = []
    left = list(by_name)
    while left:
        # One whose references are all placed, but for those within its own circle.
        name = next(name for name in left if all(other not in left or name in behind[other] for other in behind[name]))
        circle = [other for other in left if other == name or (other in behind[name] and name in behind[other])]
        groups.append(tuple(by_name[other] for other in circle))
        left = [other for other in left if other not in circle]
    return tuple(groups)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to one table, and the comparison after it."""

    inserted: int
    updated: int
    after: Found
    notes: tuple[str, ...]


def put_back(
    connection: Connection, pairs: Sequence[Pair], found: Sequence[Found], wish: Wish
) -> tuple[tuple[Done, ...], tuple[Step, ...]]:
    """Put rows back within the caller's transaction, which holds the tables against writers; then prove it.

    Triggers of the team's do not fire, unless the wish says so, and have their former state at the end; foreign keys,
    unique and check constraints are checked as ever. Returns what was done, table by table, and the statements.

    Raises:
        DeploymentFailedError: the result is not exactly the one that was promised, or a statement failed.
        psycopg.Error: could not acquire a lock; the caller tries again.
    """
    with suppress_limits(connection), _quiet(connection, pairs, wish):
        steps: list[Step] = []
        inserted: dict[Table, int] = {}
        updated: dict[Table, int] = {}
        numbers = count(1)
        notes: dict[Table, list[str]] = {each.target.name: [] for each in pairs}
        with live.stage("put back", sum(each.missing for each in found)):
            for group in in_order(pairs):
                steps += _insert(connection, group, inserted, numbers)
        if wish.update:
            with live.stage("update what differs", sum(each.differing for each in found)):
                for each in (each for group in in_order(pairs) for each in group):
                    steps += _update(connection, each, updated, notes, numbers)
        for each in pairs:
            notes[each.target.name] += _raise_sequences(connection, each)
    done = []
    with live.stage("compare again"):
        for each, before in zip(pairs, found, strict=True):
            after = find(connection, each) if each.key else _found_without_key(connection, each, before)
            ours = Done(
                inserted[each.target.name], updated.get(each.target.name, 0), after, tuple(notes[each.target.name])
            )
            _prove(connection, each, before, ours, wish)
            done.append(ours)
    return tuple(done), tuple(steps)


@contextmanager
def suppress_limits(connection: Connection) -> Iterator[None]:
    """Let statements take as long as they need, and let psycopg's errors leave as ours; those of locks stay as they are."""
    try:
        connection.execute("SET LOCAL statement_timeout = 0")
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
        raise
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        place = ".".join(part for part in (error.diag.schema_name, error.diag.table_name) if part)
        raise DeploymentFailedError(
            f"the rows cannot go back: {words_of(error)}",
            where=f"{place or 'production'}; rolled back, nothing was changed",
            next="leave such rows out by --where, or correct what stands against them; then run the same command again",
        ) from None


@contextmanager
def _quiet(connection: Connection, pairs: Sequence[Pair], wish: Wish) -> Iterator[None]:
    """Keep triggers from firing within the caller's transaction, by their state.

    Of a table that is not ours that is for its owner alone; there the trigger's function, which is ours, does nothing
    until it is as it was: no other session sees it otherwise.
    """
    quiet = [
        (each.target, trigger)
        for each in pairs
        for trigger in each.target.triggers
        if silenced(each, wish) and trigger.fires and (trigger.on_insert or (trigger.on_update and wish.update))
    ]
    off = [
        (trigger, sql.Identifier(*trigger.table), sql.Identifier(trigger.name))
        for target, trigger in quiet
        if target.is_ours
    ]
    for _, table, name in off:
        connection.execute(sql.SQL("ALTER TABLE ONLY {} DISABLE TRIGGER {}").format(table, name))
    functions = [trigger.function for target, trigger in quiet if not target.is_ours]
    replaced = connection.execute(FUNCTIONS, (functions,)).fetchall()
    for schema, function, _ in replaced:
        connection.execute(sql.SQL(DOES_NOTHING).format(sql.Identifier(schema, function)))
    yield
    # Deferred ones, of foreign keys: an ALTER TABLE is refused while they wait.
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for trigger, table, name in off:
        how = sql.SQL("ENABLE ALWAYS" if trigger.state == "A" else "ENABLE")
        connection.execute(sql.SQL("ALTER TABLE ONLY {} {} TRIGGER {}").format(table, how, name))
    for _, _, definition in replaced:
        connection.execute(definition.encode())


def _insert(
    connection: Connection, group: tuple[Pair, ...], inserted: dict[Table, int], numbers: Iterator[int]
) -> list[Step]:
    """Insert what is missing; tables that refer to each other in one statement, at whose end foreign keys are checked."""
    inserts = []
    for each in group:
        names = sql.SQL(", ").join(sql.Identifier(column.now.name) for column in each.columns)
        values = sql.SQL(", ").join(column.restored for column in each.columns)
        inserts.append(
            sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE {}").format(
                sql.Identifier(*each.target.name), names, values, each.source, each.is_missing
            )
        )
    if len(group) == 1:
        inserted[group[0].target.name] = connection.execute(inserts[0]).rowcount
    else:
        parts = [
            sql.SQL("{} AS ({} RETURNING 1)").format(sql.Identifier(f"i{number}"), insert)
            for number, insert in enumerate(inserts)
        ]
        counts = [sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier(f"i{n}")) for n in range(len(inserts))]
        query = sql.SQL("WITH {} SELECT {}").format(sql.SQL(", ").join(parts), sql.SQL(", ").join(counts))
        row = connection.execute(query).fetchone() or ()
        inserted |= {each.target.name: number for each, number in zip(group, row, strict=True)}
    live.advance(sum(inserted[each.target.name] for each in group))
    return [
        _step(connection, next(numbers), "INSERT", each, insert, inserted[each.target.name])
        for each, insert in zip(group, inserts, strict=True)
    ]


def _update(
    connection: Connection,
    each: Pair,
    updated: dict[Table, int],
    notes: Mapping[Table, list[str]],
    numbers: Iterator[int],
) -> list[Step]:
    if not each.key or not each.settable:
        return []
    ((now,),) = connection.execute(NOW).fetchall()
    former = f"{each.target.name[1].encode()[:40].decode(errors='ignore')}_before_{now}"
    place = sql.Identifier(each.beside.schema, former)
    kept = connection.execute(
        sql.SQL("CREATE TABLE {} AS SELECT t.* FROM {} AS t JOIN {} ON {} WHERE {}").format(
            place, each.here, each.source, each.matches, each.differs
        )
    ).rowcount
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(place, sql.Literal(FORMER_COMMENT.format(each.name)))
    )
    keep_to_the_owner(connection, each.beside.schema)
    settings = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column.now.name), column.restored) for column in each.settable
    )
    update = sql.SQL("UPDATE {} AS t SET {} FROM {} WHERE {} AND ({})").format(
        each.here, settings, each.source, each.matches, each.differs
    )
    updated[each.target.name] = connection.execute(update).rowcount
    live.advance(updated[each.target.name])
    notes[each.target.name].append(
        f"the {kept:,} updated rows, as they were before, stand in {quote_name(each.beside.schema, former)}"
    )
    return [_step(connection, next(numbers), "UPDATE", each, update, updated[each.target.name])]


def _raise_sequences(connection: Connection, each: Pair) -> list[str]:
    """Raise the sequences of the table above its values, where they are not; else the next row would fail."""
    told = []
    names = {column.now.name for column in each.columns}
    for sequence in each.target.sequences:
        if sequence.column not in names:
            continue
        far = sql.SQL("max" if sequence.increment > 0 else "min")
        place = sql.Identifier(sequence.schema, sequence.name)
        (farthest,) = connection.execute(
            sql.SQL("SELECT {}({})::numeric FROM {}").format(far, sql.Identifier(sequence.column), each.here)
        ).fetchone() or (None,)
        (last,) = connection.execute(sql.SQL(STATE_OF_SEQUENCE).format(place)).fetchone() or (None,)
        if farthest is None or (last is not None and (farthest - last) * sequence.increment <= 0):
            continue
        name = quote_name(sequence.schema, sequence.name)
        connection.execute("SELECT setval(%s::regclass, %s::bigint)", (name, int(farthest)))
        told.append(
            f"sequence {name} set to {int(farthest):,}, from {f'{last:,}' if last is not None else 'its start'}"
        )
    return told


def _found_without_key(connection: Connection, each: Pair, before: Found) -> Found:
    """Compare by all rows at once a table whose rows have no key, and which was empty."""
    values = sql.SQL(", ").join(column.here for column in each.columns)
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(ROW({})::text, 0)::numeric), 0)::text FROM {} AS t"
        ).format(values, each.here)
    ).fetchone() or (0, "")
    is_same = (row[0], row[1]) == (before.restored, before.missing_digest)
    return Found(before.restored, 0 if is_same else before.restored, 0, row[0], "", "", {})


def _prove(connection: Connection, each: Pair, before: Found, done: Done, wish: Wish) -> None:
    after = done.after
    wrong = []
    if done.inserted != before.missing or after.missing:
        wrong.append(
            f"{before.missing:,} rows were missing, {done.inserted:,} were inserted, {after.missing:,} are missing still"
        )
    if wish.update and not wish.fire_triggers and (done.updated != before.differing or after.differing):
        wrong.append(
            f"{before.differing:,} rows differed, {done.updated:,} were updated, {after.differing:,} differ still"
        )
    if not wish.update and not wish.fire_triggers and after.differing_digest != before.differing_digest and each.key:
        wrong.append(f"{before.differing:,} rows differed before, {after.differing:,} after it")
    if after.here != before.here + done.inserted and not wish.fire_triggers:
        wrong.append(f"{before.here:,} rows and {done.inserted:,} inserted make {after.here:,}")
    if read_triggers(connection, each.target.oid) != each.target.triggers:
        wrong.append("its triggers are not in the state that they were in")
    if wrong:
        raise DeploymentFailedError(
            f"the result differs from the approved plan, so it was rolled back: {'; '.join(wrong)}",
            where=f"{each.name}; nothing was changed",
            next="a trigger that fires or a rule may stand behind it; look at the table's own",
        )


def _require_rights(target: TargetTable, wish: Wish) -> None:
    if target.hides_rows:
        raise RefusedError(
            f"row security hides rows of {target.sql} from the current role: what is missing cannot be known",
            where=target.sql,
            next=f"connect as its owner {target.owner} (without FORCE ROW LEVEL SECURITY), or as a role with BYPASSRLS",
        )
    lacking = ["SELECT"] * (not target.may_read) + ["INSERT"] * (not target.may_insert)
    lacking += ["UPDATE"] * (wish.update and not target.may_update)
    if lacking:
        raise RefusedError(
            f"the current role may not {' and '.join(lacking)} on {target.sql}",
            where=f"it belongs to {target.owner}",
            next=f"GRANT {', '.join(lacking)} ON {target.sql} TO our role, or connect as {target.owner}",
        )
    fires = [each for each in target.triggers if each.fires and (each.on_insert or (each.on_update and wish.update))]
    loud = [each.name for each in fires if not (target.is_ours or each.may_replace)]
    if loud and not wish.fire_triggers:
        raise RefusedError(
            f"only its owner may keep the triggers of {target.sql} from firing: {', '.join(loud)}",
            where=f"it belongs to {target.owner}",
            next=f"connect as {target.owner}, or let them fire as for any other row: --fire-triggers",
        )
    if target.rules:
        raise RefusedError(
            f"{target.sql} has rules that rewrite INSERT or UPDATE: {', '.join(target.rules)}",
            where=target.sql,
            next=f"ALTER TABLE {target.sql} DISABLE RULE ... for the time of the put-back",
        )


def _step(connection: Connection, number: int, kind: str, each: Pair, statement: sql.Composable, rows: int) -> Step:
    return Step(
        number=number,
        file=each.beside.schema,
        line=1,
        kind=kind,
        sql=statement.as_string(connection),
        state="ran",
        attempts=1,
        rows=rows,
    )
