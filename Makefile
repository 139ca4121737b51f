# `make build` and `make test` work on a fresh machine: both install missing system libraries (Debian,
# Ubuntu), build, and run. All else is Swift's package manager.

PACKAGES := libopenblas-dev pkg-config
MODULES := openblas
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: build test libraries

build: libraries
	swift build -c release 1>&2

test: libraries
	swift test -c release

# Asks pkg-config first, so that a machine with everything needs neither network nor rights.
libraries:
	@pkg-config --exists $(MODULES) 2>/dev/null || \
	  { $(SUDO) apt-get update && $(SUDO) apt-get install -y $(PACKAGES); } 1>&2
