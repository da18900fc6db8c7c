"""The rules as one page of reference, made from the rules themselves."""

from __future__ import annotations

from collections.abc import Iterable

from safemig.review.levels import Level, at_level
from safemig.review.registry import all_rules
from safemig.review.rule import Rule


def rules() -> tuple[Rule, ...]:
    """Return every rule of the review, by name."""
    return all_rules()


def reference_page(of: Iterable[Rule] | None = None) -> str:
    """Return the reference as Markdown: a table of all rules, then each in fixed order: problem, instead, examples."""
    listed = tuple(rules() if of is None else of)
    lines = [
        "# The rules of the review",
        "",
        *_LEVELS,
        "| rule | severity | strict | relaxed | data loss | what it finds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| [{rule.name}](#{rule.name}) | {rule.severity} | {_at(rule, 'strict')} | {_at(rule, 'relaxed')} "
        f"| {'yes' if rule.data_loss else ''} | {rule.title} |"
        for rule in listed
    ]
    for rule in listed:
        lines += ["", f"## {rule.name}", "", f"**{rule.title}** ({rule.severity}).", "", rule.why]
        lines += ["", "Instead:", "", *_block(rule.instead)]
        if rule.err:
            lines += ["", "Found in:", "", *_block("\n".join(_ended(sql) for sql in rule.err))]
        lines += ["", "Not found in:", "", *_block("\n".join(_ended(sql) for sql in rule.ok))]
        if rule.name != "cannot-be-read":
            lines += [
                "",
                "Accept it by name, with a reason:",
                "",
                *_block(f"-- safemig: accept {rule.name} <object>: <reason>"),
            ]
    return "\n".join(lines) + "\n"


_LEVELS = (
    'Each rule sets the severity of its findings, unless `review_level` changes it: `"strict"` turns recommendations into cautions,',
    '`"relaxed"` turns cautions that only matter for a large or busy table into recommendations. Dangerous findings stay dangerous.',
    "",
)


def _at(rule: Rule, level: Level) -> str:
    """Return the severity of the rule at the level; nothing where it is the rule's own."""
    found = at_level(rule.name, rule.severity, level)
    return "" if found is rule.severity else str(found)


def _block(sql: str) -> list[str]:
    return ["```sql", *sql.split("\n"), "```"]


def _ended(sql: str) -> str:
    return sql if sql.rstrip().endswith(";") else f"{sql};"
