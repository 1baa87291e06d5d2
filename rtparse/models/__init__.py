"""The built-in model and the registered files."""
