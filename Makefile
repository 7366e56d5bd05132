# Needs python3 >= 3.11, git and make; everything else goes into .venv, from hashed lock files.

PORT ?= 8080
VENV ?= .venv
# The first Python that is new enough, whatever it is called.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# More for a command: make demo ARGS="--vms 500", make test ARGS="-k settings"
ARGS ?=
# How long the cache's invariants are tried in make soak.
STEPS ?= 1000000
# Processes that run the tests.
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
NODE := tests/grafana-data

.PHONY: help demo test lint dashboards bench soak pictures lock sbom audit clean

help:
	@echo "make demo   the bridge with a simulated OVHcloud, on port $(PORT) (PORT=...)"
	@echo "make test   all tests"
	@echo "make lint   ruff and mypy"
	@echo "make dashboards   the Grafana dashboards anew, from dashboards/source"
	@echo "make bench  benchmarks"
	@echo "make soak   kills, full disks, the cache's rules a million times, 20 minutes under load"
	@echo "make pictures  the documents' pictures, anew (needs chromium)"
	@echo "make lock   new lock files (needs uv)"
	@echo "make sbom   the bill of materials (CycloneDX) of the locked packages, sbom.cdx.json"
	@echo "make audit  known vulnerabilities of the locked packages (asks PyPI)"
	@echo "make clean  remove $(VENV)"

demo: $(VENV)/.runtime
	@exec $(BIN)/python -m bridge demo --port $(PORT) $(ARGS)

test: $(VENV)/.development $(NODE)/node_modules/.package-lock.json
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dashboards: $(VENV)/.development
	$(BIN)/python -m dashboards.source

bench: $(VENV)/.development
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/alerts.py
	$(BIN)/python benchmarks/protocols.py
	$(BIN)/python benchmarks/history.py

soak: $(VENV)/.development
	$(BIN)/python benchmarks/history_faults.py
	$(BIN)/python -m tests.engine.cache_steps $(STEPS)
	$(BIN)/python benchmarks/soak.py $(ARGS)
	$(BIN)/python benchmarks/opentsdb_store.py

pictures: $(VENV)/.development
	$(BIN)/python -m tests.browser.pictures

lock:
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.lock
	$(LOCK) --group build --output-file requirements-build.lock

# The same bytes from the same lock file: nothing in it tells when it was made.
sbom: $(VENV)/.development
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
		--output-reproducible --spec-version 1.6 --output-format JSON \
		--output-file sbom.cdx.json requirements.lock

# Strict: a package that could not be looked up is a failure and no pass.
audit: $(VENV)/.development
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement requirements.lock --requirement requirements-build.lock

clean:
	rm -rf $(VENV) $(NODE)/node_modules

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or newer is needed; found: $$(python3 --version 2>&1 || echo none)." \
		"Install one, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# What running needs; the project itself is run from this folder.
$(VENV)/.runtime: requirements.lock | $(BIN)/python
	@$(PIP) --require-hashes --requirement requirements.lock
	@touch $@

# What developing needs, the runtime's packages included, and the project as installed.
$(VENV)/.development: requirements-dev.lock pyproject.toml | $(BIN)/python
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Grafana's own code, which some tests run. Without npm they are skipped, though never where CI is set.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then cd $(NODE) && npm ci --silent && touch ../../$@; else \
		echo "No npm: the tests that run Grafana's own code are left out." >&2; test -z "$$CI"; fi
