"""What an old history holds and no one will change: accepted once, finding by finding, for the files as they are.

The file `review_baseline.txt` lies beside the settings and belongs into version control. Each line names a file's content
(SHA-256), the file, the rule and the object; a file that is edited since is reviewed as any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from safemig.errors import SettingsError
from safemig.review import Acceptance, Review
from safemig.sql import SourceFile

NAME = "review_baseline.txt"
_HEAD = """\
# Findings of files that are older than their review, accepted as they stood on {date}; written by safemig review --baseline.
# A line: SHA-256 of the file, the file, rule:object. An edited file is reviewed again. Remove a line to see its findings again.
"""


@dataclass(frozen=True, slots=True)
class _Line:
    content: str
    rule: str
    object: str


def baseline_acceptances(folder: Path, files: Iterable[SourceFile]) -> list[Acceptance]:
    """Return what the project's baseline accepts of these files; nothing where there is none.

    Raises:
        SettingsError: a line cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    since, lines = _read(path)
    if not lines:
        return []
    found = []
    for file in files:
        content = _sha256(file)
        found += [
            Acceptance(line.rule, line.object, f"baseline of {since}", file=file.name)
            for line in lines
            if line.content == content
        ]
    return found


def write_baseline(folder: Path, files: Sequence[SourceFile], made: Review) -> tuple[Path, int]:
    """Write down every finding of the review that stands and can be accepted; return the file, and how many there are.

    Raises:
        SettingsError: there is a baseline already.
    """
    path = folder / NAME
    contents = {file.name: _sha256(file) for file in files}
    lines = dict.fromkeys(
        f"{contents[one.file]}  {one.file}  {one.rule}:{_one_line(one.object)}"
        for one in made.standing
        if one.can_be_accepted
    )
    text = _HEAD.format(date=datetime.now(UTC).date().isoformat()) + "".join(f"{line}\n" for line in lines)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(
            "there is a baseline already: what came after it is accepted by name, or not at all",
            where=str(path),
            next='accept a finding with a reason: accept = ["rule:object: reason"]; or remove the file to start again',
        ) from None
    return path, len(lines)


def _read(path: Path) -> tuple[str, list[_Line]]:
    since, found = "", []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text.startswith("#"):
            since = since or text.partition("stood on ")[2].partition(";")[0]
            continue
        parts = text.split("  ")
        rule, colon, what = parts[-1].partition(":")
        if not text.strip():
            continue
        if len(parts) < 3 or not colon or len(parts[0]) != 64:
            raise SettingsError(
                "a line of the baseline cannot be read",
                where=f"{path}:{number}",
                next="remove it, or take the file from git",
            )
        found.append(_Line(parts[0], rule, what))
    return since or "an unknown day", found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sha256(file: SourceFile) -> str:
    import hashlib

    return hashlib.sha256(file.sql.encode(errors="surrogateescape")).hexdigest()
