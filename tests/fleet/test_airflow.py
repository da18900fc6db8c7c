"""The DAG for Airflow: what it asks of the runbook is there; a real Airflow parses it.

The real Airflow is found by SAFEMIG_AIRFLOW, the python of an environment of its own with apache-airflow and
apache-airflow-providers-papermill (`pip install`): it is too large, and too strict about versions, for ours.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path

import nbformat
import pytest

from safemig.records.papermill_io import runbooks_folder

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
