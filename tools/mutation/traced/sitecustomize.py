"""Python runs this as it starts, where this folder is on its path: tests' processes are traced."""

from mutation import tracing

tracing.start_as_told()
