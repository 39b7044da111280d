#!/usr/bin/python3
# SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
"""sockclient: does to sockets what it reads, a command a line, and answers each by one line.

  tcp4 S, tcp6 S, udp4 S, udp6 S   a new socket named S
  bind S ADDR PORT
  connect S ADDR PORT              "ok", and of TCP who greets: "SERVER from CLIENT"
  send S                           of a connected socket: "SERVER from CLIENT by SOURCE"
  sendto S ADDR PORT               the same; SOURCE is what recvfrom() names
  post S ADDR PORT                 sends and does not wait
  recv S                           waits for what was posted
  peer S, own S                    getpeername(), getsockname()
  disconnect S                     connect() with AF_UNSPEC
  close S

What fails is answered by the name of the error, a silence of a second by "timeout". Ends with its
input. It knows netserver's greeting and its answers to datagrams.
"""
import ctypes
import errno
import socket
import sys

KINDS = {
    "tcp4": (socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp4": (socket.AF_INET, socket.SOCK_DGRAM),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
}
LIBC = ctypes.CDLL(None, use_errno=True)
SOCKETS = {}


def text(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def who(data, source=None):
    server, client = data.decode().split()[:2]
    return f"{server} from {client}" + (f" by {text(source)}" if source else "")


def connect(s, host, port):
    s.connect((host, int(port)))
    return who(s.recv(256)) if s.type == socket.SOCK_STREAM else "ok"


def send(s):
    if s.type == socket.SOCK_STREAM:
        s.sendall(b"PING 1\n")
        return s.recv(256).decode().strip()
    s.send(b"x")
    return receive(s)


def receive(s):
    return who(*s.recvfrom(2048))


def post(s, host, port):
    s.sendto(b"x", (host, int(port)))
    return "ok"


def sendto(s, host, port):
    post(s, host, port)
    return receive(s)


def disconnect(s):
    unspec = ctypes.create_string_buffer(16)
    if LIBC.connect(s.fileno(), unspec, 16):
        raise OSError(ctypes.get_errno(), "connect")
    return "ok"


def bind(s, host, port):
    s.bind((host, int(port)))
    return "ok"


def close(s):
    s.close()
    return "ok"


VERBS = {
    "bind": bind,
    "connect": connect,
    "send": send,
    "sendto": sendto,
    "post": post,
    "recv": receive,
    "peer": lambda s: text(s.getpeername()),
    "own": lambda s: text(s.getsockname()),
    "disconnect": disconnect,
    "close": close,
}


def run(verb, name, *args):
    if verb in KINDS:
        SOCKETS[name] = socket.socket(*KINDS[verb])
        SOCKETS[name].settimeout(1)
        return "ok"
    try:
        return VERBS[verb](SOCKETS[name], *args)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def main():
    for line in sys.stdin:
        print(run(*line.split()), flush=True)


if __name__ == "__main__":
    main()
