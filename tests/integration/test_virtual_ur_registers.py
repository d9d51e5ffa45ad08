"""What clients write into registers, read where the controller keeps it.

No client can read an input register back, and a call says True as soon as its bytes are
written. So the controller runs here and the client in a process of its own.
"""

import subprocess
import sys

import pytest

from sim2real.virtual_cell.ur.controller import UrController
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.plant import IdealPlant
from tests.fakes.virtual_ur import REPOSITORY

HOME = (0.3, -1.4, 1.6, -1.8, -1.57, 0.2)
WRITING_CLIENT = """
import sys
from rtde_io import RTDEIOInterface
first = int(sys.argv[2])
io = RTDEIOInterface(sys.argv[1], use_upper_range_registers=first > 24)
for number in range(5):
    assert io.setInputIntRegister(first + number, -100 - number)
    assert io.setInputDoubleRegister(first + number, 0.5 + number)
io.disconnect()
"""


def serve(controller: UrController, client: "subprocess.Popen[bytes]") -> None:
    """Run the controller for as long as its client lives."""
    try:
        controller.run(lambda: client.poll() is not None, lambda: None)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == 0


def read_registers(inputs: InputBank, first: int) -> list[tuple[int, float]]:
    doubles = inputs.read_doubles(first, 5)
    return [(inputs.read_int(first + n), doubles[n]) for n in range(5)]


@pytest.mark.parametrize("first", [18, 42], ids=["lower range", "upper range"])
def test_every_register_that_the_io_interface_may_write_arrives(
    loopback_address: str, first: int
) -> None:
    controller = UrController(IdealPlant(HOME), loopback_address)
    try:
        command = [sys.executable, "-c", WRITING_CLIENT, loopback_address, str(first)]
        serve(controller, subprocess.Popen(command, cwd=REPOSITORY))

        expected = [(-100 - n, 0.5 + n) for n in range(5)]
        assert read_registers(controller.inputs, first) == expected
        other = 60 - first
        assert read_registers(controller.inputs, other) == [(0, 0.0)] * 5
    finally:
        controller.close()
