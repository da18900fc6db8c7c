"""The DAG for Airflow: what it asks of the runbook is there; a real Airflow parses it.

The real Airflow is found by SAFEMIG_AIRFLOW, the python of an environment of its own with apache-airflow and
apache-airflow-providers-papermill (`pip install`): it is too large, and too strict about versions, for ours.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from safemig.records.papermill_io import runbooks_folder
from tests.fleet.conftest import Fleet
from tests.fleet.test_migrate import SECOND, SECOND_FILE, SECOND_VERSION

AIRFLOW = os.environ.get("SAFEMIG_AIRFLOW")
DAG = runbooks_folder() / "airflow" / "safemig_fleet.py"
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["safemig_fleet"]
print("TOLD", json.dumps({each.task_id: [type(each).__name__, sorted(each.upstream_task_ids)] for each in dag.tasks}))
"""


def test_the_dag_gives_the_runbook_parameters_that_it_has() -> None:
    given = {
        key.value
        for node in ast.walk(ast.parse(DAG.read_text()))
        if isinstance(node, ast.Dict)
        for name, value in zip(node.keys, node.values, strict=True)
        if isinstance(name, ast.Constant) and name.value == "parameters" and isinstance(value, ast.Dict)
        for key in value.keys
        if isinstance(key, ast.Constant)
    }
    runbook = nbformat.read(DAG.parent.parent / "fleet_migrate.ipynb", as_version=4)
    (parameters,) = [each.source for each in runbook.cells if "parameters" in each.metadata.get("tags", ())]
    assert given == {"fleet", "approve", "project_folder"}
    assert given <= {node.target.id for node in ast.walk(ast.parse(parameters)) if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]


@pytest.mark.thorough
@pytest.mark.skipif(AIRFLOW is None, reason="SAFEMIG_AIRFLOW names no python with Airflow")
def test_a_real_airflow_parses_it_with_a_mapped_task_for_each_fleet(tmp_path: Path) -> None:
    variables = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # papermill's clients of clouds take long to import
    }
    done = subprocess.run(
        [str(AIRFLOW), "-c", PARSE, str(DAG.parent)],
        env=os.environ | variables, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("TOLD")).removeprefix("TOLD"))
    assert {name: upstream for name, (_, upstream) in told.items()} == {
        "fleets_to_plan": [], "plan": ["fleets_to_plan"], "approved": [], "migrate": ["approved"],
    }  # fmt: skip
    assert [name for name, (kind, _) in told.items() if "Mapped" in kind] == ["plan", "migrate"]


@pytest.mark.thorough
@pytest.mark.skipif(AIRFLOW is None, reason="SAFEMIG_AIRFLOW names no python with Airflow")
def test_a_real_airflow_plans_two_fleets_then_deploys_the_plans_that_are_approved(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet(3)
    fleet.write(SECOND_FILE, SECOND)
    for name, members in {"eu": "ab", "us": "c"}.items():
        rows = "".join(f"{each},{fleet.members[each]}\n" for each in members)
        (fleet.folder / f"{name}.csv").write_text(f"name,url\n{rows}")
    fleet.settings(
        "\n".join(f'[fleets.{name}]\nmembers = "file: {name}.csv"\nbackup = "none"' for name in ("eu", "us"))
    )
    kernel = tmp_path / "share" / "kernels" / "safemig"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "safemig", "language": "python"}))
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "JUPYTER_PATH": str(tmp_path / "share"),
        "SAFEMIG_PROJECT": str(fleet.folder),
        "SAFEMIG_RUNBOOKS": str(DAG.parent.parent),
        "SAFEMIG_KERNEL": "safemig",
        "SAFEMIG_COMMAND": str(Path(sys.executable).with_name("safemig")),
    }

    def airflow(*command: str) -> str:
        done = subprocess.run(
            [str(AIRFLOW), "-m", "airflow", *command],
            env=os.environ | variables, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    airflow("db", "migrate")
    told = airflow("dags", "test", "safemig_fleet", "--conf", json.dumps({"fleets": ["eu", "us"]}))
    plans = {name: fleet.project.fleet_plan(name).id for name in ("eu", "us")}  # the same plan, for nothing has changed
    assert all(each in told for each in plans.values()), told[-5000:]
    assert not any(SECOND_VERSION in versions for versions in fleet.versions().values())
    airflow("dags", "test", "safemig_fleet", "--conf", json.dumps({"plans": plans}))
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())
    notebooks = {each.name.split("_")[2]: each.read_text() for each in (fleet.folder / "output").glob("*.ipynb")}
    assert notebooks.keys() == plans.keys()
    assert all("DEPLOYED" in notebook and plans[name] in notebook for name, notebook in notebooks.items())
