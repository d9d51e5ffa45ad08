"""What the servo process writes down, and how loudly."""

import structlog

from cell.servo.loop import SCHEDULING
from ops.processes.servo import make_record


def test_only_what_the_kernel_refused_is_a_warning() -> None:
    with structlog.testing.capture_logs() as lines:
        record = make_record(structlog.get_logger("servo"))
        record("arm connected", {})
        record(SCHEDULING, {"detail": "refused"})

    assert [line["log_level"] for line in lines] == ["info", "warning"]
    assert lines[1]["event"] == "scheduling"
    assert lines[1]["detail"] == "refused"
