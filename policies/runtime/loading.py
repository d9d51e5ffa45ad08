"""Makes policies ready to answer: from model directories on disk to warm objects."""

from pathlib import Path

import numpy as np

from cell.contracts.errors import Complaint, ModelError, PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from policies.config import SCRIPTED, PolicyConfig
from policies.model_directory import read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from policies.runtime.scripted_policy import ScriptedPolicy
from policies.runtime.wire import Readiness
from policies.runtime.worker import LoadedPolicies, make_observation
from policies.runtime.workspace import GraspWorkspace

_FALLBACK_MINIMUM_SCORE = 0.25


def load_heightmap_policy(
    directory: Path, workspace: GraspWorkspace, minimum_score: float
) -> HeightmapPolicy:
    """Verify, load and warm up one heightmap model.

    Raises:
        ModelError: the directory holds no usable model for this cell.
    """
    return _load_live(directory, workspace, minimum_score)[0]


def make_fallback(workspace: GraspWorkspace) -> ScriptedPolicy:
    """Return the fallback policy as the worker runs it."""
    return ScriptedPolicy(workspace, _FALLBACK_MINIMUM_SCORE)


def load_policies(
    config: PolicyConfig, models_root: Path, workspace: GraspWorkspace
) -> LoadedPolicies:
    """Load what the configuration names; the fallback stands in for a broken model.

    A damaged file must not end a production that can go on; the complaint tells why
    another policy picks.

    Args:
        config: names and bounds.
        models_root: folder that holds one folder for each model.
        workspace: bin, tool and grid.
    """
    fallback = make_fallback(workspace)
    if config.live == SCRIPTED:
        _warm_up(fallback, workspace)
        greeting = _greet(fallback.name, "", fallback.name)
        return LoadedPolicies(fallback, fallback, greeting)
    try:
        live, sha256 = _load_live(
            models_root / config.live, workspace, config.minimum_score
        )
    except ModelError as error:
        _warm_up(fallback, workspace)
        greeting = Readiness(
            ready=False, model="", sha256="", fallback=fallback.name, error=str(error)
        )
        return LoadedPolicies(
            fallback, fallback, greeting, _complain(error, config.live, fallback.name)
        )
    _warm_up(fallback, workspace)
    greeting = _greet(live.name, sha256, fallback.name)
    return LoadedPolicies(live, fallback, greeting)


def _load_live(
    directory: Path, workspace: GraspWorkspace, minimum_score: float
) -> tuple[HeightmapPolicy, str]:
    """Return a model that has answered once, and the digest of its file.

    Raises:
        ModelError: the directory holds no usable model for this cell.
    """
    model = read_model_directory(directory)
    policy = HeightmapPolicy(
        model.manifest, OnnxSession(model), workspace, minimum_score
    )
    try:
        _warm_up(policy, workspace)
    except PolicyError as error:
        raise ModelError(
            f"{directory}: the model does not answer ({error}); export it again"
        ) from error
    return policy, model.manifest.model_sha256


def _greet(model: str, sha256: str, fallback: str) -> Readiness:
    return Readiness(
        ready=True, model=model, sha256=sha256, fallback=fallback, error=""
    )


def _complain(error: ModelError, live: str, fallback: str) -> Complaint:
    return Complaint(error.code, f"{error}; {fallback} picks in place of {live}")


def _warm_up(
    policy: ScriptedPolicy | HeightmapPolicy, workspace: GraspWorkspace
) -> None:
    """Answer one made-up view of a box, so that every kernel is compiled."""
    grid, distance_m = workspace.grid, 0.8
    # Two pixels to a cell: a view with unseen cells is refused before the search.
    size_px, focal_px = 2 * grid.size_px, 2 * distance_m / grid.pixel_m
    depth = np.full((size_px, size_px), distance_m, np.float32)
    half_box_px = round(focal_px * 0.025 / distance_m)
    box = slice(grid.size_px - half_box_px, grid.size_px + half_box_px)
    depth[box, box] -= 0.04
    centre_px = (size_px - 1) / 2
    bin_from_camera = Pose(np.array([0, 0, distance_m]), np.array([0.0, 1.0, 0.0, 0.0]))
    frame = RgbdFrame(
        camera="overhead",
        stamp_ns=0,
        number=0,
        rgb=np.zeros((size_px, size_px, 3), np.uint8),
        depth_m=depth,
        intrinsics=Intrinsics(
            size_px, size_px, focal_px, focal_px, centre_px, centre_px
        ),
        base_from_camera=workspace.base_from_bin @ bin_from_camera,
    )
    policy.propose(make_observation(frame))
