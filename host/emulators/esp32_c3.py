"""Runs the image of an ESP32-C3 in the emulator labwired, with its serial line at a socket.

usage: esp32_c3.py LINE IMAGE ADDRESS WORD...

LINE is unix:PATH or tcp:HOST:PORT; what follows a comma, as in QEMU's options, is ignored. The socket serves one
connection at a time, and what the board sends without one is lost. The words of 64 bits are written to the RAM from
ADDRESS on. The emulated clock stands still while the board waits for bytes.
"""

import contextlib
import os
import select
import socket
import sys

from labwired import Sim

# Registers of an ESP32-C3: the port's divisor and state, and the output pins.
DIVISOR = 0x6000_0014
STATUS = 0x6000_001C
PINS = 0x6000_4004
# The LED, which the board keeps dark while it waits for bytes.
LED = 1 << 10
# The most bytes that the port holds, and how many of those that arrived and, 16 bits higher, that are to be sent.
FIFO_LEN = 128
FIFO_MASK = 0x3FF
# Seconds of the board's time between two looks at the line, some 3000 instructions.
SLICE = 20e-6
# Slices in which the board waits before it is stopped until bytes arrive: at the end of one it may wait by chance.
PATIENCE = 3
# The line is as fast as the emulator: waiting for a slow line would take it seconds per frame.
FASTEST = 1


class Board:
    """A board, which is told some words."""

    def __init__(self, image, address, words):
        self.sim = Sim(image, chip="esp32c3")
        halves = [half for word in words for half in (word & 0xFFFF_FFFF, word >> 32)]
        for place, half in enumerate(halves):
            self.sim.write_u32(address + 4 * place, half)

    def room(self):
        """How many bytes its port can take."""
        return FIFO_LEN - (self.sim.read_u32(STATUS) & FIFO_MASK)

    def run(self, received):
        """Runs for a slice with received bytes, for which its port has room; returns what it sends."""
        if self.sim.read_u32(DIVISOR) != FASTEST:
            self.sim.write_u32(DIVISOR, FASTEST)
        if received:
            self.sim.send_bytes(received)
        reason = self.sim.run_for(SLICE).kind
        if reason != "reached":
            sys.exit(f"the board stopped: {reason}")
        return self.sim.read_uart_bytes()

    def waits(self):
        """Whether it waits for bytes, has taken all and has sent all."""
        held = self.sim.read_u32(STATUS) & (FIFO_MASK << 16 | FIFO_MASK)
        return not held and not self.sim.read_u32(PINS) & LED


class Line:
    """The board's serial line: a listening socket, and the connection that it serves."""

    def __init__(self, listener):
        self.listener, self.connection = listener, None

    def receive(self, room, timeout):
        """Returns bytes that have arrived, at most as many as there is room for."""
        if not room:
            return b""
        waiting = self.connection or self.listener
        if not select.select([waiting], [], [], timeout)[0]:
            return b""
        if self.connection is None:
            self.connection = self.listener.accept()[0]
            return b""
        try:
            received = self.connection.recv(room)
        except ConnectionError:
            received = b""
        if not received:
            self.close()
        return received

    def send(self, sent):
        """Sends bytes; without a connection they are lost, as on a line that nobody listens to."""
        try:
            if self.connection is not None:
                self.connection.sendall(sent)
        except ConnectionError:
            self.close()

    def close(self):
        self.connection.close()
        self.connection = None


def serve(board, line):
    """Passes bytes between the board and its line for ever."""
    waited = 0
    while True:
        received = line.receive(board.room(), 0 if waited < PATIENCE else None)
        line.send(board.run(received))
        waited = waited + 1 if not received and board.waits() else 0


def listen(line):
    """Opens the socket of a line."""
    kind, _, place = line.split(",")[0].partition(":")
    if kind == "unix":
        # A board that was killed leaves its socket.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(place)
        listener.listen()
        return listener
    host, _, port = place.rpartition(":")
    return socket.create_server((host, int(port)))


def main():
    line, image, address, *words = sys.argv[1:]
    board = Board(image, int(address, 0), [int(word, 0) for word in words])
    serve(board, Line(listen(line)))


if __name__ == "__main__":
    main()
