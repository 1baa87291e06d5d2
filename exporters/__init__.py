"""Exporters: a checkpoint becomes a model file that an engine runs. Needs the extra `export`."""
