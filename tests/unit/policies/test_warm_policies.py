"""Loaded policies have compiled all that a question needs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.grasp_models import copy_without_novelty
from tests.running_cell import ROOT

# In an interpreter of its own, for any test before may have compiled a kernel.
CHILD = """
import gc, json, sys
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from cell.mailbox.frames import FrameRing
from policies.config import PolicyConfig
from policies.runtime.loading import load_policies
from policies.runtime.worker import make_observation
from tests.fakes.grasp_models import make_frame, make_workspace


def list_compiled():
    return {
        f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}": [
            str(signature) for signature in kernel.signatures
        ]
        for kernel in gc.get_objects()
        if isinstance(kernel, Dispatcher)
        and kernel.py_func.__module__.startswith("policies")
    }


config = PolicyConfig(live=sys.argv[2])
policies = load_policies(config, Path(sys.argv[1]), make_workspace(96, 0.004))
before = list_compiled()
ring = FrameRing.open(Path(sys.argv[3]), 240, 320)
ring.write(make_frame([(0.03, 0.0, 0.05, 0.05, 0.05), (-0.06, 0.02, 0.04, 0.06, 0.03)]))
observation = make_observation(ring.read_newest())
answers = [
    type(policy.propose_except(observation, excluded)).__name__
    for policy in (policies.live, policies.fallback)
    for excluded in ((), ((0.3, 0.3),))
]
after = list_compiled()
late = [name for name in after if after[name] != before.get(name)]
print(json.dumps({"answers": answers, "late": late, "kernels": len(after)}))
"""


@pytest.mark.parametrize("judges_novelty", [False, True])
def test_the_first_question_compiles_nothing(
    tmp_path: Path, judges_novelty: bool
) -> None:
    shipped = ROOT / "policies" / "models" / "heightmap"
    copy = shutil.copytree if judges_novelty else copy_without_novelty
    copy(shipped, tmp_path / "model")
    ring = str(tmp_path / "ring")
    command = [sys.executable, "-c", CHILD, str(tmp_path), "model", ring]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    seen = json.loads(result.stdout)
    # Two blocks without any noise are like nothing in training.
    live = "Abstain" if judges_novelty else "ActionChunk"
    assert seen["answers"] == [live, live, "ActionChunk", "ActionChunk"]
    assert seen["kernels"] > 5
    assert seen["late"] == []
