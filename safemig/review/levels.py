"""How strictly a team wants to be judged: what each rule weighs at each level. Pure.

`default` is what the rules say. `strict` lets recommendations weigh as cautions. `relaxed` lets what only costs time on a
large or busy table be a recommendation. What destroys data, opens access, fails or cannot be judged weighs the same at each.
"""

from __future__ import annotations

from typing import Literal

from safemig.review.model import Finding
from safemig.review.severity import Severity

Level = Literal["strict", "default", "relaxed"]
# Cautions that are about waiting: for a lock, for a table to be read or written, for an index to be built.
ABOUT_WAITING = frozenset((
    "add-check-validates", "add-column-constraint", "add-column-rewrites", "add-exclusion", "add-foreign-key-validates",
    "add-unique-builds-index", "alter-column-type", "attach-partition-scans", "create-rule", "detach-partition-blocks", "domain-constraint",
    "drop-constraint", "drop-index", "drop-trigger", "foreign-key-locks-parent", "index-not-concurrent", "lock-table",
    "partition-of-locks-parent", "policy-on-existing-table", "refresh-blocks-reads", "reindex", "set-not-null", "table-rewrite",
    "trigger-on-existing-table", "validate-in-same-file", "work-under-lock",
))  # fmt: skip


def at_level(rule: str, severity: Severity, level: Level) -> Severity:
    """Return what a finding of the rule weighs at the level."""
    if level == "strict" and severity is Severity.RECOMMENDATION:
        return Severity.CAUTION
    if level == "relaxed" and severity is Severity.CAUTION and rule in ABOUT_WAITING:
        return Severity.RECOMMENDATION
    return severity


def weighed(findings: list[Finding], level: Level) -> list[Finding]:
    """Return the findings with what they weigh at the level."""
    if level == "default":
        return findings
    return [one._replace(severity=at_level(one.rule, one.severity, level)) for one in findings]
