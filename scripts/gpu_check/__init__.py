"""One command for a machine with a GPU; README.md beside this file is the page to read first."""
