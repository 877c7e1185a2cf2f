"""The C that runs inside the target, and its public headers. No Python here but this file."""
