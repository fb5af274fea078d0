"""A TCP forwarder as a program of its own: a published port, another user's proxy, a broken one.

    forwarder.py PORT HOST:PORT [--uid N] [--cut]

Listens on 127.0.0.1:PORT and passes every connection on. Stands alone: any Python runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import socket
import threading


def pump(source: socket.socket, sink: socket.socket, *, cut: bool) -> None:
    """Copy until the source ends; ``cut`` hangs up on both after the upgrade was answered."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
            if cut and b"101 Switching Protocols" in data:
                break
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def serve(inside: socket.socket, target: tuple[str, int], *, cut: bool) -> None:
    """Join one accepted connection with a new one to the target."""
    with inside, contextlib.suppress(OSError), socket.create_connection(target) as outside:
        there = threading.Thread(target=pump, args=(inside, outside), kwargs={"cut": False})
        there.start()
        pump(outside, inside, cut=cut)
        there.join()


def main() -> None:
    """Forward until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("target")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--cut", action="store_true")
    given = parser.parse_args()
    host, _, port = given.target.rpartition(":")
    with socket.create_server(("127.0.0.1", given.port)) as listener:
        if given.uid is not None:
            # connecting loads it, and another user may not be able to read our interpreter
            importlib.import_module("encodings.idna")
            os.setuid(given.uid)
        while True:
            connection, _ = listener.accept()
            words = {"cut": given.cut}
            threading.Thread(
                target=serve, args=(connection, (host, int(port))), kwargs=words, daemon=True
            ).start()


if __name__ == "__main__":
    main()
