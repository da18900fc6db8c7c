"""The view of a review."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from safemig.review import Finding, Review, ReviewedFile, Severity, Verdict
from safemig.review.advice import BYTES_A_SECOND
from safemig.sql.locks import LockMode
from safemig.views import numbers
from safemig.views.document import (
    Badge,
    Block,
    Bullets,
    Callout,
    Details,
    Document,
    Inline,
    Line,
    Listing,
    Mono,
    Paragraph,
    Several,
    Strong,
    Table,
    Tone,
)
from safemig.views.shared_parts import without_empty_columns

_TONES: dict[str, Tone] = {"dangerous": "error", "caution": "warning", "recommendation": "info"}
_SIGNS = {"dangerous": "✖", "caution": "▲", "recommendation": "i"}
_VERDICTS: dict[Verdict, Tone] = {
    Verdict.SAFE: "ok",
    Verdict.ATTENTION: "warning",
    Verdict.STOP: "error",
    Verdict.NOTHING: "waiting",
}
_BADGES = {each: Badge(each.value.upper(), _TONES[each.value]) for each in Severity}
_LOCKS = {each: f"lock: {each.value} (blocks: {each.blocks})" for each in LockMode}
_SHORT = 30  # lines of SQL that are shown at once
_WEIGHT = {"dangerous": 0, "caution": 1, "recommendation": 2}


def build(result: Review) -> Document:
    """Show the verdict, what each statement locks, the SQL with marks, and each finding with its safer form."""
    headline: list[Inline] = [Strong(_subject(result)), _counts(result)]
    blocks: list[Block] = [Paragraph((note,)) for note in result.notes if note != result.evidence.caveat]
    if table := _locks(result):
        blocks.append(table)
    if any(each.size_bytes for file in result.files for each in file.statements):
        blocks += _bars(result)
    standing = sorted(result.standing, key=lambda each: (_WEIGHT[each.severity.value], each.file, each.line))
    blocks += [_callout(each) for each in standing]
    blocks += [_accepted(each) for each in result.findings if each.accepted is not None]
    blocks += [_callout(each) for each in result.recommendations if each.accepted is None]
    by_file: dict[str, list[Finding]] = {}
    for finding in result.findings:
        by_file.setdefault(finding.file, []).append(finding)
    for file in result.files:
        if file.statements:
            is_short = len(result.files) == 1 and sum(each.sql.count("\n") + 1 for each in file.statements) <= _SHORT
            listing = partial(_listing, by_file.get(file.name, []), file)  # a text report never asks for it
            blocks.append(Details(f"{file.name}, marked", listing, is_open=is_short))
        if file.recommendations:
            blocks.append(Bullets(f"When you deploy {file.name}", file.recommendations))
    if result.unused_acceptances:
        blocks.append(
            Bullets(
                "Unused acceptances (remove them)",
                tuple(f"{each.rule}:{each.object}: {each.reason}" for each in result.unused_acceptances),
            )
        )
    if result.assumptions:
        blocks.append(Bullets("Assumptions", result.assumptions))
    return Document(_badge(result), tuple(headline), tuple(blocks))


def _badge(result: Review) -> Badge:
    tone = "error" if result.exit_code == 2 else _VERDICTS[result.verdict]
    return Badge(str(result.verdict), tone)


def build_some(result: Review, findings: Sequence[Finding]) -> Document:
    """Show only some findings of a review, under the verdict of all of them."""
    shown = f"{len(findings):,} of {numbers.counted(len(result.findings), 'finding')} shown"
    callouts = [_callout(each) if each.accepted is None else _accepted(each) for each in findings]
    return Document(_badge(result), (Strong(_subject(result)), shown), tuple(callouts))


def _subject(result: Review) -> str:
    names = [file.name for file in result.files]
    files = names[0] if len(names) == 1 else numbers.counted(len(names), "file")
    return f"{files} -> {result.target}" if result.target else f"{files}, {result.evidence.caveat}"


def _counts(result: Review) -> str:
    severities = [each.severity.value for each in result.standing]
    statements = sum(len(file.statements) for file in result.files)
    parts = [numbers.counted(statements, "statement")]
    for severity, word in (("dangerous", "danger"), ("caution", "caution")):
        if number := severities.count(severity):
            parts.append(numbers.counted(number, word))
    if accepted := sum(each.accepted is not None for each in result.findings):
        parts.append(f"{accepted:,} accepted")
    if number := len(result.recommendations):
        parts.append(numbers.counted(number, "recommendation"))
    return " · ".join(parts)


def _locks(result: Review) -> Table | None:
    rows: list[tuple[Inline, ...]] = []
    severities = {each.rule: each.severity.value for each in result.findings}
    locks = {lock: (lock.value, lock.blocks) for lock in LockMode} | {None: (numbers.NOTHING, numbers.NOTHING)}
    badges: dict[tuple[str, ...], Inline] = {}
    statements = [statement for file in result.files for statement in file.statements]
    for number, statement in enumerate(statements, 1):
        rules = statement.rules
        if statement.lock is None and not rules:
            continue
        lock, waits = locks[statement.lock]
        if rules not in badges:
            badges[rules] = _rules(severities, rules)
        rows.append(
            (
                str(number),
                Mono(statement.kind),
                lock,
                Mono(", ".join(statement.tables)) if statement.tables else numbers.NOTHING,
                numbers.estimate(numbers.count(statement.rows_estimate)),
                numbers.size(statement.size_bytes),
                waits,
                badges[rules],
            )
        )
    if not rows:
        return None
    table = Table(
        "What each statement locks",
        ("#", "Statement", "Lock", "Table", "Rows", "Size with indexes", "Blocks", "Finding"),
        tuple(rows),
        frozenset({"#", "Rows", "Size with indexes"}),
    )
    return without_empty_columns(table)


def _bars(result: Review) -> list[Block]:
    """Return what the locks block and for how long, where the sizes that the target told let it be guessed."""
    from safemig.views.pictures import blocking_bars, blocking_of_review  # slow to load, and mostly there is no target

    picture = blocking_bars(blocking_of_review(result.files), estimated=True)
    guess = f"Guessed from sizes, at {numbers.size(BYTES_A_SECOND)} a second; the rehearsal measures it."
    return [picture, Paragraph((f"{picture.finding} {guess}",))] if picture else []


def _rules(severities: dict[str, str], rules: tuple[str, ...]) -> Inline:
    if not rules:
        return numbers.NOTHING
    weighed = sorted((_WEIGHT[severity := severities.get(rule, "recommendation")], rule, severity) for rule in rules)
    return Several(tuple(Badge(rule, _TONES[severity]) for _, rule, severity in weighed))


def _callout(finding: Finding) -> Callout:
    place = f"line {finding.line}" if finding.line else ""
    title = " · ".join([part for part in (finding.rule, finding.file, place, finding.title) if part])
    paragraphs = [finding.message]
    if finding.lock:
        paragraphs.append(_LOCKS[finding.lock])
    if finding.data_loss:
        paragraphs.append("DATA LOSS: only a backup brings back what this removes")
    if finding.can_be_accepted:
        paragraphs.append(f'accept it by name: accept = ["{finding.rule}:{finding.object}: your reason"]')
    return Callout(
        _BADGES[finding.severity],
        title,
        tuple(paragraphs),
        "Safer" if finding.safer else "",
        finding.safer,
    )


def _accepted(finding: Finding) -> Callout:
    return Callout(
        Badge(f"{finding.severity.value.upper()}, ACCEPTED", "waiting"),
        f"{finding.rule} · {finding.file} · line {finding.line} · {finding.title}",
        (finding.message, f"accepted: {finding.accepted}"),
    )


def _listing(findings: Sequence[Finding], file: ReviewedFile) -> tuple[Listing]:
    standing: dict[int, list[str]] = {}
    for each in findings:
        if each.accepted is None:
            standing.setdefault(each.line, []).append(each.severity.value)
    lines: list[Line] = []
    for statement in file.statements:
        texts = statement.sql.strip().splitlines()
        of_its_lines = range(statement.line, statement.line + len(texts)) if standing else ()
        found = [severity for line in of_its_lines for severity in standing.get(line, ())]
        worst = min(found, key=_WEIGHT.__getitem__) if found else None
        sign, tone = (_SIGNS[worst], _TONES[worst]) if worst else (" ", None)
        lines += [Line(text, statement.line + i, sign, tone) for i, text in enumerate(texts)]
    return (Listing("✖ dangerous, ▲ caution, i recommendation", tuple(lines)),)
