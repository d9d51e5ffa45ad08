"""A frame feed in a thread, sending pairs that the test makes."""

import selectors
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from cell.drivers.camera.frame_feed import (
    FeedGreeting,
    FeedPair,
    LensConfig,
    encode_greeting,
    encode_pair,
)
from sim2real.virtual_cell.vcamera_server import FeedServer

RATE_HZ = 30.0
WIDTH_PX, HEIGHT_PX = 64, 48
FOCAL_PX = 80.0
DEPTH_UNIT_M = 0.0001

MakePair = Callable[[int], FeedPair | None]


def make_lens(focal_px: float = FOCAL_PX) -> LensConfig:
    return LensConfig(
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=(WIDTH_PX - 1) / 2,
        cy_px=(HEIGHT_PX - 1) / 2,
    )


def make_greeting() -> FeedGreeting:
    return FeedGreeting(
        camera="overhead",
        rate_hz=RATE_HZ,
        color=make_lens(),
        depth=make_lens(0.9 * FOCAL_PX),
        color_from_depth_position_m=(0.0, 0.0, 0.0),
        color_from_depth_rotvec_rad=(0.0, 0.0, 0.0),
        depth_unit_m=DEPTH_UNIT_M,
    )


def make_pair(number: int) -> FeedPair:
    """Return a flat scene at 0.5 m that shows its number in colour and depth."""
    return FeedPair(
        number=number,
        device_time_us=time.monotonic_ns() // 1000,
        rgb=np.full((HEIGHT_PX, WIDTH_PX, 3), number % 256, np.uint8),
        depth=np.full((HEIGHT_PX, WIDTH_PX), 5000 + number % 50, np.uint16),
    )


class FrameSender:
    """Sends `make_pair(number)` at the rate; None leaves a gap."""

    def __init__(self, server: FeedServer, make: MakePair) -> None:
        self.make = make
        self._server = server

    @property
    def port(self) -> int:
        return self._server.port

    def drop_clients(self) -> None:
        """Close every connection; from `make` only, which runs in the thread."""
        self._server.drop_clients()


@contextmanager
def open_sender(
    make: MakePair = make_pair, *, greeting: bytes | None = None, port: int = 0
) -> Iterator[FrameSender]:
    hello = encode_greeting(make_greeting()) if greeting is None else greeting
    with selectors.DefaultSelector() as selector:
        server = FeedServer(selector, "127.0.0.1", port, hello)
        sender = FrameSender(server, make)
        ended = threading.Event()

        def serve() -> None:
            number, due_s = 0, time.monotonic()
            while not ended.is_set():
                if time.monotonic() >= due_s:
                    due_s += 1 / RATE_HZ
                    number += 1
                    pair = sender.make(number)
                    if pair is not None:
                        server.publish(encode_pair(pair))
                for key, events in selector.select(0.005):
                    key.data(events)

        thread = threading.Thread(target=serve, name="sender")
        thread.start()
        try:
            yield sender
        finally:
            ended.set()
            thread.join()
            server.close()
