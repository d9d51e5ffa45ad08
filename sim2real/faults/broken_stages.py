"""Stages of the guard that raise, one at a time, for as long as a context lasts.

The compiled guard has no seam to break it at, so the stages are run as the plain Python
that they are written in: the same lines, with one of them replaced.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

import safety.envelope
import safety.guard
import safety.requests


class BrokenStageError(RuntimeError):
    """What a broken stage raises; nobody in the product knows of it."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        module: in which it is looked up.
        name: there.
        is_in_motion: it is reached by a request that is granted, so also in motion;
            otherwise only by one that is refused.
    """

    module: ModuleType
    name: str
    is_in_motion: bool = True


_ENVELOPE, _GUARD, _REQUESTS = safety.envelope, safety.guard, safety.requests

STAGES: Final = (
    *(Stage(_GUARD, name) for name in ("vet_setpoint", "_row_of")),
    *(
        Stage(_ENVELOPE, name)
        for name in (
            "compute_load",
            "smooth_load",
            "judge",
            "check_time",
            "grant",
            "take_nearer",
            "is_at_rest",
            "check_joints",
            "check_tool",
            "_compute_way",
            "compute_stopping_time",
            "check_clearance",
            "check_load",
            "compute_travel",
            "compute_load_cap",
        )
    ),
    Stage(_ENVELOPE, "refuse", is_in_motion=False),
    Stage(_ENVELOPE, "ramp", is_in_motion=False),
)
"""In the order in which a request reaches them."""

WISHES: Final = tuple(
    Stage(_REQUESTS, name)
    for name in ("project_increment", "project_pose", "project_towards")
)
"""What becomes of a wish that is no joint position, before the guard sees it."""

_PLAIN: Final = (
    (_GUARD, "vet_setpoint"),
    (_GUARD, "hold_setpoint"),
    (_ENVELOPE, "judge"),
    (_ENVELOPE, "_compute_way"),
    (_ENVELOPE, "check_time"),
)
"""Compiled callers of other stages; plain while a stage is broken."""


@contextmanager
def break_stage(stage: Stage) -> Iterator[None]:
    """Have one stage raise `BrokenStageError` whenever it is called.

    Raises:
        LookupError: nobody called it, so nothing was broken.
    """
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise BrokenStageError(stage.name)

    with ExitStack() as stack:
        for module, name in _PLAIN:
            plain = _find_plain(getattr(module, name))
            stack.enter_context(patch.object(module, name, plain))
        stack.enter_context(patch.object(stage.module, stage.name, fail))
        yield
    if not calls:
        raise LookupError(f"{stage.name} of {stage.module.__name__} was not reached")


def _find_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a compiled function was written as; itself without the compiler."""
    plain: Callable[..., Any] = getattr(function, "py_func", function)
    return plain
