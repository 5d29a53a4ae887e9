# `make help` prints the targets. `make up` and `make test` are all a new user needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
UV_VERSION := 0.13.9
PYTHON ?= python3
PROCESSES ?= 2
TESTS ?= tests
VENV := .venv
TOOLS := .venv-tools
BIN := $(VENV)/bin
API := platform-api
COMPILE = $(abspath $(UV)) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11
UV = $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

.PHONY: help setup tools up down test test-fast test-all check terraform-check terraform-docs scan format lock bench docs estimators migration \
	render-monitoring dashboards render kubernetes-check
help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --allow-existing --python $(PYTHON) $(VENV); \
	else echo "uv is not installed: bootstrapping it into $(VENV)"; $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet uv==$(UV_VERSION); fi

# the stamp makes `make setup` a no-op until the lock or the project file changes
$(VENV)/.installed: $(API)/requirements.lock $(API)/pyproject.toml | $(BIN)/python
	@echo "installing the locked environment into $(VENV)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --require-hashes -r $(API)/requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps -e $(API)
	@touch $@

setup: $(VENV)/.installed ## prepare the locked environment (.venv)

up: setup ## start the whole platform on this machine
	@$(BIN)/mlops up $(ARGS)

down: setup ## stop it
	@$(BIN)/mlops down $(ARGS)

# checkov pins versions that the platform's own environment must not follow, so it lives apart
$(TOOLS)/.installed: tools/requirements.lock | $(BIN)/python
	@echo "installing the scanners into $(TOOLS)"
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(TOOLS)
	@VIRTUAL_ENV=$(CURDIR)/$(TOOLS) $(UV) pip install --quiet --require-hashes -r tools/requirements.lock
	@touch $@

tools: $(TOOLS)/.installed ## prepare the scanners (.venv-tools)

# a file's tests stay in one process; what takes longest begins first
TEST = cd $(API) && ../$(BIN)/python -m pytest $(TESTS) -n $(PROCESSES) --dist loadscope --no-loadscope-reorder

test-fast: setup ## run the tests that need no server of their own, while you work
	@$(TEST) --level fast $(ARGS)

test: setup ## run the test suite; at its end it says what took longest, what it left out and why
	@$(TEST) --level standard --durations=60 --durations-min=5 $(ARGS)

test-all: setup ## run everything; interrupted, it goes on after what has passed as long as no file changes
	@$(TEST) --level all --resume --state-minutes 10 $(ARGS)

check: setup ## ruff, mypy strict, house rules, manifests
	@cd $(API) && ../$(BIN)/ruff format --check . ../examples ../benchmarks ../docs ../monitoring ../kubernetes ../tools ../terraform && ../$(BIN)/ruff check . ../examples ../benchmarks ../docs ../monitoring ../kubernetes ../tools ../terraform
	@cd $(API) && ../$(BIN)/mypy
	@cd $(API) && ../$(BIN)/python -m pytest -q tests/house --level standard
	@$(MAKE) --no-print-directory kubernetes-check
	@$(BIN)/python terraform/scripts/check.py $(TOOLS)/bin/checkov

terraform-check: setup tools ## format, validity and scan of terraform/ (no account needed)
	@$(BIN)/python terraform/scripts/check.py $(TOOLS)/bin/checkov

terraform-docs: setup ## write inputs and outputs into the modules' READMEs
	@$(BIN)/python terraform/scripts/document.py

scan: setup tools ## checkov, bandit, modelscan, hadolint, zizmor, licences: what works without a network
	@$(BIN)/python tools/scan.py $(ARGS)

kubernetes-check: setup ## lint the Dockerfiles, build every overlay
	@$(BIN)/hadolint $(API)/Dockerfile kubernetes/mlflow/Dockerfile
	@cd $(API) && ../$(BIN)/python -m pytest -q tests/kubernetes -m "not slow and not whole"

render: setup ## write the files that `kubectl apply -f` takes, from an overlay: make render ENVIRONMENT=staging
	@$(BIN)/python kubernetes/render.py $(or $(ENVIRONMENT),dev)

format: setup ## rewrite the code in the house style
	@cd $(API) && ../$(BIN)/ruff format . ../examples ../benchmarks ../docs ../monitoring ../kubernetes ../tools ../terraform && ../$(BIN)/ruff check --fix . ../examples ../benchmarks ../docs ../monitoring ../kubernetes ../tools ../terraform

bench: setup ## measure the hot paths beside their peers, print ratios
	@$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## write docs/reference from the code, and the business case from its inputs
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/business/business_case.py

estimators: setup ## build and serve every estimator of scikit-learn, write docs/reference/estimators.md (ten minutes)
	@$(BIN)/python docs/estimators.py

render-monitoring: setup ## write monitoring/prometheus/prometheus-config.yaml from its sources
	@$(BIN)/python monitoring/prometheus/render.py

dashboards: setup ## write Grafana's dashboards (JSON and ConfigMaps) from Python
	@$(BIN)/python monitoring/grafana/generate.py

lock: ## resolve the dependencies again (hashes, no registry address, so that a company mirror works unchanged)
	@cd $(API) && $(COMPILE) --all-extras --group pyproject.toml:dev pyproject.toml -o requirements.lock
	@cd $(API) && $(COMPILE) --constraint requirements.lock --extra api pyproject.toml -o locks/api.lock
	@cd $(API) && $(COMPILE) --constraint requirements.lock --extra api --extra build pyproject.toml -o locks/worker.lock
	@cd $(API) && $(COMPILE) --constraint requirements.lock --extra serve pyproject.toml -o locks/model-server.lock
	@cd cicd && $(COMPILE) --constraint $(abspath $(API))/requirements.lock requirements.in -o requirements.lock
	@for folder in tools kubernetes/mlflow; do (cd $$folder && $(COMPILE) requirements.in -o requirements.lock); done

migration: setup ## write a migration for changed tables: make migration NAME=add_risk_tier
	@cd $(API) && ../$(BIN)/mlops database revision "$(NAME)"
