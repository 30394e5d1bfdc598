"""What the resources share: context, authorization, body, query, pages, rate limits, errors, routes."""
