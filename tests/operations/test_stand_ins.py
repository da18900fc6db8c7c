"""The workflow on a production with what the machine of the rehearsal does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RehearsalError
from safemig.postgres.server.private_installation import ExtraFiles
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, find_programs, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.stand_in import needs
from safemig.postgres.stand_in.needs import has_icu
from safemig.project import Project
from tests.conftest import MAJORS
from tests.platforms.boxes import private_installation

FIRST_FILE = "20260101000000_first.sql"
FIRST = """
CREATE SCHEMA extensions;
CREATE EXTENSION vector SCHEMA extensions;
CREATE EXTENSION postgis;
CREATE EXTENSION "uuid-ossp" WITH SCHEMA extensions;
CREATE TABLE documents (id uuid PRIMARY KEY DEFAULT extensions.uuid_generate_v4(), title text NOT NULL, embedding extensions.vector(3));
CREATE INDEX documents_embedding_idx ON documents USING hnsw (embedding extensions.vector_cosine_ops);
CREATE TABLE places (id int PRIMARY KEY, geom geometry NOT NULL);
"""
ROWS = """
INSERT INTO documents (title, embedding) SELECT n::text, ('['||n||',2,3]')::extensions.vector FROM generate_series(1, 50) n;
INSERT INTO places SELECT n, ('POINT(' || n || ' 1)')::geometry FROM generate_series(1, 20) n;
"""
SECOND = """
ALTER TABLE documents ADD COLUMN summary extensions.vector(2);
CREATE INDEX summary_idx ON documents USING hnsw (summary extensions.vector_l2_ops);
INSERT INTO documents (title, embedding) VALUES ('new', '[7,8,9]');
"""
Make = Callable[..., Project]


def as_asked(question: str) -> str:
    """Answer the question for an approval with what it asks to be typed."""
    return question.partition("Type  ")[2].partition("  to approve")[0]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A maker of a project whose production and staging are on a server."""

    def make(server: ThrowawayServer, first: str, rows: str = "", options: str = "TEMPLATE template0") -> Project:
        for name in ("production", "staging"):
            url = server.create_database(name, options=psycopg.sql.SQL(options))  # type: ignore[arg-type]
            monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(first.encode())
                connection.execute((rows if name == "production" else "SELECT 1").encode())
        Project.init(tmp_path)
        project = Project.open(tmp_path)
        (project.settings.path("migrations") / FIRST_FILE).write_text(first)
        return project

    return make


@pytest.fixture(scope="module")
def platform() -> Iterator[ThrowawayServer]:
    """A server with vector, postgis and uuid-ossp, which this machine's installations lack."""
    major = 17 if 17 in MAJORS else MAJORS[0]
    with (
        private_installation(server_programs(major=major)) as programs,
        ThrowawayServer.start(programs=programs) as server,
    ):
        yield server


def _write(project: Project, sql: str) -> None:
    (project.settings.path("migrations") / "20260102000000_second.sql").write_text(sql)


@pytest.fixture
def project(platform: ThrowawayServer, make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project on it; the copies are made on the same version, which lacks the three."""
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(server_programs(major=platform.major).folder))
    yield make(platform, FIRST, ROWS)
    for name in ("production", "staging"):
        platform.drop_database(name)


def test_the_whole_workflow_without_the_libraries(project: Project) -> None:
    assert project.baseline_prod(ask=as_asked).verdict == "BASELINED"
    drift = {each.name: (each.drift, each.problem) for each in project.db_status().environments}
    assert drift["production"] == ("none", "")
    _write(project, SECOND)
    checks = {check.name: check for check in project.preflight().checks}
    assert checks["extensions"].state == "warning"
    assert "extension postgis" in checks["extensions"].found
    rehearsal = project.rehearse()
    assert rehearsal.backup_verified == "restored"  # every hash of the copy is that of the backup
    assert "index public.documents_embedding_idx (hnsw)" in rehearsal.exceptions
    assert "index public.summary_idx (hnsw)" in rehearsal.exceptions
    text = rehearsal.render("text")
    assert text.startswith("REHEARSED, except extension postgis")
    accept = ["index-not-concurrent:documents.summary_idx: nobody works on it"]
    deployed = project.migrate_prod(ask=as_asked, accept=accept)
    assert deployed.verdict == "DEPLOYED"
    assert project.rollback_prod(ask=as_asked).verdict == "ROLLED BACK"


def test_generate_sees_no_difference_that_is_none(project: Project) -> None:
    made = project.generate("nothing")
    assert made.path is None, made.text


def test_a_migration_that_needs_the_library_is_told_what_to_do(project: Project) -> None:
    project.baseline_prod(ask=as_asked)
    _write(project, "UPDATE documents SET title = extensions.vector_dims(embedding)::text WHERE title = '1';")
    with psycopg.connect(project.settings.conninfo("production"), autocommit=True) as connection:
        ((language,),) = connection.execute(
            "SELECT lanname FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE proname = 'vector_dims'"
        ).fetchall()
        connection.execute(
            "CREATE OR REPLACE FUNCTION extensions.vector_dims(extensions.vector) RETURNS integer AS '$libdir/plpgsql', 'plpgsql_call_handler' LANGUAGE c STRICT"
        )
    assert language == "sql"
    with pytest.raises(RehearsalError, match=r"vector_dims.* is not real on this copy") as caught:
        project.rehearse()
    assert "needs the extension to be real" in str(caught.value.next)


def test_a_plan_is_bound_to_what_is_not_rehearsed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(project, SECOND)
    here = project.plan().id
    assert project.plan().id == here
    monkeypatch.setattr(needs, "NEVER_REAL", needs.NEVER_REAL | {"plpgsql"})
    monkeypatch.setattr(needs, "lacking", lambda programs, wanted: [])
    assert project.plan().id != here


TYPES = {
    "citext": ("citext", ["Straße", "x'y", "ÄÖ\\n"]), "hstore": ("hstore", ['"a"=>"1", "b"=>NULL']), "ltree": ("ltree", ["Top.Science"]),
    "cube": ("cube", ["(1, 2),(3, 4)"]), "isn": ("isbn13", ["978-0-393-04002-9"]), "vector": ("vector(3)", ["[1.5,2,3]", "[0,0,1e-07]"]),
}  # fmt: skip


@pytest.mark.parametrize("major", MAJORS)
def test_columns_of_a_stand_in_hold_production_s_values_byte_for_byte(
    major: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real types in production, stand-ins of them on the copy, though they are here."""
    names = [name for name in TYPES if name in server_programs(major=major).extensions()]
    first = "".join(f'CREATE EXTENSION "{name}";' for name in names)
    first += (
        "CREATE TABLE kept (id int PRIMARY KEY, " + ", ".join(f"c_{name} {TYPES[name][0]}" for name in names) + ");"
    )
    if "citext" in names:
        first += "CREATE UNIQUE INDEX kept_citext ON kept (c_citext); ALTER TABLE kept ADD UNIQUE (c_citext, id);"
    if "vector" in names:
        first += "CREATE INDEX kept_vector ON kept USING hnsw (c_vector vector_l2_ops) WITH (m = 8);"
    if "ltree" in names:
        first += "CREATE INDEX kept_ltree ON kept USING gist (c_ltree); CREATE INDEX kept_hstore ON kept USING gin (c_hstore);"
    rows = "".join(
        f"INSERT INTO kept (id, c_{name}) VALUES ({100 * number + n}, $v${value}$v$);"
        for number, name in enumerate(names)
        for n, value in enumerate(TYPES[name][1])
    )
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(server_programs(major=major).folder))
    monkeypatch.setattr(needs, "NEVER_REAL", frozenset(names))
    with ThrowawayServer.start(major=major) as server:
        project = make(server, first, rows)
        project.baseline_prod(ask=as_asked)
        _write(project, "ALTER TABLE kept ADD COLUMN note text;")
        rehearsal = project.rehearse()
        assert rehearsal.backup_verified == "restored"
        assert len([each for each in rehearsal.exceptions if each.startswith("extension")]) == len(names)
        if "ltree" in names:
            assert "index public.kept_ltree (gist)" in rehearsal.exceptions
            assert "index public.kept_hstore (gin)" in rehearsal.exceptions
        assert project.migrate_prod(ask=as_asked).verdict == "DEPLOYED"
        assert project.rollback_prod(ask=as_asked).verdict == "ROLLED BACK"


# A type whose modifiers are words, as geometry(Point,4326) has them; they come back as the library writes them.
SHAPE = """
CREATE TYPE shape_modifiers AS ENUM ('(Point,4326)', '(Polygon,4326)');
CREATE TYPE shape;
CREATE FUNCTION shape_in(cstring, oid, integer) RETURNS shape LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION shape_out(shape) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION shape_modifier_in(said cstring[]) RETURNS integer LANGUAGE sql STABLE STRICT AS $$
  SELECT oid::int8::int4 FROM pg_enum WHERE enumtypid = 'shape_modifiers'::regtype
  AND lower(enumlabel) = lower('(' || array_to_string(said, ',') || ')') $$;
CREATE FUNCTION shape_modifier_out(integer) RETURNS cstring LANGUAGE internal STABLE STRICT AS 'enum_out';
CREATE TYPE shape (INPUT = shape_in, OUTPUT = shape_out, TYPMOD_IN = shape_modifier_in, TYPMOD_OUT = shape_modifier_out);
"""


