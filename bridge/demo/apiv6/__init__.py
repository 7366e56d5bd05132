"""A simulated APIv6: signatures, rights, batch and the ``/dedicatedCloud`` routes."""
