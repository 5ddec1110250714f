# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# Every check and test of the repository, against the real servers.
#
# It leaves the machine as it found it: a server that was down before is stopped at the end, however
# the end comes.

check() {
    local name
    under_way=
    started=()
    have cargo || fail "no cargo on the PATH: install the Rust toolchain that rust-toolchain.toml names"
    for name in "${all[@]}"; do
        if ! running "$name"; then started+=("$name"); fi
    done
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    step "servers" locked up
    step "python" locked install_python
    export_test_settings
    cd "$here/.." || exit 1
    check_source
    step "test" cargo test --all-features --locked
    say "== all passed"
}

check_source() {
    step "format" cargo fmt --check
    # What most people build; everything else is built once, with all there is.
    step "default features" cargo check --locked
    step "clippy" cargo clippy --all-targets --all-features --locked -- -D warnings
    step "doc" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features --locked
    # Advisories are left out: their list is fetched from a host that a closed network does not reach.
    if [[ -f deny.toml ]] && cargo deny --version >/dev/null 2>&1; then
        step "dependencies" cargo deny check bans licenses sources
    fi
}

# Not under `||` or `if`, where bash would go on after a failure inside.
step() {
    local begin=$SECONDS
    under_way=$1
    shift
    say "== $under_way: $*"
    "$@"
    say "== $under_way: ok, $((SECONDS - begin)) s"
    under_way=
}

finish() {
    local result=$?
    trap - EXIT
    if [[ -n $under_way ]]; then say "== $under_way: failed"; fi
    if ((${#started[@]})); then locked stop "${started[@]}" || true; fi
    exit "$result"
}

# Tests read these and nothing else, so that they do the same in every shell.
export_test_settings() {
    unset HEADWATER_LOG HEADWATER_KAFKA__BOOTSTRAP_SERVERS HEADWATER_REGISTRY HEADWATER_VIEWS HEADWATER_TOPOLOGY__PARTITIONS
    export HEADWATER_TEST_KAFKA HEADWATER_TEST_REGISTRY HEADWATER_TEST_VIEWS HEADWATER_TEST_PYTHON
    HEADWATER_TEST_KAFKA=127.0.0.1:$(port_of kafka)
    HEADWATER_TEST_REGISTRY=$(registry_url "$(port_of registry)")
    HEADWATER_TEST_VIEWS=$(postgres_url "$(port_of postgres)")
    HEADWATER_TEST_PYTHON=$(python_folder)/bin/python
    # A test that finds no server fails instead of being skipped.
    export HEADWATER_TEST_REQUIRE=1
}

python_folder() { echo "$home/python/$(sha256sum "$servers/requirements.txt" | cut -c 1-12)"; }

# Producers and consumers in another language, for the tests that talk to one.
install_python() {
    local folder
    folder=$(python_folder)
    [[ -f $folder/complete ]] && return
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    logged python make_python "$folder" || fail "could not install the Python packages"
}

make_python() {
    python3 -m venv --clear "$1" &&
        "$1/bin/pip" install -r "$servers/requirements.txt" &&
        touch "$1/complete"
}
