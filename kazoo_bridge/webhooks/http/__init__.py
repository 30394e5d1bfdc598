"""HTTP requests to receivers: build, sign, send, read the response."""
