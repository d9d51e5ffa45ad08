"""Process entry: `python -m sim2real.virtual_cell.ur --config F --runtime DIR`."""

import argparse
import gc
import sys
from collections.abc import Sequence
from typing import Final

import structlog

from cell.config import RobotiqUrcapConfig, RtdeArmConfig
from ops.exit_codes import PortTakenError
from ops.processes.priority import request_priority
from ops.processes.shell import ProcessContext, enter_process, run_entry
from sim2real.scene.force_noise import ForceNoise
from sim2real.virtual_cell.ur.controller import Ports, UrController
from sim2real.virtual_cell.ur.faults import FaultBox
from sim2real.virtual_cell.ur.motion import PERIOD_S
from sim2real.virtual_cell.ur.plant import IdealPlant, JointPlant, MailboxPlant
from sim2real.virtual_cell.ur.safety_state import UNLOCK_WAIT_S

_FIFO_PRIORITY: Final = 40
_NICENESS: Final = -15


def main(argv: Sequence[str] | None = None) -> int:
    """Run the virtual UR controller until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="ur", add_help=False)
    parser.add_argument("--host", default=None, help="default: arm.host")
    parser.add_argument("--plant", choices=("world", "ideal"), default="world")
    parser.add_argument("--ideal-part-at", type=float, default=None)
    parser.add_argument("--unlock-wait-s", type=float, default=UNLOCK_WAIT_S)
    own, common = parser.parse_known_args(argv)
    context = enter_process("ur", common)
    host = own.host or _read_host(context)
    log = structlog.get_logger("ur")
    try:
        controller = UrController(
            _make_plant(own, context),
            host,
            _read_ports(context),
            faults=FaultBox(context.runtime),
            unlock_wait_s=own.unlock_wait_s,
            report=log.info,
            force_noise=ForceNoise(context.settings.virtual_cell.seed, PERIOD_S),
        )
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {host}: {error.strerror}; another controller uses this "
            "address, stop it or give --host"
        ) from error
    gc.collect()
    gc.freeze()
    request_priority("virtual UR controller", _FIFO_PRIORITY, _NICENESS)
    try:
        controller.run(lambda: context.stop.is_set, context.beat)
    finally:
        controller.close()
    return 0


def _read_host(context: ProcessContext) -> str:
    arm = context.settings.arm
    return arm.host if isinstance(arm, RtdeArmConfig) else "127.0.0.1"


def _read_ports(context: ProcessContext) -> Ports:
    gripper = context.settings.gripper
    if isinstance(gripper, RobotiqUrcapConfig):
        return Ports(gripper=gripper.port)
    return Ports()


def _make_plant(own: argparse.Namespace, context: ProcessContext) -> JointPlant:
    if own.plant == "world":
        return MailboxPlant(context.runtime)
    return IdealPlant(tuple(context.settings.arm.home_q_rad), part_at=own.ideal_part_at)


if __name__ == "__main__":
    sys.exit(run_entry("ur", main))
