"""Built-in methods, one file each; installed as ``harness_plugins``."""

if __name__ == "plugins":
    raise ImportError("import harness_plugins, not plugins: the folder is installed under that name")
