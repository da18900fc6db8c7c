"""The script that writes a rule's stub writes one that is a rule."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from safemig.review.rule import Rule

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "new_rule.py"


def stub(name: str, err: str, ok: str) -> str:
    spec = importlib.util.spec_from_file_location("new_rule", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.stub(name, err, ok))


@pytest.mark.parametrize(
    ("err", "node"),
    [
        ("NOTIFY changed", "NotifyStmt"),
        ("ALTER TABLE users DROP COLUMN email", "AT_DropColumn"),
        ("CREATE TABLE t (id int); COMMENT ON TABLE t IS 'a \"b\"'", "CommentStmt"),
    ],
)
def test_a_stub_is_a_rule_for_the_node_of_its_example(err: str, node: str) -> None:
    made: dict[str, Any] = {}
    exec(compile(stub("something-found", err, "SELECT 1"), "stub", "exec"), made)
    (rule,) = [each for each in made.values() if isinstance(each, Rule)]
    assert (rule.name, rule.on, rule.err, rule.ok) == ("something-found", (node,), (err,), ("SELECT 1",))
    assert rule.title == "Something found"
