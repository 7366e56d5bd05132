"""OVHcloud: API, credentials, live inventory, vScope token."""
