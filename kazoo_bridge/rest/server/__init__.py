"""The HTTP server under REST: connections, limits, routing to resources."""
