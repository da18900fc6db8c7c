"""Who reads what a migration takes away or changes: said in the review's own findings, from the statements seen. Pure."""

from __future__ import annotations

from dataclasses import replace

from safemig.review import Finding, Review
from safemig.sql.names import Name
from safemig.sql.reads import reads_of
from safemig.workload.statement import SeenWorkload, Statement

# Findings about a column or relation that statements name; their objects are `users.legacy`, `app.users.legacy`, `users`.
_ABOUT_COLUMNS = frozenset({
    "drop-column", "rename-in-use", "alter-column-type", "alter-type-loses-data", "table-rewrite", "set-not-null",
})  # fmt: skip
_ABOUT_RELATIONS = frozenset({"drop-table", "rename-in-use", "drop-code", "drop-foreign-table"})
_WRITTEN = frozenset({"set-not-null", "add-column-not-null"})  # where what counts is who writes
_MOST_ROLES = 4


def with_usage(review: Review, seen: SeenWorkload) -> Review:
    """Return the review, each finding that takes away or changes what statements name saying which were seen to.

    Guarantee: never more than the evidence. That no statement names it is said with the window in which none was seen.
    """
    findings = tuple(_with_usage(each, seen) for each in review.findings)
    return review if findings == review.findings else replace(review, findings=findings)


def _with_usage(finding: Finding, seen: SeenWorkload) -> Finding:
    found = _statements(finding, seen)
    return (
        finding if found is None else finding._replace(message=f"{finding.message}; {_sentence(finding, found, seen)}")
    )


def _statements(finding: Finding, seen: SeenWorkload) -> list[Statement] | None:
    """Return the statements that name what the finding is about; None where it is about nothing that statements name."""
    parts = finding.object.replace('"', "").split(".")
    if finding.rule == "add-column-not-null" and len(parts) > 1:
        table = _name(parts[:-1])
        return [each for each in seen.statements if _inserts_without(each, table, parts[-1])]
    known = [(reads_of(each.text), each) for each in seen.statements]
    if finding.rule in _ABOUT_RELATIONS and len(parts) <= 2:
        named = [each for reads, each in known if reads.names_table(_name(parts))]
        if named or finding.rule not in _ABOUT_COLUMNS:
            return named
    if finding.rule in _ABOUT_COLUMNS and len(parts) > 1:
        table, column = _name(parts[:-1]), parts[-1]
        found = [(reads, each) for reads, each in known if reads.names_column(table, column)]
        if finding.rule in _WRITTEN:
            found = [pair for pair in found if pair[0].target and pair[0].target.name == table.name]
        return [each for _, each in found]
    return [] if finding.rule in _ABOUT_RELATIONS else None


def _inserts_without(each: Statement, table: Name, column: str) -> bool:
    reads = reads_of(each.text)
    return bool(
        reads.is_insert and reads.target and reads.target.name == table.name and reads.names_table(table)
        and reads.inserted is not None and column not in reads.inserted
    )  # fmt: skip


def _name(parts: list[str]) -> Name:
    return Name(parts[-2] if len(parts) > 1 else "", parts[-1])


def _sentence(finding: Finding, found: list[Statement], seen: SeenWorkload) -> str:
    verb = "named"
    if finding.rule in _WRITTEN:
        verb = "written" if finding.rule == "set-not-null" else "left out"
    elif finding.rule in ("drop-column", "drop-table", "drop-code", "drop-foreign-table"):
        verb = "read" if all(each.kind == "SELECT" for each in found) else "used"
    if not found:
        what = {"written": "writes it", "left out": "inserts without it"}.get(verb, "names it")
        return f"no statement {_seen(seen)} {what} ({_calls(seen.calls)})"
    count = f"{verb} by {len(found):,} statement{'' if len(found) == 1 else 's'}"
    roles = sorted({each.role for each in found if each.role})
    of = f", {'roles' if len(roles) > 1 else 'role'} {', '.join(roles[:_MOST_ROLES])}" if roles else ""
    of += f" and {len(roles) - _MOST_ROLES} more" if len(roles) > _MOST_ROLES else ""
    calls = sum(each.calls for each in found)
    if seen.hours >= 24:
        return f"{count}, {_calls(round(calls / seen.hours * 24))} a day{of}"
    return f"{count}, {_calls(calls)} {_seen(seen)}{of}" if seen.hours else f"{count}{of}"


def _seen(seen: SeenWorkload) -> str:
    if not seen.hours:
        return "of the files collected"
    if seen.hours >= 48:
        return f"of the {seen.hours / 24:.0f} days seen"
    return f"of the {seen.hours:.0f} h seen" if seen.hours >= 1 else f"of the {seen.hours * 60:.0f} min seen"


def _calls(number: int) -> str:
    if number >= 999_950:
        return f"{number / 1_000_000:.1f} M calls"
    return f"{number:,} call{'' if number == 1 else 's'}"
