# The table of contents of this repository. `make demo` and `make test` do all the set-up they need.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TRAINING_STAMP := $(VENV)/.training
SAM := .venv-sam
SAM_STAMP := $(SAM)/.installed
DEMO := .demo
PAGES := functions/api/web/index.html
export EO_SHARDS_HOME ?= $(abspath $(DEMO)/home)
export SAM_CLI_TELEMETRY := 0

.PHONY: help env training sam system view demo build deploy test lint types coverage chaos bench bench-correction bench-land-cover lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

env: $(STAMP) ## the locked environment in .venv, with the command eo-shards

$(TRAINING_STAMP): training/requirements-cpu.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps -r training/requirements-cpu.txt
	touch $@

training: $(TRAINING_STAMP) ## PyTorch and what else training needs, in .venv

$(SAM_STAMP): requirements-sam.lock $(STAMP)
	test -x $(SAM)/bin/python || $(PYTHON) -m venv $(SAM)
	$(SAM)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-sam.lock
	$(BIN)/python tests/aws/rie/install_client.py
	touch $@

sam: $(SAM_STAMP) ## aws-sam-cli and cfn-lint, in .venv-sam: they pin what the functions use in other versions

system: ## Debian packages that some tests use (CloudCompare, Chromium, what Open3D links); skipped without root or apt
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s chromium cloudcompare libusb-1.0-0 libgl1 libgomp1 xvfb >/dev/null 2>&1; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium cloudcompare libusb-1.0-0 libgl1 libgomp1 xvfb >/dev/null; } \
	  || echo "could not install them; the tests that need them will be skipped by name"; fi

# The pages are not kept in git: they are 0.5 MB that no diff can read, and npm makes the same of the locked sources.
$(PAGES): view/package-lock.json view/index.html view/vite.config.ts $(wildcard view/jobs/job/*.html view/src/*/*)
	cd view && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
	touch $@

view: $(PAGES) ## the web pages, from view/ into functions/api/web (needs Node.js 20 and npm)

$(DEMO)/scene.json: $(STAMP) $(wildcard tests/scenes/*.py)
	rm -rf $(DEMO)/scene && mkdir -p $(DEMO)
	PYTHONPATH=tests $(BIN)/python -m scenes --out $(DEMO)/scene > $@.part && mv $@.part $@

demo: $(DEMO)/scene.json ## a scene, the main job on it, and its result in out/
	$(BIN)/eo-shards run point-cloud --source local --catalog $(DEMO)/scene/catalog --dem local --dem-path $(DEMO)/scene/dem.zarr \
	  --bbox "$$($(BIN)/python -c 'import json; print(*json.load(open("$(DEMO)/scene.json"))["bbox"], sep=",")')" --out out

build: $(SAM_STAMP) $(PAGES) ## layers and functions in .aws-sam, as they are deployed (needs Python 3.13)
	$(SAM)/bin/sam build

deploy: build ## to your AWS account; asks for every parameter
	$(SAM)/bin/sam deploy --guided

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy functions

test: system $(STAMP) $(TRAINING_STAMP) $(SAM_STAMP) $(PAGES) lint types ## lint, types and every test but the slow sweeps
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not chaos"

coverage: system $(STAMP) $(TRAINING_STAMP) $(SAM_STAMP) $(PAGES) ## the tests of `make test` with the lines that they miss; takes a third longer
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not chaos" --cov --cov-report=term:skip-covered

chaos: system $(STAMP) $(TRAINING_STAMP) $(SAM_STAMP) $(PAGES) ## the slow sweeps
	HYPOTHESIS_PROFILE=default $(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(STAMP) $(SAM_STAMP) ## benchmarks: one table, and bench/results.json
	$(BIN)/python -m bench

bench-correction: $(TRAINING_STAMP) ## the correctors side by side on the test scenes: tables, and bench/correction.json
	PYTHONPATH=functions:. OMP_NUM_THREADS=1 $(BIN)/python -m bench.correction

bench-land-cover: $(TRAINING_STAMP) ## patches of land cover: loading them for training, judging them in the function
	PYTHONPATH=functions:. OMP_NUM_THREADS=1 $(BIN)/python -m bench.land_cover_loading
	PYTHONPATH=functions:. OMP_NUM_THREADS=1 $(BIN)/python -m bench.land_cover_speed

lock: ## resolve the dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --quiet \
	  --generate-hashes --extra test -o requirements.lock pyproject.toml
	for layer in geo compute tables; do \
	  uv pip compile --python-version 3.13 --python-platform x86_64-manylinux_2_28 --only-binary :all: --no-emit-index-url --no-emit-find-links \
	    --no-header --quiet --generate-hashes --constraint requirements.lock -o layers/$$layer/requirements.txt layers/$$layer/requirements.in; \
	done
	uv pip compile --python-version 3.11 --python-platform x86_64-manylinux_2_28 --only-binary :all: --no-emit-index-url --no-emit-find-links \
	  --no-header --quiet --generate-hashes --constraint requirements.lock -o training/requirements.txt training/requirements.in
	printf 'aws-sam-cli>=1.150\ncfn-lint>=1.40\n' | uv pip compile --universal --python-version 3.11 --no-emit-index-url \
	  --no-emit-find-links --no-header --quiet --generate-hashes -o requirements-sam.lock -

clean: ## remove what the targets above made
	rm -rf $(DEMO) $(VENV) $(SAM) .aws-sam out functions/api/web view/node_modules build/screenshots .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
