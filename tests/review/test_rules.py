"""Each rule finds its own `err` examples and is silent on its `ok` examples: the examples are the rule's page too."""

from __future__ import annotations

import pytest

from safemig.review import Severity, review
from safemig.review.rule import Rule, all_rules
from safemig.sql import SourceFile

RULES = all_rules()
ERR = [pytest.param(rule, sql, id=f"{rule.name}-{number}") for rule in RULES for number, sql in enumerate(rule.err)]
OK = [pytest.param(rule, sql, id=f"{rule.name}-{number}") for rule in RULES for number, sql in enumerate(rule.ok)]


@pytest.mark.parametrize(("rule", "sql"), ERR)
def test_a_rule_finds_what_it_is_for(rule: Rule, sql: str) -> None:
    found = review([SourceFile("m.sql", sql)]).findings
    assert rule.name in {finding.rule for finding in found}


@pytest.mark.parametrize(("rule", "sql"), OK)
def test_a_rule_is_silent_on_what_is_fine(rule: Rule, sql: str) -> None:
    found = review([SourceFile("m.sql", sql)]).findings
    assert rule.name not in {finding.rule for finding in found if finding.severity is not Severity.RECOMMENDATION}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_its_page(rule: Rule) -> None:
    assert rule.title
    assert rule.why.endswith(".")
    assert rule.instead
    assert rule.ok
    if rule.data_loss:
        assert rule.severity is Severity.DANGEROUS
