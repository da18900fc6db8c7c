"""The view of both databases and every migration, side by side."""

from __future__ import annotations

from safemig.results import EnvironmentStatus, MigrationState, Status
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Mono, Strong, Table, Tone

_STATES: dict[str, Tone] = {
    "applied": "ok",
    "pending": "waiting",
    "edited": "error",
    "missing": "error",
    "unknown": "waiting",
}
_LATEST = 15
_GLANCE = 40  # characters


def build(result: Status) -> Document:
    """Say whether production is up to date; show each database and each migration's state in both."""
    unreachable = [each.name for each in result.environments if each.problem]
    wrong = sum(1 for each in result.migrations if {"edited", "missing"} & set(each.states.values()))
    if unreachable or wrong or result.problems:
        verdict = Badge("PROBLEMS", "error")
    elif result.pending:
        verdict = Badge(f"{len(result.pending):,} PENDING", "waiting")
    elif drifts := [each.drift for each in result.environments if each.drift not in ("", "none")]:
        compared = any(not each.startswith("not compared") for each in drifts)
        verdict = Badge("DRIFTED" if compared else "NOT COMPARED", "warning")
    elif result.tool:
        verdict = Badge("UNCHANGED SINCE THE LAST RUN", "ok")
    else:
        verdict = Badge("UP TO DATE", "ok")
    programs = f"the migrations are programs: {result.tool} itself says which are pending"
    headline: list[Inline] = [programs if result.tool else numbers.counted(len(result.migrations), "migration")]
    headline += [Strong(f"{name}: not reachable") for name in unreachable]
    blocks: list[Block] = []
    if result.problems:
        blocks.append(Bullets("Problems", result.problems))
    blocks.append(_environments(result.environments))
    told = {each.name: each.problem or each.drift for each in result.environments}
    if long := tuple(f"{name}: {text}" for name, text in told.items() if _at_a_glance(text) != text):
        blocks.append(Bullets("Drift and problems", long))
    if result.bases:
        blocks.append(Bullets("Base", result.bases))
    blocks += () if result.tool else _migrations(result)
    return Document(verdict, tuple(headline), tuple(blocks))


def _environments(environments: tuple[EnvironmentStatus, ...]) -> Table:
    def drawn(each: EnvironmentStatus) -> tuple[Inline, ...]:
        if each.target is None:
            return (Strong(each.name), Badge("NOT REACHABLE", "error"), "–", "–", "–", "–", _at_a_glance(each.problem))
        return (
            Strong(each.name),
            Badge("REACHABLE", "ok") if not each.problem else Badge("PROBLEM", "error"),
            f"{each.target.database} on {each.target.host}, PostgreSQL {each.target.server_version}",
            numbers.size(each.size_bytes),
            numbers.count(each.tables),
            numbers.estimate(numbers.count(each.rows_estimate)),
            _at_a_glance(each.problem or each.drift) or numbers.NOTHING,
        )

    return Table(
        "Databases",
        ("Environment", "State", "Database", "Size", "Tables", "Rows", "Drift or problem"),
        tuple(map(drawn, environments)),
        frozenset({"Size", "Tables", "Rows"}),
    )


def _at_a_glance(text: str) -> str:
    """Return what fits a column: the head of what is long, which stands below the table as a whole."""
    return text if len(text) <= _GLANCE else numbers.shortened(text.partition(":")[0], _GLANCE)


def _migrations(result: Status) -> tuple[Block, ...]:
    if not result.migrations:
        return (Bullets("Migrations", ("none yet",)),)
    names = [each.name for each in result.environments]

    def table(title: str, migrations: tuple[MigrationState, ...]) -> Table:
        return Table(
            title,
            ("Version", "Name", *names),
            tuple(
                (
                    Mono(each.version),
                    each.name + ("" if each.file else " (no file here)"),
                    *(_state(each.states.get(name, "unknown")) for name in names),
                )
                for each in migrations
            ),
        )

    done = [each for each in result.migrations if set(each.states.values()) == {"applied"}]
    # What is applied everywhere is history; the newest of it is enough, as long as nothing else is cut.
    folded = tuple(done[:-_LATEST]) if len(done) > _LATEST else ()
    shown = tuple(each for each in result.migrations if each not in folded)
    blocks: list[Block] = [table("Migrations", shown)]
    if folded:
        blocks.append(Details(f"{numbers.counted(len(folded), 'older migration')}, applied", (table("", folded),)))
    return tuple(blocks)


def _state(state: str) -> Badge:
    return Badge(state, _STATES.get(state, "waiting"))
