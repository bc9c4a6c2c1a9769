# make quickstart: install what is missing, run the quickstart sweep, print the verdict and where the report lies.
# make test:       the same environment with the test tools, then the tests.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test test-slow kills lint format clean

quickstart: $(VENV)/.installed
	@$(PY) -m scaling.train sweeps=quickstart
	@$(PY) -m analysis.report results=runs/quickstart out=runs/quickstart/report

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow

kills: $(VENV)/.installed-dev  # a sweep survives 50 SIGKILLs: about half an hour
	$(PY) tests/kills.py kills=50

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.installed-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (torch is large: one to several minutes)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV), with the test tools"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache dist
