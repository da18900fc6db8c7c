"""Texts that a person reads are plain English: words that we do not use are not in them."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs", reason="pip install safemig[docs]")
# The word, and what to write.
WORDS = {
    r"to be had": "available",
    r"bec[ao]me of": "the outcome of",
    r"for ever": "indefinitely, or say how long",
    r"of old(?! \w)": "earlier, former",
    r"somebody|someone": "a person, another session, you",
    r"nobody": "no one, no session; or say who",
    r"who(?:so)?ever": "anyone who",
    r"anew|afresh": "again",
    r"mend(?:s|ed|ing)?": "correct, fix",
    r"meanwhile": "in the meantime, or while ...",
    r"learnt": "learned; or known",
    r"lest": "so that ... not",
    r"whilst|amidst?|upon|hitherto|henceforth|thereof|whereof|herewith|thereby|whereby": "while, on, until now, ...",
    r"in vain": "without success",
    r"by and by": "gradually",
    r"forthwith|at the latest by": "at once",
    r"bid(?:s|den)?|bade": "ask, tell",
    r"shall": "will, must",
    r"cannot but|may well": "will, can",
    r"gone on with|to go on with": "resumed, to resume",
    r"taken for granted": "assumed",
    r"quiet hour": "off-peak",
    r"who it is": "the holder",
    r"the past": "a record",
    r"in good time": "beforehand",
    r"far from": "not",
    r"of a kind": "similar",
    r"told to": "asked to",
    r"what came of": "the result",
    r"(?:takes?|taken|took) back": "revert, roll back",
    r"(?:the|no|any|one|last|emergency|better) road|by every road": "the way, the procedure",
    r"but for": "except",
    r"keeps? (?:\w+ )?waiting": "blocks",
    r"what it is to be": "its new form",
    r"is not gone on with|goes on where": "is not resumed, continues",
}
PATTERN = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.IGNORECASE)
SQL = re.compile(r"\b(SELECT|CREATE TABLE|INSERT INTO|FROM pg_)\b")


def texts() -> Iterator[tuple[str, str]]:
    """Every text for people, with its place: pages, notebooks, and the strings of the code that are not docstrings."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "runbooks/emergency.html"):
        yield path.name, path.read_text(encoding="utf-8")
    for path in (*sorted((ROOT / "notebooks").glob("*.ipynb")), *sorted((ROOT / "runbooks").glob("*.ipynb"))):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            yield f"{path.name}, {cell['id']}", "".join(cell["source"])
    for name, page in reference().items():
        yield f"reference/{name}", page
    for path in sorted((ROOT / "safemig").rglob("*.py")):
        for line, text in strings(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{line}", text


def reference() -> dict[str, str]:
    """The pages that the site makes of the code, docstrings of errors and results included."""
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs/reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: page() for name, page in module.PAGES.items()}


OTHER_MEANING = ("nobody", "neither postgres nor nobody is in /etc/passwd")  # the system's user of that name


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The string constants of a module without docstrings and SQL; a command's or magic's docstring is its help."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr):
            is_help = isinstance(node, ast.FunctionDef) and any(map(_is_command, node.decorator_list))
            if not is_help:
                inner.add(id(node.body[0].value))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in inner:
            continue
        if not SQL.search(node.value) and node.value not in OTHER_MEANING:
            yield node.lineno, node.value


def _is_command(decorator: ast.expr) -> bool:
    return any(
        word in ast.unparse(decorator) for word in (".command", "line_magic", "cell_magic", "line_cell_magic", ".group")
    )


def test_no_text_for_people_has_a_word_that_we_do_not_use() -> None:
    found = [
        f"{place}: {match[0]} in: {text[max(0, match.start() - 40) : match.end() + 40]!r}"
        for place, text in texts()
        for match in PATTERN.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("a lock was not to be had", True), ("amended", False), ("Nobody waits", True), ("the lock", False)],
)
def test_the_words_are_found_as_words(text: str, *, is_found: bool) -> None:
    assert bool(PATTERN.search(text)) is is_found
