"""An example of a third-party package."""
