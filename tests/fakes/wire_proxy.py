"""A TCP proxy that may change what the server answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class WireProxy:
    """Where the proxy listens, and what it does to answers.

    Attributes:
        port: where it listens.
        mangle: applied to every segment from the server; empty bytes are not sent.
    """

    port: int
    mangle: Callable[[bytes], bytes]

    def change(self, answer: bytes) -> bytes:
        """Apply what `mangle` is by now."""
        return self.mangle(answer)


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], bytes],
) -> None:
    try:
        while segment := await reader.read(4096):
            writer.write(change(segment))
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[WireProxy]:
    """Listen on a free port of loopback and pass everything on to `port`."""
    proxy = WireProxy(port=0, mangle=lambda answer: answer)
    open_ends: set[asyncio.StreamWriter] = set()
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        open_ends.update((writer, inner_writer))
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(reader, inner_writer, lambda request: request))
            pumps.create_task(_pump(inner_reader, writer, proxy.change))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = int(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        for writer in open_ends:
            writer.close()
        await server.wait_closed()
        await asyncio.wait([task for task in served if task] or [_done()])


def _done() -> "asyncio.Future[None]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
