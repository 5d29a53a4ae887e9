"""A model server that harms the socket it shares with its host, once, and then answers: in the model server's place."""

import fcntl
import os
import socket
import sys
import time
from pathlib import Path

given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
done = Path(given["--bundle"]) / "harmed"
listening = socket.socket(fileno=int(given["--listening"]))
os.write(int(given["--heartbeat"]), b"." * 4_096)
if not done.exists():
    done.touch()
    flags = fcntl.fcntl(listening, fcntl.F_GETFL)
    fcntl.fcntl(listening, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
    listening.shutdown(socket.SHUT_RDWR)
    # long enough to be seen as ready
    time.sleep(1)
    sys.exit(6)
listening.setblocking(True)
connection, _ = listening.accept()
connection.recv(1 << 16)
connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
connection.close()
sys.exit(9)
