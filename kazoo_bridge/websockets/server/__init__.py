"""The websocket server: handshake, frames, send buffers."""
