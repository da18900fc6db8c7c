"""The short cuts that make a review fast give what the long way gives: no timing here, benchmarks/review does that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safemig.operations import in_two
from safemig.review.engine import pass_over, read
from safemig.review.world import World
from safemig.sql import SourceFile
from safemig.sql.kinds import relations
from safemig.sql.names import of_range
from safemig.sql.parsing import SqlSyntaxError, parse
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
        # what holds within one file only is begun anew with the next
        lasting = ("tables", "indexes", "functions", "views", "enums", "domains", "new_objects", "operators", "casts",
                   "domain_calls", "event_triggers", "children", "renamed_types", "dropped_types")  # fmt: skip
        assert {name: getattr(reviewed, name) for name in lasting} == {
            name: getattr(passed, name) for name in lasting
        }, file.sql


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_two_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_two, "_WORTH_IT", 1)
    files = migrations()
    assert in_two.read_in_two(a_world(), files) == read(a_world(), files)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_when_the_second_process_fails_the_first_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_two, "_WORTH_IT", 1)
    monkeypatch.setattr(in_two, "pass_over", lambda *_: os._exit(9))
    files = migrations()
    assert in_two.read_in_two(a_world(), files) == read(a_world(), files)


def test_a_short_sequence_is_read_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    assert len(in_two.read_in_two(a_world(), [SourceFile("a.sql", "SELECT 1"), SourceFile("b.sql", "SELECT 2")])) == 2


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


ODD = r"""
SELECT '"FuncCall":{', '"relname":"x"', E'\\"relname\\":\\"y\\"' FROM "a""b"."c\d", u&"\00e9", "},{""stmt"":{";
SELECT 'FuncCall":{', '},{"stmt":{"DeleteStmt":{' FROM z;
COMMENT ON TABLE t IS '"},{"stmt":{"DropStmt":{';
"""


def test_text_that_looks_like_the_parsers_own_is_text() -> None:
    statements = parse(ODD)
    assert [statement.tables for statement in statements] == [('a"b.c\\d', "é", '},{"stmt":{'), ("z",), ("t",)]
    assert not any(holds(statement.json, "FuncCall") for statement in statements)


def test_the_benchmark_writes_what_it_says(tmp_path: Path) -> None:
    scope: dict[str, object] = {"__name__": "benchmark"}
    source = Path(__file__).parents[2] / "benchmarks/review/__main__.py"
    exec(compile(source.read_text(encoding="utf-8"), source, "exec"), scope)
    paths = scope["written"](tmp_path, 10, 83)  # type: ignore[operator]
    assert sum(len(parse(path.read_text(encoding="utf-8"))) for path in paths) == 83
