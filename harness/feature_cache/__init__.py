"""Image features: encoded once, cached by content, served on the run's device."""
