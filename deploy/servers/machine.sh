# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# What the servers and the tests need of this machine: Debian's packages and Maven's artifacts.

java_minimum=17

# The command of a Java that is new enough.
java_command() {
    local candidate
    for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" java; do
        if [[ -n $candidate ]] && (($(java_major "$candidate") >= java_minimum)); then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

java_major() {
    local version
    version=$("$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1) || true
    echo "${version:-0}"
}

have() { command -v "$1" >/dev/null; }

missing_packages() {
    java_command >/dev/null || echo default-jre-headless
    postgres_bin >/dev/null || echo postgresql
    have curl || echo curl
    [[ -d $software ]] || have mvn || echo maven
    missing_build_packages
}

# What building librdkafka and OpenSSL from source takes; the latter wants more of perl than every
# Debian has.
missing_build_packages() {
    have gcc || echo gcc libc6-dev
    have make || echo make
    perl -MFindBin -MIPC::Cmd -e 1 2>/dev/null || echo perl
}

install_missing() {
    local packages
    mapfile -t packages < <(missing_packages | tr ' ' '\n')
    if ((${#packages[@]})); then install_packages "${packages[@]}"; fi
    have cargo || say "note: no cargo on the PATH; to build, install the Rust toolchain that rust-toolchain.toml names"
}

install_packages() {
    local result=0
    ((EUID == 0)) || fail "missing here; as root: apt-get install --no-install-recommends $*"
    say "installing $*"
    if [[ " $* " == *" postgresql "* ]]; then no_default_cluster; fi
    logged apt apt_install "$@" || result=1
    rm -f "$cluster_setting"
    ((result == 0)) || fail "could not install $*"
}

apt_install() {
    apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# Debian's package makes and starts a cluster of its own on the standard port, which nobody asked for.
cluster_setting=/etc/postgresql-common/createcluster.d/headwater-dev.conf
no_default_cluster() {
    mkdir -p "$(dirname "$cluster_setting")"
    echo 'create_main_cluster = false' >"$cluster_setting"
}

# Runs a command with its output in log/NAME.log, the end of which is shown if it fails.
logged() {
    local log
    log=$(log_of "$1")
    shift
    "$@" >"$log" 2>&1 && return
    tail -n 40 "$log" >&2
    return 1
}

# A folder for each version of the pom: new versions never pull jars from under a running server.
fetch_software() {
    [[ -d $software ]] && return
    say "fetching Kafka and the registry"
    rm -rf "$software.new"
    logged maven mvn -B -Dstyle.color=never -f "$servers/pom.xml" package -Dsoftware="$software.new" ||
        fail "could not fetch the servers"
    mv "$software.new" "$software"
}
