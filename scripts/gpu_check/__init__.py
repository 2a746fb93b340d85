"""One command for a machine with a GPU; start with README.md in this folder."""
