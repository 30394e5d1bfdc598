"""Consumers: bind queues, receive deliveries, acknowledge them."""
