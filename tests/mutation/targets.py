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


TARGETS = (
    Target(
        "safety.envelope",
        (
            f"{_UNIT}/test_envelope_edges.py",
            f"{_UNIT}/test_envelope_reference.py",
            f"{_UNIT}/test_guard_reasons.py",
        ),
    ),
    Target(
        "safety.guard",
        (f"{_UNIT}/test_guard_edges.py", f"{_UNIT}/test_guard_reasons.py"),
    ),
    Target(
        "safety.limits",
        (f"{_UNIT}/test_limits.py", f"{_UNIT}/test_limits_edges.py"),
    ),
    Target(
        "safety.config",
        (f"{_UNIT}/test_limits.py", f"{_UNIT}/test_limits_edges.py"),
    ),
    Target("safety.ceilings", (f"{_UNIT}/test_limits_edges.py",)),
    Target(
        "safety.chunk_check",
        (
            f"{_UNIT}/test_chunk_walk.py",
            f"{_UNIT}/test_chunk_edges.py",
            f"{_UNIT}/test_chunk_check.py",
        ),
    ),
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
