"""The review for machines: JSON, SARIF 2.1.0, JUnit, GitHub's annotations, and Markdown for a comment. Pure."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import orjson

from safemig import __version__
from safemig.result import JSON_FORMAT
from safemig.review.model import Finding, Review
from safemig.review.registry import rule_named
from safemig.review.severity import Severity
from safemig.review.verdict import Verdict

_SARIF_LEVELS = {Severity.DANGEROUS: "error", Severity.CAUTION: "warning", Severity.RECOMMENDATION: "note"}
_GITHUB_LEVELS = {Severity.DANGEROUS: "error", Severity.CAUTION: "warning", Severity.RECOMMENDATION: "notice"}
_MARKS = {Severity.DANGEROUS: "🔴", Severity.CAUTION: "🟠", Severity.RECOMMENDATION: "🔵"}
_LONGEST_COMMENT = 60_000  # characters: GitHub takes 65,536 in a comment
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def finding_data(finding: Finding) -> dict[str, Any]:
    """Return one finding as JSON-ready values."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "statement": finding.statement,
        "message": finding.message,
        "safer": finding.safer,
        "lock": finding.lock.value if finding.lock else None,
        "data_loss": finding.data_loss,
        "title": finding.title,
        "object": finding.object,
        "accepted": finding.accepted,
    }


def review_data(review: Review) -> dict[str, Any]:
    """Return the review as JSON-ready values: cautions and dangers in `findings`, the rest beside them."""
    weighty = [finding for finding in review.findings if finding.severity is not Severity.RECOMMENDATION]
    return {
        "format": JSON_FORMAT,
        "kind": review.kind,
        "verdict": str(review.verdict),
        "findings": [finding_data(finding) for finding in weighty],
        "recommendations": [finding_data(finding) for finding in review.recommendations],
        "files": [
            {
                "name": file.name,
                "recommendations": list(file.recommendations),
                "statements": [
                    {
                        "line": statement.line,
                        "kind": statement.kind,
                        "lock": statement.lock.value if statement.lock else None,
                        "tables": statement.tables,
                        "rules": statement.rules,
                    }
                    for statement in file.statements
                ],
            }
            for file in review.files
        ],
        "target": review.target,
        "no_target": review.evidence.no_target,
        "applied": list(review.evidence.applied),
        "not_recognised": list(review.evidence.not_recognised),
        "exit_code": review.exit_code,
        "unused_acceptances": [
            {"rule": one.rule, "object": one.object, "reason": one.reason, "file": one.file}
            for one in review.unused_acceptances
        ],
        "assumptions": list(review.assumptions),
    }


def json_report(review: Review) -> str:
    """Return the review as JSON, in the shape that the command line promises."""
    data = review_data(review)
    try:
        return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # half of a surrogate pair, in a text that came from no file
        return json.dumps(data, ensure_ascii=False, indent=2)


def sarif_report(review: Review) -> str:
    """Return the review as SARIF 2.1.0; an accepted finding is a suppressed result with its reason."""
    names = sorted({finding.rule for finding in review.findings})
    index = {name: position for position, name in enumerate(names)}
    rules = []
    for name in names:
        rule = rule_named(name)
        rules.append(
            {
                "id": name,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": f"{rule.why}\n\nInstead:\n{rule.instead}"},
                "defaultConfiguration": {"level": _SARIF_LEVELS[rule.severity]},
            }
        )
    results = [_sarif_result(finding, index[finding.rule]) for finding in review.findings]
    run = {
        "tool": {"driver": {"name": "safemig", "semanticVersion": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"verdict": str(review.verdict), "target": review.target},
    }
    if notes := review.notes:
        run["invocations"] = [
            {
                "executionSuccessful": review.exit_code != 2,
                "exitCode": review.exit_code,
                "toolExecutionNotifications": [{"level": "warning", "message": {"text": note}} for note in notes],
            }
        ]
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2)


def _sarif_result(finding: Finding, rule_index: int) -> dict[str, Any]:
    text = finding.message if not finding.safer else f"{finding.message}\n\nSafer:\n{finding.safer}"
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": f"{finding.title}: {text}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.file.replace("\\", "/"))},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
        "properties": {"object": finding.object, "data_loss": finding.data_loss},
    }
    if finding.accepted is not None:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted}]
    return result


