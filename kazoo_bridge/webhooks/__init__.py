"""Events become HTTP requests: hook documents, matching, building requests, sending them, health."""
