"""What is shown of SQL holds no password."""

from __future__ import annotations

import pytest

import safemig
from safemig.sql.passwords import without_passwords


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("ALTER ROLE app PASSWORD 's3cret';", "ALTER ROLE app PASSWORD '***';"),
        ("create user app password's3cret'", "create user app password'***'"),
        ("ALTER ROLE app PassWord E's3\\'cret' LOGIN", "ALTER ROLE app PassWord '***' LOGIN"),
        ("ALTER ROLE app PASSWORD U&'s3cret'", "ALTER ROLE app PASSWORD U&'***'"),
        ("ALTER ROLE app PASSWORD $$s3cret$$", "ALTER ROLE app PASSWORD '***'"),
        (
            "ALTER ROLE app\n  PASSWORD -- new\n  's3\ncret'\nLOGIN",
            "ALTER ROLE app\n  PASSWORD -- new\n  '***\n'\nLOGIN",
        ),
        ("ALTER ROLE app PASSWORD /* 'x' */ 's3cret'", "ALTER ROLE app PASSWORD /* 'x' */ '***'"),
        ("OPTIONS (user 'me', password 's3cret')", "OPTIONS (user 'me', password '***')"),
        ("OPTIONS (\"password\" 's3cret', sslpassword 's3cret')", "OPTIONS (\"password\" '***', sslpassword '***')"),
        ("DO $$ BEGIN ALTER ROLE a PASSWORD 's3cret'; END $$", "DO $$ BEGIN ALTER ROLE a PASSWORD '***'; END $$"),
        ("EXECUTE 'ALTER ROLE a PASSWORD ''s3''''cret'''", "EXECUTE 'ALTER ROLE a PASSWORD ''***'''"),
    ],
)
def test_a_password_is_not_shown(sql: str, shown: str) -> None:
    assert without_passwords(sql) == shown
    assert shown.count("\n") == sql.count("\n"), "line numbers stay true"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'the password', 'is kept';",
        "INSERT INTO accounts (password) VALUES ('kept')",
        "ALTER ROLE app PASSWORD NULL; SELECT 'kept'",
        "ALTER TABLE t ADD COLUMN password text DEFAULT 'kept'",
        "DO $$ BEGIN -- password 'kept' is not closed",
    ],
)
def test_everything_else_is(sql: str) -> None:
    assert without_passwords(sql) == sql


def test_a_review_tells_no_password_and_its_fixed_sql_is_the_file_s_own() -> None:
    sql = "CREATE ROLE app LOGIN\n  PASSWORD 's3cret';\nDROP TABLE t;"
    review = safemig.review_sql(sql)
    for shown in (review.render(), review.render("html"), str(review.to_dict()), review.to_frame().to_json()):
        assert "s3cret" not in shown
    assert "s3cret" in review.fixed_sql
