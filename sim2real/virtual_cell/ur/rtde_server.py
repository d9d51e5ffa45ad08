"""RTDE sessions: recipes, ownership of inputs, and the data stream."""

import struct
from dataclasses import dataclass

from sim2real.virtual_cell.ur.image import OutputImage
from sim2real.virtual_cell.ur.inputs import InputBank
from sim2real.virtual_cell.ur.rtde_fields import INPUT_TYPES, OUTPUT_TYPES, make_struct
from sim2real.virtual_cell.ur.rtde_wire import (
    FramingError,
    PackageType,
    make_package,
    parse_names,
    take_packages,
)
from sim2real.virtual_cell.ur.sockets import Connection

VERSION = (5, 12, 2, 1101)
"""PolyScope version that is reported everywhere."""

RATE_HZ = 500.0
_RATE_V1_HZ = 125.0
_BACKLOG_LIMIT = 4096  # bytes a client may lag behind before packages are dropped
_ACCEPTED = b"\x01"


@dataclass(frozen=True)
class InputRecipe:
    """Inputs that a client packs together.

    Attributes:
        names: scalar names in wire order; a vector stands once per component.
        layout: of the whole payload after the recipe id.
        sizes: bytes of each entry of `names`.
    """

    names: tuple[str, ...]
    layout: struct.Struct
    codes: tuple[struct.Struct, ...]

    @classmethod
    def make(cls, names: list[str]) -> "InputRecipe":
        """Build from known input names."""
        flat: list[str] = []
        codes: list[struct.Struct] = []
        for name in names:
            fmt = make_struct(INPUT_TYPES[name]).format.lstrip(">")
            count, code = (int(fmt[:-1]), fmt[-1]) if len(fmt) > 1 else (1, fmt)
            flat += [name] * count
            codes += [struct.Struct(">" + code)] * count
        layout = struct.Struct(">" + "".join(code.format[1:] for code in codes))
        return cls(tuple(flat), layout, tuple(codes))

    def unpack(self, payload: bytes) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Read what is there: clients send packages shorter and longer than agreed."""
        if len(payload) >= self.layout.size:
            return self.names, self.layout.unpack_from(payload)
        values: list[float] = []
        offset = 0
        for code in self.codes:
            if offset + code.size > len(payload):
                break
            values += code.unpack_from(payload, offset)
            offset += code.size
        return self.names[: len(values)], tuple(values)


class RtdeHub:
    """What all RTDE sessions share: the outputs, the inputs, and who owns which."""

    def __init__(self, image: OutputImage, inputs: InputBank) -> None:
        self.image = image
        self.inputs = inputs
        self.owners: dict[str, RtdeSession] = {}
        self._sessions: list[RtdeSession] = []

    def open_session(self, connection: Connection) -> "RtdeSession":
        """Serve a new connection."""
        session = RtdeSession(self, connection)
        self._sessions.append(session)
        return session

    def forget(self, session: "RtdeSession") -> None:
        """Give up the inputs that a closed connection owned."""
        self._sessions.remove(session)
        self.owners = {n: s for n, s in self.owners.items() if s is not session}

    def publish(self, tick: int) -> None:
        """Send one data package to every started client whose turn it is."""
        for session in self._sessions:
            session.publish(tick)


class RtdeSession:
    """One RTDE connection."""

    def __init__(self, hub: RtdeHub, connection: Connection) -> None:
        self._hub = hub
        self._connection = connection
        self._protocol = 1
        self._recipes: list[InputRecipe | None] = []
        self._outputs: tuple[str, ...] = ()
        self._divider = 1
        self._is_started = False

    def receive(self, now_ns: int) -> None:
        """Answer all complete packages."""
        try:
            packages = take_packages(self._connection.inbox)
        except FramingError:
            self._connection.is_closed = True
            return
        for kind, payload in packages:
            if kind == PackageType.DATA:
                self._take_data(payload, now_ns)
            else:
                self._answer(kind, payload)

    def end(self) -> None:
        """Release owned inputs."""
        self._hub.forget(self)

    def publish(self, tick: int) -> None:
        """Send the output recipe, or drop it when the client lags behind."""
        if not self._is_started or tick % self._divider:
            return
        if len(self._connection.outbox) > _BACKLOG_LIMIT:
            return
        content = _ACCEPTED + self._hub.image.pack(self._outputs)
        self._connection.send(make_package(PackageType.DATA, content))

    def _answer(self, kind: int, payload: bytes) -> None:
        if kind == PackageType.REQUEST_PROTOCOL_VERSION:
            self._choose_protocol(payload)
        elif kind == PackageType.GET_CONTROLLER_VERSION:
            self._reply(PackageType(kind), struct.pack(">4I", *VERSION))
        elif kind == PackageType.SETUP_OUTPUTS:
            self._set_up_outputs(payload)
        elif kind == PackageType.SETUP_INPUTS:
            self._set_up_inputs(parse_names(payload))
        elif kind == PackageType.START:
            # The reply has to leave before the first data package.
            self._reply(PackageType.START, _ACCEPTED)
            self._is_started = bool(self._outputs)
        elif kind == PackageType.PAUSE:
            self._is_started = False
            self._reply(PackageType.PAUSE, _ACCEPTED)

    def _reply(self, kind: PackageType, payload: bytes) -> None:
        self._connection.send(make_package(kind, payload))

    def _choose_protocol(self, payload: bytes) -> None:
        wanted = int.from_bytes(payload[:2], "big")
        is_known = wanted in {1, 2}
        if is_known:
            self._protocol = wanted
        self._reply(PackageType.REQUEST_PROTOCOL_VERSION, bytes([is_known]))

    def _set_up_outputs(self, payload: bytes) -> None:
        rate_hz = _RATE_V1_HZ
        if self._protocol == 2 and len(payload) >= 8:
            (rate_hz,) = struct.unpack_from(">d", payload)
            payload = payload[8:]
        names = parse_names(payload)
        types = [OUTPUT_TYPES.get(name, "NOT_FOUND") for name in names]
        if "NOT_FOUND" not in types:
            self._outputs = tuple(names)
            self._divider = max(1, round(RATE_HZ / rate_hz)) if rate_hz > 0 else 1
        reply = ",".join(types).encode()
        if self._protocol == 2:
            reply = _ACCEPTED + reply
        self._reply(PackageType.SETUP_OUTPUTS, reply)

    def _set_up_inputs(self, names: list[str]) -> None:
        owners = self._hub.owners
        types = []
        for name in names:
            kind = INPUT_TYPES.get(name, "NOT_FOUND")
            types.append(kind if owners.get(name, self) is self else "IN_USE")
        is_valid = not {"IN_USE", "NOT_FOUND"} & set(types)
        if is_valid:
            owners.update(dict.fromkeys(names, self))
        # Clients count their recipes from 1 and never look at the number returned.
        self._recipes.append(InputRecipe.make(names) if is_valid else None)
        number = len(self._recipes) if is_valid else 0
        reply = bytes([number & 0xFF]) + ",".join(types).encode()
        self._reply(PackageType.SETUP_INPUTS, reply)

    def _take_data(self, payload: bytes, now_ns: int) -> None:
        index = payload[0] - 1 if payload else -1
        if not 0 <= index < len(self._recipes):
            return
        recipe = self._recipes[index]
        if recipe is None:
            return
        names, values = recipe.unpack(payload[1:])
        if names:
            self._hub.inputs.apply(names, values, now_ns)
