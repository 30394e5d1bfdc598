"""A node of several processes: the first one serves clients, and starts workers that deliver webhooks."""
