"""Where and how work is run: in this process, in worker processes, isolated; with the same numbers everywhere."""
