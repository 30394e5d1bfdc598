"""What the clients of one address may cost before they have authenticated."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.ip_addresses import address_group
from kazoo_bridge.token_bucket import KeyedTokenBuckets

#: Frames of unauthenticated clients of one address: at once, and each second.
BURST = 2000
FRAMES_PER_SECOND = 200

#: A TCP connection takes as much time as so many frames, and a handshake.
CONNECTION_COST, HANDSHAKE_COST = 2, 5

#: A token that is not valid counts as so many frames, besides its message: it has to be looked up.
FAILURE_COST = 20

#: Bytes of a message that count as a frame.
BYTES_PER_FRAME = 4096

#: Addresses that are remembered; the bucket of one that is forgotten is full again.
MAX_ADDRESSES = 10_000


@define(eq=False)
class AddressBudget:
    """One `TokenBucket` for the unauthenticated clients of each `address_group`.

    `enabled` False: nothing is counted, because addresses are not distinguished.
    """

    _clock: IReactorTime
    enabled: bool = True
    _buckets: KeyedTokenBuckets = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._buckets = KeyedTokenBuckets(self._clock, BURST, 1 / FRAMES_PER_SECOND, MAX_ADDRESSES)

    def take(self, address: str, cost: int = 1) -> bool:
        """Take `cost` tokens; returns False, and takes fewer, if there are not as many."""
        if not self.enabled:
            return True
        bucket, now = self._buckets.bucket(address_group(address)), self._clock.seconds()
        return all(bucket.take(now) for _ in range(cost))

    def has_room(self, address: str) -> bool:
        """Return whether there is a token left."""
        bucket = self._buckets.find(address_group(address)) if self.enabled else None
        return bucket is None or bucket.has_token(self._clock.seconds())
