# The commands that people type; `make help` lists them. Tests need cargo alone: `cargo test --workspace`.
# Everything else that is needed is installed into .venv at pinned versions, on first use.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
E2E_VENV := $(VENV)/e2e
COMMAND := target/debug/academy-hooks
CHECKOV_VENV := $(VENV)/checkov
# In front of the rest: cargo-lambda finds its linker, zig, through the first python3.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

ARCHITECTURES := arm64 x86_64
# The environments that samconfig.toml describes.
ENVIRONMENTS := default dev staging prod
# What `make build` builds for; a deployment's architecture stands in samconfig.toml.
ARCHITECTURE := arm64
# What `make deploy` deploys. As above, only make's command line says another, and not the shell's environment.
ENVIRONMENT := default
# Ends make, unless the variable of this name has one of these values.
must_be_one_of = $(if $(and $(filter 1,$(words $($1))),$(filter $2,$($1))),,$(error $1 is "$($1)", and must be one of: $2))
FUNCTIONS := manage ingest deliver errors
REDOCLY := @redocly/cli@2.77.0
CARGO_TOOLS := cargo-deny@0.20.2 cargo-machete@0.9.2

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run every test
	cargo test --workspace

.PHONY: e2e
e2e: e2e-api e2e-clients e2e-guide e2e-stack ## Test from outside: the API, its clients, the guide for academies, the template deployed (twelve minutes)

.PHONY: e2e-api
e2e-api: $(VENV)/.e2e-tools command ## Hold a running API to its own description (two minutes)
	PATH="$(CURDIR)/$(E2E_VENV)/bin:$$PATH" python3 e2e/api.py $(COMMAND)

.PHONY: e2e-clients
e2e-clients: $(VENV)/.e2e-tools command ## Use a running API through clients generated in Python, TypeScript and Rust (two minutes)
	PATH="$(CURDIR)/$(E2E_VENV)/bin:$$PATH" python3 e2e/clients.py $(COMMAND)

.PHONY: e2e-guide
e2e-guide: command ## Do what docs/WEBHOOKS.md says: its commands, its receivers in Python and Node (seconds)
	python3 e2e/guide.py $(COMMAND)

.PHONY: e2e-stack
e2e-stack: $(VENV)/.e2e-tools command ## Deploy template.yaml to an emulator of AWS and use it (seven minutes; x86_64 Linux)
	$(MAKE) build ARCHITECTURE=x86_64
	$(E2E_VENV)/bin/python -m pytest e2e

.PHONY: local-events
local-events: $(VENV)/.python-tools ## Try every file of events/ on functions that cargo-lambda runs (seconds, once they are built)
	cargo build --locked
	python3 scripts/local_events.py $(COMMAND)

.PHONY: sam-local
sam-local: local-template command ## The same on functions that `sam local` runs in Docker (a minute, once they are built; x86_64 Linux)
	python3 scripts/sam_local.py $(COMMAND)

# Without Docker it fails before it builds for minutes what only `sam local` needs.
.PHONY: local-template
local-template: docker-gateway $(VENV)/.python-tools ## Build the functions for `sam local --config-env local`, and write its template (x86_64 Linux)
	$(MAKE) build ARCHITECTURE=x86_64
	python3 scripts/local_template.py

.PHONY: docker-gateway
docker-gateway: ## Print the address at which containers reach this machine (Linux)
	@python3 scripts/docker_gateway.py

.PHONY: command
command:
	cargo build --locked -p academy-hooks

.PHONY: bench
bench: bench-build ## Measure everything and write docs/PERFORMANCE.md (half an hour with the builds; nothing else should run)
	cargo run --release --locked -p bench -- --write

# The functions apart from the rest, as they are built for Lambda: with their own settings, which are found from
# their folder, and with features that are not shared with the command's.
.PHONY: bench-build
bench-build: ## Build what `make bench` measures, in release
	cd functions && cargo build --release --locked $(addprefix -p ,$(FUNCTIONS))
	cargo build --release --locked -p academy-hooks -p bench
	cargo bench --locked -p bench --bench pure --no-run

.PHONY: bench-check
bench-check: ## Compare counts of instructions (by valgrind, if it is there) and of requests with those recorded
	cargo build --profile bench-check --locked -p ingest -p deliver
	cargo run --profile bench-check --locked -p bench -- --check

.PHONY: check
check: check-format check-lints check-docs check-template check-openapi check-dependencies ## Everything that must hold beside the tests

.PHONY: check-format
check-format: ## Formatting
	cargo fmt --all --check

.PHONY: check-lints
check-lints: ## Compiler's and clippy's lints; a warning fails
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: check-docs
check-docs: ## The code's documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

.PHONY: check-template
check-template: $(VENV)/.python-tools $(VENV)/.checkov-tools ## template.yaml, before and after SAM's transform
	PATH="$$PATH:$(CURDIR)/$(CHECKOV_VENV)/bin" python3 scripts/check_template.py

.PHONY: check-dependencies
check-dependencies: $(VENV)/.cargo-tools ## Licences, bans, and dependencies that nothing uses
	cargo deny --locked check licenses bans sources
	cargo machete --with-metadata

.PHONY: check-openapi
check-openapi: $(VENV)/.e2e-tools ## docs/openapi.json is what OpenAPI allows and readers expect, generators of clients among them
	npx --yes $(REDOCLY) lint --config scripts/redocly.yaml --max-problems 1000 docs/openapi.json
	PATH="$(CURDIR)/$(E2E_VENV)/bin:$$PATH" python3 e2e/clients.py

.PHONY: reference
reference: ## Write what of docs/ is made from the code: EVENTS.md, openapi.json, api.html, schemas
	cargo run --locked -p reference

.PHONY: audit
audit: $(VENV)/.cargo-tools ## Known vulnerabilities (fetches the advisory database from GitHub)
	cargo deny --locked check advisories

.PHONY: tools
tools: $(VENV)/.python-tools ## Install sam, cargo-lambda and zig into .venv

.PHONY: known-architecture
known-architecture:
	@:$(call must_be_one_of,ARCHITECTURE,$(ARCHITECTURES))

.PHONY: known-environment
known-environment:
	@:$(call must_be_one_of,ENVIRONMENT,$(ENVIRONMENTS))

.PHONY: build
build: known-architecture $(VENV)/.python-tools ## Build the functions into target/lambda (ARCHITECTURE=arm64 or x86_64)
	cd functions && cargo lambda build --manifest-path ../Cargo.toml --release --locked --$(subst _,-,$(ARCHITECTURE)) $(addprefix -p ,$(FUNCTIONS))

.PHONY: deploy
deploy: known-environment $(VENV)/.python-tools ## Build and deploy a stack of samconfig.toml (ENVIRONMENT=default, dev, staging or prod)
	sam build --config-env $(ENVIRONMENT)
	sam deploy --config-env $(ENVIRONMENT)

$(VENV)/.python-tools: scripts/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(VENV)/.e2e-tools: e2e/requirements.txt
	python3 -m venv $(E2E_VENV)
	$(E2E_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Its dependencies and sam's exclude each other.
$(VENV)/.checkov-tools: scripts/requirements-checkov.txt
	python3 -m venv $(CHECKOV_VENV)
	$(CHECKOV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Unoptimised: they run for seconds, and optimising them takes minutes.
$(VENV)/.cargo-tools: $(VENV)/.python-tools Makefile
	cargo install --quiet --locked --debug --config profile.dev.debug=false --root $(VENV) $(CARGO_TOOLS)
	touch $@
