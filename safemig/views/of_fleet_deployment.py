"""The view of a run over a fleet: failed members first, the others folded by cohort."""

from __future__ import annotations

from collections import Counter, defaultdict

from safemig.fleet_facts import FleetDeployment, MemberOutcome
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Mono, Strong, Table, Tone
from safemig.views.shared_parts import without_empty_columns

_TONES: dict[str, Tone] = {
    "deployed": "ok", "already": "ok", "rolled back": "ok", "backed up": "ok", "failed": "error", "stopped": "error",
    "unknown": "error", "set aside": "warning", "not reached": "waiting",
}  # fmt: skip
_VERDICTS: dict[str, Tone] = {"STOPPED": "error", "FAILED": "error", "UNKNOWN": "error"}
_MOST = 100


def build(result: FleetDeployment) -> Document:
    """Say how it ended, who failed and why, and every member by cohort and wave."""
    counts = Counter[str](each.outcome for each in result.members)
    tone: Tone = next((tone for word, tone in _VERDICTS.items() if result.verdict.startswith(word)), "ok")
    headline: list[Inline] = [Strong(result.fleet), numbers.counted(len(result.members), "member")]
    headline += [f"{counts[outcome]:,} {outcome}" for outcome in _TONES if counts[outcome]]
    headline.append(numbers.seconds(result.seconds))
    failed = [each for each in result.members if each.is_failure]
    aside = [each for each in result.members if each.outcome == "set aside"]
    blocks: list[Block] = []
    if failed:
        blocks.append(_table("Failed members", failed[:_MOST]))
        if len(failed) > _MOST:
            blocks.append(Details(f"{len(failed) - _MOST:,} more", (_table("", failed[_MOST:]),)))
    if aside:
        blocks.append(_table("Set aside", aside[:_MOST]))
        if len(aside) > _MOST:
            blocks.append(Details(f"{len(aside) - _MOST:,} more", (_table("", aside[_MOST:]),)))
    if result.waves:
        blocks.append(_waves(result))
    by_cohort: defaultdict[str, list[MemberOutcome]] = defaultdict(list)
    for each in result.members:
        if not each.is_failure and each.outcome != "set aside":  # these are shown above
            by_cohort[each.cohort].append(each)
    for cohort, members in sorted(by_cohort.items(), key=lambda item: -len(item[1])):
        told = Counter(each.outcome for each in members)
        words = ", ".join(f"{count:,} {outcome}" for outcome, count in told.most_common())
        name = f"cohort {cohort}" if cohort else "in no cohort"
        blocks.append(Details(f"{numbers.counted(len(members), 'member')}, {name}: {words}", (_table("", members),)))
    slowest = sorted((each for each in result.members if each.seconds), key=lambda each: -each.seconds)[:5]
    if slowest:
        blocks.append(Bullets("Slowest members", tuple(map(_how_long, slowest))))
    if result.backup:
        blocks.append(Bullets("Backup", (result.backup,)))
    if result.notes:
        blocks.append(Bullets("Notes", result.notes))
    return Document(Badge(result.verdict, tone), tuple(headline), tuple(blocks))


def _table(title: str, members: list[MemberOutcome]) -> Table:
    rows = tuple(
        (
            Strong(each.member),
            Badge(each.outcome.upper(), _TONES[each.outcome]),
            Mono(each.version) if each.version else "",
            numbers.seconds(each.seconds) if each.seconds else "",
            each.error,
            each.next,
        )
        for each in members
    )
    columns = ("Member", "Outcome", "Version", "Took", "Why", "Next")
    return without_empty_columns(Table(title, columns, rows, frozenset({"Took"})))


def _how_long(each: MemberOutcome) -> str:
    waited = f", of which {numbers.seconds(each.lock_wait_s)} waiting for locks" if each.lock_wait_s else ""
    return f"{each.member}: {numbers.seconds(each.seconds)}{waited}"


def _waves(result: FleetDeployment) -> Table:
    outcome_of = {each.member: each.outcome for each in result.members}
    rows: list[tuple[Inline, ...]] = []
    for number, wave in enumerate(result.waves, 1):
        told = Counter(outcome_of.get(name, "not reached") for name in wave.members)
        words = ", ".join(f"{count:,} {outcome}" for outcome, count in told.most_common())
        rows.append((f"{number}", wave.name, f"{len(wave.members):,}", words))
    return Table("Waves", ("No.", "Wave", "Members", "Outcome"), tuple(rows), frozenset({"No.", "Members"}))
