"""Boards and image features in data set repositories on the Hugging Face Hub: push, pull, and review of submissions."""
