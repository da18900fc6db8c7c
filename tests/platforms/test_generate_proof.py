"""What generate leaves out of its proof on a platform stands in the file: owners that the deploying role cannot set, and extensions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.platforms.boxes import Platform


@pytest.mark.parametrize("name", ["supabase", "rds"])
def test_the_proof_names_the_owners_that_are_not_compared(
    platform: Callable[..., Platform], tmp_path: Path, name: str
) -> None:
    box = platform(name)
    project = box.project(tmp_path)
    box.run(box.staging, "CREATE TABLE proof_mine (id int PRIMARY KEY)")
    box.run(box.staging_admin, "CREATE FUNCTION public.proof_theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    try:
        made = project.generate("owners")
        head = " ".join(line.removeprefix("--").strip() for line in made.text.split("CREATE ")[0].splitlines())
        assert "public.proof_theirs" in made.text
        assert made.proof.startswith("proven equal; owner not compared of public.proof_theirs(): it is "), (
            made.remaining
        )
        assert " ".join(made.proof.split()) in " ".join(head.split())
    finally:
        box.run(box.staging_admin, "DROP FUNCTION public.proof_theirs()")
        box.run(box.staging, "DROP TABLE proof_mine")
