"""The OpenAPI document: one module per group of resources, and the parts that they share."""
