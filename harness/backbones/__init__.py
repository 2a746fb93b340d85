"""Models: found, recorded, loaded; images and prompts in, unit rows out."""
