"""A simulated Warp 10: OVHcloud's metrics platform by its own protocol."""
