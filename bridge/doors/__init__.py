"""Client protocols: parse a request into a query, format series into the answer."""
