"""Whether the restrictions of a token allow a request, for REST and websockets alike."""

from __future__ import annotations

from collections.abc import Sequence

from kazoo_bridge.interfaces import AccessedPath, IDirectory, Principal


async def may_access(
    directory: IDirectory, principal: Principal, method: str, segments: Sequence[str]
) -> bool:
    """Return whether the token of `principal` may be used for a method on a path; most have no restrictions.

    `segments` are those of the path, decoded, without ``v2``. Whether the account may act for the account in
    the path is not judged here. Raises `StorageUnavailable`.
    """
    if principal.restrictions is None:
        return True
    account_id = segments[1] if len(segments) > 1 and segments[0] == "accounts" else None
    is_own, is_descendant = account_id == principal.account_id, False
    if account_id is not None and not is_own:
        account = await directory.account(account_id)
        is_descendant = account is not None and principal.account_id in account.ancestors
    path = AccessedPath(tuple(segments), account_id, is_own, is_descendant)
    return principal.restrictions.allows(method, path)
