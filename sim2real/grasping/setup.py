"""What data generation and evaluation take out of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from cell.supervisor.grasp_plan import Planner
from ops.settings import load_settings
from ops.wiring import make_layout
from ops.workspace import make_workspace
from policies.runtime.workspace import GraspWorkspace
from sim2real.grasping.profiles import MotionLimits
from sim2real.grasping.trial import TrialSettings
from sim2real.scene.geometry import SceneGeometry

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_CONFIG = ROOT / "config.yaml"


@dataclass(frozen=True)
class BinSupply:
    """How the line keeps the bin filled.

    Attributes:
        full: parts after a refill.
        refill_below: fewer parts than this are filled up.
    """

    full: int
    refill_below: int


@dataclass(frozen=True, eq=False)
class GraspingSetup:
    """One cell as the grasping experiments see it.

    Attributes:
        geometry: for building scenes.
        workspace: for policies.
        trial: for simulated grasps.
        models_root: folder of the model directories.
        minimum_score: below it a policy abstains.
        planner: the supervisor's own, for where the arm goes.
        supply: how the bin is kept filled.
        tries: at one spot before it is left alone, and failures in a row at all.
    """

    geometry: SceneGeometry
    workspace: GraspWorkspace
    trial: TrialSettings
    models_root: Path
    minimum_score: float
    planner: Planner
    supply: BinSupply
    tries: tuple[int, int]


def load_setup(config: Path = DEFAULT_CONFIG) -> GraspingSetup:
    """Read the configuration.

    Raises:
        ConfigError: it cannot be used.
    """
    settings = load_settings(config)
    motion, safety = settings.motion, settings.safety
    cell = settings.virtual_cell
    return GraspingSetup(
        geometry=SceneGeometry.from_settings(settings),
        workspace=make_workspace(settings),
        trial=TrialSettings(
            linear=MotionLimits(
                motion.linear_speed_mps,
                motion.linear_acceleration_mps2,
                motion.linear_jerk_mps3,
            ),
            transfer=MotionLimits(
                motion.joint_speed_radps * motion.loaded_speed_ratio,
                motion.joint_acceleration_radps2,
                motion.joint_jerk_radps3,
            ),
            retreat_height_m=motion.retreat_height_m,
            force_ratio=settings.gripper.force_ratio,
            joint_min_rad=tuple(safety.joint_min_rad),
            joint_max_rad=tuple(safety.joint_max_rad),
        ),
        models_root=ROOT / settings.policy.directory,
        minimum_score=settings.policy.minimum_score,
        planner=Planner(make_layout(settings)),
        supply=BinSupply(cell.parts_in_bin, cell.refill_below),
        tries=(
            settings.supervisor.max_tries_per_part,
            settings.supervisor.max_failures_in_row,
        ),
    )
