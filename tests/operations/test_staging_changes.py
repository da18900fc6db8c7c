"""Changes made to staging by hand, generated and deployed file by file to a production whose application goes on working."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RehearsalError
from safemig.migrations.change_set_text import disabled_in
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from safemig.results import Generated
from safemig.schema import ChangeSet, Schema, compare
from tests import tables

from .conftest import FIRST_FILE, Shop
from .staging_changes.change import StagingChange
from .staging_changes.changes import CHANGES
from .staging_changes.other_kinds import OTHER_KINDS
from .staging_changes.shop import APPLICATION, ROLE, ROWS, SCHEMA

QUICK = ("a type under views", "a function under a policy and a new enum value", "a busy afternoon")
ALL = (*CHANGES, *OTHER_KINDS)
PARTS = 6  # of the long table, each a few minutes: -m thorough -k part1
_numbers = itertools.count(1000)


@pytest.fixture(scope="session")
def busy_templates(server: ThrowawayServer) -> Iterator[tuple[str, str]]:
    """Two databases to copy from: the shop without rows, and with."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
    names = ("busy_staging", "busy_production")
    for name, rows in zip(names, ("", ROWS), strict=True):
        with psycopg.connect(server.create_database(name), autocommit=True) as connection:
            connection.execute((SCHEMA + rows).encode())
            make_history(connection)
            sha256 = hashlib.sha256(SCHEMA.encode()).hexdigest()
            record_applied(connection, FIRST_FILE[:14], "first", [SCHEMA], sha256, "test")
    yield names
    for name in names:
        server.drop_database(name)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"DROP ROLE {ROLE}".encode())


