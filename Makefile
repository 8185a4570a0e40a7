# The front door. Every target is a script of tools/ or a CMake preset, and works by itself too.
# All of it works as root or with sudo; under sudo only apt runs as root (tools/as_caller).

JOBS ?= $(shell nproc)
AS = tools/as_caller

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build run test bench check fuzz package check-clean clean FORCE

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name text; do \
	  printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## Install what is missing to build, test and check
	@tools/setup build test check

build: setup-build build/release ## Build the release program, build/release/holdfast

run: setup-build build/release ## Build, and start Holdfast with a sample shop in var/shop
	@$(AS) tools/run

test: setup-test build/asan ## Build with ASan and UBSan, and run every test
	@$(AS) tools/run_tests build/asan

check: setup-check ## Formatting, layers, words, scripts, docs, generated files; STAGES="tidy tsan fuzz" for the long ones
	@$(AS) tools/check $(STAGES)

bench: setup-bench build/bench ## Measure, each figure beside its floor; writes bench/results.json
	@$(AS) tools/bench build/bench

fuzz: setup-test build/fuzz ## Run every fuzz target; SECONDS_EACH=60
	@$(AS) tools/fuzz_smoke build/fuzz $(or $(SECONDS_EACH),60)

package: setup-package build/release ## Make the .deb, and try it in a clean Debian 12
	@$(AS) tools/package build/package
	@tests/package/clean_install.sh build/package/*.deb

check-clean: setup-package ## Prove set-up, build and tests in a bare Debian 12
	@tools/check_clean

clean: ## Remove what was built; var/ stays
	rm -rf build

# Which packages each target needs.
.PHONY: setup-build setup-test setup-check setup-bench setup-package
setup-build:   ; @tools/setup build
setup-test:    ; @tools/setup build test
setup-check:   ; @tools/setup build test check
setup-bench:   ; @tools/setup build bench
setup-package: ; @tools/setup build package

# One folder per preset. Ninja decides what is stale; CMake runs by itself when it has to.
build/%: FORCE
	@test -f $@/build.ninja || $(AS) cmake --preset $*
	@$(AS) cmake --build $@ -j$(JOBS)
FORCE:
