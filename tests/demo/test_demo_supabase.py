"""The demo on an imitation of Supabase: `safemig demo --platform supabase`."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from safemig.demo.places import read_note
from safemig.demo.serve import serve_until_interrupted
from safemig.demo.supabase_project import FIRST_FILE, SupabaseProject
from safemig.demo.workflow import walk
from safemig.project import Project
from safemig.settings import load_settings

SMALL = (20, 300)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a short path that every user can enter, as a project of an ordinary user is."""
    folder = Path("/var/tmp") / f"safemig-supabase-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def test_the_kept_demo_is_a_supabase_project_whose_change_by_hand_is_reviewed_as_safe(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder / "app"
    with SupabaseProject.start(folder, keep=True, users=SMALL) as demo:
        for name, value in demo.variables.items():
            monkeypatch.setenv(name, value)
        project = Project(load_settings(folder))
        doctor = project.doctor()
        assert doctor.platform == "Supabase"
        assert doctor.target.user == "postgres"
        assert [each.drift for each in project.db_status().environments] == ["none", "none"]
        demo.change_staging_by_hand()
        generated = project.generate("add user preferences table")
        assert generated.proof.startswith("proven equal"), generated.remaining
        for said in ("ON storage.objects", "ON auth.users", "supabase_realtime ADD TABLE ONLY public.user_preferences"):
            assert said in generated.text
        review = project.review()
        assert (str(review.verdict), len(review.accepted)) == ("SAFE TO DEPLOY", 2)
    assert len(read_note(folder).servers) == 2

    told, started, stop = [], threading.Event(), threading.Event()

    def echo(line: str) -> None:
        told.append(line)
        if "jupyter" in line:
            started.set()

    serving = threading.Thread(target=serve_until_interrupted, args=(folder, echo, stop))
    serving.start()
    try:
        assert started.wait(60)
        (url,) = (line.split("=", 1)[1].strip("'") for line in told if "PRODUCTION_DATABASE_URL" in line)
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT count(*) FROM public.documents").fetchall()
            first = connection.execute("SELECT version FROM supabase_migrations.schema_migrations").fetchall()
        assert (rows, first) == ([(900,)], [(FIRST_FILE.partition("_")[0],)])
    finally:
        stop.set()
        serving.join()


@pytest.mark.thorough  # five runbooks, each in a kernel of its own
def test_the_whole_workflow_goes_through_on_supabase(tmp_path: Path) -> None:
    lines: list[str] = []
    assert walk(partial(SupabaseProject.start, tmp_path / "app", users=SMALL), lines.append) == 0, "\n".join(lines)
    told = "\n".join(lines)
    for word in ("GENERATED", "SAFE TO DEPLOY", "READY", "BACKED UP", "REHEARSED, except", "DEPLOYED", "VALID"):
        assert word in told
    assert "none lost, none changed" in told
    assert "equal, except for profiles.avatar_key, which production keeps" in told
    assert "the rollback script, proven before the deployment" in told
