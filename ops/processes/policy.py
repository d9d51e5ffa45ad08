"""Entry of the policy worker process."""

import sys
from collections.abc import Sequence
from functools import partial

import structlog

from cell.contracts.errors import CellError, Complaint
from cell.contracts.units import ns_from_s
from cell.drivers.clock import MonotonicClock
from cell.mailbox import complaint
from cell.mailbox.frames import FrameSource, frame_ring_path
from ops.processes.shell import ProcessContext, enter_process, run_entry
from ops.settings import compute_model_root
from ops.workspace import make_workspace
from policies.runtime.deadline import kernel_deadline
from policies.runtime.loading import load_policies, make_stand_in
from policies.runtime.model_watch import ModelWatch
from policies.runtime.wire import SOCKET_NAME
from policies.runtime.worker import PolicyWorker

_CAMERA = "overhead"
# A short, rare burst that production waits for, beside a camera process that never
# rests: the same turn as its frames, ahead of everything that has no hurry.
_NICENESS = -5
# Whoever asked gave up after one; nobody waits for an answer that takes two.
_DEADLINES = 2.0


def main(argv: Sequence[str] | None = None) -> None:
    """Serve proposals until the host asks for an end."""
    context = enter_process("policy", argv, niceness=_NICENESS)
    box = complaint.ComplaintBox(context.runtime, complaint.POLICY)
    try:
        _serve(context, box)
    except CellError as error:
        box.write(Complaint.of(error))
        raise


def _serve(context: ProcessContext, box: complaint.ComplaintBox) -> None:
    log = structlog.get_logger()
    settings = context.settings
    policies = load_policies(
        settings.policy, compute_model_root(settings), make_workspace(settings)
    )
    readiness = policies.readiness
    log.info(
        "policies_loaded",
        live=readiness.model,
        fallback=readiness.fallback,
        error=readiness.error,
    )
    box.write(policies.complaint)
    frames = FrameSource(frame_ring_path(context.runtime, _CAMERA))
    worker = PolicyWorker(
        policies,
        frames,
        context.runtime / SOCKET_NAME,
        # Leave the client time to hear that there was no frame.
        frame_wait_s=0.8 * settings.policy.deadline_s,
        deadline=partial(kernel_deadline, _DEADLINES * settings.policy.deadline_s),
    )
    watch = ModelWatch(policies.digests, ns_from_s(settings.policy.recheck_s))
    clock = MonotonicClock()

    def turn() -> None:
        """Beat, and look after the files of the running model."""
        nonlocal watch
        context.beat()
        error = watch.turn(clock.now_ns())
        if error is None:
            return
        # One alarm is enough: nothing but another start leads back to that model.
        watch = ModelWatch({}, watch.period_ns)
        stand_in = make_stand_in(error, settings.policy.live, policies.fallback)
        log.error("model_files_changed", error=str(error))
        box.write(stand_in.complaint)
        worker.replace_policies(stand_in)

    try:
        worker.serve(lambda: context.stop.is_set, turn)
    finally:
        worker.close()
        frames.close()


if __name__ == "__main__":
    sys.exit(run_entry("policy", main))
