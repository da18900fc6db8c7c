"""The view of a generated migration."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.results import Behaviour, Generated
from safemig.sql.passwords import without_passwords
from safemig.views.document import Badge, Block, Bullets, Callout, Document, Inline, Mono, Strong, Table
from safemig.views.numbers import counted
from safemig.views.shared_parts import DRY_RUN, change_list, check_table, not_written, sql_listing


def build(result: Generated) -> Document:
    """Show what changed on staging, the file that says so, and what is disabled and why."""
    warnings = (Bullets("Mind", result.diff.warnings),) if result.diff.warnings else ()
    if result.path is None:
        if result.remaining:  # no statement makes it equal
            said = Bullets("What no statement brings about", result.remaining)
            return Document(Badge("NO FILE WRITTEN", "warning"), (result.proof,), (said, *warnings))
        return Document(
            Badge("NOTHING TO DO", "warning" if warnings else "ok"),
            ("staging is exactly what the migrations make; no file was written",),
            (*warnings, *(Bullets("Base", (result.base,)) for _ in [0] if result.base)),
        )
    equal = not result.remaining
    headline: list[Inline] = [
        Strong(result.diff.summary),
        *(Mono(each.name) for each in (result.path, *result.further_paths)),
        Badge(result.proof or ("proven" if equal else "not proven"), "ok" if equal else "warning"),
    ]
    blocks: list[Block] = list(change_list(result.diff))
    blocks += [
        Callout(
            Badge("DISABLED", "warning"),
            "not in force until you enable its change",
            (why,),
            "Statement",
            without_passwords(statement),
        )
        for statement, why in result.commented
    ]
    if result.remaining:
        blocks.append(Bullets("What the file does not bring about", result.remaining))
    blocks += not_written(result.not_written) or [sql_listing("The file", result.text)]
    if result.checklist:
        blocks += check_table("Safety checklist", result.checklist)
    if result.disabled:
        blocks.append(
            Table(
                "Disabled changes, each enabled alone on a copy",
                ("Change", "", "Runs by itself", "Until then the schema", "Fails until then", "Fails then"),
                tuple(
                    (
                        str(each.number),
                        each.title,
                        f"no: {each.problem}" if each.problem else "yes",
                        *("; ".join(words) or "-" for words in (each.lacks, each.until, each.then)),
                    )
                    for each in result.disabled
                ),
            )
        )
    if result.behaviour is not None:
        blocks += _behaviour(result.behaviour)
    if not result.not_written:
        blocks.append(Bullets("Next", (f"read {result.path}, then: safemig review",)))
    return Document(
        DRY_RUN if result.not_written else Badge(_word(result), "ok" if equal and not result.commented else "warning"),
        tuple(headline),
        tuple(blocks),
    )


def _behaviour(found: Behaviour) -> Iterator[Block]:
    """Yield what was tried before the first file and after each: first what fails somewhere, then the rest."""
    for title, words in (
        ("Fails between two files", tuple(gap.words for gap in found.gaps)),
        ("Moved to a later file", tuple(each.words for each in found.moved)),
        ("Worked before, fails after the last file", tuple(each.words for each in found.broken)),
        ("Statements that drawn rows did not pass", found.unfit),
        ("Not tried", found.not_tried),
    ):
        if words:
            yield Bullets(title, words)
    rows = sorted(found.tried, key=lambda each: len({each.outcomes[0], *each.outcomes[1:]}) == 1)
    if rows:
        files = len(rows[0].outcomes) - 1
        yield Table(
            f"Behaviour, tried on a copy with {counted(found.rows, 'row')}",
            ("Statement", "As", "Before", *(f"After file {number}" for number in range(1, files + 1))),
            tuple((each.what, each.role or "deployer", *(words or "-" for words in each.outcomes)) for each in rows),
        )
    if any(found.locks):
        yield Table(
            "Locks seen on the copy",
            ("File", "Table", "Mode"),
            tuple(
                (file, table, mode)
                for file, held in zip(found.files, found.locks, strict=False)
                for table, mode in held
            ),
        )


def _word(result: Generated) -> str:
    disabled = sum(each.disabled is not None for each in result.diff.change_sets)
    return "GENERATED" + (f": {disabled} change{'' if disabled == 1 else 's'} disabled" if disabled else "")
