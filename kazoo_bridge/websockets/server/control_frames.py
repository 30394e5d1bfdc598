"""Pings and pongs, read without Autobahn, which takes ten times as long for each of them.

Clients may send them as often as they like until the rate limit ends it, so their cost is the service's.
"""

from __future__ import annotations

from collections.abc import Callable

#: Opcodes of control frames (RFC 6455 section 5.2).
CLOSE, PING, PONG = 8, 9, 10

#: First byte of a frame that is whole, and has no bits of extensions.
_FIN = 0x80

#: Second byte: clients mask all frames; the length of the payload, for control frames at most 125.
_MASKED, _LENGTH, _MAX_LENGTH = 0x80, 0x7F, 125

#: Bytes before the payload.
_HEAD = 6


def answer_pings(data: bytes, most: int, on_frame: Callable[[int], bool]) -> tuple[int, bytes]:
    """Read up to `most` whole and valid pings and pongs of a client at the beginning of `data`.

    Calls `on_frame` with the opcode of each, which returns whether it is to be answered. Returns where they
    end, 0 if there are none, and the pongs of the server.
    """
    start, pongs = 0, []
    for _ in range(most):
        end = _end_of_ping_or_pong(data, start)
        if not end:
            break
        opcode = data[start] & ~_FIN
        if on_frame(opcode) and opcode == PING:
            pongs.append(_pong_for(data, start, end))
        start = end
    return start, b"".join(pongs)


def _end_of_ping_or_pong(data: bytes, start: int) -> int:
    """Return where the ping or pong ends that begins at `start`; 0 if there is none, or not all of it."""
    if len(data) < start + _HEAD or data[start] not in (_FIN | PING, _FIN | PONG):
        return 0
    second = data[start + 1]
    length = second & _LENGTH
    end = start + _HEAD + length
    return end if second & _MASKED and length <= _MAX_LENGTH and end <= len(data) else 0


def _pong_for(data: bytes, start: int, end: int) -> bytes:
    """Return the pong with the payload of the ping between `start` and `end`."""
    length = end - start - _HEAD
    mask = (data[start + 2 : start + _HEAD] * (length // 4 + 1))[:length]
    payload = int.from_bytes(data[start + _HEAD : end], "big") ^ int.from_bytes(mask, "big")
    return bytes((_FIN | PONG, length)) + payload.to_bytes(length, "big")
