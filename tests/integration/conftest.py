"""Fixtures that the tests of the virtual robot controller share."""

from collections.abc import Iterator

import pytest
from rtde_receive import RTDEReceiveInterface

from tests.fakes.virtual_ur import VirtualUr


@pytest.fixture(scope="module")
def receive(robot: VirtualUr) -> Iterator[RTDEReceiveInterface]:
    """Receive from the controller that the module's own `robot` fixture runs."""
    interface = RTDEReceiveInterface(robot.host)
    yield interface
    interface.disconnect()
