# shellcheck shell=bash disable=SC2154  # home, software, servers are set by deploy/dev
# Apicurio Registry, which speaks Confluent's API under /apis/ccompat/v7.

registry_prepare() { mkdir -p "$1"; }

# Its own store is in memory unless told otherwise; schema ids have to live as long as the records
# that carry them, so it gets a file, written at once and not after half a second.
registry_launch() {
    local data=$1 port=$2
    exec setsid "$(java_command)" -Xmx512m -Djava.awt.headless=true \
        -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" \
        -Dapicurio.datasource.url="jdbc:h2:file:$data/registry;WRITE_DELAY=0" \
        -jar "$software"/registry/apicurio-registry-app-*-runner.jar
}

registry_url() { echo "http://127.0.0.1:$1/apis/ccompat/v7"; }

registry_answers() { curl -fsS -m 2 -o /dev/null "$(registry_url "$1")/subjects" 2>/dev/null; }
