"""Process of the virtual cameras: `python -m sim2real.virtual_cell.vcamera`.

Looks at the world through `vc_world_state`, renders each camera at its rate and serves
the frames over TCP. Nothing is rendered for a camera that nobody listens to.
"""

import os
import selectors
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import mujoco
import numpy as np
import structlog

from cell.config import SoftwareCameraConfig
from cell.contracts.units import ns_from_s, s_from_ns
from cell.drivers.camera.frame_feed import encode_greeting, encode_pair
from cell.mailbox.seqlock import Mailbox
from ops.processes.shell import ProcessContext, enter_process, run_entry
from sim2real.scene.build import Scene, recolour_part
from sim2real.virtual_cell.links import WORLD_STATE
from sim2real.virtual_cell.ray_renderer import RayRenderer
from sim2real.virtual_cell.renderer import (
    RendererUnavailableError,
    SceneRenderer,
    open_gl_renderer,
)
from sim2real.virtual_cell.vcamera_optics import VirtualCamera, make_virtual_camera
from sim2real.virtual_cell.vcamera_server import FeedServer
from sim2real.virtual_cell.world_scene import build_world_scene

_LONGEST_WAIT_S: Final = 0.2


class WorldView:
    """The state of the world, copied into a model of our own."""

    def __init__(self, scene: Scene, states: Mailbox) -> None:
        self.scene = scene
        self._states = states
        self._colors = np.full((len(scene.parts), 4), -1.0)
        self._version = 0

    def update(self) -> bool:
        """Take up the newest state; False while there was never one."""
        version = self._states.version()
        if version == self._version:
            return version != 0
        record = self._states.read()
        if record is None:
            return self._version != 0
        self._version = version
        model, data = self.scene.model, self.scene.data
        data.qpos[:] = record["qpos"][: model.nq]
        for index, color in enumerate(record["part_rgba"][: len(self._colors)]):
            if not np.array_equal(color, self._colors[index]):
                self._colors[index] = color
                recolour_part(self.scene, index, color)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        return True


@dataclass
class Exposure:
    """When a camera takes its next pair.

    Attributes:
        camera: which one.
        server: where its pairs go.
        period_ns: time between pairs.
        due_ns: monotonic time of the next one.
        number: of the last pair.
    """

    camera: VirtualCamera
    server: FeedServer
    period_ns: int
    due_ns: int
    number: int = 0

    def count_up(self, now_ns: int) -> int:
        """Move on to the next moment after `now_ns` and return the new pair's number.

        Moments that passed meanwhile are skipped, as a camera skips them.
        """
        skipped = max(0, now_ns - self.due_ns) // self.period_ns
        self.due_ns += (skipped + 1) * self.period_ns
        self.number += 1 + skipped
        return self.number


def run_cameras(context: ProcessContext) -> None:
    """Render and serve until the host asks for an end."""
    log = structlog.get_logger("vcamera")
    scene = build_world_scene(context.settings)
    view = WorldView(
        scene, Mailbox.open(context.runtime / "vc_world_state", WORLD_STATE)
    )
    rng = np.random.default_rng(context.settings.virtual_cell.seed)
    with (
        selectors.DefaultSelector() as selector,
        open_exposures(context.settings.cameras, scene, selector) as exposures,
        open_renderer(scene.model, exposures, log) as renderer,
    ):
        for exposure in exposures:
            exposure.period_ns = round(exposure.period_ns / renderer.rate_ratio)
            # The first picture compiles the noise; nobody shall wait for that.
            exposure.camera.take(renderer, scene.data, 0, 0, rng)
        log.info("virtual cameras serve", ports=[e.server.port for e in exposures])
        while not context.stop.is_set:
            context.beat()
            for exposure in exposures:
                if time.monotonic_ns() >= exposure.due_ns:
                    expose(exposure, view, renderer, rng)
            due_ns = min((e.due_ns for e in exposures), default=2**63)
            left_s = s_from_ns(due_ns - time.monotonic_ns())
            for key, events in selector.select(min(max(left_s, 0.0), _LONGEST_WAIT_S)):
                key.data(events)


def expose(
    exposure: Exposure,
    view: WorldView,
    renderer: SceneRenderer,
    rng: np.random.Generator,
) -> None:
    """Take a pair and publish it, if anyone listens and there is a world to see."""
    now_ns = time.monotonic_ns()
    number = exposure.count_up(now_ns)
    if not exposure.server.has_clients or not view.update():
        return
    pair = exposure.camera.take(renderer, view.scene.data, number, now_ns // 1000, rng)
    exposure.server.publish(encode_pair(pair))


@contextmanager
def open_exposures(
    cameras: Any, scene: Scene, selector: selectors.BaseSelector
) -> Iterator[list[Exposure]]:
    """Listen for every camera that the configuration feeds over TCP.

    Raises:
        PortTakenError: a port cannot be had.
    """
    mounts = {"overhead": scene.geometry.overhead, "wrist": scene.geometry.wrist}
    exposures: list[Exposure] = []
    start_ns = time.monotonic_ns()
    try:
        for name, config in cameras.items():
            mount = mounts.get(name)
            if not isinstance(config, SoftwareCameraConfig) or mount is None:
                continue
            camera = make_virtual_camera(name, scene.cameras[name], mount)
            # A virtual camera is the one that the virtual cell's configuration names.
            said = camera.make_greeting(config.rate_hz, config.serial)
            greeting = encode_greeting(said)
            server = FeedServer(selector, config.host, config.port, greeting)
            period_ns = ns_from_s(1.0 / config.rate_hz)
            # Cameras take turns, so that none waits for another's picture.
            due_ns = start_ns + len(exposures) * period_ns // 2
            exposures.append(Exposure(camera, server, period_ns, due_ns))
        yield exposures
    finally:
        for exposure in exposures:
            exposure.server.close()


@contextmanager
def open_renderer(
    model: mujoco.MjModel, exposures: list[Exposure], log: Any
) -> Iterator[SceneRenderer]:
    """Open the best renderer that this machine has, and say which."""
    lenses = [
        lens
        for exposure in exposures
        for lens in (exposure.camera.imagers.color, exposure.camera.imagers.depth)
    ]
    width_px = max((lens.width_px for lens in lenses), default=16)
    height_px = max((lens.height_px for lens in lenses), default=16)
    try:
        opened = open_gl_renderer(model, width_px, height_px)
        with opened as renderer:
            log.info("virtual cameras render", by="OpenGL")
            yield renderer
    except RendererUnavailableError as error:
        sys.stderr.write(
            "virtual cell: no OpenGL library here (Debian: apt install libegl1); "
            "the cameras cast rays instead, with coarser pictures\n"
        )
        log.warning("virtual cameras render", by="rays", reason=str(error))
        yield RayRenderer(model)


def main() -> None:
    """Run the process until the host asks for an end."""
    # The software rasteriser otherwise takes a thread for every core.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    run_cameras(enter_process("vcamera"))


if __name__ == "__main__":
    sys.exit(run_entry("vcamera", main))
