"""A TCP balancer as simple as they come: connections go in turns to those who say
that they are ready."""

import asyncio
import contextlib
import urllib.parse


class Balancer:
    """In front of servers, each by where it serves gRPC and where it says whether it
    is ready."""

    # how often each is asked, as a kubelet does every few seconds
    INTERVAL = 0.05

    def __init__(self, servers):
        self._servers = servers
        self._ready = set()
        self._turn = 0
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.target = f"{host}:{port}"
        self._watch = asyncio.create_task(self._keep_watch())
        return self

    async def __aexit__(self, *_):
        self._watch.cancel()
        self._server.close()

    async def _keep_watch(self):
        while True:
            for at, server in enumerate(self._servers):
                if await is_ready(server.http):
                    self._ready.add(at)
                else:
                    self._ready.discard(at)
            await asyncio.sleep(self.INTERVAL)

    async def _connect(self):
        """A connection to one that is ready, or that is at all."""
        while True:
            self._turn += 1
            order = [(self._turn + n) % len(self._servers) for n in range(len(self._servers))]
            for at in (at for at in order if at in self._ready):
                host, port = self._servers[at].target.split(":")
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection(host, int(port))
                self._ready.discard(at)
            await asyncio.sleep(self.INTERVAL)

    async def _serve(self, reader, writer):
        self.connections += 1
        far_reader, far_writer = await self._connect()
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))


async def pass_on(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def is_ready(url):
    """Whether /readyz says so."""
    where = urllib.parse.urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        head = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in head
