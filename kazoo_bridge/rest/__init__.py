"""REST in KAZOO's own paths and envelopes: translates HTTP to the rooms below and back, and decides nothing itself."""
