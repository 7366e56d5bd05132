"""What a person can do with the bridge on the command line, one module a command."""
