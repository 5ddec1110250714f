#!/usr/bin/env bash
# How many requests a second the gateway of a bank answers, with everything on this machine: a worker with all
# roles, the servers of deploy/dev, and wrk.
#
#   cargo build --release --bin bank
#   deploy/dev up && eval "$(deploy/dev env)"
#   benches/gateway/run.sh [SECONDS] [CONNECTIONS] [ACCOUNTS]
#
# Prints for each kind of request what wrk says, what the worker spent of the processors on each, and what
# memory it had before and after; at the end everything is audited. The bank is one of its own, on topics and
# views of its own.
set -euo pipefail

seconds=${1:-30}
connections=${2:-64}
accounts=${3:-1000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bank=${BANK:-$here/../../target/release/bank}
folder=$(mktemp -d)

: "${HEADWATER_KAFKA__BOOTSTRAP_SERVERS:?the servers are not named: eval \"\$(deploy/dev env)\"}"
export HEADWATER_APP=${HEADWATER_APP:-bench_$$} HEADWATER_STATE=$folder/state
export HEADWATER_TOPOLOGY__PARTITIONS=${HEADWATER_TOPOLOGY__PARTITIONS:-8}
export HEADWATER_HTTP__LISTEN=127.0.0.1:${PORT:-18099} HEADWATER_HTTP__CONCURRENCY_PER_CLIENT=0
url=http://$HEADWATER_HTTP__LISTEN

fail() {
    echo "$*" >&2
    exit 1
}

for command in wrk curl; do command -v $command >/dev/null || fail "$command is not installed"; done
[[ -x $bank ]] || fail "$bank is not built: cargo build --release --bin bank"

"$bank" topics apply >/dev/null
"$bank" schemas push >/dev/null
"$bank" run 2>"$folder/log" &
worker=$!
trap 'kill $worker 2>/dev/null; wait $worker || true; rm -rf "$folder"' EXIT

ready() { curl -fsS -o /dev/null "$url/readyz" 2>/dev/null; }

for _ in $(seq 300); do
    ready && break
    kill -0 $worker 2>/dev/null || fail "the worker ended: $(tail -n 5 "$folder/log")"
    sleep 0.2
done
ready || fail "the worker does not get ready: $(curl -sS "$url/readyz")"

# In ticks of the clock, of which there are a hundred a second.
spent() { awk '{ print $14 + $15 }' "/proc/$worker/stat"; }
memory() { awk '/VmRSS/ { printf "%d MiB", $2 / 1024 }' "/proc/$worker/status"; }

measure() {
    local what=$1 before memory_before after requests
    shift
    before=$(spent) memory_before=$(memory)
    wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" >"$folder/wrk" || fail "$(cat "$folder/wrk")"
    after=$(spent)
    requests=$(awk '/requests in/ { print $1 }' "$folder/wrk")
    echo "== $what"
    grep -E 'Requests/sec|50%|99%|Non-2xx|Socket errors' "$folder/wrk" | sed 's/^ */   /'
    awk -v ticks=$((after - before)) -v requests="$requests" \
        'BEGIN { printf "   worker: %.0f µs of a processor each", ticks * 10000 / requests }'
    echo ", memory $memory_before before, $(memory) after"
}

for number in $(seq "$accounts"); do
    echo "{\"id\":\"registry\",\"command\":\"CreateAccount\",\"data\":{\"name\":\"Customer $number\"}}"
done >"$folder/accounts.jsonl"
"$bank" send account_registry --from "$folder/accounts.jsonl" >/dev/null

export ACCOUNTS=$accounts
measure "one query" "$url/queries/AccountSummary?account_id=000001"
measure "queries of $accounts accounts" -s "$here/summaries.lua" "$url"
measure "commands to $accounts accounts" -s "$here/deposits.lua" "$url"
"$bank" verify
