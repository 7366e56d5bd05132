"""A simulated Erlenmeyer: OVHcloud's OpenTSDB front end, with its quirks."""