def github_report(review: Review) -> str:
    """Return GitHub workflow commands that annotate each finding's line, and the verdict as a last notice."""
    lines = []
    for finding in review.findings:
        level = "notice" if finding.accepted is not None else _GITHUB_LEVELS[finding.severity]
        text = finding.message if finding.accepted is None else f"accepted ({finding.accepted}): {finding.message}"
        if finding.safer and finding.accepted is None:
            text += f"\nSafer:\n{finding.safer}"
        where = f"file={_property(finding.file)},line={finding.line},col={finding.column}"
        title = _property(f"{finding.rule}: {finding.title}")
        lines.append(f"::{level} {where},title={title}::{_text(text)}")
    lines += [f"::warning title=safemig review::{_text(note)}" for note in review.notes]
    level = "notice" if review.exit_code == 0 else "warning" if review.verdict is Verdict.ATTENTION else "error"
    against = f" on {review.target}" if review.target else f", {review.evidence.caveat}"
    lines.append(f"::{level} title=safemig review::{_text(f'{review.verdict}{against}')}")
    return "\n".join(lines) + "\n"


def markdown_report(review: Review) -> str:
    """Return the review as Markdown for a comment on a pull request: the verdict, then each finding with its safer form."""
    against = f"against `{review.target}`" if review.target else review.evidence.caveat
    standing = [
        each for each in review.findings if each.accepted is None and each.severity is not Severity.RECOMMENDATION
    ]
    lines = [f"### safemig: {review.verdict}", "", f"{len(review.files)} files, {against}."]
    lines += [f"> {note}" for note in review.notes]
    if standing:
        lines += ["", "| | rule | where | what |", "|---|---|---|---|"]
        lines += [
            f"| {_MARKS[each.severity]} | `{each.rule}` | {_cell(each.file)}:{each.line} | {_cell(f'{each.title}: {each.message}')} |"
            for each in standing
        ]
    for each in standing:
        if each.safer:
            title = f"{each.rule}: safer form ({each.file}:{each.line})"
            lines += ["", f"<details><summary>{_cell(title)}</summary>", "", *_fenced(each.safer), "", "</details>"]
    accepted = [each for each in review.findings if each.accepted is not None]
    lines += [
        "",
        *(f"Accepted: `{each.rule}` {_cell(each.object)}: {_cell(each.accepted or '')}  " for each in accepted),
    ]
    if review.recommendations:
        lines += [f"{len(review.recommendations)} recommendations beside these."]
    return _at_most("\n".join(lines).rstrip() + "\n")


def _fenced(sql: str) -> list[str]:
    fence = "`" * max(3, *(len(found) + 1 for found in re.findall(r"`+", sql)), 3)
    return [f"{fence}sql", sql.rstrip("\n"), fence]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _at_most(text: str) -> str:
    if len(text) <= _LONGEST_COMMENT:
        return text
    cut = text[:_LONGEST_COMMENT]
    return f"{cut[: cut.rindex(chr(10) + chr(10))]}\n\nCut here: the whole review is in the job's output.\n"


def junit_report(review: Review) -> str:
    """Return the review as JUnit's XML: a test for each file, failed where a finding of it stands."""
    from xml.etree import ElementTree  # for who asks for it only: a review is quick

    suite = ElementTree.Element("testsuite", name="safemig review")
    failures = 0
    named = {each.file for each in review.findings} - {file.name for file in review.files}
    for name in [*(file.name for file in review.files), *sorted(named)]:
        case = ElementTree.SubElement(suite, "testcase", classname="safemig.review", name=_xml(name))
        standing = [
            each
            for each in review.findings
            if each.file == name and each.accepted is None and each.severity is not Severity.RECOMMENDATION
        ]
        for each in standing:
            failure = ElementTree.SubElement(
                case, "failure", type=each.rule, message=_xml(f"line {each.line}: {each.title}: {each.message}")
            )
            failure.text = _xml(f"{each.statement}\n\nSafer:\n{each.safer}" if each.safer else each.statement)
        failures += bool(standing)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    ElementTree.SubElement(suite, "system-out").text = _xml("\n".join((str(review.verdict), *review.notes)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Return text without the characters that no XML may hold."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _text(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _text(value).replace(":", "%3A").replace(",", "%2C")
