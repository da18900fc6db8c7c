"""The view of an act that is under way, and the lines that a log gets of it."""

from __future__ import annotations

from safemig.results import Blocker, Live, Stage, Step
from safemig.sql.passwords import without_passwords
from safemig.views import numbers
from safemig.views.document import Badge, Block, Document, Inline, Mono, Paragraph, Strong, Table, Tone
from safemig.views.shared_parts import run_steps, without_empty_columns

_STAGE_TONES: dict[str, Tone] = {"running": "info", "done": "ok", "stopped": "error"}
# A forecast from the first moments would only jump about.
_FORECAST_AFTER_S = 2.0
_MOST_STEPS = 16


def build(result: Live) -> Document:
    """Show the stages, each statement, and, while one waits for a lock, who holds it."""
    waits = bool(result.blockers)
    headline: list[Inline] = [Strong(result.act.replace("_", " "))]
    if result.steps:
        at = next((i for i, each in enumerate(result.steps) if each.state != "ran"), len(result.steps) - 1)
        headline.append(f"step {at + 1} of {len(result.steps)}")
    if (stage := _running(result)) and (share := _share(stage)) is not None:
        headline.append(f"{stage.name}: {share:.0%}")
    headline.append(f"{numbers.seconds(result.seconds)} so far")
    if (left := _left_s(result)) is not None:
        headline.append(f"{numbers.estimate(numbers.seconds(left))} to go")
    blocks: list[Block] = []
    if result.blockers:
        blocks.append(_blockers(result.blockers))
    if result.note:
        blocks.append(Paragraph((result.note,)))
    if result.stages:
        blocks.append(_stages(result.stages))
    if result.steps:
        blocks.append(run_steps(_window(result.steps)))
    return Document(
        Badge("WAITING FOR A LOCK" if waits else "RUNNING", "warning" if waits else "info"),
        tuple(headline),
        tuple(blocks),
    )


def lines_between(before: Live | None, after: Live) -> tuple[str, ...]:
    """Return what a log is to be told: a line for each stage and step that ended, and for each new blocker."""
    ended = {each.name for each in before.stages if each.state != "running"} if before else set()
    lines = [
        f"{after.act} · {each.name}: {each.state} in {numbers.seconds(each.seconds)}{_counted(each)}"
        for each in after.stages
        if each.state != "running" and each.name not in ended
    ]
    ran = {each.number for each in before.steps if each.state == "ran"} if before else set()
    lines += [_ran(after, each) for each in after.steps if each.state == "ran" and each.number not in ran]
    known = {(each.blocks, each.pid) for each in before.blockers} if before else set()
    where = next((each for each in after.steps if each.state in ("running", "waiting")), None)
    step = f"step {where.number} of {len(after.steps)}" if where else "it"
    lines += [
        f"{after.act} · {each.blocks or step} waits for a lock: blocked by {_who(each)}"
        for each in after.blockers
        if (each.blocks, each.pid) not in known
    ]
    return tuple(lines)


def _window(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps around the one that runs, where they are many: a moment must stay quick to draw."""
    at = next((i for i, each in enumerate(steps) if each.state != "ran"), len(steps) - 1)
    first = max(0, min(at - _MOST_STEPS // 2, len(steps) - _MOST_STEPS))
    return steps[first : first + _MOST_STEPS]


def _running(result: Live) -> Stage | None:
    return next((each for each in reversed(result.stages) if each.state == "running"), None)


def _share(stage: Stage) -> float | None:
    # The total is the planner's estimate at times; more than all of it is nothing to show.
    return min(stage.done / stage.total, 0.99) if stage.done is not None and stage.total else None


def _left_s(result: Live) -> float | None:
    stage = _running(result)
    share = _share(stage) if stage else None
    if stage is None or not share or stage.seconds < _FORECAST_AFTER_S:
        return None
    return stage.seconds * (1 - share) / share


def _stages(stages: tuple[Stage, ...]) -> Table:
    def drawn(each: Stage) -> tuple[Inline, ...]:
        return (
            each.name,
            Badge(each.state.upper(), _STAGE_TONES[each.state]),
            numbers.seconds(each.seconds),
            numbers.count(each.done),
            numbers.count(each.total),
        )

    counted = "Rows" if all(each.unit == "row" for each in stages) else "Done"
    columns = ("Stage", "State", "Took", counted, "Of about")
    return without_empty_columns(
        Table("", columns, tuple(map(drawn, stages)), frozenset({"Took", counted, "Of about"}))
    )


def _blockers(blockers: tuple[Blocker, ...]) -> Table:
    def drawn(each: Blocker) -> tuple[Inline, ...]:
        return (
            Strong(each.blocks) if each.blocks else "",
            str(each.pid),
            each.user or numbers.NOTHING,
            each.application or numbers.NOTHING,
            each.state or numbers.NOTHING,
            numbers.seconds(each.transaction_s),
            Mono(numbers.shortened(without_passwords(each.query), 120)) if each.query else numbers.NOTHING,
        )

    columns = ("Member", "pid", "User", "Application", "State", "Transaction open", "Last query")
    table = Table("Blocked by", columns, tuple(map(drawn, blockers)), frozenset({"pid", "Transaction open"}))
    return without_empty_columns(table)


def _who(each: Blocker) -> str:
    named = " ".join(part for part in (f"pid {each.pid}", each.user, each.application) if part)
    since = f" for {numbers.seconds(each.transaction_s)}" if each.transaction_s is not None else ""
    query = f": {numbers.shortened(without_passwords(each.query), 120)}" if each.query else ""
    return f"{named}, {each.state or 'unknown state'}{since}{query}"


def _counted(stage: Stage) -> str:
    return f", {numbers.counted(stage.done, stage.unit)}" if stage.done else ""


def _ran(live: Live, step: Step) -> str:
    waited = f", after {numbers.seconds(step.lock_wait_s)} of waiting for locks" if step.lock_wait_s else ""
    return (
        f"{live.act} · step {step.number} of {len(live.steps)} ran in {numbers.seconds(step.ran_s)}{waited}: "
        f"{numbers.shortened(without_passwords(step.sql), 56)}"
    )
