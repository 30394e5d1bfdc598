"""Pivot points: KAZOO asks what to do with a call, and a connected client answers with a flow."""
