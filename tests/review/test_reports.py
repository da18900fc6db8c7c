"""What machines read: JSON in the promised shape, SARIF, GitHub annotations, the page of rules, advice for people."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from safemig.review import (
    Acceptance,
    Severity,
    TableFacts,
    TargetFacts,
    github_report,
    json_report,
    review,
    sarif_report,
)
from safemig.review.reference import reference_page, rules
from safemig.review.reports import junit_report, markdown_report
from safemig.sql import SourceFile

FILES = [
    SourceFile(
        "supabase/migrations/1_a.sql",
        "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY);\nCREATE INDEX i ON users (email);",
    ),
    SourceFile("supabase/migrations/2_b.sql", "-- 100%\nALTER TABLE users DROP COLUMN legacy, DROP COLUMN other;"),
]
ACCEPT = [
    Acceptance.parse("drop-column:users.legacy: moved, 100% done"),
    Acceptance.parse("truncate:users: never used"),
]


def test_json_has_the_promised_shape() -> None:
    data = json.loads(json_report(review(FILES, accept=ACCEPT)))
    assert data["verdict"] == "DO NOT DEPLOY"
    promised = {"rule", "severity", "file", "line", "statement", "message", "safer", "lock", "data_loss"}
    assert all(promised <= set(finding) for finding in data["findings"])
    assert [
        (one["rule"], one["severity"], one["line"], one["lock"], one["data_loss"], one["accepted"])
        for one in data["findings"]
    ] == [
        ("index-not-concurrent", "caution", 2, "SHARE", False, None),
        ("drop-column", "dangerous", 2, "ACCESS EXCLUSIVE", True, "moved, 100% done"),
        ("drop-column", "dangerous", 2, "ACCESS EXCLUSIVE", True, None),
    ]
    assert data["findings"][0]["safer"] == "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (email);"
    assert [one["rule"] for one in data["unused_acceptances"]] == ["truncate"]
    assert all(one["severity"] == "recommendation" for one in data["recommendations"])


def test_an_accepted_finding_is_suppressed_in_sarif() -> None:
    data = json.loads(sarif_report(review(FILES, accept=ACCEPT)))
    [run] = data["runs"]
    weighty = [one for one in run["results"] if one["level"] != "note"]
    assert [(one["ruleId"], one["level"], "suppressions" in one) for one in weighty] == [
        ("index-not-concurrent", "warning", False), ("drop-column", "error", True), ("drop-column", "error", False),
    ]  # fmt: skip
    region = weighty[2]["locations"][0]["physicalLocation"]
    assert region["artifactLocation"]["uri"] == "supabase/migrations/2_b.sql"
    assert region["region"] == {"startLine": 2, "startColumn": 39}
    assert all(run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])


def test_sarif_names_files_as_uris_and_counts_columns_as_the_parser_does() -> None:
    name = "my migrations/1_ä%.sql"
    data = json.loads(sarif_report(review([SourceFile(name, "SELECT '😀'; DROP TABLE a;")])))
    [run] = data["runs"]
    [result] = run["results"]
    where = result["locations"][0]["physicalLocation"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert where["artifactLocation"]["uri"] == "my%20migrations/1_%C3%A4%25.sql"
    assert where["region"] == {"startLine": 1, "startColumn": 13}


def test_github_annotates_the_lines_and_says_the_verdict() -> None:
    lines = github_report(review(FILES, accept=ACCEPT)).splitlines()
    assert lines[-1] == "::error title=safemig review::DO NOT DEPLOY, no target was read"
    assert any(
        line.startswith("::warning file=supabase/migrations/1_a.sql,line=2,col=1,title=index-not-concurrent%3A")
        for line in lines
    )
    accepted = [line for line in lines if "accepted (moved, 100%25 done)" in line]
    assert len(accepted) == 1
    assert accepted[0].startswith("::notice file=supabase/migrations/2_b.sql,line=2,col=19,")


def test_the_reference_names_every_rule_with_its_examples() -> None:
    page = reference_page()
    for rule in rules():
        assert f"\n## {rule.name}\n" in page
        assert rule.instead.split("\n")[0] in page


def test_safer_sql_of_every_rule_s_example_can_be_parsed_or_names_what_is_to_be_filled_in() -> None:
    from safemig.sql import parse

    checked = 0
    for rule in rules():
        for sql in rule.err:
            for finding in review([SourceFile("m.sql", sql)]).findings:
                if finding.safer and "…" not in finding.safer and finding.severity is not Severity.RECOMMENDATION:
                    parse(finding.safer)
                    checked += 1
    assert checked > 60


def test_advice_says_the_hour_the_order_and_the_blocking() -> None:
    target = TargetFacts(170010, "production", {"users": TableFacts(80_000_000, 40 * 1024**3)})
    made = review(FILES, target=target)
    assert made.files[0].recommendations == (
        "writes wait while it runs: users (SHARE); run it off-peak if these tables are busy",
        "work on all of users (40.0 GiB) under a lock: ≈ 14 min, guessed at 50 MiB/s; the rehearsal measures it",
        "deploy it before the application that uses what it adds",
        "in its safer form it is 2 files, each deployed on its own: see fixed_sql",
    )
    order, held = made.files[1].recommendations[-2:]
    assert order == "deploy it after the application no longer uses users.legacy, users.other"
    assert "SELECT * and RETURNING * of users" in held


def test_what_can_be_read_beside_an_error_is_reviewed_too() -> None:
    sql = "SELECT 1;\nCREATE TABEL t (a int);\nDROP TABLE users;\n"
    findings = review([SourceFile("m.sql", sql)]).findings
    assert [(one.rule, one.line) for one in findings] == [("cannot-be-read", 2), ("drop-table", 3)]


def test_findings_inside_a_do_block_have_their_own_line() -> None:
    sql = "SELECT 1;\nDO $$\nBEGIN\n  PERFORM 1;\n  DELETE FROM users;\nEND $$;"
    [finding] = review([SourceFile("m.sql", sql)]).findings
    assert (finding.rule, finding.line) == ("delete-rows", 5)


def test_markdown_holds_the_verdict_each_finding_and_its_safer_form_and_no_markup_of_a_file() -> None:
    text = markdown_report(review([SourceFile("a|b.sql", 'CREATE INDEX i ON t (a); DROP TABLE "<b>";')]))
    assert text.startswith("### safemig: DO NOT DEPLOY\n")
    assert "| 🟠 | `index-not-concurrent` | a\\|b.sql:1 |" in text
    assert "```sql\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);\n```" in text
    assert "<b>" not in "".join(text.split("```")[::2])  # but for what is fenced
    many = markdown_report(review([SourceFile("a.sql", "DROP TABLE a_table_with_a_long_name;\n" * 3000)]))
    assert len(many) < 65_536
    assert many.endswith("Cut here: the whole review is in the job's output.\n")


def test_junit_has_a_test_a_file_that_fails_where_a_finding_stands() -> None:
    suite = ElementTree.fromstring(junit_report(review([*FILES, SourceFile("c.sql", "SELECT '\x01';")], accept=ACCEPT)))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    found = {case.get("name"): [each.get("type") for each in case.iter("failure")] for case in suite.iter("testcase")}
    assert found == {
        "supabase/migrations/1_a.sql": ["index-not-concurrent"],
        "supabase/migrations/2_b.sql": ["drop-column"],
        "c.sql": [],
    }
