"""LAION-Beyond folders: find, read, check and download them. Nothing here writes into a data folder that it reads."""
