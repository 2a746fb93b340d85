"""The miniature: a drawn world in LAION-Beyond's folder format, and a tiny CLIP pre-trained without its OOP names."""
