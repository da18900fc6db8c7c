"""What a tutorial keeps of its outputs, and when two runs of it said the same."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2026, 12, 1, 9, tzinfo=UTC)  # when a stored run is said to have begun
_KEPT = ("text/html", "text/plain")
_FOLDER = re.compile(r"(?:/[\w.-]+)*/(?:sm-[\w-]+|pytest-[\w-]+)(?:/(?:safemig|tmp)-?[\w-]*)?")
_TIMES = {
    "%Y-%m-%dT%H:%M:%S": re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d"),
    "%Y-%m-%d %H:%M:%S": re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"),
    "%Y-%m-%d %H:%M": re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d(?!:)"),
    "%Y%m%dT%H%M%S": re.compile(r"(?<!\d)20\d{6}T\d{6}"),
    "%Y%m%d%H%M%S": re.compile(r"(?<!\d)20\d{12}(?!\d)"),
}
# How far an act is; in JupyterLab that goes away at the act's end.
_LIVE = re.compile(r"^(?:[a-z_]+ · |  [a-z_]+ · .*\b(?:done|ran) in ).*\n?", re.MULTILINE)
_VOLATILE = (
    # Told only from one row a second on, which depends on how long the shop has stood.
    (re.compile(r",\s+[\d,]+\s+rows?\s+written/s(?:\s+on\s+average)?"), ""),
    # A path that is cut short to a column's width is cut elsewhere where it is longer.
    (re.compile(r"/srv/tutorial[\w./-]*(?:, P(?:ostgreSQL [\d.]+…?|\w*(?: [\d.]*)?…)|…)?"), "PATH"),
    (re.compile(r"/[\w./-]*/bin\b"), "BIN"),
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?|20\d{6}T\d{6}Z?|(?<!\d)20\d{12}(?!\d)"), "TIME"),
    (re.compile(r"0 days \S+"), "DURATION"),
    (re.compile(r"\b[0-9a-f]{12,64}(-[0-9a-f]{6})?\b"), "ID"),
    (re.compile(r"\b[0-9A-F]+/[0-9A-F]{5,}\b|\b\d{18,}\b"), "ID"),
    (re.compile(r"(?<=transaction)\s+\d+"), " ID"),
    (re.compile(r"\b(pid|port) \d+"), r"\1 N"),
    (re.compile(r"(< ?|≈ ?)?\b\d[\d,.]* ?(s|ms|min|[KMGT]iB|bytes)\b"), "N"),
    (re.compile(r"≈ ?[\d,]+|[\d,]+ rows written"), "N"),
    (re.compile(r"PostgreSQL \d+\.\d+|\b1\d\.\d+\b"), "VERSION"),
    (re.compile(r"< |[-─]{2,}|\s+"), " "),
    (re.compile(r" {2,}"), " "),
)


def stored(notebook: Any) -> Any:
    """Return an executed tutorial as it is kept: small, without this machine's folders, its day begun at `BEGIN`."""
    kept = copy.deepcopy(notebook)
    now = datetime.now(UTC)
    shift = BEGIN - min((at for _, _, at in _times_of(str(kept), now)), default=BEGIN)
    for number, cell in enumerate((each for each in kept.cells if each.cell_type == "code"), 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        cell.outputs = [each for each in cell.outputs if _keep(each)]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            for holder, key in (
                [(output, "text")] if "text" in output else [(output.data, mime) for mime in output.data]
            ):
                holder[key] = _elsewhere(holder[key], now, shift)
    return kept


def _keep(output: Any) -> bool:
    if output.output_type == "stream":
        output.text = _LIVE.sub("", output.text)
        return bool(output.text)
    for mime in list(output.data):
        if mime not in _KEPT:
            output.data.pop(mime)
    return any(output.data.values())


def _times_of(text: str, now: datetime) -> list[tuple[str, str, datetime]]:
    found = []
    for form, pattern in _TIMES.items():
        for match in pattern.finditer(text):
            try:
                at = datetime.strptime(match[0], form).replace(tzinfo=UTC)
            except ValueError:
                continue
            if abs(now - at) < timedelta(hours=1):  # else it is of the tutorial's files
                found.append((form, match[0], at))
    return found


def _elsewhere(text: str, now: datetime, shift: timedelta) -> str:
    for form, words, at in dict.fromkeys(_times_of(text, now)):
        text = text.replace(words, (at + shift).strftime(form))
    text = text.replace(f"{now:%Y-%m-%d}", f"{BEGIN:%Y-%m-%d}")
    return _FOLDER.sub("/srv/tutorial", text)


def said(cell: Any) -> str:
    """Return what a stored cell says, without what differs between two runs: times, IDs, sizes, folders."""
    text = "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.outputs)
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text.strip()
