"""What is mutated, and which tests have to notice. The one list of both."""

from dataclasses import dataclass

_UNIT = "tests/unit/safety"


@dataclass(frozen=True)
class Target:
    """A module under mutation.

    Attributes:
        module: its name.
        tests: files of tests that run in a fraction of a second in plain Python.
    """

    module: str
    tests: tuple[str, ...]


def _target(module: str, *tests: str) -> Target:
    return Target(
        f"safety.{module}", tuple(f"{_UNIT}/test_{name}.py" for name in tests)
    )


TARGETS = (
    _target("envelope", "envelope_edges", "envelope_reference", "guard_reasons"),
    _target(
        "joint_checks",
        "joint_checks_edges",
        "envelope_edges",
        "envelope_reference",
        "guard_reasons",
    ),
    _target(
        "tool_checks",
        "tool_checks_edges",
        "envelope_edges",
        "envelope_reference",
        "guard_reasons",
    ),
    _target(
        "ramp", "ramp_edges", "envelope_edges", "envelope_reference", "guard_reasons"
    ),
    _target("load_check", "load_check", "envelope_edges"),
    _target("verdicts", "envelope_edges", "tool_checks_edges", "guard_edges"),
    _target("clearance", "clearance_edges"),
    _target("distances", "distances_edges", "distances"),
    _target("capsules", "capsules_edges", "clearance_edges"),
    _target("zones", "zones"),
    _target("home", "home"),
    _target("plain_frames", "home"),
    _target("guard", "guard_edges", "guard_reasons"),
    _target("limits", "limits", "limits_edges"),
    _target("config", "limits_edges", "zones", "limits"),
    _target("ceilings", "limits_edges"),
    _target("chunk_check", "chunk_walk", "chunk_edges", "chunk_check"),
    _target("finger_check", "finger_edges"),
    _target("timed_chunk", "timed_chunk_edges"),
    _target("projection", "projection_edges", "projection"),
    _target("velocity_box", "projection_edges", "projection"),
    _target("projection_limits", "projection_edges", "projection"),
    _target("requests", "requests_edges", "projected_requests"),
    _target("action_cache", "action_cache"),
    _target("ladder", "ladder"),
    _target("sequential_test", "sequential_test", "sequential_edges"),
    _target("run_length", "sequential_edges", "sequential_test"),
    _target("guardian", "guardian", "guardian_edges"),
    _target("attempt_guardian", "guardian", "guardian_edges"),
)


def find_target(module: str) -> Target:
    """Return the target of a module.

    Raises:
        KeyError: it is not under mutation.
    """
    for target in TARGETS:
        if target.module == module:
            return target
    raise KeyError(f"{module} is none of {[target.module for target in TARGETS]}")
