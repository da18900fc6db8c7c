"""What is taken for a password, in whichever shape: the functions that every message passes. And who runs this."""

from __future__ import annotations

import os

import pytest

from safemig import secrets
from safemig.errors import SafemigError
from safemig.identity import who
from safemig.secrets import hide, hide_in, holds_password, parts_of, remember, remember_typed, secrets_of

# Two halves, so that a piece of the password that became a host or a database is found as well.
ONE, TWO = "canary5up3r", "tw33tc4nary"
MALFORMED = [
    f"postgresql://u:{ONE}@{TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE}/{TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE} {TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE}%zz{TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE}:{TWO}@127.0.0.1:port/x",
    f"postgresql://u:{ONE}?{TWO}@[127.0.0.1:1/x",
    f"postgresql://u:{ONE}#{TWO}@127.0.0.1:99999999/x",
    f"postgresql://u:{ONE}@{TWO}@",
    f"postgresql://:{ONE}@{TWO}@127.0.0.1:1",
    f"postgresql://u:{ONE}/{TWO}@127.0.0.1:1/x?sslmode=require",
    f"postgresql://u@127.0.0.1:1/x?password={ONE}&nosuch={TWO}",
    f"postgresql://u@127.0.0.1:1/x?passwort={ONE}{TWO}",
    f"postgres:/u:{ONE}@{TWO}@127.0.0.1:1/x",
    f"postgres//u:{ONE}@{TWO}@127.0.0.1:1/x",
    f"postgresqll://u:{ONE}@{TWO}@127.0.0.1:1/x",
    f"mysql://u:{ONE}{TWO}@127.0.0.1:1/x",
    f"jdbc:postgresql://u:{ONE}@{TWO}@127.0.0.1:1/x",
    f"host=127.0.0.1 port=1 password={ONE} {TWO}",
    f"host=127.0.0.1 port=1 password='{ONE}{TWO}",
    f"host=127.0.0.1 port=1 passwd={ONE}{TWO}",
    f"host=127.0.0.1 port=1 password={ONE}\\ {TWO} x",
    f"postgresql://u:{ONE}\t{TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE}\n{TWO}@127.0.0.1:1/x",
    f"'postgresql://u:{ONE}@{TWO}@127.0.0.1:1/x'",
    f"PGPASSWORD={ONE}{TWO} postgresql://u@127.0.0.1:1/x",
]
READABLE = [
    f"postgresql://u:{ONE}{TWO}@127.0.0.1:1/x",
    f"postgresql://u:{ONE}%40{TWO}@127.0.0.1:1/x",
    f"postgresql://u@127.0.0.1:1/x?password={ONE}{TWO}",
    f"host=127.0.0.1 port=1 password='{ONE} {TWO}'",
]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test as a new process would: with no password known."""
    monkeypatch.setattr(secrets, "_known", set())


def require_hidden(text: str, what: object) -> None:
    assert ONE not in text, (what, text)
    assert TWO not in text, (what, text)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_url_that_cannot_be_read_as_meant_is_refused_without_echo(url: str) -> None:
    if url.startswith(("postgresql://u:canary5up3r?", "postgresql://u:canary5up3r#", "mysql")) or "port/" in url:
        return  # libpq reads it whole, and fails later by itself
    with pytest.raises(ValueError, match=r"^[^0-9]*$") as caught:
        parts_of(url)
    require_hidden(str(caught.value), url)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@host:5432/db",
        "postgresql://u@host/db?options=-c%20a%3Db",
        "postgresql://h1:1,h2:2/db?target_session_attrs=read-write",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://u@/db?host=/tmp&application_name=a@b",
        "postgres://u:pa#ss@host/db",
        "host=h password='a b' dbname=x",
        "service=shop",
        "",
    ],
)
def test_a_url_that_libpq_reads_as_meant_is_read(url: str) -> None:
    parts_of(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a postgres://u:pw12@h/x b", "a postgres://u:***@h/x b"),
        ("a postgres://u:pw@12@h/x b", "a postgres://u:***@h/x b"),
        ("https://example.org/a?b=c@d", "https://example.org/a?b=c@d"),
        ("host=h password='a b' x", "host=h password=*** x"),
        ("ALTER ROLE a PASSWORD 'it''s' NOLOGIN", "ALTER ROLE a PASSWORD '***' NOLOGIN"),
        ("mail a@b.c: no secret", "mail a@b.c: no secret"),
        ("a well-known hunter22 in it", "a well-known *** in it"),
    ],
)
def test_what_has_the_shape_of_a_password_is_hidden(text: str, shown: str) -> None:
    remember(["hunter22"])
    assert hide(text) == shown


@pytest.mark.parametrize("form", ["a&b<c'd\"e", "a%26b%3Cc%27d%22e", "a&amp;b&lt;c&#39;d&#34;e", "a&b<c'd\\\"e"])
def test_a_known_password_is_hidden_in_each_of_its_forms(form: str) -> None:
    remember(["a&b<c'd\"e"])
    assert hide_in({"x": [f"({form})"]}) == {"x": ["(***)"]}


def test_what_is_also_a_name_and_what_is_very_short_is_not_blotted_out() -> None:
    remember(["shop", "abc"], ["shop"])
    assert hide("shop abc") == "shop abc"


def test_a_password_is_recognised_wherever_it_would_be_written() -> None:
    assert holds_password("postgresql://u:p@h/x")
    assert holds_password("postgresql://u:p@q@h/x")
    assert holds_password("host=h password=x")
    assert not holds_password("postgresql://u@h:5432/x?application_name=a@b")
    assert not holds_password("a migration about the password of users")
    assert secrets_of("postgresql://u:pw12@h/x") == ("pw12",)


def test_an_error_hides_what_was_typed() -> None:
    remember_typed([MALFORMED[0]])
    error = SafemigError(f"no such host {TWO}@127.0.0.1", where=MALFORMED[1], next=ONE)
    require_hidden(str(error) + repr(error), error)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"SAFEMIG_BY": "dana", "GITHUB_ACTOR": "octocat", "LOGNAME": "root"}, "dana"),
        ({"GITHUB_ACTOR": "octocat", "GITLAB_USER_LOGIN": "tanuki"}, "octocat"),
        ({"SAFEMIG_BY": " ", "GITLAB_USER_LOGIN": "tanuki"}, "tanuki"),
        ({"LOGNAME": "kim"}, "kim"),
    ],
)
def test_one_answer_says_who_runs_this(variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SAFEMIG_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert who() == name


def test_a_user_without_an_entry_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SAFEMIG_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)

    def no_entry(_uid: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", no_entry)
    assert who() == f"uid {os.getuid()}"


def test_four_characters_are_enough_to_be_hidden_and_fewer_are_not() -> None:
    remember(["abcd", "efghi", "xyz"])
    assert hide("abcd efghi xyz") == "*** *** xyz"


def test_each_piece_of_a_url_that_cannot_be_read_is_hidden() -> None:
    remember_typed(["postgresql://u:abcd@efghi/xy@h/x"])
    assert hide("abcd, efghi, xy") == "***, ***, xy"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("dana@example.org", "mail dana@example.org"),
        ("postgresql://u:long%40pass@h/x", "pass the long way"),
        ("https://example.org/docs", "see https://example.org/docs"),
        ("drop-column:users.password: moved", "drop-column:users.password: moved"),
    ],
)
def test_what_is_no_password_stays_to_be_read(typed: str, text: str) -> None:
    remember_typed([typed])
    assert hide(text) == text
