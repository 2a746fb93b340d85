"""``python -m harness``: the command, where its script is not on the path."""

from harness.cli.main import run

if __name__ == "__main__":
    run()
