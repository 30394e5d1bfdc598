"""The HTTP side of a delivery: build the request, sign it, send it, read the response."""
