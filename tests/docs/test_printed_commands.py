"""A command that a message or a view names runs as it is printed: on its environment, with options that the verb has."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import safemig
from safemig.approval.approve import approve
from safemig.cli import safemig as group
from safemig.commands import base_of, command_on
from safemig.errors import RefusedError
from safemig.results import Target
from tests.views.view_examples import examples

PACKAGE = Path(safemig.__file__).parent
TARGETED = "rehearse|backup-prod|migrate-prod|rollback-prod|restore-prod|sync-prod|baseline-prod|plan"
PRINTED = re.compile(rf"safemig (?:{TARGETED})(?: --target qa)?")
SAY_NO_COMMAND = {"cli.py", "commands.py", "operations/deploy_help.py", "copies/rollback_script.py"}


def parsed(command: str) -> dict[str, Any]:
    """Return the options of a printed command as its verb reads them; nothing is run."""
    _, verb, *words = shlex.split(command)
    made = group.commands[verb]
    with made.make_context(verb, words) as context:
        return dict(context.params)


@pytest.mark.parametrize("environment", ["production", "qa", "eu west"])
@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("rehearse", ""), ("backup-prod", ""), ("migrate-staging", ""), ("migrate-prod", "--resume 0a1b"), ("plan", "--run 'a b'"),
        ("rollback-prod 'a b.sql'", "--approve 0a1b"), ("restore-prod 20260101000000 --swap", "--approve 0a1b"),
        ("restore-prod --drop shop_restored", "--approve 0a1b"), ("sync-prod --source qa", "--approve 0a1b"),
        ("baseline-prod --to 2026", "--approve 0a1b"), ("workload", ""),
    ],
)  # fmt: skip
def test_a_command_names_its_environment(verb: str, more: str, environment: str) -> None:
    assert parsed(command_on(environment, verb, more))["target"] == environment
    assert parsed(base_of(environment))["source"] == environment


def test_a_refusal_at_the_gate_names_the_environment() -> None:
    target = Target("qa", "host", "shop", "app", 170000, "1")
    with pytest.raises(RefusedError) as caught:
        approve("0a1b2c", target, "else", "", verb="restore-prod --swap")
    command = str(caught.value.next).partition(": ")[2].partition(" (or")[0]
    given = parsed(command)
    assert (given["target"], given["approve"], given["swap"]) == ("qa", "0a1b2c", True)


def on_qa(value: Any) -> Any:
    """Return a result as it would be of the environment `qa`."""
    if isinstance(value, Target):
        return replace(value, environment="qa")
    if isinstance(value, tuple):
        return tuple(on_qa(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: on_qa(getattr(value, each.name)) for each in fields(value) if each.init}
        return replace(value, **{name: new for name, new in changed.items() if new is not getattr(value, name)})
    return value


@pytest.mark.parametrize("kind", ["backup", "deployment", "restore", "plan"])
def test_a_view_names_its_environment(kind: str) -> None:
    found = [
        command
        for result in examples().values()
        if result.kind == kind and not hasattr(result, "command")  # which its verb gives it
        for command in PRINTED.findall(on_qa(result).render("text").replace("\n", " ").replace("  ", " "))
    ]
    assert found, "the examples print at least one"
    assert [each for each in found if not each.endswith(" --target qa")] == []


def strings_of(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the texts of a module that are no docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


def test_no_message_spells_such_a_command_by_itself() -> None:
    """`command_on` does, with the environment; what is left names a verb that is none of these, or a placeholder."""
    spelled = re.compile(
        r"safemig (?:migrate-prod|rollback-prod|restore-prod|backup-prod|sync-prod|rehearse)\b(?! --run)"
    )
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text[:60]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in SAY_NO_COMMAND and "demo" not in path.parts
        for line, text in strings_of(ast.parse(path.read_text()))
        if spelled.search(text) and "--target ENVIRONMENT" not in text
    ]
    assert found == []
