"""CLIP's prompt templates for ImageNet, for methods that average over prompts."""

from __future__ import annotations

from harness.backbones import openclip
from harness.prompts import Template

IMAGENET_TEMPLATES = tuple(map(Template, openclip.IMAGENET_TEMPLATES))
"""The 80 templates that open_clip publishes (Radford et al., ICML 2021)."""