@pytest.fixture
def busy(
    tmp_path: Path, server: ThrowawayServer, busy_templates: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """The shop's project and its databases."""
    names = [f"busy_{next(_numbers)}" for _ in range(2)]
    urls = [server.create_database(name, template=of) for name, of in zip(names, busy_templates, strict=True)]
    made = Shop(tmp_path / "shop", *urls)
    monkeypatch.setenv("STAGING_DATABASE_URL", made.staging)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    Project.init(made.folder)
    made.write(FIRST_FILE, SCHEMA)
    yield made
    for name in names:
        server.drop_database(name)


@contextmanager
def application(url: str, errors: list[str]) -> Iterator[Callable[[], int]]:
    """Let the application read and write until the end; what fails or is not seen comes into `errors`."""
    stop = threading.Event()
    rounds = itertools.count()
    done = [0]

    def work() -> None:
        with psycopg.connect(url.replace("postgres@", f"{ROLE}@"), autocommit=True) as connection:
            connection.prepare_threshold = None
            while not stop.is_set():
                for statement in APPLICATION:
                    text = statement.format(n=next(_numbers) + 1_000_000)
                    try:
                        cursor = connection.execute(text.encode())
                        if cursor.description and not (row := cursor.fetchone() or (False,))[0]:
                            errors.append(f"{text}: {row}")
                    except psycopg.Error as error:
                        errors.append(f"{text}: {error}")
                done[0] = next(rounds)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()


def deploy_by_migrate_prod(shop: Shop, path: Path) -> None:
    """Deploy one file as its users do, with what the review says of it accepted."""
    review = shop.project.review()
    accept = [f"{each.rule}:{each.object}: as staging has it" for each in review.findings]
    while True:
        try:
            shop.project.migrate_prod(approve=shop.project.plan(accept=accept).id, accept=accept)
            return
        except RehearsalError as refused:  # about rights, one at a time: staging has them so
            asked = re.search(r'accept = \["(.*): reason"\]', str(refused.next))
            if asked is None or f"{asked[1]}: as staging has it" in accept:
                raise
            accept.append(f"{asked[1]}: as staging has it")


def deployed(
    shop: Shop, change: StagingChange, deploy: Callable[[Shop, Path], None]
) -> tuple[Generated, list[str], list[ChangeSet]]:
    """Generate, deploy file by file, and return the result, the application's errors, and what is not deployed."""
    for statement in split(change.sql):
        shop.on(shop.staging, statement)
    made = shop.project.generate(change.name, renames=change.renames)
    assert made.path is not None
    paths = [made.path, *made.further_paths]
    texts = {path: path.read_text() for path in paths}
    for path in paths:
        path.unlink()
    errors: list[str] = []
    with application(shop.production, errors) as rounds:
        for path in paths:
            path.write_text(texts[path])
            before = rounds()
            deploy(shop, path)
            deadline = time.monotonic() + 60
            while rounds() < before + 2 and not errors:  # the application meets what each file leaves
                assert time.monotonic() < deadline, "the application stands still"
                time.sleep(0.01)
    there, wanted = (_schema(url) for url in (shop.production, shop.staging))
    return made, errors, list(compare(there, wanted, with_change_sets=True).change_sets)


def split(sql: str) -> Sequence[str]:
    """Return the statements one by one, for a new enum value must be committed before it is used."""
    from safemig.sql import parse

    return [statement.sql for statement in parse(sql)]


def _schema(url: str) -> Schema:
    with psycopg.connect(url, autocommit=True) as connection:
        return read_schema(connection, SchemaFilter(ownership=True))


def part_of(change: StagingChange) -> int:
    """Return in which part of the long table a change is."""
    return 1 + ALL.index(change) * PARTS // len(ALL)


@pytest.mark.parametrize(
    "change", tables.part_of(ALL, lambda each: each.name in QUICK, lambda each: f"part{part_of(each)} {each.name}")
)
def test_the_application_does_not_notice(busy: Shop, change: StagingChange) -> None:
    made, errors, left = deployed(busy, change, deploy_by_migrate_prod)
    assert errors == []
    assert not made.remaining
    check(made, change, left)


def check(made: Generated, change: StagingChange, left: Sequence[ChangeSet]) -> None:
    """What is not deployed is what was disabled, and that is what was expected."""
    disabled = [each for each in made.diff.change_sets if each.disabled is not None]
    assert len(disabled) == len(change.disabled), [each.title for each in disabled]
    assert all(any(word in each.title for each in disabled) for word in change.disabled)
    numbers = {number for path in (made.path, *made.further_paths) if path for number in disabled_in(path.read_text())}
    assert numbers == {each.number for each in disabled}
    assert len(left) == len(disabled)
    assert all(each.disabled or any(word in each.title for word in change.disabled) for each in left)


# Some of each sort run by default.
DISABLED = [each for each in ALL if each.disabled]
ENABLED_BY_DEFAULT = {"a lossy type under a view": "by hand", "a busy afternoon": "by its number"}


def by_hand(text: str, number: int) -> str:
    """Return a migration file with one change enabled as a person does it: by the marks that its comment names."""
    lines = text.splitlines(keepends=True)
    start = next((at for at, line in enumerate(lines) if f" safemig: change {number} is disabled" in line), None)
    if start is None:
        return text
    if lines[start].startswith("--"):  # each line is a comment of its own
        end = next(at for at, line in enumerate(lines) if f"safemig: end of change {number}" in line)
        lines[start + 1 : end] = [line.removeprefix("--").removeprefix(" ") for line in lines[start + 1 : end]]
    return "".join(lines[:start] + lines[start + 1 :])


def statements(text: str) -> list[str]:
    from safemig.sql import parse

    return [statement.sql for statement in parse(text)]


@pytest.mark.parametrize(
    ("change", "way"),
    tables.part_of(
        itertools.product(DISABLED, ("by hand", "by its number")),
        lambda case: ENABLED_BY_DEFAULT.get(case[0].name) == case[1],
        lambda case: f"{case[0].name}-{case[1]}",
    ),
)
def test_each_disabled_change_runs_when_its_mark_alone_is_removed(
    busy: Shop, server: ThrowawayServer, busy_templates: tuple[str, str], change: StagingChange, way: str
) -> None:
    for statement in split(change.sql):
        busy.on(busy.staging, statement)
    made = busy.project.generate(change.name, renames=change.renames)
    paths = [path for path in (made.path, *made.further_paths) if path is not None]
    texts = {path: path.read_text() for path in paths}
    wanted = _schema(busy.staging)
    assert made.disabled
    assert [each.number for each in made.disabled] == [
        each.number for each in made.diff.change_sets if each.disabled is not None
    ]
    for each in made.disabled:
        assert each.problem == ""
        assert each.lacks, "without it, something of staging's schema is missing"
        for path, text in texts.items():
            path.write_text(by_hand(text, each.number) if way == "by hand" else text)
        if way == "by its number":
            busy.project.enable_change(each.number)
        enabled = [path.read_text() for path in paths]
        others = {one.number for one in made.disabled} - {each.number}
        assert {number for text in enabled for number in disabled_in(text)} == others
        name = f"busy_enabled_{next(_numbers)}"
        url = server.create_database(name, template=busy_templates[1])
        if change.first:
            busy.on(url, change.first)
        _run_files(url, enabled)
        left = compare(_schema(url), wanted, renames=change.renames, with_change_sets=True).change_sets
        assert {one.title for one in left if one.disabled is not None} == {
            one.title for one in made.disabled if one.number != each.number
        }
        assert len(left) == len(others)
        server.drop_database(name)


def _run_files(url: str, texts: Sequence[str]) -> None:
    """Run files as a deployment does, on a production with rows; where a value must be given first, give one."""
    with psycopg.connect(url, autocommit=True) as connection:
        for text in texts:
            one_by_one = "-- safemig: no transaction" in text
            for part in statements(text) if one_by_one else [f"BEGIN; {text}; COMMIT"]:
                connection.execute(part.encode())
            for table, column in made_by_hand(text):
                connection.execute(f"UPDATE {table} SET {column} = 'filled'".encode())


def made_by_hand(text: str) -> list[tuple[str, str]]:
    """Return the columns (table, column) that a file asks a person to fill."""
    return [tuple(found) for found in re.findall(r"^--\s+UPDATE (\S+) SET (\S+) = ", text, re.MULTILINE)]
