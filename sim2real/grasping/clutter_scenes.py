"""Seeded clutter with its noisy overhead view: one item of data or evaluation."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cell.contracts.observation import Observation
from policies.runtime.worker import make_observation
from sim2real.grasping.overhead_view import OverheadCamera
from sim2real.grasping.setup import GraspingSetup
from sim2real.grasping.trial import FingerPostures, GraspTrial
from sim2real.scene.build import Scene, build_scene
from sim2real.scene.clutter import count_in_bin, drop_parts, settle
from sim2real.scene.parts import sample_parts

SETTLE_S = 2.0
_DROP_TRIES = 5


@dataclass(frozen=True, eq=False)
class ClutterScene:
    """One settled bin.

    Attributes:
        observation: what the overhead camera shows, noise included.
        trial: runs grasps in it.
        parts: how many parts lie in the bin.
        scene: the simulated cell, for those who disturb it.
    """

    observation: Observation
    trial: GraspTrial
    parts: int
    scene: Scene


class ClutterSource:
    """Makes clutter scenes; the same seed words give the same scene.

    A context manager: it keeps the camera's renderer open.
    """

    def __init__(self, setup: GraspingSetup, apertures_m: tuple[float, ...]) -> None:
        self._setup = setup
        self._apertures_m = apertures_m
        self._postures: FingerPostures | None = None
        self._camera = OverheadCamera()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._camera.__exit__(*details)

    def make(
        self, seed_words: tuple[int, ...], parts_min: int, parts_max: int
    ) -> ClutterScene:
        """Drop a random number of random parts, let them settle, and look."""
        rng = np.random.default_rng(np.random.SeedSequence(seed_words))
        count = int(rng.integers(parts_min, parts_max + 1))
        scene = build_scene(sample_parts(count, rng), self._setup.geometry)
        if self._postures is None:
            self._postures = FingerPostures(scene, self._apertures_m)
        for _ in range(_DROP_TRIES):
            drop_parts(scene, rng, count)
            settle(scene, SETTLE_S)
            # A part that bounced out of the bin would make another scene than asked.
            if count_in_bin(scene) == count:
                break
        observation = make_observation(self._camera.look(scene, rng))
        trial = GraspTrial(scene, self._setup.trial, self._postures)
        return ClutterScene(observation, trial, count_in_bin(scene), scene)
