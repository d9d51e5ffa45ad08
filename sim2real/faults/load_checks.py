"""Rows about what is loaded or configured, tried on the real loaders."""

import gc
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cell.contracts.errors import ConfigError, PolicyError
from cell.contracts.observation import ActionChunk
from cell.contracts.runtime import TensorSession
from cell.servo.realtime import freeze_garbage_collector
from cell.supervisor.causes import Cause
from ops.settings import Settings, compute_model_root, parse_settings
from ops.workspace import make_workspace
from policies.config import PolicyConfig
from policies.manifest import MANIFEST_NAME
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.loading import (
    load_policies,
    make_block_frame,
    make_fallback,
)
from policies.runtime.onnx_session import OnnxSession
from policies.runtime.worker import ExcludingPolicy, make_observation
from sim2real.faults.guard_checks import Check, judge, not_finite
from sim2real.faults.judgement import Judgement, find_weakest
from sim2real.faults.rows import Rung
from sim2real.faults.table_rungs import read_complaint_rung, read_rung

LIVE_MODEL: Final = "heightmap"
_HOLE_M: Final = 0.06
_HEAP: Final = 2_000_000

Change = Callable[[dict[str, Any]], None]


class NanSession:
    """A network of which one answer is no number."""

    def __init__(self, session: TensorSession, *, is_broken: bool) -> None:
        self._session = session
        self._is_broken = is_broken

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the true network, then spoil one value."""
        answers = {k: v.copy() for k, v in self._session.run(inputs).items()}
        if self._is_broken:
            next(iter(answers.values())).reshape(-1)[-1] = np.nan
        return answers


def nan_answer(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F40: one NaN from the network, and one at the guard's door."""
    model = read_model_directory(compute_model_root(settings) / LIVE_MODEL)
    workspace = make_workspace(settings)
    session = NanSession(OnnxSession(model), is_broken=with_fault)
    policy = HeightmapPolicy(model.manifest, session, workspace, 0.0)
    observation = make_observation(make_block_frame(workspace))
    missed = [not_finite(settings, with_fault)]
    try:
        policy.propose(observation)
    except PolicyError as error:
        said = str(error)
    else:
        said = ""
        missed.append("the answer was used")
    fallback = make_fallback(workspace).propose(observation)
    if not isinstance(fallback, ActionChunk):
        missed.append("the fallback policy has no answer either")
    return judge(f"refused ({said}); the fallback answers", *missed)


@contextmanager
def copied_model(settings: Settings) -> Iterator[Path]:
    """Lend a copy of the shipped model, to be spoilt."""
    source = compute_model_root(settings) / LIVE_MODEL
    with tempfile.TemporaryDirectory(prefix="cellward-model-") as root:
        directory = Path(root) / LIVE_MODEL
        directory.mkdir()
        for path in source.iterdir():
            (directory / path.name).write_bytes(path.read_bytes())
        yield directory


@dataclass(frozen=True)
class Loading:
    """What came of loading a spoilt model.

    Attributes:
        missed: what should have been; empty when all was.
        rung: of the complaint by the table of causes, None without one.
    """

    missed: str
    rung: Rung | None


def load_spoilt(settings: Settings, directory: Path) -> Loading:
    """Load a model that has to be refused, with the fallback in its place."""
    config = PolicyConfig(live=LIVE_MODEL)
    policies = load_policies(config, directory.parent, make_workspace(settings))
    rung = read_complaint_rung(policies.complaint)
    if policies.complaint is None:
        return Loading("the model was taken", rung)
    if policies.live is not policies.fallback:
        return Loading("the fallback does not stand in", rung)
    return Loading("", rung)


def judge_loadings(reaction: str, loadings: Sequence[Loading]) -> Judgement:
    """Put a judgement together from models that all had to be refused."""
    return judge(
        reaction,
        *(loading.missed for loading in loadings),
        table_rung=find_weakest([loading.rung for loading in loadings]),
    )


def _rename(role: str, key: str, value: Any) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        manifest[role][0][key] = value

    return change


_SPOILT: Final[tuple[Change, ...]] = (
    _rename("inputs", "name", "depth"),
    _rename("inputs", "shape", [1, 1, 8, 8]),
    _rename("inputs", "dtype", "float64"),
    _rename("outputs", "name", "probability"),
    _rename("outputs", "shape", [1, 1, 1, 1]),
)


