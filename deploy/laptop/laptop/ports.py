"""Free TCP ports on the loopback address.

They lie below the range from which systems take the ports of outgoing connections: a server that is killed and started again
must find its port free, and a client that knocks on it meanwhile must not connect to itself.
"""

import secrets
import socket

HOST = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """A port on which nobody listens now. It is not reserved: who wants it, binds it soon."""
    for _ in range(200):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if not in_use(port):
            return port
    raise OSError(f"no free port found between {_FIRST} and {_LAST} on {HOST}")


def in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def listens(port: int) -> bool:
    """Whether somebody takes connections on it."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
