"""What data generation and evaluation take out of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from ops.settings import load_settings
from ops.workspace import make_workspace
from policies.runtime.workspace import GraspWorkspace
from sim2real.grasping.profiles import MotionLimits
from sim2real.grasping.trial import TrialSettings
from sim2real.scene.geometry import SceneGeometry

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_CONFIG = ROOT / "config.yaml"


@dataclass(frozen=True, eq=False)
class GraspingSetup:
    """One cell as the grasping experiments see it.

    Attributes:
        geometry: for building scenes.
        workspace: for policies.
        trial: for simulated grasps.
        models_root: folder of the model directories.
        minimum_score: below it a policy abstains.
    """

    geometry: SceneGeometry
    workspace: GraspWorkspace
    trial: TrialSettings
    models_root: Path
    minimum_score: float


def load_setup(config: Path = DEFAULT_CONFIG) -> GraspingSetup:
    """Read the configuration.

    Raises:
        ConfigError: it cannot be used.
    """
    settings = load_settings(config)
    motion, safety = settings.motion, settings.safety
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
    )
