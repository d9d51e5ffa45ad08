"""The controller's outputs, kept packed so that a recipe is a plain join of bytes."""

from sim2real.virtual_cell.ur.rtde_fields import OUTPUT_TYPES, REGISTERS, make_struct

_INT_NAMES = tuple(f"output_int_register_{n}" for n in range(REGISTERS))
_DOUBLE_NAMES = tuple(f"output_double_register_{n}" for n in range(REGISTERS))


class OutputImage:
    """One packed value per output name; all zero at first."""

    def __init__(self) -> None:
        structs = {name: make_struct(kind) for name, kind in OUTPUT_TYPES.items()}
        self.packed = {name: bytes(packer.size) for name, packer in structs.items()}
        self._packers = {name: packer.pack for name, packer in structs.items()}

    def set(self, name: str, *values: float) -> None:
        """Replace one output."""
        self.packed[name] = self._packers[name](*values)

    def set_int_register(self, index: int, value: int) -> None:
        """Replace an output integer register, keeping its low 32 bits."""
        self.set(_INT_NAMES[index], (value + 2**31) % 2**32 - 2**31)

    def set_double_register(self, index: int, value: float) -> None:
        """Replace an output double register."""
        self.set(_DOUBLE_NAMES[index], value)

    def pack(self, names: tuple[str, ...]) -> bytes:
        """Return the values of a recipe in its order."""
        packed = self.packed
        return b"".join([packed[name] for name in names])
