"""Backbones: finding, recording and loading models; encoding images and prompts as unit rows."""
