# The verbs of this project. Each builds what it needs; `make help` lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_JOBS ?= 3  # one more than cores: tests wait for disks and beats

.DEFAULT_GOAL := help
.PHONY: help run demo test test-long conformance check bench docs lock clean \
	lint types imports dead-code spelling audit

help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(STAMP)  ## start the server: database migrated, synthetic world there, http://127.0.0.1:8000/fhir
	@$(BIN)/ecm-fhir db migrate
	@$(BIN)/ecm-fhir seed load --if-empty
	@$(BIN)/ecm-fhir serve

demo: $(STAMP)  ## play the whole exchange over HTTP against a fresh server
	@$(BIN)/ecm-fhir demo

test: $(STAMP)  ## run the tests on SQLite and PostgreSQL (brings its own PostgreSQL)
	$(BIN)/python -m pytest -n $(TEST_JOBS) -m "not long" -q

test-long: $(STAMP)  ## run the tests that take their time: crashes, races, load, laws with many examples
	ECM_LAWS=4 $(BIN)/python -m pytest -n $(TEST_JOBS) -m "long or law" -q

conformance: $(STAMP)  ## run the tests that cite a requirement and write docs/conformance.md
	$(BIN)/python -m pytest -p tests.conformance.plugin --conformance docs/conformance.md -n $(TEST_JOBS) -m "not long" -q

check: lint types imports dead-code spelling audit  ## everything a machine can judge without running the product

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports --no-cache

dead-code: $(STAMP)
	$(BIN)/python .ci/dead_code.py

spelling: $(STAMP)
	$(BIN)/codespell

audit: $(STAMP)
	$(BIN)/python deploy/audit.py requirements-dev.txt

bench: $(STAMP)  ## measure on both databases beside their baselines; writes bench/results.json
	$(BIN)/python -m bench

docs: $(STAMP)  ## build the documentation into site/
	$(BIN)/mkdocs build --strict --quiet

lock: $(STAMP)  ## resolve the dependencies anew into requirements.txt and requirements-dev.txt
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile $(LOCK_OPTIONS) --output-file requirements.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile $(LOCK_OPTIONS) --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml

# No address of any package index may reach the lock files: whoever installs uses the one configured at their place.
LOCK_OPTIONS := --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(STAMP): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed. On Debian: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV): about a minute, only this once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
