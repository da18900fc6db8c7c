"""Each rule finds its own `err` examples and is silent on its `ok` examples: the examples are the rule's page too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from safemig.review import Severity, TargetFacts, registry, review
from safemig.review.registry import all_rules
from safemig.review.rule import Rule
from safemig.review.rules import supabase, supabase_advised, supabase_policies
from safemig.sql import SourceFile, parse

RULES = all_rules()
OF_SUPABASE = {
    one.name
    for family in (supabase, supabase_advised, supabase_policies)
    for one in vars(family).values()
    if isinstance(one, Rule)
}
ERR = [pytest.param(rule, sql, id=f"{rule.name}-{number}") for rule in RULES for number, sql in enumerate(rule.err)]
OK = [pytest.param(rule, sql, id=f"{rule.name}-{number}") for rule in RULES for number, sql in enumerate(rule.ok)]


def target_for(rule: Rule) -> TargetFacts | None:
    """Return an empty database for a rule about what a target lacks, one of Supabase for its rules; None for the others."""
    if rule.name in OF_SUPABASE:
        return TargetFacts(150000, "production", platform="Supabase")
    return TargetFacts(150000, "production") if rule.name == "missing-table" else None


@pytest.mark.parametrize(("rule", "sql"), ERR)
def test_a_rule_finds_what_it_is_for(rule: Rule, sql: str) -> None:
    found = review([SourceFile("m.sql", sql)], target=target_for(rule)).findings
    assert rule.name in {finding.rule for finding in found}


@pytest.mark.parametrize(("rule", "sql"), OK)
def test_a_rule_is_silent_on_what_is_fine(rule: Rule, sql: str) -> None:
    found = review([SourceFile("m.sql", sql)], target=target_for(rule)).findings
    assert rule.name not in {finding.rule for finding in found if finding.severity is not Severity.RECOMMENDATION}


def test_the_mark_of_a_rule_hides_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        SourceFile(f"{number}.sql", sql)
        for number, sql in enumerate(sql for one in RULES for sql in (*one.err, *one.ok))
    ]
    marked = review(texts, by_themselves=True, platform="Supabase").findings
    without = {node: [replace(one, mark="") for one in rules] for node, rules in registry._BY_NODE.items()}
    monkeypatch.setattr(registry, "_BY_NODE", without)
    assert review(texts, by_themselves=True, platform="Supabase").findings == marked


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_its_page(rule: Rule) -> None:
    assert rule.title
    assert rule.why.endswith(".")
    assert rule.instead
    assert rule.ok
    if rule.data_loss:
        assert rule.severity is Severity.DANGEROUS


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("DELETE FROM users WHERE id = 1", "users WHERE id = 1"),
        ("DELETE FROM ONLY app.users u WHERE u.id IN (SELECT id FROM x WHERE y = ';') RETURNING *",
         "app.users AS u WHERE u.id IN (SELECT id FROM x WHERE y = ';')"),
        ("DELETE FROM users WHERE id = 1 -- why\n  AND true", "users WHERE id = 1 -- why\n  AND true"),
        ("DELETE FROM users", "users"),
        ("DELETE FROM users USING banned b WHERE b.id = users.id", "users"),
        ("WITH gone AS (DELETE FROM users WHERE id = 1) SELECT 1", "users"),
        ("-- safemig: batches of 10 by users.id\nDELETE FROM users WHERE id BETWEEN $1 AND $2", "users"),
    ],
)  # fmt: skip
def test_what_a_delete_takes_is_kept_by_its_own_condition(sql: str, rows: str) -> None:
    (finding,) = [each for each in review([SourceFile("m.sql", sql)]).findings if each.rule == "delete-rows"]
    assert f"_deleted AS SELECT * FROM {rows};" in finding.safer
    parse(finding.safer)
