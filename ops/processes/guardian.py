"""Entry of the Guardian worker process."""

import sys
from collections.abc import Sequence
from functools import partial

import structlog

from cell.contracts.errors import Complaint, FaultCode, ModelError
from cell.mailbox import complaint
from ops.guardian_loading import load_watch
from ops.processes.shell import ProcessContext, enter_process, run_entry
from policies.runtime.deadline import kernel_deadline
from policies.runtime.guardian_network import GuardianNetwork
from policies.runtime.guardian_wire import GUARDIAN_SOCKET, GuardianGreeting
from policies.runtime.guardian_worker import GuardianWorker

# Less than a millisecond once for every grasp; late, it costs the learned policy.
_NICENESS = -5
# Whoever asked gave up after one; nobody waits for an answer that takes two.
_DEADLINES = 2.0


def main(argv: Sequence[str] | None = None) -> None:
    """Judge attempts until the host asks for an end.

    A model that cannot be used does not end the process: it would end the run, and
    production goes on with the fallback. Greeting and complaint say what is wrong.
    """
    context = enter_process("guardian", argv, niceness=_NICENESS)
    box = complaint.ComplaintBox(context.runtime, complaint.GUARDIAN)
    network, greeting = _load(context)
    box.write(
        Complaint(FaultCode.GUARDIAN_INVALID, greeting.error)
        if greeting.error
        else None
    )
    structlog.get_logger().info(
        "guardian_loaded", model=greeting.model, error=greeting.error
    )
    worker = GuardianWorker(
        network,
        greeting,
        context.runtime / GUARDIAN_SOCKET,
        partial(kernel_deadline, _DEADLINES * context.settings.guardian.deadline_s),
    )
    try:
        worker.serve(lambda: context.stop.is_set, context.beat)
    finally:
        worker.close()


def _load(context: ProcessContext) -> tuple[GuardianNetwork | None, GuardianGreeting]:
    try:
        network = load_watch(context.settings)
    except ModelError as error:
        return None, GuardianGreeting(ready=False, error=str(error))
    return network, GuardianGreeting(
        ready=True, model=network.name, sha256=network.sha256
    )


if __name__ == "__main__":
    sys.exit(run_entry("guardian", main))
