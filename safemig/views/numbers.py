"""Numbers and times as people read them: thousands separated, IEC sizes, UTC with a Z, estimates marked ≈."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "–"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(number: int | None) -> str:
    """Return `12,400,000`."""
    return NOTHING if number is None else f"{number:,}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return `1 table` or `2,000 tables`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def change(before: int | None, after: int | None) -> str:
    """Return the signed difference, `+3` or `-1,200`; `0` where nothing changed, a dash where it cannot be said."""
    if before is None or after is None:
        return NOTHING
    return f"{after - before:+,}" if after != before else "0"


def size(size_bytes: int | None) -> str:
    """Return `3.1 GiB`."""
    if size_bytes is None:
        return NOTHING
    amount = float(size_bytes)
    for unit in _UNITS:
        # 1023.95 KiB would be shown as 1024.0 KiB, so the step up comes a little before.
        if amount < 1023.95 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes everything")


def seconds(duration_s: float | None) -> str:
    """Return `0.05 s`, `41 s`, `2 min 05 s`, `1 h 02 min` or `3 days`."""
    if duration_s is None:
        return NOTHING
    if duration_s < 0.005:
        return "< 0.01 s" if duration_s > 0 else "0.00 s"
    if duration_s < 9.995:
        return f"{duration_s:.2f} s"
    whole = round(duration_s)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{round(whole / 86_400):,} days"


def estimate(text: str) -> str:
    """Mark a number as an estimate: `≈ 41 s`."""
    return text if text == NOTHING else f"≈ {text}"


def time(moment: datetime) -> str:
    """Return `2026-11-22T20:10:04Z`; a time without a zone is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def shortened(text: str, longest: int) -> str:
    """Return `text` on one line and at most `longest` characters, with … where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
