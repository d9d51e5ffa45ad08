"""A bin as the running cell sees it: filled, picked down part by part, filled up again.

The feeder is the virtual cell's own, and so are the order in which proposals are tried
and the places where parts go. What nobody gets hold of stays in the bin, as it does in
the cell: the views of a bin that has been picked at differ from those of a fresh one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import mujoco
import numpy as np

from cell.contracts.geometry import Pose, Vector
from cell.contracts.observation import Abstain, ActionChunk, Observation
from cell.supervisor.grasp_plan import PickPlan, Spot, candidates_of, spot_of
from policies.runtime.worker import make_observation
from sim2real.grasping.overhead_view import OverheadCamera
from sim2real.grasping.setup import GraspingSetup
from sim2real.grasping.trial import FingerPostures, GraspTrial
from sim2real.scene.build import TIMESTEP_S, Scene, build_scene, park_part
from sim2real.scene.gripper import MAX_APERTURE_M, compute_control
from sim2real.scene.parts import sample_parts
from sim2real.virtual_cell.links import MAX_PARTS, PartZone
from sim2real.virtual_cell.part_flow import LineOrder, PartFlow

Point = tuple[float, float]
Ask = Callable[[Observation, list[Point]], ActionChunk | Abstain]
"""A policy: a view and the spots to stay away from in, its answer out."""

_REST_S: Final = 1.0
"""From one grasp to the next look, in which parts that were touched come to rest."""

_REFILL_S: Final = 1.0
_SETTLE_S: Final = 1.5
"""The line says that the bin is there 1.2 s after a refill; the cell waits 0.3 s."""

_EXTRA_PARTS: Final = 3
"""A bin that is full and still exhausted gets some more."""


@dataclass(frozen=True, eq=False)
class BinView:
    """One look into the bin, and what the cell would do about it.

    Attributes:
        observation: what the overhead camera shows, noise included.
        answer: of the policy.
        plan: the grasp that the cell carries out, with the others beside it.
        trial: runs grasps from here.
        parts: how many lie in the bin.
    """

    observation: Observation
    answer: ActionChunk
    plan: PickPlan
    trial: GraspTrial
    parts: int


@dataclass
class Choice:
    """The cell's way from an answer to a grasp; remembers failures as the cell does.

    Attributes:
        setup: of the cell.
        failed: where grasps failed since the last success.
    """

    setup: GraspingSetup
    failed: list[Spot] = field(default_factory=list)

    def list_exhausted(self) -> list[Point]:
        """Return the spots that were tried often enough."""
        return [(one.x_m, one.y_m) for one in self.failed if self._is_exhausted(one)]

    def choose(self, answer: ActionChunk) -> PickPlan | None:
        """Return the first way that is in reach; None where there is none."""
        home_q = np.array(self.setup.geometry.home_q_rad)
        for candidate in candidates_of(answer, self.failed):
            if self._is_exhausted(spot_of(candidate)):
                continue
            plan = self.setup.planner.plan_pick(candidate, home_q)
            if plan is not None:
                ways = (answer, *answer.alternatives)
                others = tuple(way for way in ways if way is not candidate)
                return replace(plan, others=others)
        return None

    def _is_exhausted(self, spot: Spot) -> bool:
        return sum(spot.is_same(one) for one in self.failed) >= self.setup.tries[0]


class BinLife:
    """One pool of parts, and a bin that is fed from it.

    Attributes:
        scene: the simulated cell.
        choice: what the cell remembers of failures.
    """

    def __init__(
        self,
        setup: GraspingSetup,
        camera: OverheadCamera,
        postures: Callable[[Scene], FingerPostures],
        rng: np.random.Generator,
    ) -> None:
        """Draw the parts and fill the bin.

        Args:
            setup: of the cell.
            camera: takes the pictures.
            postures: of the fingers, at least that of open ones.
            rng: of parts, feeder and camera noise.
        """
        self.scene = build_scene(sample_parts(MAX_PARTS, rng), setup.geometry)
        self.choice = Choice(setup)
        self._setup, self._camera, self._rng = setup, camera, rng
        self._postures = postures(self.scene)
        self._flow = PartFlow(self.scene, rng)
        self._flow.fill(setup.supply.full)
        self._ticks = self._orders = self._placed = 0
        self._order = LineOrder(0, setup.supply.full, 0)
        self._flow.step(self._ticks, self._order, -1)

    def look(self, ask: Ask, looks: int) -> Iterator[BinView]:
        """Yield views from which a grasp is to be made, refills in between.

        Whoever takes a view carries its plan out and tells `note_end` of it.

        Args:
            ask: the policy.
            looks: how many views at most; a bin without any grasp counts as one.
        """
        for _ in range(looks):
            if self._flow.count(PartZone.BIN) < self._setup.supply.refill_below:
                self._refill()
            picture = make_observation(self._camera.look(self.scene, self._rng))
            answer = ask(picture, self.choice.list_exhausted())
            plan = None if isinstance(answer, Abstain) else self.choice.choose(answer)
            if isinstance(answer, Abstain) or plan is None:
                self._refill()
                continue
            trial = GraspTrial(
                self.scene, self._setup.trial, self._postures, self.find_place
            )
            parts = self._flow.count(PartZone.BIN)
            yield BinView(picture, answer, plan, trial, parts)

    def find_place(self, q_lifted: Vector, base_from_grasp: Pose) -> Vector | None:
        """Return where the arm goes with a part, as the supervisor plans it."""
        bin_from_base = self.scene.geometry.bin_from_base
        height_m = float(bin_from_base.apply(base_from_grasp.position_m)[2])
        plan = self._setup.planner.plan_place(q_lifted, height_m, self._placed)
        return None if plan is None else plan.q_above

    def note_end(self, view: BinView, *, is_placed: bool) -> None:
        """Take the part out, or leave it where it fell, and go out of the view."""
        if is_placed:
            self._placed += 1
            self.choice.failed.clear()
            for index in view.trial.list_lifted():
                park_part(self.scene, index)
        else:
            self.choice.failed.append(spot_of(view.plan.chunk))
        self._go_home()
        self._wait(_REST_S)
        if len(self.choice.failed) >= self._setup.tries[1]:
            # Here a person looks into the bin.
            self._refill()

    def _refill(self) -> None:
        self.choice.failed.clear()
        supply, present = self._setup.supply, self._flow.count(PartZone.BIN)
        self._orders += 1
        wanted = min(max(supply.full, present + _EXTRA_PARTS), MAX_PARTS)
        self._order = LineOrder(self._orders, wanted, 0)
        self._wait(_REFILL_S + _SETTLE_S)

    def _wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TIMESTEP_S)):
            self._flow.step(self._ticks, self._order, -1)
            mujoco.mj_step(self.scene.model, self.scene.data)
            self._ticks += 1

    def _go_home(self) -> None:
        """Put the arm at home with open fingers: its way there touches nothing."""
        arm, data = self.scene.arm, self.scene.data
        if arm is None:
            raise ValueError("a bin is picked in a scene with an arm")
        home_q = self.scene.geometry.home_q_rad
        data.qpos[arm.qpos] = home_q
        data.qvel[arm.qvel] = 0.0
        data.ctrl[arm.actuators] = home_q
        self._postures.apply(data, MAX_APERTURE_M)
        data.ctrl[arm.gripper_actuator] = compute_control(MAX_APERTURE_M)
        mujoco.mj_forward(self.scene.model, data)
