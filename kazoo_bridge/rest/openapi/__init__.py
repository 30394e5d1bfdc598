"""What REST offers, as an OpenAPI document: one module for each kind of resource, and what they share."""
