"""The DAG for Airflow: what it asks of the runbook is there; a real Airflow parses it and deploys a fleet by it.

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
PLAN_AND_DEPLOY = """
import json, subprocess, sys
from airflow.dag_processing.dagbag import DagBag
for command in (("db", "migrate"), ("dags", "reserialize")):
    subprocess.run([sys.executable, "-m", "airflow", *command], check=True, capture_output=True)
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["safemig_fleet"]
told = {"tasks": sorted(dag.task_ids)}
for conf in ({"fleets": ["tenants"]}, {"plans": {"tenants": sys.argv[2]}}, {"plans": {"tenants": sys.argv[2]}}):
    run = dag.test(run_conf=conf)
    states = {f"{each.task_id}[{each.map_index}]": str(each.state) for each in run.get_task_instances()}
    told.setdefault("runs", []).append([str(run.state), states])
print("TOLD", json.dumps(told))
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
def test_a_real_airflow_plans_and_deploys_by_it(make_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    fleet = make_fleet(2)
    fleet.list_members('backup = "none"')
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    kernel = tmp_path / "jupyter" / "kernels" / "safemig"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "safemig", "language": "python"}))
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # papermill's clients of clouds take long to import
        "JUPYTER_PATH": str(kernel.parent.parent),
        "SAFEMIG_COMMAND": str(Path(sys.executable).with_name("safemig")),
        "SAFEMIG_KERNEL": "safemig",
        "SAFEMIG_PROJECT": str(fleet.folder),
        "SAFEMIG_RUNBOOKS": str(DAG.parent.parent),
    }
    script = tmp_path / "script.py"
    script.write_text(PLAN_AND_DEPLOY)
    done = subprocess.run(
        [str(AIRFLOW), str(script), str(DAG.parent), plan.id],
        env=os.environ | variables, capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("TOLD")).removeprefix("TOLD"))
    assert told["tasks"] == ["approved", "fleets_to_plan", "migrate", "plan"]
    planned, deployed, again = told["runs"]
    assert (planned[0], planned[1]["plan[0]"]) == ("success", "success")
    assert plan.id in done.stdout
    assert (deployed[0], deployed[1]["migrate[0]"]) == ("success", "success")
    assert (again[0], again[1]["migrate[0]"]) == ("success", "success")  # nothing is left to do
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())
    (first, _) = sorted((fleet.folder / "output").iterdir(), key=lambda each: each.stat().st_mtime)
    assert "DEPLOYED" in first.read_text()
