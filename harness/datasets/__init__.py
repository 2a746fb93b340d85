"""LAION-Beyond folders: find, read, check and download them. Data folders are never modified."""
