"""Who may use what before and after a migration, and the findings about it, as several views show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safemig.commands import command_on
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Callout, Details, Inline, Mono, Paragraph, Table

if TYPE_CHECKING:
    from safemig.results import Access, RehearsedRights, Rights, RightsFinding

_MOST_LINES = 40


def rights_blocks(rights: Rights | None) -> tuple[Block, ...]:
    """Return the findings, what roles lose and gain, the rights that stay (folded), and what was left out."""
    if rights is None:
        return ()
    changed, same = _by_role(rights.access)
    blocks: list[Block] = [_finding(each) for each in rights.findings]
    if changed:
        shown = changed[:_MOST_LINES]
        blocks.append(_table("Access, before and after", shown))
        if hidden := len(changed) - len(shown):
            blocks.append(Bullets("", (f"and {numbers.counted(hidden, 'more line')}",)))
    if same:
        blocks.append(
            Details(f"{numbers.counted(len(same), 'unchanged right')} on touched objects", (_table("", same),))
        )
    as_whom = (
        rights.role if rights.role == rights.session_role else f"{rights.role}, connected as {rights.session_role}"
    )
    blocks.append(Bullets("Rights", (f"run as {as_whom}", *rights.notes)))
    return tuple(blocks)


def rehearsed_rights(rights: RehearsedRights | None, environment: str) -> tuple[Block, ...]:
    """Return what roles gain and lose by the last rehearsal, or that none of these migrations is known here."""
    if rights is None:
        return (
            Paragraph(
                (
                    "What roles gain and lose is not in this plan: ",
                    Mono(command_on(environment, "rehearse")),
                    " finds it out.",
                )
            ),
        )
    blocks: list[Block] = []
    if not rights.is_current:
        blocks.append(
            Callout(
                Badge("CAUTION", "warning"),
                "older rehearsal",
                (
                    f"these rights were found on {rights.rehearsed_at:%Y-%m-%d %H:%M} UTC for plan {rights.plan_id}; the "
                    "schema, a setting or the collected statements have changed since",
                ),
                "Instead",
                command_on(environment, "rehearse"),
            )
        )
    changed, _ = _by_role(rights.access)
    if not changed:
        said = f"No role gains or loses a right (rehearsed {rights.rehearsed_at:%Y-%m-%d %H:%M} UTC)."
        return (*blocks, Paragraph((said,)))
    title = f"Access, before and after (rehearsed {rights.rehearsed_at:%Y-%m-%d %H:%M} UTC)"
    blocks.append(_table(title, changed[:_MOST_LINES]))
    if (hidden := len(changed) - _MOST_LINES) > 0:
        blocks.append(Bullets("", (f"and {numbers.counted(hidden, 'more line')}",)))
    return tuple(blocks)


def access_table(access: Sequence[Access]) -> tuple[Block, ...]:
    """Return who may use what, as it is now, a line an object and role."""
    rights: dict[tuple[str, str], list[str]] = {}
    for each in access:
        rights.setdefault((each.object, each.role), []).append(
            each.verb + (" (some columns)" if each.before == "columns" else "")
        )
    rows = [(Mono(name), role, ", ".join(verbs)) for (name, role), verbs in rights.items()][:_MOST_LINES]
    return (Table("Who may use what it touches", ("Object", "Role", "Now"), tuple(rows)),) if rows else ()


def _finding(finding: RightsFinding) -> Callout:
    said = [f"accepted: {finding.accepted}"] if finding.accepted is not None else []
    badge = Badge("ACCEPTED", "info") if said else Badge("CAUTION", "warning")
    title = f"{finding.rule} {finding.object}"
    return Callout(badge, title, (finding.message, *said), "Instead", finding.safer)


def _by_role(access: Sequence[Access]) -> tuple[list[tuple[Inline, ...]], list[tuple[Inline, ...]]]:
    rights: dict[tuple[str, str, str], list[Access]] = {}
    for each in access:
        rights.setdefault((each.object, each.kind, each.role), []).append(each)
    changed: list[tuple[Inline, ...]] = []
    same: list[tuple[Inline, ...]] = []
    for (name, kind, role), verbs in rights.items():
        before = "not there" if not verbs[0].before else _words(verbs, after=False)
        now = _words(verbs, after=True)
        line: tuple[Inline, ...] = (Mono(name), kind, role, before, now)
        (same if before == now else changed).append(line)
    return changed, same


def _words(verbs: Sequence[Access], *, after: bool) -> str:
    said = []
    for each in verbs:
        word, trial = (each.after, each.tried_after) if after else (each.before, each.tried_before)
        if word not in ("yes", "columns"):
            continue
        notes = (["some columns"] if word == "columns" else []) + (["rows by policy"] if trial == "rows" else [])
        notes += ["refused"] if trial == "no" else []
        said.append(each.verb + (f" ({', '.join(notes)})" if notes else ""))
    return ", ".join(said) or "none"


def _table(title: str, rows: Sequence[tuple[Inline, ...]]) -> Table:
    return Table(title, ("Object", "Kind", "Role", "Before", "After"), tuple(rows))
