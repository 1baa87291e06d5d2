# `make demo` and `make test` are all the set-up there is: a virtual environment in .venv, then the work.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint clean

demo: $(VENV)/.base
	$(VENV)/bin/rtparse video examples/walk.mp4 -o walk.parsed.mp4 -y
	@echo "The parsed video is $(CURDIR)/walk.parsed.mp4: open it in a player or a browser."

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) build dist *.egg-info walk.parsed.mp4

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml tests/constraints.txt | $(VENV)/bin/python
	$(PIP) --constraint tests/constraints.txt --editable ".[dev]"
	touch $@
