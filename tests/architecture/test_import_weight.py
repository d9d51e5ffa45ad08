"""What the product's entry points pull in, in a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "mujoco", "botorch", "onnx", "onnxscript", "matplotlib")
PRODUCT = (
    "ops.cli",
    "ops.settings",
    "ops.wiring",
    "ops.processes.servo",
    "ops.processes.camera",
    "ops.processes.policy",
    "ops.processes.guardian",
    "ops.processes.supervisor",
)
SCRIPT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def read_imports(module: str, repository: Path) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, module],
        cwd=repository,
        env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(result.stdout))


@pytest.mark.parametrize("module", PRODUCT)
def test_the_product_imports_nothing_of_the_training_stack(
    module: str, repository: Path
) -> None:
    if not (repository / f"{module.replace('.', '/')}.py").exists():
        pytest.fail(f"{module} is gone: change the list of entry points")

    assert not read_imports(module, repository).intersection(HEAVY)


def test_the_command_line_answers_without_device_libraries(repository: Path) -> None:
    imported = read_imports("ops.cli", repository)

    assert not imported.intersection(
        {"numba", "onnxruntime", "pymodbus", "pyrealsense2", "rtde_control", "numpy"}
    )


def test_the_supervisor_runs_no_networks_itself(repository: Path) -> None:
    imported = read_imports("ops.processes.supervisor", repository)

    assert "onnxruntime" not in imported
