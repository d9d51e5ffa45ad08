"""Makes policies ready to answer: from model directories on disk to warm objects."""

import math
from pathlib import Path
from typing import Final

import numpy as np

from cell.contracts.errors import Complaint, ModelError, PolicyError
from cell.contracts.geometry import Pose
from cell.contracts.observation import Intrinsics, RgbdFrame
from policies.config import SCRIPTED, PolicyConfig
from policies.manifest import Manifest
from policies.model_directory import VerifiedModel, read_model_directory
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.modality_gate import ModalityGate
from policies.runtime.onnx_session import OnnxSession
from policies.runtime.scripted_policy import ScriptedPolicy
from policies.runtime.wire import Readiness
from policies.runtime.worker import (
    ExcludingPolicy,
    LoadedPolicies,
    make_observation,
)
from policies.runtime.workspace import GraspWorkspace

_FALLBACK_MINIMUM_SCORE = 0.25
_CAMERA_HEIGHT_M: Final = 0.8
_BLOCK_M: Final = 0.04
_PIXELS_PER_CELL: Final = 1.5
# Of the heightmap's width; the rest of the view lies around it.
_VIEW_RATIO: Final = 1.2


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
        live, model = _load_live(
            models_root / config.live, workspace, config.minimum_score
        )
    except ModelError as error:
        _warm_up(fallback, workspace)
        return make_stand_in(error, config.live, fallback)
    _warm_up(fallback, workspace)
    greeting = _greet(live.name, model.manifest.model_sha256, fallback.name)
    # Nothing makes up for lost modalities yet: the gate admits the real thing alone.
    gate = ModalityGate(None, config.compensation_confidence)
    return LoadedPolicies(live, fallback, greeting, gate=gate, digests=model.digests)


def make_stand_in(
    error: ModelError, live: str, fallback: ExcludingPolicy
) -> LoadedPolicies:
    """Return what is served in place of a live model that may not be used.

    Args:
        error: what is wrong with it.
        live: its configured name.
        fallback: the policy that picks now.
    """
    greeting = Readiness(
        ready=False, model="", sha256="", fallback=fallback.name, error=str(error)
    )
    complaint = _complain(error, live, fallback.name)
    return LoadedPolicies(fallback, fallback, greeting, complaint)


def _load_live(
    directory: Path, workspace: GraspWorkspace, minimum_score: float
) -> tuple[HeightmapPolicy, VerifiedModel[Manifest]]:
    """Return a policy that has answered once, and the model that it runs.

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
    return policy, model


def _greet(model: str, sha256: str, fallback: str) -> Readiness:
    return Readiness(
        ready=True, model=model, sha256=sha256, fallback=fallback, error=""
    )


def _complain(error: ModelError, live: str, fallback: str) -> Complaint:
    return Complaint(error.code, f"{error}; {fallback} picks in place of {live}")


def _warm_up(
    policy: ScriptedPolicy | HeightmapPolicy, workspace: GraspWorkspace
) -> None:
    """Answer one made-up view, so that every kernel is compiled.

    Raises:
        PolicyError: the network gave no usable answer.
    """
    policy.propose(make_observation(make_block_frame(workspace)))


def make_block_frame(workspace: GraspWorkspace) -> RgbdFrame:
    """Return a view of a block in the middle of the bin that a policy has to judge.

    It shows every cell of the heightmap: of a view with gaps a policy says so and
    looks no further.
    """
    grid = workspace.grid
    size_px = math.ceil(_VIEW_RATIO * _PIXELS_PER_CELL * grid.size_px)
    focal_px = _PIXELS_PER_CELL * _CAMERA_HEIGHT_M / grid.pixel_m
    centre_px = (size_px - 1) / 2
    depth = np.full((size_px, size_px), _CAMERA_HEIGHT_M, np.float32)
    top_m = _CAMERA_HEIGHT_M - _BLOCK_M
    offsets_m = np.abs(np.arange(size_px) - centre_px) * top_m / focal_px
    is_block = offsets_m <= _BLOCK_M / 2
    depth[np.ix_(is_block, is_block)] = top_m
    bin_from_camera = Pose(
        np.array([0, 0, _CAMERA_HEIGHT_M]), np.array([0.0, 1.0, 0.0, 0.0])
    )
    return RgbdFrame(
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
