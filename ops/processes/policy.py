"""Entry of the policy worker process."""

import sys
from pathlib import Path

import structlog

from cell.mailbox.frames import FrameSource, frame_ring_path
from ops.processes.shell import enter_process, run_entry
from ops.workspace import make_workspace
from policies.runtime.loading import load_policies
from policies.runtime.wire import SOCKET_NAME
from policies.runtime.worker import PolicyWorker

_ROOT = Path(__file__).resolve().parents[2]
_CAMERA = "overhead"


def main() -> None:
    """Serve proposals until the host asks for an end."""
    context = enter_process("policy")
    log = structlog.get_logger()
    settings = context.settings
    policies = load_policies(
        settings.policy, _ROOT / settings.policy.directory, make_workspace(settings)
    )
    readiness = policies.readiness
    log.info(
        "policies_loaded",
        live=readiness.model,
        fallback=readiness.fallback,
        error=readiness.error,
    )
    frames = FrameSource(frame_ring_path(context.runtime, _CAMERA))
    worker = PolicyWorker(
        policies,
        frames,
        context.runtime / SOCKET_NAME,
        # Leave the client time to hear that there was no frame.
        frame_wait_s=0.8 * settings.policy.deadline_s,
    )
    try:
        worker.serve(lambda: context.stop.is_set, context.beat)
    finally:
        worker.close()
        frames.close()


if __name__ == "__main__":
    sys.exit(run_entry("policy", main))
