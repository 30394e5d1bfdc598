"""One REST request: context, authorization, body, query, pagination, errors."""
