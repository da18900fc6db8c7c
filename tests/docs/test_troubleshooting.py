"""Every message that the documentation quotes is one of the code's."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


@functools.cache
def texts() -> tuple[str, ...]:
    """Every text of the code, with `…` where it fills something in."""
    found: list[str] = []
    for path in (ROOT / "safemig").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return tuple(re.sub(r"…[\s'\"]*…", "…", text) for text in found)


def test_the_page_quotes_messages() -> None:
    assert len(QUOTED) > 30
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_in_the_code(message: str) -> None:
    pattern = re.compile(".*?".join(re.escape(part) for part in message.split("…")), re.DOTALL)
    assert any(pattern.fullmatch(text) or message == text for text in texts()), message
