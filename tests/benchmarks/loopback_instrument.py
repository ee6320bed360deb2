"""A bare SCPI instrument on a loopback port: `DATA?` answers with a block of 40 MB, any other line with a number.

One thread serves all clients in turn, so that no client has a better place on the machine than another. Takes the
processor that it is to stay on (-1: any), prints its port, and serves until its standard input is closed.
"""

import os
import random
import selectors
import socket
import sys

BLOCK_BYTES = 40_000_000
NUMBER = b"+1.00000000E+001\n"


def main() -> None:
    """Serve until standard input ends."""
    processor = int(sys.argv[1])
    if processor >= 0:
        os.sched_setaffinity(0, {processor})
    block = f"#8{BLOCK_BYTES}".encode() + random.Random(1).randbytes(BLOCK_BYTES) + b"\n"
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        while all(serve(key.fileobj, waiting, block) for key, _ in waiting.select()):
            pass
        for key in list(waiting.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()


def serve(source: object, waiting: selectors.BaseSelector, block: bytes) -> bool:
    """Accept a client, or answer its line; False when standard input has ended."""
    if not isinstance(source, socket.socket):
        return False
    if source.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        client, _ = source.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(client, selectors.EVENT_READ)
        return True
    line = source.recv(4096)
    if line:
        source.sendall(block if line == b"DATA?\n" else NUMBER)
    else:
        waiting.unregister(source)
        source.close()
    return True


if __name__ == "__main__":
    main()
