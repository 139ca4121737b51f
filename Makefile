# `make caption` and `make test` work on a fresh Debian or Ubuntu machine with a Swift toolchain: both install missing
# system libraries, build, and run. All else is Swift's package manager.

PACKAGES := libopenblas-dev libjpeg-dev libarchive-dev liblz4-dev libpng-dev libwebp-dev zlib1g-dev pkg-config
MODULES := openblas libjpeg libarchive liblz4 libpng libwebpdemux zlib
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: caption build test benchmark libraries

# Standard output is the JSON lines alone.
caption: build
	@.build/release/massv-pipe run pipelines/caption.pipe < examples/scenes.tar

build: libraries
	@swift build -c release --product massv-pipe 1>&2

test: libraries
	swift test -c release --no-parallel

benchmark: build
	@swift build -c release --product benchmarks 1>&2
	@.build/release/benchmarks

# Asks pkg-config first, so that a machine with everything needs neither network nor rights.
libraries:
	@pkg-config --exists $(MODULES) 2>/dev/null || { \
	  command -v apt-get >/dev/null || { \
	    echo "Missing libraries; expected by pkg-config: $(MODULES)" 1>&2; exit 1; }; \
	  $(SUDO) apt-get update && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PACKAGES); } 1>&2
