# EoS-Fed. `make help` lists what can be made.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO ?= cargo
SEED ?= 0
RESULTS ?= demo-results
# 1: programs read what GDAL reads.
GDAL ?=
# What `make load` tells its program; `--help` explains.
LOAD ?=
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The folder of libtorch; installs it when it is not there. Evaluated where it is used only.
WITH_LIBTORCH = LIBTORCH="$$($(PYTHON) deploy/libtorch/bootstrap.py)"; export LIBTORCH
# PyTorch, timm, rasterio and TerraTorch for `make interop` and the measurements; made once.
INTEROP ?= $(HOME)/.cache/eosfed/interop-torch-2.13.0
# Flower for the measurements; made once.
FLOWER ?= $(HOME)/.cache/eosfed/flower-1.42.0
WITHOUT_LIBTORCH := --workspace --exclude eosfed-trainer --exclude eosfed-e2e
PROGRAMS := -p eosfed-cli -p eosfed-coordinator -p eosfed-client -p eosfed-trainer

.PHONY: stream interop-environment flower-environment bench-rules bench-rounds bench-features bench-predict bench-daemons gpu-check bench bench-steps bench-reading bench-inspect bench-training bench-accuracy bench-encodings bench-scale dashboard-test dashboard-pictures advisories advisories-snapshot programs sbom requirements help demo test attacks fuzz load load-hostile limits load-history load-ledger load-restarts reference manual interop libtorch build release fmt lint doc deny goldens clean-demo tools images container-test chart-test packages system-test cuda-package-test gdal-test

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-20s %s\n", $$1, $$2 }'
	@echo
	@echo "  make demo SEED=1            another seed"
	@echo "  make demo DATA=DIR          the same story on a EuroSAT folder (multispectral GeoTIFFs, one folder a class)"
	@echo "  make demo RESULTS=DIR       where the results go (demo-results)"

demo: programs ## Watch three institutions build an ensemble from a real satellite scene
	BIN_DIR="$(TARGET)/release" RESULTS="$(RESULTS)" SEED="$(SEED)" DATA="$(DATA)" PYTHON="$(PYTHON)" bash deploy/demo/demo.sh

test: tools ## Run every test, with and without libtorch
	@stage() { echo "== $$1"; shift; local start=$$SECONDS; "$$@"; echo "== took $$((SECONDS - start)) s"; }; \
	stage "scripts" $(PYTHON) deploy/test_deploy.py; \
	stage "what measurements write" $(PYTHON) bench/test_document.py; \
	stage "without libtorch" env -u LIBTORCH $(CARGO) test --quiet $(WITHOUT_LIBTORCH); \
	$(WITH_LIBTORCH); \
	stage "the trainer" $(CARGO) test --quiet -p eosfed-trainer; \
	stage "programs" $(CARGO) build --quiet $(PROGRAMS) -p eosfed-load -p eosfed-hostile; \
	stage "real processes, end to end" env EOSFED_BIN_DIR="$$(realpath "$(TARGET)")/debug" $(CARGO) test --quiet -p eosfed-e2e

gdal-test: ## Test what is read through GDAL, against what is read without it (needs libgdal-dev 3.6 or later, skips without)
	@if ! pkg-config --atleast-version=3.6 gdal 2> /dev/null; then \
	  echo "skipped: gdal-test: libgdal-dev 3.6 or later is not installed"; exit 0; fi; \
	echo "with GDAL $$(pkg-config --modversion gdal)"; \
	env -u LIBTORCH $(CARGO) test --quiet -p eosfed-data --features gdal --lib --test through_gdal --test polygons -- --nocapture; \
	env -u LIBTORCH $(CARGO) clippy --quiet -p eosfed-data -p eosfed-client --features eosfed-client/gdal --all-targets -- -D warnings

# The environments of others, pinned by hash, in the user's cache.
interop-environment:
	@[ -x "$(INTEROP)/bin/pytest" ] || { rm -rf "$(INTEROP)"; $(PYTHON) -m venv "$(INTEROP)"; }
	@cmp --silent deploy/requirements/interop.txt "$(INTEROP)/requirements.txt" || { \
	  "$(INTEROP)/bin/pip" install --quiet --require-hashes -r deploy/requirements/interop.txt; \
	  cp deploy/requirements/interop.txt "$(INTEROP)/requirements.txt"; }

