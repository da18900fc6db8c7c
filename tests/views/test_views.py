"""Every view: its text, its HTML, and what is left of it where styles are stripped."""

from __future__ import annotations

import base64
import inspect
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas
import pytest
from view_examples import examples

import safemig.results
import safemig.workload_facts
from safemig import views
from safemig.result import Result
from safemig.review import FixedReview, Review
from safemig.schema import SchemaDiff
from safemig.views.in_frame import ROWS, columns_of, frame_of_data
from safemig.views.in_html import COLOURS

SNAPSHOTS = Path(__file__).parent / "snapshots"
EXAMPLES = examples()
VERDICTS = {
    "base": "REFRESHED",
    "init": "READY",
    "generate": "GENERATED",
    "config": "SETTINGS",
    "enable": "ENABLED",
    "generate nothing": "NOTHING TO DO",
    "preflight": "NOT READY: 1 of 4",
    "preflight ready": "READY",
    "preflight many checks": "READY",
    "live": "RUNNING",
    "live waiting": "WAITING FOR A LOCK",
    "plan": "PLAN 3f2a9c1",
    "plan rights": "PLAN 3f2a9c1-8a41c2",
    "backup": "BACKED UP",
    "rehearsal": "REHEARSED",
    "rehearsal not proven": "REHEARSED, ROLLBACK NOT PROVEN",
    "rehearsal rights": "REHEARSED, 1 FINDING",
    "rehearsal workload": "REHEARSED, 2 FINDINGS",
    "rehearsal load": "REHEARSED",
    "rehearsal load stopped": "REHEARSED, NOT UNDER LOAD",
    "workload_check": "2 FINDINGS",
    "workload_check fine": "NO FINDING STANDS",
    "workload": "COLLECTED",
    "doctor": "1 VERB WILL NOT WORK",
    "doctor unreachable": "UNREACHABLE",
    "approval": "APPROVED",
    "deployment": "DEPLOYED",
    "deployment failed": "FAILED",
    "deployment nothing": "NOTHING TO DEPLOY",
    "validation": "NOT VALID: 1 of 3",
    "restore": "RESTORED BESIDE PRODUCTION",
    "restore swapped": "RESTORED AND SWAPPED IN",
    "restore tables": "RESTORED BESIDE PRODUCTION",
    "restore compared": "COMPARED",
    "restore put back": "PUT BACK",
    "status": "PROBLEMS",
    "status fine": "UP TO DATE",
    "archive": "1 PROBLEM WITH THE ARCHIVE",
    "archive empty": "NO RECORDS",
    "help": "SAFEMIG",
    "review": "DO NOT DEPLOY",
    "review safe": "SAFE TO DEPLOY",
    "fixed_review": "SAFE TO DEPLOY",
    "schema_diff": "DIFFERENT",
    "schema_diff equal": "EQUAL",
}
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"

# What GitHub leaves of a notebook's HTML (its sanitizer's public allow-list): these elements, these attributes.
GITHUB_ELEMENTS = {
    "p", "div", "span", "table", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "strong", "em", "b", "i", "code",
    "pre", "del", "ins", "details", "summary", "img", "h1", "h2", "h3", "h4", "h5", "h6", "br", "hr", "a", "blockquote",
}  # fmt: skip
GITHUB_ATTRIBUTES = {"src", "alt", "href", "title", "align"}


