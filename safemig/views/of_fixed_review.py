"""The view of migrations beside their safer form."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from safemig.review import FixedReview
from safemig.sql import SourceFile
from safemig.sql.passwords import without_passwords
from safemig.views import of_review
from safemig.views.document import Beside, Block, Bullets, Document


def build(result: FixedReview) -> Document:
    """Show each changed file beside what it became, what was proven and what was left alone, then the review of the result."""
    reviewed = of_review.build(result.after)
    blocks: list[Block] = []
    names = {file.name for file in result.originals}
    parts: dict[str, list[SourceFile]] = {}
    current = ""
    for file in result.before.fixed_files:
        current = file.name if file.name in names else current
        parts.setdefault(current, []).append(file)
    for original in result.originals:
        if parts.get(original.name, [original]) != [original]:
            blocks.append(_beside(original, parts[original.name]))
    if not blocks:
        blocks.append(Bullets("Safer form", ("nothing here has a mechanical safer form",)))
    if result.proofs:
        blocks.append(Bullets("Proof", tuple(f"{one.file}: {one.outcome}: {one.why}" for one in result.proofs)))
    if result.before.left_alone:
        left = tuple(f"{one.file}, line {one.line}: {one.why}" for one in result.before.left_alone)
        blocks.append(Bullets("Left as it is", left))
    if result.written:
        blocks.append(Bullets("Written", tuple(str(path) for path in result.written)))
    return Document(reviewed.verdict, reviewed.headline, (*blocks, *reviewed.blocks))


def _beside(original: SourceFile, fixed: Sequence[SourceFile]) -> Beside:
    before = without_passwords(original.sql).rstrip().splitlines()
    after: list[str] = []
    for file in fixed:
        if len(fixed) > 1:
            after += [*([""] if after else []), f"-- file {file.name}"]
        after += without_passwords(file.sql).rstrip().splitlines()
    pairs: list[tuple[str | None, str, str | None]] = []
    for tag, start, end, other_start, other_end in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        left: list[str | None] = [*before[start:end]]
        right: list[str | None] = [*after[other_start:other_end]]
        longest = max(len(left), len(right))
        left += [None] * (longest - len(left))
        right += [None] * (longest - len(right))
        for one, other in zip(left, right, strict=True):
            sign = " " if tag == "equal" else "+" if one is None else "-" if other is None else "±"
            pairs.append((one, sign, other))
    return Beside(f"{original.name} and its safer form", "as it is", "safer form", tuple(pairs))
