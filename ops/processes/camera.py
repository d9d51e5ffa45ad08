"""Entry of the camera process: `python -m ops.processes.camera`.

Owns every call into the camera SDK. One thread for each camera opens it, reads frames
and writes them to the camera's ring; a camera that fails, or whose ring finds no room,
is opened anew after a pause.
The process stops beating when a thread hangs inside the SDK, so that the host ends the
process and starts it again: nothing less helps then.
"""

import contextvars
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from cell.config import CameraConfig, RealsenseCameraConfig, ReplayCameraConfig
from cell.contracts.errors import CellError, Complaint, DriverError, StorageError
from cell.contracts.geometry import Pose
from cell.contracts.servo import ServoPhase, ServoState
from cell.contracts.units import s_from_ns
from cell.drivers.camera.opening import open_camera
from cell.drivers.camera.realsense import PoseSource
from cell.mailbox.complaint import ComplaintBox, name_camera_source
from cell.mailbox.frames import FrameRing, frame_ring_path
from cell.mailbox.servo_link import ServoLink
from ops.logging import ChangeLog
from ops.processes.shell import ProcessContext, enter_process, run_entry

_FRAME_TIMEOUT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.1
_LAST_PAUSE_S: Final = 1.0
_BEAT_PERIOD_S: Final = 0.2
# Longer than any call takes by design; opening USB hardware is the slowest.
_HANG_S: Final = 6.0
_JOIN_S: Final = 2.0
_MAX_POSE_AGE_S: Final = 0.25
_LINKED_PHASES: Final = (ServoPhase.READY, ServoPhase.MOVING, ServoPhase.FAULT)

UNKNOWN_POSE: Final = Pose(np.full(3, np.nan), np.full(4, np.nan))
"""Stands for `base_from_camera` of a camera on an arm whose pose is not known."""


class CameraLoop:
    """Keeps one camera open and its ring filled, in its own thread."""

    def __init__(
        self, name: str, config: CameraConfig, runtime: Path, pose: PoseSource
    ) -> None:
        self.failure: CellError | None = None
        self._name = name
        self._config = config
        self._ring_path = frame_ring_path(runtime, name)
        self._pose = pose
        self._complaints = ComplaintBox(runtime, name_camera_source(name))
        self._stop = threading.Event()
        self._changes = ChangeLog(structlog.get_logger("camera"))
        self._progress_ns = time.monotonic_ns()
        # A thread that hangs inside the SDK must not keep the process alive. The
        # context holds what every log line of this process carries.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=name, daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to end; it does after its present read."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread, at most that long."""
        self._thread.join(timeout_s)

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def silence_s(self, now_ns: int) -> float:
        """Return the time since the thread last came round [s]."""
        return s_from_ns(now_ns - self._progress_ns)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._stop.is_set():
                self._progress_ns = time.monotonic_ns()
                frames = self._stream()
                pause_s = _FIRST_PAUSE_S if frames else min(2 * pause_s, _LAST_PAUSE_S)
                self._stop.wait(pause_s)
        except CellError as error:
            self._complain(error)
            self.failure = error

    def _stream(self) -> int:
        """Open the camera and pass frames on until it fails; return how many."""
        frames = 0
        try:
            with open_camera(self._name, self._config, self._pose) as camera:
                ring: FrameRing | None = None
                try:
                    while not self._stop.is_set():
                        self._progress_ns = time.monotonic_ns()
                        frame = camera.read_frame(_FRAME_TIMEOUT_S)
                        if ring is None:
                            ring = FrameRing.open(self._ring_path, *frame.depth_m.shape)
                        # Numbers go on rising when the camera is opened anew.
                        ring.write(replace(frame, number=ring.count() + 1))
                        frames += 1
                        self._note("", "camera streams")
                        self._complaints.write(None)
                finally:
                    if ring is not None:
                        ring.close()
        except (DriverError, StorageError) as error:
            # Another program may fill the memory hours after the start, and empty it.
            self._note(
                str(error), "camera fails", error=str(error), code=error.code.name
            )
            self._complain(error)
        return frames

    def _complain(self, error: CellError) -> None:
        source, text = name_source(self._config), str(error)
        # Where there is no room for frames, no camera is to be looked for.
        if source not in text and not isinstance(error, StorageError):
            text = f"{text} ({source})"
        self._complaints.write(Complaint(error.code, text))

    def _note(self, state: str, event: str, **fields: str) -> None:
        self._changes.note(self._name, state, event, camera=self._name, **fields)


def name_source(config: CameraConfig) -> str:
    """Return where a camera's frames come from, for a person who goes there."""
    if isinstance(config, RealsenseCameraConfig):
        return f"serial number {config.serial}"
    if isinstance(config, ReplayCameraConfig):
        return config.directory
    return f"{config.host}:{config.port}"


def make_pose_source(
    config: CameraConfig,
    flange_from_tcp: Pose,
    read_servo: Callable[[], ServoState | None],
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> PoseSource:
    """Return what tells where a camera is.

    A camera on the arm moves between exposure and the newest servo state, so its pose
    is exact only while the arm rests.

    Args:
        config: section of the camera.
        flange_from_tcp: tool that the servo process reports poses of.
        read_servo: newest state of the servo process.
        now_ns: monotonic clock.
    """
    if config.base_from_camera is not None:
        fixed = config.base_from_camera.pose()
        return lambda: fixed
    if config.flange_from_camera is None:
        return lambda: UNKNOWN_POSE
    tcp_from_camera = flange_from_tcp.inverse() @ config.flange_from_camera.pose()

    def compute_pose() -> Pose:
        state = read_servo()
        if state is None or state.phase not in _LINKED_PHASES:
            return UNKNOWN_POSE
        if s_from_ns(now_ns() - state.stamp_ns) > _MAX_POSE_AGE_S:
            return UNKNOWN_POSE
        return state.base_from_tcp @ tcp_from_camera

    return compute_pose


def run_cameras(context: ProcessContext) -> None:
    """Stream all configured cameras until the host asks for an end.

    Raises:
        CellError: a camera's thread met an error that opening it anew cannot mend.
    """
    flange_from_tcp = context.settings.arm.flange_from_tcp.pose()
    loops = [
        CameraLoop(
            name,
            config,
            context.runtime,
            make_pose_source(
                config, flange_from_tcp, ServoLink.open(context.runtime).read_state
            ),
        )
        for name, config in context.settings.cameras.items()
    ]
    for loop in loops:
        loop.start()
    idle = threading.Event()
    try:
        while not context.stop.is_set:
            _check_threads(loops)
            now_ns = time.monotonic_ns()
            if all(loop.silence_s(now_ns) < _HANG_S for loop in loops):
                context.beat()
            idle.wait(_BEAT_PERIOD_S)
    finally:
        for loop in loops:
            loop.request_stop()
        for loop in loops:
            loop.join(_JOIN_S)


def _check_threads(loops: list[CameraLoop]) -> None:
    for loop in loops:
        if loop.failure is not None:
            raise loop.failure
        if not loop.is_alive():
            raise DriverError("camera", "a thread ended; its traceback is above")


def main() -> None:
    """Run the process until the host asks for an end."""
    run_cameras(enter_process("camera", niceness=-5))


if __name__ == "__main__":
    sys.exit(run_entry("camera", main))
