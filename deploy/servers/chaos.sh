# shellcheck shell=bash disable=SC2154  # home, here are set by deploy/dev
# Real processes under load while workers and servers are killed and paused (tests/chaos). The test starts
# servers of its own, with what was downloaded before: those of deploy/dev are never touched.

chaos() {
    local settings=()
    while (($#)); do
        case $1 in
            --minutes | --seed | --count | --orders)
                [[ ${2:-} =~ ^[0-9]{1,9}$ ]] || wrong "chaos: $1 wants a number"
                ;;
            --only) [[ ${2:-} =~ ^[a-z,-]+$ ]] || wrong "chaos: --only wants names of faults" ;;
            *) wrong "chaos does not know $1" ;;
        esac
        settings+=("HEADWATER_CHAOS_$(tr a-z A-Z <<<"${1#--}")=$2")
        shift 2
    done
    have cargo || fail "no cargo on the PATH: install the Rust toolchain that rust-toolchain.toml names"
    locked install_missing
    locked fetch_software
    # Everything of it lies here, so that nothing stays when it is interrupted.
    chaos_folder=$(mktemp -d)
    chmod 755 "$chaos_folder" # for PostgreSQL's user
    trap end_chaos EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$here/.." || exit 1
    env TMPDIR="$chaos_folder" HEADWATER_DEV_HOME="$home" "${settings[@]}" \
        cargo test --all-features --locked --test chaos -- --ignored --exact --nocapture for_as_long_as_is_asked
}

# The test ends its servers itself, unless it is interrupted.
end_chaos() {
    local run
    for run in "$chaos_folder"/.tmp*/run; do
        [[ -d $run ]] || continue
        HEADWATER_DEV_HOME=${run%/run} "$here/dev" down || true
        HEADWATER_DEV_HOME=${run%/run} "$here/dev" reset || true
    done
    rm -rf "$chaos_folder"
}
