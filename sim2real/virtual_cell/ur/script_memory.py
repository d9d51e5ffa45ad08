"""Registers as the control script sees them: all numbers relative to its offset."""

import math

from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank

READY, DONE = 1, 2
_FINISHED = -1


class ScriptMemory:
    """Arguments, results, state and progress of one running script.

    Args:
        inputs: what clients write.
        image: what clients read.
        offset: 0, or 24 for the upper range of registers.
    """

    def __init__(self, inputs: InputBank, image: OutputImage, offset: int) -> None:
        self._inputs = inputs
        self._image = image
        self._offset = offset
        self._writes = 0
        self._operation = 0

    @property
    def command(self) -> int:
        """Number of the command that the client wants."""
        return self._inputs.read_int(self._offset)

    @property
    def fed_ns(self) -> int:
        """When a package with the command register last arrived [ns]."""
        return self._inputs.read_written_ns(self._offset)

    def read_int(self, index: int) -> int:
        """Return an integer argument."""
        return self._inputs.read_int(self._offset + index)

    def read_double(self, index: int) -> float:
        """Return a double argument.

        Raises:
            ValueError: it is no number.
        """
        return self.read_vector(index, 1)[0]

    def read_vector(self, index: int, count: int = 6) -> tuple[float, ...]:
        """Return adjacent double arguments.

        Raises:
            ValueError: one of them is no number.
        """
        values = self._inputs.read_doubles(self._offset + index, count)
        if not all(map(math.isfinite, values)):
            raise ValueError(f"an argument of the command is no number: {values}")
        return values

    def write_state(self, state: int) -> None:
        """Publish READY or DONE."""
        self._image.set_int_register(self._offset, state)

    def write_result(self, value: int) -> None:
        """Publish an integer result."""
        self._image.set_int_register(self._offset + 1, value)

    def write_results(self, values: tuple[float, ...]) -> None:
        """Publish double results from the first result register on."""
        for index, value in enumerate(values):
            self._image.set_double_register(self._offset + index, value)

    def signal_progress(self, progress: int) -> None:
        """Publish the progress of an asynchronous operation; 0 starts a new one."""
        self._writes = (self._writes + 1) % 128
        if progress == 0:
            self._operation = (self._operation + 1) % 128
        word = self._writes << 16 | self._operation << 24
        if progress >= 0:
            word |= 1 << 15 | progress & 0x7FFF
        self._image.set_int_register(self._offset + 2, word)

    def signal_finished(self) -> None:
        """Publish that no asynchronous operation runs."""
        self.signal_progress(_FINISHED)
