"""Instruments that speak without being asked: what they say goes out only when the client has read what came before.

A socket's buffers would take thousands of lines ahead of a reader, and the instrument's clock would run away with them.
Linux tells of each socket how much is on its way and how much is unread; client and server being on one machine, the
server sees both. Elsewhere only the buffers hold the instrument back. Looking happens every millisecond while the
client reads and less often while it does not; how often it reads decides how fast its measurements follow each other,
and nothing else.
"""

import select
import socket
from pathlib import Path

from sim_devices.firmware.session import StreamingSession

_TABLE = Path("/proc/net/tcp")
_CHUNK_BYTES = 1 << 16
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 1e-3, 0.05


def stream(connection: socket.socket, session: StreamingSession) -> None:
    """Converse until the client hangs up: answer what it says, and pull what the session says by itself."""
    pause_s = 0.0
    while True:
        if select.select([connection], [], [], pause_s)[0]:
            data = connection.recv(_CHUNK_BYTES)
            if not data:
                return
            connection.sendall(session.feed(data))
        if everything_read(connection):
            connection.sendall(session.pull())
            pause_s = _SHORTEST_PAUSE_S
        else:
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def everything_read(connection: socket.socket) -> bool:
    """Whether the client at the other end, on this machine, has read all that was sent; True if nobody can tell.

    ConnectionError when it is gone.
    """
    try:
        near, far = _address(connection.getsockname()), _address(connection.getpeername())
    except OSError as error:
        raise ConnectionResetError("the client is gone") from error
    try:
        rows = _TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    entries = [row.split()[1:5] for row in rows]
    on_the_way = (int(queues.partition(":")[0], 16) for *ends, _, queues in entries if ends == [near, far])
    unread = (int(queues.partition(":")[2], 16) for *ends, _, queues in entries if ends == [far, near])
    return not any(on_the_way) and not any(unread)


def _address(name: tuple[str, int]) -> str:
    """An IPv4 address and port as the kernel's table writes them."""
    host = int.from_bytes(socket.inet_aton(name[0]), "little")
    return f"{host:08X}:{name[1]:04X}"