def wrong_model(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F42: five models whose tensors are not what the manifest says."""
    loadings = []
    for change in _SPOILT if with_fault else _SPOILT[:1]:
        with copied_model(settings) as directory:
            path = directory / MANIFEST_NAME
            manifest = json.loads(path.read_text("utf-8"))
            if with_fault:
                change(manifest)
            path.write_text(json.dumps(manifest), "utf-8")
            loadings.append(load_spoilt(settings, directory))
    return judge_loadings("all refused, the fallback picks", loadings)


def depth_hole(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F39: no depth where the only part lies, asked of both policies."""
    workspace = make_workspace(settings)
    model = read_model_directory(compute_model_root(settings) / LIVE_MODEL)
    # A made-up view is unlike the training inputs; here the network itself is asked.
    manifest = model.manifest.model_copy(update={"novelty": None})
    learned = HeightmapPolicy(
        manifest, OnnxSession(model), workspace, settings.policy.minimum_score
    )
    centre_m = workspace.base_from_bin.position_m
    missed: list[str] = []
    rungs: list[Rung | None] = []
    nothings = (0.0, np.nan, np.inf) if with_fault else (0.0,)
    both: tuple[ExcludingPolicy, ...] = (learned, make_fallback(workspace))
    for policy, nothing in itertools.product(both, nothings):
        frame = make_block_frame(workspace)
        if with_fault:
            frame.depth_m[frame.depth_m < np.max(frame.depth_m)] = nothing
        answer = policy.propose_except(make_observation(frame), ())
        if not isinstance(answer, ActionChunk):
            cause = Cause.CAMERA_BLIND if answer.is_blind else Cause.STARVED
            rungs.append(read_rung(cause))
            continue
        rungs.append(None)
        place_m = answer.steps[-1].base_from_tcp.position_m
        if not float(np.linalg.norm((place_m - centre_m)[:2])) > _HOLE_M:
            missed.append(
                f"with {nothing} for depth {policy.name} proposes a grasp in the hole"
            )
    return judge(
        "neither policy proposes a grasp in the hole",
        *missed,
        table_rung=find_weakest(rungs),
    )


def _set(section: str, key: str, value: Any) -> Change:
    def change(tree: dict[str, Any]) -> None:
        tree[section][key] = value

    return change


_WIDENED: Final[dict[str, Change]] = {
    "safety.joint_min_rad": _set("safety", "joint_min_rad", [6.0] * 6),
    "safety.joint_speed_radps": _set("safety", "joint_speed_radps", [4.0] * 6),
    "safety.tcp_speed_mps": _set("safety", "tcp_speed_mps", 9.0),
    "safety.workspace_min_m": _set("safety", "workspace_min_m", [0.6, 0.9, 0.8]),
    "safety.freshness_s": _set("safety", "freshness_s", 2.0),
    "joint_acceleration_radps2": _set(
        "safety", "joint_acceleration_radps2", [float("nan")] * 6
    ),
}


def wide_limits(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F60: limits that are inverted, too wide or no number."""
    missed = []
    for key, change in _WIDENED.items():
        tree = settings.model_dump(mode="json", exclude_none=True)
        if with_fault:
            change(tree)
        try:
            parse_settings(json.dumps(tree).encode(), "faults")
        except ConfigError as error:
            if key.rpartition(".")[2] not in str(error):
                missed.append(f"{key} was not named: {error}")
        else:
            missed.append(f"{key} was taken")
    return judge("refused, the key named", *missed)


def large_heap(_settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F65: a heap that the collector would stop the loop for."""
    heap: list[list[int]] = [[] for _ in range(_HEAP if with_fault else 0)]
    try:
        freeze_garbage_collector()
        started_ns = time.perf_counter_ns()
        gc.collect()
        pause_ms = (time.perf_counter_ns() - started_ns) / 1e6
    finally:
        gc.unfreeze()
        gc.enable()
    missed = [] if len(heap) == _HEAP else ["there is no such heap"]
    return judge("frozen before the loop", *missed, reaction_ms=pause_ms)


LOAD_CHECKS: Final[dict[str, Check]] = {
    "F39": depth_hole,
    "F42": wrong_model,
    "F60": wide_limits,
    "F65": large_heap,
}
"""By row."""
