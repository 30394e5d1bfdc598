"""The HTTP server: connections and their limits, and the way of a request to its resource."""
