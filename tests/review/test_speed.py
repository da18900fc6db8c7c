"""The short cuts that make a review fast give what the long way gives: no timing here, benchmarks/review does that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from safemig.operations.review import review_files
from safemig.review import engine, fix, review
from safemig.review.engine import pass_over, read
from safemig.review.examine import Placed
from safemig.review.world import World
from safemig.sql import SourceFile, parsing
from safemig.sql.kinds import relations
from safemig.sql.names import of_range
from safemig.sql.parsing import ParsedStatement, SqlSyntaxError, parse, parse_what_can_be
from safemig.sql.tree import holds, walk
from tests.review.test_corpus import cases


def migrations() -> list[SourceFile]:
    """Every migration of the labelled set, as one long sequence."""
    return [SourceFile(f"{number}.sql", case.values[1]) for number, case in enumerate(cases())]  # type: ignore[attr-defined]


def a_world() -> World:
    world = World()
    world.pending = True
    return world


def test_passing_over_files_leaves_the_world_as_reviewing_them_does() -> None:
    reviewed, passed = a_world(), a_world()
    files = migrations()
    for file in files:
        read(reviewed, [file])
        pass_over(passed, [file])
        # what holds within one file only is begun again with the next
        lasting = ("tables", "indexes", "functions", "views", "enums", "domains", "new_objects", "operators", "casts",
                   "domain_calls", "event_triggers", "children", "renamed_types", "dropped_types")  # fmt: skip
        assert {name: getattr(reviewed, name) for name in lasting} == {
            name: getattr(passed, name) for name in lasting
        }, file.sql


def test_the_parsers_text_tells_what_the_tree_holds() -> None:
    kinds = ("FuncCall", "A_Expr", "TypeCast", "RangeVar", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
    for file in [*migrations(), SourceFile("odd.sql", ODD)]:
        try:
            statements = parse(file.sql)
        except SqlSyntaxError:
            continue
        for statement in statements:
            nodes = walk(statement.tree)
            for kind in kinds:
                assert holds(statement.json, kind) is any(name == kind for name, _ in nodes), statement.sql
            walked = {of_range(body) for name, body in nodes if name == "RangeVar"}
            assert walked <= set(relations(statement.json)), statement.sql


def test_a_guard_that_is_checked_when_someone_wants_it_is_what_it_would_have_been_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [*migrations(), *(SourceFile(f"guard{number}.sql", sql) for number, sql in enumerate(GUARDS))]
    later = [(made := review([file]), made.fixed_files, made.left_alone) for file in files]
    sequence = review(files)

    def at_once(statement: ParsedStatement, placed: Sequence[Placed]) -> fix.Replacement:
        return fix._replacement(statement, [one for one in placed if not one.origin])

    monkeypatch.setattr(fix, "replacement", at_once)
    for file, (made, fixed_files, left_alone) in zip(files, later, strict=True):
        again = review([file])
        assert (made, fixed_files, left_alone) == (again, again.fixed_files, again.left_alone), file.sql
    assert sequence == review(files)


def test_files_that_are_reviewed_many_at_a_time_are_reviewed_as_they_are_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [*migrations()[:50], SourceFile("unreadable.sql", "ALTER TABEL t; DROP TABLE t;"), *migrations()[50:80]]
    together = review(files)
    monkeypatch.setattr(engine, "_PORTION", 1)
    assert (one_by_one := review(files)) == together
    assert one_by_one.fixed_files == together.fixed_files
    assert [file.name for file in together.files] == [file.name for file in files]


GUARDS = (
    "CREATE TABLE t (id int);",
    "ALTER TABLE t ADD COLUMN a int, ADD b text -- why\n;",
    "ALTER TABLE t ADD COLUMN a int; CREATE INDEX CONCURRENTLY i ON t (a); VACUUM t;",
    "VACUUM t; ALTER TABLE t ADD a int; SELECT 1;",
    "BEGIN; ALTER TABLE t ADD a int; COMMIT;",
    "-- +goose Up\nALTER TABLE t ADD a int;\n-- +goose Down\nALTER TABLE t DROP a;",
    "ALTER TABLE t ADD a int, DROP COLUMN b, ADD CONSTRAINT c CHECK (a > 0); ALTER TABLE t RENAME TO u;",
    "CREATE TABLE /* if */ t (id int); /* kept */ ALTER TABLE t ADD COLUMN /* here */ a int;",
)
ODD = r"""
SELECT '"FuncCall":{', '"relname":"x"', E'\\"relname\\":\\"y\\"' FROM "a""b"."c\d", u&"\00e9", "},{""stmt"":{";
SELECT 'FuncCall":{', '},{"stmt":{"DeleteStmt":{' FROM z;
COMMENT ON TABLE t IS '"},{"stmt":{"DropStmt":{';
"""


def test_text_that_looks_like_the_parsers_own_is_text() -> None:
    statements = parse(ODD)
    assert [statement.tables for statement in statements] == [('a"b.c\\d', "é", '},{"stmt":{'), ("z",), ("t",)]
    assert not any(holds(statement.json, "FuncCall") for statement in statements)


ROWS = """
INSERT INTO t VALUES (1, 'a'), (2, 'it''s; DROP TABLE users'), (-3.5, NULL);
insert into "Odd"."t" ("a;b", c) values ( 'é', default ) on conflict do nothing;
INSERT INTO t VALUES (1, 'b');
INSERT INTO t VALUES (1, 'a'), (2, wipe());
INSERT INTO t VALUES (1, 'a' || 'b'), (2, 'c'::text);
INSERT INTO t VALUES (1) -- one
, (2);
INSERT INTO t VALUES (1), (2) RETURNING 1;
INSERT INTO t VALUES (1), (2) ON CONFLICT (a) DO UPDATE SET a = 1;
INSERT INTO t (a) VALUES (E'\\'), (2);
INSERT INTO t (a) VALUES ('\'), ('), (''; DELETE FROM users; --');
CREATE FUNCTION f() RETURNS void BEGIN ATOMIC INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); DELETE FROM t; END;
SELECT 'INSERT INTO t VALUES (1), (', ')'; INSERT INTO t VALUES ('d');
INSERT INTO t VALUES ('e');
"""


def test_a_long_text_is_read_in_portions_as_it_is_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in [*migrations(), SourceFile("odd.sql", ODD), SourceFile("rows.sql", ROWS)]:
        monkeypatch.setattr(parsing, "LONG", 10**9)
        whole, found = outcome(file.sql), review([file])
        monkeypatch.setattr(parsing, "LONG", 0)
        assert outcome(file.sql) == whole
        assert review([file]) == found


def outcome(sql: str) -> object:
    """What parsing gives, with all of each tree but the places in the text, which count from where a part begins."""
    try:
        statements = parse(sql)
    except SqlSyntaxError as problem:
        return problem.reason, problem.line, problem.column, list(map(without_places, parse_what_can_be(sql)))
    return list(map(without_places, statements))


def without_places(statement: ParsedStatement) -> object:
    full = statement.in_full()
    return full._replace(tree=bare(full.tree), json="")


def bare(tree: object) -> object:
    if isinstance(tree, list):
        return list(map(bare, tree))
    if isinstance(tree, dict):
        return {key: bare(value) for key, value in tree.items() if not key.endswith(("location", "_start", "_end"))}
    return tree


def test_rows_of_literals_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    reader = parsing.read_trees_and_json
    monkeypatch.setattr(parsing, "read_trees_and_json", lambda sql: read.append(len(sql)) or reader(sql))
    rows = ", ".join(f"({n}, 'name {n}')" for n in range(5_000))
    many = "".join(f"INSERT INTO users VALUES ({n}, 'name {n}');\n" for n in range(5_000))
    made = review([SourceFile("m.sql", f"INSERT INTO users (id, name) VALUES {rows};\n{many}DROP TABLE users;")])
    assert len(read) == 3
    assert max(read) < 100
    assert len(made.files[0].statements) == 5_002
    assert [(each.rule, each.line) for each in made.standing] == [("drop-table", 5_002)]


def test_an_enums_new_label_is_found_among_rows_of_literals() -> None:
    rows = "".join(f"INSERT INTO people VALUES ({n}, 'sad');\n" for n in range(20_000))
    sql = f"ALTER TYPE mood ADD VALUE 'calm';\n{rows}INSERT INTO people VALUES (0, 'calm');\n{rows}"
    found = [(each.rule, each.line) for each in review([SourceFile("m.sql", sql)]).standing]
    assert found == [("enum-value-used-too-early", 20_002)]


def test_a_file_is_read_with_any_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "1.sql"
    path.write_bytes(b"\xef\xbb\xbfDROP TABLE a;\r\nDROP TABLE\rb;")
    found = review_files([path]).standing
    assert [(each.object, each.line, each.statement) for each in found] == [
        ("a", 1, "DROP TABLE a"), ("b", 2, "DROP TABLE\nb"),
    ]  # fmt: skip


def test_the_benchmark_writes_what_it_says(tmp_path: Path) -> None:
    scope: dict[str, object] = {"__name__": "benchmark"}
    source = Path(__file__).parents[2] / "benchmarks/review/__main__.py"
    exec(compile(source.read_text(encoding="utf-8"), source, "exec"), scope)
    paths = scope["written"](tmp_path, 10, 83)  # type: ignore[operator]
    assert sum(len(parse(path.read_text(encoding="utf-8"))) for path in paths) == 83
