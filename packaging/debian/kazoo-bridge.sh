#!/bin/sh
# The database belongs to the service's user and no other may read it, so root acts as that user.
command=/usr/lib/kazoo-bridge/bin/kazoo-bridge
if [ "$(id -u)" = 0 ]; then
    exec runuser -u kazoo-bridge -- "$command" "$@"
fi
exec "$command" "$@"