flower-environment:
	@[ -x "$(FLOWER)/bin/python" ] || $(PYTHON) -m venv "$(FLOWER)"
	@"$(FLOWER)/bin/pip" install --quiet --require-hashes -r deploy/requirements/goldens-flower.txt

interop: build interop-environment ## Test against PyTorch, timm, TerraTorch and STAC's validators, kept in the user's cache (6 GB)
	cd python && "$(INTEROP)/bin/ruff" check . && "$(INTEROP)/bin/ruff" format --check . && "$(INTEROP)/bin/mypy"
	items="$$(mktemp -d)"; STAC_ITEMS="$$items" $(CARGO) test --quiet -p eosfed-cli stac_items -- --ignored > /dev/null; \
	  "$(INTEROP)/bin/python" deploy/check_stac.py "$$items"/*.json; rm -r "$$items"
	bins="$$(realpath "$(TARGET)")/debug"; cd python && EOSFED_BIN_DIR="$$bins" "$(INTEROP)/bin/pytest" -q

stream: ## Train on 100 GB of patches within 2 GB of memory (STREAM="--gigabytes 10")
	$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer; \
	$(PYTHON) bench/stream.py --trainer $(TARGET)/release/eosfed-trainer --gigabytes 100 --most-gib 2 $(STREAM)

attacks: ## Attack each strategy and encoding on real pixels and write the tables of docs/robustness.md
	scene="$$($(PYTHON) deploy/demo/fetch_scene.py)"; \
	$(CARGO) run --release --quiet -p eosfed-attacks -- "$$scene" docs/robustness.md

dashboard-test: ## Look at the dashboard with headless Chromium: every page, live, on a phone, with axe-core
	$(CARGO) test --quiet -p eosfed-coordinator -p eosfed-client --lib in_a_real_browser -- --ignored --nocapture

dashboard-pictures: ## Take the pictures of docs/images again
	mkdir -p docs/images; EOSFED_SCREENSHOTS="$$(realpath docs)/images" $(MAKE) --no-print-directory dashboard-test

fuzz: ## Fuzz every parser of foreign bytes for ten minutes, with counted memory (FUZZ_SECONDS=60)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(CARGO) test --quiet -p eosfed-fuzz-harness -- --nocapture

load: ## Measure a coordinator with 1,000 institutions, of which 200 upload at once (LOAD="--idle 500 --uploading 50")
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load
	$(TARGET)/release/eosfed-load $(LOAD)

load-hostile: ## The same, while 1,000 hostile connections attack it: no call of an institution may fail
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load -p eosfed-hostile
	$(TARGET)/release/eosfed-load --hostile 1000 $(LOAD)

limits: ## Test the limits of the training program's cgroup in a virtual machine (KERNEL=FILE; needs qemu)
	client/tests/cgroup_vm.sh

load-history: ## Measure what a heartbeat and a submission cost when 10, 100 and 1,000 rounds have closed
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load
	$(TARGET)/release/eosfed-load history

load-restarts: ## Restart a coordinator five times while 48 institutions upload: nothing may be lost
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load
	$(TARGET)/release/eosfed-load restarts

load-ledger: ## Measure what it takes to list, export and verify a ledger of a million events
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-cli -p eosfed-load
	$(TARGET)/release/eosfed-load ledger

# What `make bench` measures, one after another: also after a target was missed.
ROWS := steps reading training features predict rules rounds daemons
DOCUMENT := --document docs/performance.md

bench: ## Measure all of this beside its peers, write docs/performance.md, and fail where a target is missed (an hour)
	@short=""; for row in $(ROWS); do echo "== bench-$$row"; start=$$SECONDS; \
	  $(MAKE) --no-print-directory "bench-$$row" || short="$$short bench-$$row"; echo "== took $$((SECONDS - start)) s"; done; \
	[ -z "$$short" ] || { echo "error: a target is missed, or a measurement has failed, in$$short" >&2; exit 1; }

bench-steps: interop-environment ## Measure training steps beside timm and torch.compile, in turn (BENCH="--cases 64x16 --rounds 3")
	@$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer --example steps
	$(PYTHON) bench/train_steps.py --steps $(TARGET)/release/examples/steps --python $(INTEROP)/bin/python $(DOCUMENT) $(BENCH)

bench-reading: interop-environment ## Measure the reading of tiles and of windows of a large scene beside rasterio (READING="--side 4000")
	$(CARGO) build --release --quiet -p eosfed-data --example reading
	$(INTEROP)/bin/python bench/reading.py --reading $(TARGET)/release/examples/reading $(DOCUMENT) $(READING)

bench-inspect: ## Measure `data inspect` with 1,000, 10,000 and 50,000 files and write its table of docs/performance.md
	$(CARGO) build --release --quiet -p eosfed-client
	$(PYTHON) bench/data_inspect.py --client $(TARGET)/release/eosfed-client $(DOCUMENT) $(INSPECT)

bench-training: interop-environment ## Measure a training from GeoTIFF files beside a DataLoader with rasterio and timm (TRAINING="--tiles 500")
	@$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer --bins
	$(INTEROP)/bin/python bench/end_to_end.py --trainer $(TARGET)/release/eosfed-trainer $(DOCUMENT) $(TRAINING)

bench-rules: flower-environment ## Measure aggregation rules beside Flower's and numpy (RULES="--counts 10,50,100 --rounds 3")
	$(CARGO) build --release --quiet -p eosfed-aggregation --example rules
	$(FLOWER)/bin/python bench/rules.py --rules $(TARGET)/release/examples/rules $(DOCUMENT) $(RULES)

bench-rounds: flower-environment ## Measure rounds beside Flower's, in turn (ROUNDS="--clients 4x3,16x1")
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load
	$(FLOWER)/bin/python bench/rounds.py --load $(TARGET)/release/eosfed-load $(DOCUMENT) $(ROUNDS)

bench-features: interop-environment ## Measure features of eight specialists beside timm (FEATURES="--batch 16")
	@$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer --example features; \
	$(INTEROP)/bin/python bench/ensemble/features.py --features $(TARGET)/release/examples/features $(DOCUMENT) $(FEATURES)

bench-predict: interop-environment ## Measure the map of a scene beside TerraTorch (SCENE="--side 10000 --rounds 1")
	@$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer --bins; \
	$(INTEROP)/bin/python bench/ensemble/predict.py --trainer $(TARGET)/release/eosfed-trainer $(DOCUMENT) $(SCENE)

bench-daemons: programs ## Measure requests and bytes of rounds, and daemons that wait (DAEMONS="--seconds 10")
	$(PYTHON) bench/daemons.py --programs $(TARGET)/release $(DOCUMENT) $(DAEMONS)

# IMAGES: a folder of RGB images for each class, such as EuroSAT's.
bench-accuracy: ## Train on a folder of images, as PyTorch with timm does beside it (IMAGES=FOLDER ACCURACY="--seeds 5")
	@$(WITH_LIBTORCH); $(CARGO) build --release --quiet -p eosfed-trainer --bins
	$(INTEROP)/bin/python bench/accuracy.py --trainer $(TARGET)/release/eosfed-trainer --images "$(IMAGES)" $(ACCURACY)

bench-encodings: programs ## Train with each encoding of updates and write its table of docs/performance.md (IMAGES=FOLDER ENCODINGS="--rounds 30")
	$(PYTHON) bench/encodings.py --programs $(TARGET)/release --images "$(IMAGES)" $(DOCUMENT) $(ENCODINGS)

bench-scale: ## Measure how a coordinator grows, with plots, and write docs/scale.md (SCALE="-- --clients 4,8,16")
	$(CARGO) build --release --quiet -p eosfed-coordinator -p eosfed-load
	$(PYTHON) bench/scale.py --load $(TARGET)/release/eosfed-load --document docs/scale.md --images docs/images $(SCALE)

# Ready programs for a machine without Rust: TRAINER and STEPS, and what else its script is told.
TRAINER ?=
STEPS ?=
GPU_CHECK ?=
gpu-check: ## Check and measure a GPU in less than eight minutes, beside timm (TRAINER=FILE STEPS=FILE: ready programs)
	@[ -n "$(TRAINER)" ] || { LIBTORCH="$$($(PYTHON) deploy/libtorch/bootstrap.py --cuda)"; export LIBTORCH; \
	  $(CARGO) build --release --quiet -p eosfed-trainer --bins --example steps; }
	$(PYTHON) bench/gpu/run.py --trainer "$(or $(TRAINER),$(TARGET)/release/eosfed-trainer)" \
	  --steps "$(or $(STEPS),$(TARGET)/release/examples/steps)" --output "$(TARGET)/gpu-check" $(GPU_CHECK)

reference: ## Write docs/reference from the types again
	$(CARGO) run --quiet -p eosfed-reference

manual: build ## Write manual pages and completion scripts of all programs into target/manual
	for program in eosfed eosfed-coordinator eosfed-client eosfed-trainer; do \
	  $(TARGET)/debug/$$program --write-manual $(TARGET)/manual; done

libtorch: tools ## Install libtorch into the user's cache and print its folder (CUDA=1: for GPUs too, 3.5 GB)
	@$(PYTHON) deploy/libtorch/bootstrap.py $(if $(filter 1,$(CUDA)),--cuda)

build: tools ## Build the programs for development
	@$(WITH_LIBTORCH); $(CARGO) build $(PROGRAMS)

programs: tools ## Build the programs for use (GDAL=1: they read what GDAL reads, with libgdal-dev; docs/imagery-gdal.md)
	@$(WITH_LIBTORCH); $(CARGO) build --release $(PROGRAMS) $(if $(filter 1,$(GDAL)),--features "eosfed-client/gdal eosfed-trainer/gdal")

release: programs sbom ## Build the programs for use, with their bills of materials

# The programs that packages are made of, and what comes after their version.
BIN_DIR ?=
REVISION ?= 1
PACKAGES ?= $(TARGET)/packages
packages: $(if $(BIN_DIR),,programs) ## Build Debian packages into target/packages (BIN_DIR=DIR takes built programs)
	@$(WITH_LIBTORCH); $(PYTHON) deploy/packages/build.py --programs "$(or $(BIN_DIR),$(TARGET)/release)" \
	  --out "$(PACKAGES)" --libtorch "$$LIBTORCH" --revision "$(REVISION)"

# One machine has one trainer; that for GPUs fetches gigabytes. PREVIOUS_BIN_DIR has the programs of an earlier
# commit: the packages that are upgraded in the middle of a job are then made of them.
PREVIOUS_BIN_DIR ?=
SYSTEM_PACKAGES := eosfed eosfed-coordinator eosfed-client eosfed-trainer-cpu
system-test: $(if $(BIN_DIR),,build) ## Test packages and units on a Debian with a real systemd (needs root; the root is made once)
	@$(PYTHON) tests/system/run.py --check || exit $$(( $$? == 3 ? 0 : 1 )); \
	$(WITH_LIBTORCH); from="$(or $(BIN_DIR),$(TARGET)/debug)"; out="$(TARGET)/system-test"; rm -rf "$$out"; \
	build() { $(PYTHON) deploy/packages/build.py --programs "$$1" --out "$$out" --libtorch "$$LIBTORCH" --fast "$${@:2}" > /dev/null; }; \
	build "$(or $(PREVIOUS_BIN_DIR),$$from)" --revision 1 $(SYSTEM_PACKAGES) && build "$$from" --revision 2 $(SYSTEM_PACKAGES) \
	  && build "$$from" --revision 3 --store-schema 99 eosfed-coordinator && \
	$(PYTHON) tests/system/run.py --packages "$$out"

cuda-package-test: $(if $(BIN_DIR),,build) ## Install eosfed-trainer-cuda with and without a network (needs root, 5 GB of downloads, 12 GB of disk)
	@$(WITH_LIBTORCH); out="$(TARGET)/cuda-package"; rm -rf "$$out"; \
	$(PYTHON) deploy/packages/build.py --programs "$(or $(BIN_DIR),$(TARGET)/debug)" --out "$$out" --libtorch "$$LIBTORCH" --fast eosfed-trainer-cuda > /dev/null; \
	$(PYTHON) tests/system/cuda_package.py --package "$$out"/*.deb

sbom: ## Write a bill of materials (CycloneDX) of each program into target/sbom
	@command -v cargo-cyclonedx > /dev/null || $(CARGO) install --quiet cargo-cyclonedx --version 0.5.9 --locked
	PYTHON="$(PYTHON)" TARGET="$(TARGET)" GDAL="$(GDAL)" bash deploy/sbom.sh

images: tools ## Build the images; PROGRAMS_DIR=target/release packs ready programs (docs/containers.md)
	PYTHON="$(PYTHON)" GDAL="$(GDAL)" bash deploy/containers/images.sh

container-test: ## Run a federation of real containers (podman) from the programs of `make programs`
	PYTHON="$(PYTHON)" PROGRAMS_DIR="$${PROGRAMS_DIR:-$(TARGET)/release}" bash deploy/containers/container_test.sh

chart-test: ## Lint and render the Helm chart, and check it against the schemas of Kubernetes
	[ -x "$(TARGET)/chart/bin/python" ] || $(PYTHON) -m venv $(TARGET)/chart
	$(TARGET)/chart/bin/pip install --quiet --require-hashes -r deploy/requirements/chart.txt
	$(TARGET)/chart/bin/python deploy/chart/test.py

requirements: ## Write the hashes of deploy/requirements again, from its *.in files
	$(PYTHON) -m venv $(TARGET)/requirements
	$(TARGET)/requirements/bin/pip install --quiet uv
	for file in deploy/requirements/*.in; do $(TARGET)/requirements/bin/uv pip compile --quiet --generate-hashes \
	  --no-annotate --no-header --python-version 3.11 $$file -o $${file%.in}.txt; done

fmt: ## Format the sources
	$(CARGO) fmt --all

lint: ## Look for mistakes; warnings count
	@$(WITH_LIBTORCH); $(CARGO) clippy --workspace --all-targets -- -D warnings

doc: ## Write the library documentation; warnings count
	@$(WITH_LIBTORCH); RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

advisories: ## Check the dependencies against the advisory database, or its snapshot where it cannot be fetched
	@$(PYTHON) deploy/advisories.py check

advisories-snapshot: ## Make the snapshot of the advisory database (needs the network), to be committed
	@$(PYTHON) deploy/advisories.py snapshot

deny: ## Check licences, sources and bans of the dependencies
	$(CARGO) deny check bans licenses sources

goldens: ## Make the golden tests again with timm, Flower and Opacus, in throw-away environments
	$(PYTHON) -m venv $(TARGET)/goldens
	$(TARGET)/goldens/bin/pip install --quiet --require-hashes -r deploy/requirements/goldens.txt
	for script in client/trainer/goldens/generate*.py; do $(TARGET)/goldens/bin/python $$script; done
	$(PYTHON) -m venv $(TARGET)/goldens-flower
	$(TARGET)/goldens-flower/bin/pip install --quiet --require-hashes -r deploy/requirements/goldens-flower.txt
	$(TARGET)/goldens-flower/bin/python coordinator/aggregation/goldens/generate.py
	$(PYTHON) -m venv $(TARGET)/goldens-privacy
	$(TARGET)/goldens-privacy/bin/pip install --quiet --require-hashes -r deploy/requirements/goldens-privacy.txt
	$(TARGET)/goldens-privacy/bin/python client/goldens/generate.py

clean-demo: ## Remove the demo's results
	rm -rf "$(RESULTS)"

tools:
	@need() { command -v "$$1" > /dev/null || { echo "error: $$1 is missing; install it with: $$2" >&2; exit 1; }; }; \
	need $(CARGO) "curl https://sh.rustup.rs | sh"; \
	need $(PYTHON) "apt-get install python3"; \
	need c++ "apt-get install g++"
