"""Framing, recipes, programs and registers of the virtual controller."""

import struct

import pytest

from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.rtde_server import InputRecipe
from sim2real.virtual_cell.ur.rtde_wire import (
    FramingError,
    PackageType,
    make_package,
    parse_names,
    take_packages,
)
from sim2real.virtual_cell.ur.script_memory import ScriptMemory
from sim2real.virtual_cell.ur.script_port import PathLeg, take_programs

CONTROL = b"""def rtde_control():
  # int register offset
  24
  # inject move path
  signal_async_progress(0)
  movej([0.1,0,0,0,0,0],a=1.5,v=1,r=0)
  signal_async_progress(1)
  movel(p[0.1,0.2,0.3,0,3.1,0],a=1.2,v=0.25,r=0.01)

  def inner():
    movej(move_q, a=move_acc, v=move_vel)
  end
end
"""


def test_packages_are_taken_one_by_one_from_any_split() -> None:
    content = make_package(PackageType.START, b"") + make_package(
        PackageType.DATA, b"\x01abc"
    )
    inbox, taken = bytearray(), []

    for byte in content:
        inbox.append(byte)
        taken += take_packages(inbox)

    assert taken == [(ord("S"), b""), (ord("U"), b"\x01abc")]
    assert not inbox


def test_a_size_below_the_header_is_refused() -> None:
    with pytest.raises(FramingError):
        take_packages(bytearray(b"\x00\x02U"))


def test_a_trailing_comma_names_nothing() -> None:
    assert parse_names(b"timestamp,actual_q,") == ["timestamp", "actual_q"]


def test_a_short_package_keeps_the_values_it_does_not_reach() -> None:
    recipe = InputRecipe.make(["input_int_register_0", "input_double_register_0"])
    bank = InputBank()
    bank.apply(*recipe.unpack(struct.pack(">id", 1, 2.5)), now_ns=1)

    bank.apply(*recipe.unpack(struct.pack(">i", 9)), now_ns=2)

    assert bank.read_int(0) == 9
    assert bank.read_doubles(0, 1) == (2.5,)
    assert bank.read_written_ns(0) == 2


def test_surplus_bytes_of_a_package_are_ignored() -> None:
    recipe = InputRecipe.make(["input_int_register_0"])

    assert recipe.unpack(struct.pack(">iq", 3, 4)) == (("input_int_register_0",), (3,))


def test_only_masked_outputs_change() -> None:
    bank = InputBank()
    names = ["standard_digital_output_mask", "standard_digital_output"]
    bank.apply(names, (0b0110, 0b1111), now_ns=0)

    bank.apply(names, (0b0010, 0b0000), now_ns=0)

    assert bank.digital_output_bits == 0b0100


def test_a_recipe_is_packed_in_its_order() -> None:
    image = OutputImage()
    image.set("timestamp", 1.5)
    image.set_int_register(2, -7)

    packed = image.pack(("output_int_register_2", "timestamp"))

    assert packed == struct.pack(">id", -7, 1.5)


def test_the_progress_word_counts_writes_and_operations() -> None:
    image = OutputImage()
    memory = ScriptMemory(InputBank(), image, 24)

    def word() -> int:
        return int(struct.unpack(">i", image.packed["output_int_register_26"])[0])

    memory.signal_finished()
    assert (word() >> 15 & 1, word() & 0x7FFF, word() >> 16 & 0x7F) == (0, 0, 1)
    memory.signal_progress(0)
    assert (word() >> 15 & 1, word() >> 24 & 0x7F) == (1, 1)
    memory.signal_progress(3)
    assert (word() & 0x7FFF, word() >> 24 & 0x7F) == (3, 1)


def test_an_uploaded_control_script_gives_its_offset_and_its_path() -> None:
    (program,) = take_programs(bytearray(CONTROL))

    assert program.is_control_script
    assert program.offset == 24
    assert program.path == (
        PathLeg("j", (0.1, 0.0, 0.0, 0.0, 0.0, 0.0), 1.5, 1.0),
        PathLeg("l", (0.1, 0.2, 0.3, 0.0, 3.1, 0.0), 1.2, 0.25),
    )


def test_a_program_is_recognised_only_when_its_last_line_is_complete() -> None:
    inbox = bytearray()

    for byte in CONTROL[:-1]:
        inbox.append(byte)
        assert take_programs(inbox) == []
    inbox += CONTROL[-1:]

    assert len(take_programs(inbox)) == 1


def test_several_uploads_on_one_connection_are_told_apart() -> None:
    custom = (
        b"def greet():\n\twrite_output_integer_register(0 + 24, 1)\n"
        b"\ttextmsg(1)\n\twrite_output_integer_register(0 + 24, 2)\nend\n"
    )

    programs = take_programs(bytearray(custom + CONTROL))

    assert [program.name for program in programs] == ["greet", "rtde_control"]
    assert [program.offset for program in programs] == [24, 24]
