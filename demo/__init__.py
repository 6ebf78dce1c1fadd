"""The command line of the demo and its configuration."""