class Page(HTMLParser):
    """An HTML text as it is parsed: its elements, and the words that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("ending", ["txt", "html", "github.html"])
def test_a_view_is_as_its_snapshot(name: str, ending: str) -> None:
    drawn = EXAMPLES[name].render("text" if ending == "txt" else "html") + "\n"
    if ending == "github.html":
        drawn = strip_as_github(drawn)
    snapshot = SNAPSHOTS / f"{name.replace(' ', '_')}.{ending}"
    if os.environ.get("SAFEMIG_WRITE_SNAPSHOTS"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(drawn, encoding="utf-8")
    assert drawn == snapshot.read_text(encoding="utf-8"), "SAFEMIG_WRITE_SNAPSHOTS=1 writes it anew; look at the diff"


def test_every_result_has_an_example_and_so_a_view() -> None:
    results = {
        each
        for module in (safemig.results, safemig.workload_facts)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Result) and each is not Result
    } | {FixedReview, Review, SchemaDiff}
    assert {type(example) for example in EXAMPLES.values()} == results


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_verdict_comes_first_in_text_and_html(name: str) -> None:
    assert EXAMPLES[name].render("text").startswith(VERDICTS[name])
    mark, _, rest = Page(EXAMPLES[name].render("html")).words.strip().partition(" ")
    assert mark in {"⛔", "⚠️", "ℹ️", "✅", "⏳"}
    assert rest.startswith(VERDICTS[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_text_report_fits_a_ci_log(name: str) -> None:
    assert len(EXAMPLES[name].render("text").encode()) < 4096


@pytest.mark.parametrize("name", EXAMPLES)
def test_html_holds_nothing_that_an_untrusted_notebook_drops(name: str) -> None:
    html = EXAMPLES[name].render("html")
    for forbidden in ("<style", "<svg", "<script", "var(", "image/svg+xml;utf8", "javascript:", "class="):
        assert forbidden not in html.lower()
    for tag, attributes in Page(html).elements:
        assert not [each for each in attributes if each.startswith("on")]
        style = attributes.get("style", "")
        sets_colour = re.search(r"(?:^|;)color:", style)
        assert not sets_colour or "background:" in style, f"<{tag}> sets a text colour, but not what it stands on"
        if tag == "pre":
            assert "font-family:monospace" in style
        if tag == "img":
            assert attributes["src"].startswith("data:image/svg+xml;base64,")
            assert attributes["alt"].endswith(".")


@pytest.mark.parametrize("name", EXAMPLES)
def test_html_says_the_same_where_github_strips_the_styles(name: str) -> None:
    stripped = strip_as_github(EXAMPLES[name].render("html"))
    assert "style=" not in stripped
    seen = " ".join(Page(stripped).words.split())
    assert VERDICTS[name] in seen
    for line in EXAMPLES[name].render("text").splitlines():
        # Every name, number and rule of the text report is in what GitHub shows, too (cut ones have an ellipsis).
        for word in re.findall(r"[\w.]{6,}(?!…)", line):
            assert word in stripped, f"{word!r} of the text report is lost on GitHub"


@pytest.mark.parametrize("name", EXAMPLES)
def test_hostile_names_stay_text(name: str) -> None:
    result = examples(table=HOSTILE, person=HOSTILE)[name]
    text, page = result.render("text"), Page(result.render("html"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text + page.words)
    for tag, attributes in page.elements:
        assert tag != "img" or attributes["src"].startswith("data:"), "a name became an element"
        assert "onerror" not in attributes
    for svg in pictures(result.render("html")):
        assert not list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}img"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_data_is_json_and_names_its_kind(name: str) -> None:
    result = EXAMPLES[name]
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["kind"] == result.kind == name.split()[0]
    assert result._repr_mimebundle_().keys() == {
        "text/plain",
        "text/html",
        f"application/vnd.safemig.{result.kind}+json",
    }


def test_data_carries_the_verdict_and_times_in_utc() -> None:
    assert EXAMPLES["review"].to_dict()["verdict"] == "DO NOT DEPLOY"
    data = EXAMPLES["deployment"].to_dict()
    assert (data["verdict"], data["started_at"], data["seconds"]) == ("DEPLOYED", "2026-11-22T20:09:04Z", 6.4)
    assert data["steps"][0]["locks"] == [
        {"object": "orders", "mode": "ACCESS EXCLUSIVE", "held_s": None, "rows": None, "size_bytes": None}
    ]
    assert EXAMPLES["preflight"].to_dict()["is_ready"] is False


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_result_is_a_frame_too(name: str) -> None:
    frame = EXAMPLES[name].to_frame()
    assert len(frame.columns) >= 2 or frame.empty
    assert not frame.columns.duplicated().any()


def test_a_frame_holds_the_rows_that_one_computes_with() -> None:
    steps = EXAMPLES["deployment"].to_frame()
    assert list(steps["ran"].dt.total_seconds()) == [0.05, 2.9, 0.7]
    assert steps["rows"].sum() >= 0
    archive = EXAMPLES["archive"].to_frame()
    assert list(archive[archive["verdict"] == "FAILED"]["at"].dt.day) == [24]
    assert list(EXAMPLES["review"].to_frame()["severity"]) == ["dangerous", "caution", "recommendation"]


@pytest.mark.parametrize("name", [name for name, each in EXAMPLES.items() if each.kind in ROWS])
def test_a_frame_has_the_documented_dtypes_from_the_result_and_from_its_json(name: str) -> None:
    result = EXAMPLES[name]
    documented = {column.name: column.dtype for column in columns_of(ROWS[result.kind][1])}
    frame, of_json = result.to_frame(), frame_of_data(result.kind, json.loads(json.dumps(result.to_dict())))
    for each in (frame, of_json):
        assert {column: str(dtype) for column, dtype in each.dtypes.items() if column in documented} == {
            column: documented[column] for column in each.columns if column in documented
        }
    facts = [column for column in ("locks", "batches") if column in frame]  # objects there, their facts in the JSON
    pandas.testing.assert_frame_equal(frame.drop(columns=facts), of_json.drop(columns=facts), check_categorical=False)


def test_something_without_a_view_is_refused() -> None:
    class Other(Result):
        kind = "other"

    with pytest.raises(TypeError, match="no view draws a Other"):
        views.text(Other())


@pytest.mark.parametrize("colour", COLOURS.values())
def test_white_text_is_legible_on_each_colour(colour: str) -> None:
    assert contrast("#ffffff", colour) >= 6


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_text_that_sets_a_colour_is_legible_where_it_stands(name: str) -> None:
    html = EXAMPLES[name].render("html")
    for style in re.findall(r'style="([^"]*)"', html):
        declared = dict(each.split(":", 1) for each in style.split(";") if each)
        if "color" in declared:
            assert contrast(declared["color"], declared["background"]) >= 4.5, style
        # A tint lies over whatever the theme has, light or dark; so it must let nearly all of it through.
        tint = re.match(r"rgba\(\d+,\d+,\d+,(\.\d+)\)", declared.get("background", ""))
        assert tint is None or float(tint[1]) <= 0.2, style
    for svg in pictures(html):
        root = ElementTree.fromstring(svg)
        panel = root[0].attrib["fill"]
        texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
        assert texts
        for each in texts:
            assert contrast(each.attrib["fill"], panel) >= 4.5, each.text
        for each in [*root.iter("{http://www.w3.org/2000/svg}rect")][1:]:
            mark = each.attrib["fill"] if each.attrib["fill"] != "none" else each.attrib["stroke"]
            assert contrast(mark, panel) >= 3, "a bar is told from its panel"


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21, as WCAG 2.2 defines it."""

    def light(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((light(one), light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def pictures(html: str) -> list[str]:
    """Return the SVG texts of all pictures in `html`."""
    return [base64.b64decode(data).decode() for data in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)]


def strip_as_github(html: str) -> str:
    """Return `html` with the elements and attributes that GitHub keeps."""

    def kept(match: re.Match[str]) -> str:
        closing, tag, attributes = match.groups()
        if tag.lower() not in GITHUB_ELEMENTS:
            return ""
        pairs = [
            pair for pair in re.findall(r'\s([\w-]+="[^"]*")', attributes) if pair.split("=")[0] in GITHUB_ATTRIBUTES
        ]
        return f"<{closing}{tag}{''.join(' ' + pair for pair in pairs)}>"

    return re.sub(r"<(/?)(\w+)((?:\s[^<>]*?)?)>", kept, html)
