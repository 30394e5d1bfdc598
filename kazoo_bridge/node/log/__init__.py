"""The log of the process: which lines are written, in which format, and to where."""
