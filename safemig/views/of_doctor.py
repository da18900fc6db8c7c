"""The view of a diagnosis: which verbs will work on a database, and the command for each gap."""

from __future__ import annotations

from safemig.results import Diagnosis, VerbGap, VerbOutlook
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Callout, Document, Inline, Strong, Table, Tone
from safemig.views.shared_parts import on, without_empty_columns

_TONES: dict[str, Tone] = {"works": "ok", "limited": "warning", "refuses": "info", "will not work": "error"}


def build(result: Diagnosis) -> Document:
    """Say how many verbs will work, who we are there, each verb with its gap, and every command that closes one."""
    blocks: list[Block] = []
    if result.problem:
        verdict = Badge("UNREACHABLE", "error")
        headline: list[Inline] = [Strong(result.environment)]
        advice = next((fix for each in result.gaps for fix in each.fixes), "")
        blocks.append(Callout(verdict, result.problem, (f"next: {advice}",) if advice else ()))
    else:
        failing = sum(each.outlook == "will not work" for each in result.verbs)
        verdict = Badge("ALL VERBS WORK", "ok")
        if failing:
            verdict = Badge(f"{numbers.counted(failing, 'VERB').upper()} WILL NOT WORK", "error")
        elif any(each.outlook == "limited" for each in result.verbs):
            verdict = Badge("ALL VERBS WORK, SOME WITH LIMITS", "warning")
        headline = [Strong(on(result.target)) if result.target else result.environment, result.platform]
        blocks.append(_who(result))
    blocks.append(_verbs(result.verbs))
    blocks += [_gap(each) for each in result.gaps if not result.problem]
    if result.not_rehearsed:
        blocks.append(Bullets("What a rehearsal will not show", result.not_rehearsed))
    if result.notes:
        blocks.append(Bullets("Notes", result.notes))
    return Document(verdict, tuple(headline), tuple(blocks))


def _who(result: Diagnosis) -> Table:
    rows: list[tuple[Inline, ...]] = [("platform", result.platform), ("role", result.role)]
    if result.session_role != result.role:
        rows.append(("connected as", result.session_role))
    rows.append(("attributes", ", ".join(result.attributes) or "none"))
    rows.append(("member of", ", ".join(result.member_of) or "none"))
    return Table("Who we are there", ("What", "Value"), tuple(rows))


def _gap(gap: VerbGap) -> Callout:
    badge = Badge(gap.outlook.upper(), _TONES[gap.outlook])
    return Callout(badge, ", ".join(gap.verbs), (gap.why,), "To close it" if gap.fixes else "", "\n".join(gap.fixes))


def _verbs(verbs: tuple[VerbOutlook, ...]) -> Table:
    rows = tuple((Badge(each.outlook.upper(), _TONES[each.outlook]), each.verb, each.why) for each in verbs)
    return without_empty_columns(Table("Verbs", ("Outlook", "Verb", "Why"), rows))
