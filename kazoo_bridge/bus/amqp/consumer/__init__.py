"""Consumers: declare and bind queues, take deliveries, acknowledge them."""
