# make quickstart: install what is missing, run the quickstart sweep, print the verdict and where the report lies.
# make test:       the same environment with the test tools, then the tests.
# make bench:      loading, training and tracking against what is usual, on one core; about ten minutes.
# make bench-gpu:  the same on a GPU, and many runs at once.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test test-slow kills lint format bench bench-gpu clean

quickstart: $(VENV)/.installed
	@$(PY) -m scaling.train sweeps=quickstart design=adaptive stop.width=0.6 stop.verdict=true
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

# BENCH='only=resnet8 repeats=1' and the like narrow the first table.
bench: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(PY) benchmarks/train.py $(BENCH)
	@OMP_NUM_THREADS=1 $(PY) benchmarks/packing.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/models.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/tracking.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/sweep.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/listing.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/checks.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/features.py
	@OMP_NUM_THREADS=1 $(PY) benchmarks/probe.py

# The models of sweeps/cifar10.yaml, whose 144 cells are priced at the rates of as many as 16 processes sharing the GPU.
MODELS := resnet8,resnet20,resnet18_small,vit_w64d4,vit_w96d6,vit_w192d12
bench-gpu: $(VENV)/.installed-dev
	@$(PY) benchmarks/train.py device=cuda $(BENCH)
	@$(PY) benchmarks/packing.py device=cuda at_once=1,4,8,16 models=$(MODELS)
	@$(PY) benchmarks/models.py device=cuda

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
