# Layerscope's tasks. `make` alone lists them.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
SLOW ?= 1
LONG ?= 0

# ONNX Runtime sends usage data to its maker unless told not to.
export ORT_DISABLE_TELEMETRY = 1

PY := .venv/bin/python
# Python compiles what is used when it is first used: a tenth of what is installed.
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
RUNTIME := .venv/.installed
DEV := .venv/.installed-dev

ifeq ($(SLOW),0)
FAST := and not slow
endif
ifeq ($(LONG),0)
FAST += and not long
endif
FAST += and not longest

.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench image

help: ## list the tasks
	@echo "Layerscope: from a folder of photos to a served, explained image classifier"
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1|/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r task what; do printf '%-14s %s\n' "$$task" "$$what"; done
	@echo
	@echo "Settings: HOST=$(HOST) PORT=$(PORT) for demo, SLOW=0 for a quicker test, LONG=1 for all of it,"
	@echo "          PYTHON=$(PYTHON) for the first setup (Python 3.11, 3.12 or 3.13)"

setup: $(DEV) ## create .venv with everything that demo, test, check and bench need

demo: $(RUNTIME) out/things/manifest.json out/imagenet/manifest.json ## build two models and serve them with their page
	$(PY) -m service out/things out/imagenet --host $(HOST) --port $(PORT)

# Four calls: tests marked `nodes`, all of them slow, mostly wait for each other or for what is made
# once for many, so they run beside the most; of those marked `pairs` two run at a time; those marked
# `alone` measure, and come last. All run, whatever the others say. Exit code 5, no test found, is a
# failure here too.
test: $(DEV) ## run every test
	@status=0; said=$$(mktemp); \
	[ "$(SLOW)" = 0 ] || $(PY) -m pytest -m "nodes $(FAST)" >"$$said" 2>&1 & nodes=$$!; \
	$(PY) -m pytest -n auto --dist worksteal -m "not nodes and not pairs and not alone $(FAST)" || status=$$?; \
	$(PY) -m pytest -n 2 --dist worksteal -m "pairs $(FAST)" || status=$$?; \
	echo "waiting for the tests of several nodes, which ran beside these"; \
	wait $$nodes || status=$$?; cat "$$said"; rm -f "$$said"; \
	$(PY) -m pytest -m "alone $(FAST)" || status=$$?; \
	exit $$status

check: $(DEV) ## lint, format, types, Dockerfile
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/hadolint Dockerfile

# PHOTOS has train/, validation/ and test/ with class folders.
bench: $(DEV) out/imagenet/manifest.json ## measure serving, and training on PHOTOS=folder, beside the usual way
	$(PY) -m benchmarks.serving out/imagenet
	$(PY) -m benchmarks.overload out/imagenet
	$(PY) -m pytest -m longest
	$(if $(PHOTOS),$(PY) -m benchmarks.training $(PHOTOS) --quick)

image: ## build the images of the service and of training with Docker
	docker build -t layerscope .
	docker build -t layerscope-training --target training .

# Training and serving, without the tools of a developer.
$(RUNTIME): requirements.txt requirements-service.txt
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) found: install Python 3.11, 3.12 or 3.13, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "$$($(PYTHON) --version) found, but Layerscope needs 3.11, 3.12 or 3.13; name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { echo "creating .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "installing requirements.txt into .venv: about a minute the first time"
	@$(PIP) -r requirements.txt
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt requirements-scale.txt requirements-moto.txt
	@echo "installing requirements-dev.txt and requirements-scale.txt into .venv"
	@$(PIP) -r requirements-dev.txt -r requirements-scale.txt
	@$(PIP) --no-deps -r requirements-moto.txt
	@touch $@

# Order only (|): a newer package does not make an existing bundle out of date.
out/imagenet/manifest.json: | $(RUNTIME)
	$(PY) -m training imagenet --out out/imagenet

out/things/manifest.json: | $(RUNTIME)
	$(PY) -m training fit training/demo/photos --out out/things
