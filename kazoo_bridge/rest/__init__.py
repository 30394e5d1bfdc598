"""REST with KAZOO's paths and envelopes."""