def test_modifiers_that_are_words_come_back_as_the_library_writes_them(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "NEVER_REAL", frozenset({"shape"}))
    extra = ExtraFiles({"shape.control": "default_version = '1.0'\n", "shape--1.0.sql": SHAPE})
    with ThrowawayServer.start(extra=extra) as server:
        project = make(
            server, "CREATE EXTENSION shape; CREATE TABLE places (id int PRIMARY KEY, at shape(POINT, 4326));"
        )
        project.baseline_prod(ask=as_asked)
        _write(project, "ALTER TABLE places ADD COLUMN area shape(polygon, 4326);")
        assert [change.name for change in project.rehearse().diff.changes] == ["public.places.area"]
        deployed = project.migrate_prod(ask=as_asked)
    assert deployed.diff is not None
    assert "shape(polygon,4326)" in deployed.diff.sql.lower()


WITH_ICU = [each.major for each in find_programs() if each.has_server and has_icu(each)]
WITHOUT_ICU = [each.major for each in find_programs() if each.has_server and not has_icu(each)]


def test_collations_of_icu_sort_by_bytes_where_there_is_no_icu(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    if not WITH_ICU or not WITHOUT_ICU or min(WITH_ICU) > max(WITHOUT_ICU):
        pytest.skip("needs a PostgreSQL with ICU and a later one without")
    first = """
    CREATE COLLATION german (provider = icu, locale = 'de', deterministic = true);
    CREATE TABLE names (id int PRIMARY KEY, a text COLLATE german, b text COLLATE "de-x-icu");
    CREATE INDEX names_a ON names (a);
    """
    with ThrowawayServer.start(major=min(WITH_ICU)) as server:
        options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'"
        project = make(server, first, "INSERT INTO names VALUES (1, 'ä', 'z'), (2, 'z', 'ä')", options)
        monkeypatch.setenv(PROGRAMS_VARIABLE, str(server_programs(major=max(WITHOUT_ICU)).folder))
        project.baseline_prod(ask=as_asked)
        _write(project, "ALTER TABLE names ADD COLUMN c text COLLATE german;")
        rehearsal = project.rehearse()
        assert rehearsal.exceptions == (
            "the database's collation, ICU de: sorts and compares by bytes",
            'collation pg_catalog."de-x-icu": sorts and compares by bytes',
            "collation public.german: sorts and compares by bytes",
        )
        assert project.migrate_prod(ask=as_asked).verdict == "DEPLOYED"


def test_a_server_here_that_has_icu_is_taken_before_a_stand_in(make: Make) -> None:
    if not WITH_ICU:
        pytest.skip("needs a PostgreSQL with ICU")
    with ThrowawayServer.start(major=min(WITH_ICU)) as server:
        project = make(server, 'CREATE TABLE names (id int PRIMARY KEY, a text COLLATE "de-x-icu")')
        with psycopg.connect(project.settings.conninfo("production")) as connection:
            found = needs.needs_of(connection)
        assert found.programs.major == min(WITH_ICU)
        assert found.exceptions == ()


LANGUAGE = """
CREATE FUNCTION plfake_call_handler() RETURNS language_handler AS '$libdir/plpgsql', 'plpgsql_call_handler' LANGUAGE C;
CREATE TRUSTED LANGUAGE plfake HANDLER plfake_call_handler;
"""


def test_a_language_and_a_dictionary_that_are_not_here(make: Make) -> None:
    extra = ExtraFiles(
        {"plfake.control": "default_version = '1.0'\nschema = pg_catalog\n", "plfake--1.0.sql": LANGUAGE},
        {"house.dict": "house\n", "house.affix": "PFX A Y 1\nPFX A 0 re .\n"},
    )
    first = """
    CREATE EXTENSION plfake;
    CREATE FUNCTION three() RETURNS int LANGUAGE plfake AS $$ BEGIN RETURN 3; END $$;
    CREATE TEXT SEARCH DICTIONARY house (TEMPLATE = ispell, DictFile = house, AffFile = house);
    CREATE TABLE notes (id int PRIMARY KEY, n int DEFAULT three());
    """
    with ThrowawayServer.start(major=MAJORS[-1], extra=extra) as server:
        project = make(server, first, "INSERT INTO notes VALUES (1)")
        project.baseline_prod(ask=as_asked)
        _write(project, "ALTER TABLE notes ADD COLUMN note text;")
        rehearsal = project.rehearse()
        assert "text search dictionary public.house: its file house.dict is not on this machine" in rehearsal.exceptions
        assert any(each.startswith("extension plfake 1.0") for each in rehearsal.exceptions)
        _write(project, "INSERT INTO notes VALUES (2);")
        with pytest.raises(RehearsalError) as caught:
            project.rehearse()
        assert "needs the extension to be real" in str(caught.value.next)
